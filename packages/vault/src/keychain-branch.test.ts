/**
 * What the root makes of a fork: a chain that everybody who stands on a branch goes over to, whose
 * members open all that was ever sealed on any of them, and whose revoked open nothing new.
 */
import {
  commonKeychain,
  encodeKeychainBody,
  encodeKeychainEntry,
  extendKeychain,
  findMember,
  formatHex,
  type Keychain,
  keychainSignedBytes,
  type MemberId,
  mergeKeychain,
  parseKeychainEntry,
  validateKeychain,
} from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type DeviceKeys, generateDeviceKeys } from './device.ts'
import { type BranchOptions, replaceBranches } from './keychain-branch.ts'
import { addMember, beginEpoch, revokeMembers } from './keychain-writer.ts'
import { type Keyring, openKeyring } from './keyring.ts'
import { type KemHolder, memberProof, type Signer } from './member-keys.ts'
import { openMemberName } from './member-name.ts'
import { openOlderEpoch } from './older-epoch.ts'
import {
  generateRecoverySeed,
  recoveryKeysOf,
  recoveryVaultProof,
} from './recovery/recovery-key.ts'
import { openEnvelope, sealRecord } from './seal.ts'
import { verifySignature } from './sodium.ts'
import { codeOf, fixedRandom, foundTestVault, NOTE, timestampOf } from './vault.fixture.ts'
import { unwrapKeys } from './wrap.ts'

const nowMs = 1_700_000_100_000
const vault = foundTestVault('branches')
const { root, device, random } = vault
const { vaultId } = root

type Held = { readonly keychain: Keychain; readonly keyring: Keyring }

function add(held: Held, signer: Signer, keys: DeviceKeys, name: string): Held {
  const { signingKey, kemKey } = keys
  const proof = memberProof(vaultId, keys)
  const newcomer = { kind: 'device' as const, signingKey, kemKey, proof }
  const entry = addMember({ ...held, signer, newcomer, name, nowMs, random })
  return { ...held, keychain: extendKeychain(held.keychain, [entry], verifySignature) }
}

function begin(held: Held, signer: Signer): Held {
  const { entry, keyring } = beginEpoch({ ...held, signer, nowMs, random })
  return { keyring, keychain: extendKeychain(held.keychain, [entry], verifySignature) }
}

function revoke(held: Held, signer: Signer, ...gone: readonly DeviceKeys[]): Held {
  const memberIds = gone.map(({ memberId }) => memberId)
  const { entries, keyring } = revokeMembers({ ...held, signer, memberIds, nowMs, random })
  return { keyring, keychain: extendKeychain(held.keychain, entries, verifySignature) }
}

const open = (keychain: Keychain, holder: KemHolder): Keyring => openKeyring({ keychain, holder })
const keysOf = (keyring: Keyring): Set<string> =>
  new Set([...keyring.epochKeys()].map(([epoch, key]) => `${epoch} ${formatHex(key.bytes)}`))
const seal = ({ keyring }: Held) => sealRecord(keyring, NOTE, timestampOf(1), random)

const second = generateDeviceKeys(random)
const stolen = generateDeviceKeys(random)
const third = generateDeviceKeys(random)
const base = add(add(vault, device, second, 'phone'), device, stolen, 'tablet')
/** Two devices take the stolen one out; the stolen one takes them out and adds its own. */
const honest = add(revoke(base, device, stolen), device, third, 'new phone')
const hostile = begin(
  revoke(add(base, stolen, generateDeviceKeys(random), 'mine'), stolen, device, second),
  stolen,
)

function replace(options: Partial<BranchOptions> = {}) {
  const keep = [device.memberId, second.memberId, third.memberId]
  const branches = [honest.keychain, hostile.keychain]
  return replaceBranches({
    root,
    base: base.keychain,
    branches,
    keep,
    nowMs,
    random,
    ...options,
  })
}

describe('replaceBranches', () => {
  const { entries, keychain } = replace()

  it('gives entries signed by the root alone, that the protocol takes on the base', () => {
    const parsed = entries.map((bytes) => parseKeychainEntry(bytes))
    const types = parsed.map(({ payload }) => payload.type)
    expect(types).toEqual(['replace', 'member-revoke', 'member-add', 'epoch'])
    expect(parsed.every(({ signer }) => formatHex(signer) === formatHex(root.memberId))).toBe(true)
    const whole = validateKeychain(vaultId, keychain.entries, verifySignature)
    expect(whole.hashes).toEqual(keychain.hashes)
    expect(commonKeychain(keychain, honest.keychain).hashes).toEqual(base.keychain.hashes)
  })

  it('is gone over to from every entry of every branch', () => {
    for (const branch of [honest.keychain, hostile.keychain]) {
      const merged = mergeKeychain(branch, keychain.entries, verifySignature)
      expect(merged.keychain.hashes).toEqual(keychain.hashes)
      expect(merged.replaced).toBe(branch)
    }
  })

  it('keeps those who stay, with their names, and nobody else', () => {
    const keyring = open(keychain, root)
    const names = [...keychain.membersById.values()].map((one) => openMemberName(keyring, one))
    expect(names).toEqual(['first laptop', 'phone', 'new phone'])
    expect(findMember(keychain, stolen.memberId)).toBeUndefined()
  })

  it('lets the root and all who stay open what was sealed on every branch', () => {
    const envelopes = [vault, honest, hostile].map(seal)
    const newest = open(keychain, root)
    for (const holder of [root, device, second, third]) {
      const keyring = open(keychain, holder)
      expect(keysOf(keyring)).toEqual(keysOf(newest))
      for (const envelope of envelopes) {
        expect(openEnvelope(keyring, envelope)).toMatchObject({ type: 'opened', record: NOTE })
      }
    }
    for (const held of [honest, hostile]) {
      for (const key of keysOf(held.keyring)) expect(keysOf(newest)).toContain(key)
    }
    expect(newest.newestEpoch).toBeGreaterThan(hostile.keyring.newestEpoch)
  })

  it('opens nothing new for the stolen device, on the chain or beside it', () => {
    expect(codeOf(() => open(keychain, stolen))).toBe('key-mismatch')
    const envelope = seal({ keychain, keyring: open(keychain, device) })
    const held = openEnvelope(hostile.keyring, envelope)
    expect(held).toEqual({ type: 'unknown-epoch', epoch: open(keychain, root).newestEpoch })
  })

  it('leaves numbers that both branches used to both keys', () => {
    const numbers = [...open(keychain, device).epochKeys()].map(([epoch]) => epoch)
    expect(numbers.filter((epoch) => epoch === 2)).toHaveLength(2)
  })

  it('does the same over an earlier replacement', () => {
    const grown = begin({ keychain, keyring: open(keychain, device) }, device)
    const again = replace({ branches: [grown.keychain] })
    for (const branch of [honest.keychain, hostile.keychain, keychain, grown.keychain]) {
      const merged = mergeKeychain(branch, again.keychain.entries, verifySignature)
      expect(merged.keychain.hashes).toEqual(again.keychain.hashes)
    }
    const keyring = open(again.keychain, second)
    for (const held of [honest, hostile, grown]) {
      expect(openEnvelope(keyring, seal(held)).type).toBe('opened')
    }
  })

  it('takes in a device that none of them has, and can leave no other', () => {
    const fresh = generateDeviceKeys(random)
    const { signingKey, kemKey } = fresh
    const proof = memberProof(vaultId, fresh)
    const newcomer = {
      newcomer: { kind: 'device' as const, signingKey, kemKey, proof },
      name: 'restored',
    }
    const alone = replace({ keep: [], newcomer }).keychain
    expect([...alone.membersById.keys()]).toEqual([formatHex(fresh.memberId)])
    expect(openEnvelope(open(alone, fresh), seal(hostile)).type).toBe('opened')
    for (const holder of [device, second, stolen, third]) {
      expect(codeOf(() => open(alone, holder))).toBe('key-mismatch')
    }
    expect(codeOf(() => replace({ keep: [] }))).toBe('keychain-invalid')
  })

  it('has room for a device where the stolen one has filled the list', () => {
    let full: Held = base
    while (full.keychain.membersById.size < 64) {
      full = add(full, stolen, generateDeviceKeys(random), 'x')
    }
    const fresh = generateDeviceKeys(random)
    const { signingKey, kemKey } = fresh
    const proof = memberProof(vaultId, fresh)
    const newcomer = {
      newcomer: { kind: 'device' as const, signingKey, kemKey, proof },
      name: 'restored',
    }
    const branches = [begin(full, stolen).keychain]
    for (const keep of [[device.memberId], []]) {
      const replaced = replace({ base: full.keychain, branches, keep, newcomer })
      expect(replaced.keychain.membersById.size).toBe(keep.length + 1)
    }
  })

  it('keeps a device that a branch has added and thrown out again, by its name', () => {
    const added = add(revoke(base, stolen, device), second, third, 'new phone')
    const branches = [revoke(added, stolen, third).keychain]
    const keep = [device.memberId, second.memberId, third.memberId]
    const { keychain } = replace({ branches, keep })
    expect([...keychain.membersById.keys()].sort()).toEqual(keep.map(formatHex).sort())
    const member = findMember(keychain, third.memberId)
    if (member === undefined) throw new Error('a member')
    expect(openMemberName(open(keychain, third), member)).toBe('new phone')
  })

  it('carries a recovery key over with the proof of its vault', () => {
    const seed = generateRecoverySeed(random)
    const keys = recoveryKeysOf(seed)
    const { signingKey, kemKey, memberId } = keys
    const vaultProof = recoveryVaultProof(seed, vaultId)
    const proof = memberProof(vaultId, keys)
    const newcomer = { kind: 'recovery' as const, signingKey, kemKey, proof, vaultProof }
    const options = { ...honest, signer: device, newcomer, name: 'key file', nowMs, random }
    const branch = extendKeychain(honest.keychain, [addMember(options)], verifySignature)
    const keep = [device.memberId, memberId]
    const replaced = replace({ branches: [branch, hostile.keychain], keep }).keychain
    expect(findMember(replaced, memberId)?.vaultProof).toEqual(vaultProof)
    expect(keysOf(open(replaced, keys))).toEqual(keysOf(open(replaced, root)))
  })

  it('saves what was sealed before an epoch that a member spoiled', () => {
    const good = begin(base, stolen)
    const spoiled = spoil(revoke(good, stolen, second), good.keychain.hashes.length)
    expect(codeOf(() => open(spoiled, root))).toBe('key-mismatch')
    const replaced = replace({ branches: [spoiled], keep: [device.memberId] }).keychain
    const envelope = seal(good)
    expect(openEnvelope(open(replaced, device), envelope)).toMatchObject({ record: NOTE })
    expect(codeOf(() => open(replaced, stolen))).toBe('key-mismatch')
  })

  it('refuses a base that the root does not open', () => {
    const start = validateKeychain(vaultId, vault.entries.slice(0, 2), verifySignature)
    expect(codeOf(() => replace({ base: start }))).toBe('key-mismatch')
  })
})

/** The chain up to `from`, then its revocation, and its epoch with a wrap that opens for nobody. */
function spoil({ keychain }: Held, from: number): Keychain {
  const entries = keychain.entries.slice(0, from + 1)
  const epoch = keychain.epochs.at(-1)
  if (epoch === undefined) throw new Error('an epoch')
  const place = {
    index: from + 1,
    previous: epoch.previous,
    signer: stolen.memberId,
    timeMs: nowMs,
  }
  const rootWrap = random(epoch.rootWrap.length)
  const body = encodeKeychainBody(place, { ...epoch, rootWrap }).slice()
  const signature = stolen.sign(keychainSignedBytes(vaultId, body))
  const entry = encodeKeychainEntry(body, signature).slice()
  return validateKeychain(vaultId, [...entries, entry], verifySignature)
}

/** Every wrap and seal of every epoch after `from`, tried with all that somebody has. */
function opensAny(keychain: Keychain, from: number, holder: DeviceKeys, keyring: Keyring): boolean {
  const keys = [...keyring.epochKeys()].map(([, key]) => key)
  return keychain.epochs.some(({ epoch, entryIndex, previous, wraps, rootWrap, sealedEpochs }) => {
    if (entryIndex < from) return false
    const place = { vaultId, epoch, previous }
    const ofWraps = [rootWrap, ...wraps.map(({ wrap }) => wrap)].some(
      (wrap) => codeOf(() => unwrapKeys(wrap, holder, place)) === undefined,
    )
    const ofSeals = sealedEpochs.some(({ epoch: olderEpoch, sealed }) =>
      keys.some(
        (key) => codeOf(() => openOlderEpoch(sealed, key, { ...place, olderEpoch })) === undefined,
      ),
    )
    return ofWraps || ofSeals
  })
}

type Act = { kind: 'add' | 'revoke' | 'epoch' | 'fork'; signer: number; gone: number }
const histories = fc.array(
  fc.record<Act>({
    kind: fc.constantFrom('add', 'revoke', 'revoke', 'epoch', 'fork'),
    signer: fc.nat(100),
    gone: fc.nat(100),
  }),
  { minLength: 3, maxLength: 9 },
)

describe('random histories of members that come and go, on branches that the root joins', () => {
  type Gone = { keys: DeviceKeys; keyring: Keyring; entries: number }

  function write(history: readonly Act[]) {
    const draw = fixedRandom('histories')
    const keysById = new Map<string, DeviceKeys>([[formatHex(device.memberId), device]])
    let held: Held = vault
    const gone: Gone[] = []
    const sealed = [seal(held)]
    const members = (keychain: Keychain) =>
      [...keychain.membersById.keys()].map((id) => keysById.get(id) as DeviceKeys)
    const leave = (keys: DeviceKeys, from: Held) => {
      const entries = held.keychain.hashes.length
      gone.push({ keys, keyring: open(from.keychain, keys), entries })
    }
    for (const act of history) {
      const active = members(held.keychain)
      const signer = active[act.signer % active.length] as DeviceKeys
      const other = active[act.gone % active.length] as DeviceKeys
      if (act.kind === 'add') {
        const keys = generateDeviceKeys(draw)
        keysById.set(formatHex(keys.memberId), keys)
        held = add(held, signer, keys, 'x')
      } else if (act.kind === 'epoch') {
        held = begin(held, signer)
      } else if (act.kind === 'revoke' && other !== signer) {
        leave(other, held)
        held = revoke(held, signer, other)
      } else if (act.kind === 'fork') {
        const branches = [begin(held, signer), begin(held, other)]
        sealed.push(...branches.map(seal))
        const keep: MemberId[] = [signer.memberId]
        for (const keys of active) if (keys !== signer) leave(keys, branches[0] as Held)
        const { keychain } = replaceBranches({
          root,
          base: held.keychain,
          branches: branches.map((branch) => branch.keychain),
          keep,
          nowMs,
          random: draw,
        })
        held = { keychain, keyring: open(keychain, signer) }
      }
      sealed.push(seal(held))
    }
    return { held, gone, sealed, active: members(held.keychain) }
  }

  it('never open a later epoch for who was revoked, and open all for who is active', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const { held, gone, sealed, active } = write(history)
        for (const holder of [root, ...active]) {
          const keyring = open(held.keychain, holder)
          for (const envelope of sealed) {
            expect(openEnvelope(keyring, envelope).type).toBe('opened')
          }
        }
        // What it had before, it opens: the search below can find something.
        expect(opensAny(held.keychain, 0, device, vault.keyring)).toBe(true)
        for (const { keys, keyring, entries } of gone) {
          expect(codeOf(() => open(held.keychain, keys))).toBe('key-mismatch')
          expect(opensAny(held.keychain, entries, keys, keyring)).toBe(false)
          const last = sealed.at(-1) as (typeof sealed)[number]
          expect(openEnvelope(keyring, last).type).toBe('unknown-epoch')
        }
      }),
      { numRuns: process.env.SLOW === '1' ? 200 : 15 },
    )
  })
})
