/**
 * What this package writes, the rules of the protocol take, with libsodium and with node:crypto;
 * and what a hostile member or remote puts in its place does not open.
 */
import { createPublicKey, verify } from 'node:crypto'
import {
  encodeKeychainBody,
  encodeKeychainEntry,
  equalBytes,
  extendKeychain,
  type KemPublicKey,
  type Keychain,
  type KeychainPayload,
  keychainHead,
  keychainSignedBytes,
  type Member,
  type MemberId,
  parseKeychainEntry,
  type VerifySignature,
  validateKeychain,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { commitToEpoch } from './commitment.ts'
import { type DeviceKeys, generateDeviceKeys } from './device.ts'
import {
  addMember,
  admitMember,
  beginEpoch,
  foundKeychain,
  type Newcomer,
  revokeMembers,
} from './keychain-writer.ts'
import { Keyring, openKeyring } from './keyring.ts'
import { type MemberKeys, memberProof, type Signer } from './member-keys.ts'
import { openMemberName, sealMemberName } from './member-name.ts'
import { sealOlderEpoch } from './older-epoch.ts'
import {
  generateRecoverySeed,
  recoveryKeysOf,
  recoveryVaultProof,
} from './recovery/recovery-key.ts'
import { openEnvelope, sealRecord } from './seal.ts'
import { type EpochKey, Secret } from './secret.ts'
import { verifySignature } from './sodium.ts'
import { codeOf, foundTestVault, NOTE, type TestVault, timestampOf } from './vault.fixture.ts'
import { wrapKeys } from './wrap.ts'

const nowMs = 1_700_000_100_000

/** The 12 bytes that turn a raw key into what node:crypto reads (RFC 8410). */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex')
const verifyNode: VerifySignature = (message, signature, publicKey) => {
  const der = Buffer.concat([SPKI_HEAD, publicKey])
  return verify(
    null,
    message,
    createPublicKey({ key: der, format: 'der', type: 'spki' }),
    signature,
  )
}

type Grown = TestVault & { readonly second: DeviceKeys }

function newcomerOf(vault: TestVault, keys: MemberKeys): Newcomer {
  const { signingKey, kemKey } = keys
  return { kind: 'device', signingKey, kemKey, proof: memberProof(vault.root.vaultId, keys) }
}

/** A vault with a second device, added by the first. */
function growVault(label = 'grown'): Grown {
  const vault = foundTestVault(label)
  const { device: signer, random, keyring } = vault
  const second = generateDeviceKeys(random)
  const newcomer = newcomerOf(vault, second)
  const entry = addMember({
    ...vault,
    signer,
    keyring,
    newcomer,
    name: 'téléphone 📱',
    nowMs,
    random,
  })
  return { ...vault, second, ...extended(vault, entry) }
}

function extended(
  vault: { entries: readonly Uint8Array[]; keychain: Keychain },
  entry: Uint8Array,
) {
  const keychain = extendKeychain(vault.keychain, [entry], verifySignature)
  return { entries: [...vault.entries, entry], keychain }
}

function begin<Vault extends TestVault>(vault: Vault, signer: Signer = vault.device): Vault {
  const { entry, keyring } = beginEpoch({ ...vault, signer, nowMs })
  return { ...vault, keyring, ...extended(vault, entry) }
}

/** Signs whatever it is given, as a member that does not keep the rules would. */
function signEntry(keychain: Keychain, signer: Signer, payload: KeychainPayload): Uint8Array {
  const previous = keychainHead(keychain)
  const place = { index: keychain.hashes.length, previous, signer: signer.memberId, timeMs: nowMs }
  const body = encodeKeychainBody(place, payload).slice()
  return encodeKeychainEntry(body, signer.sign(keychainSignedBytes(keychain.vaultId, body))).slice()
}

function expectSameKeys(a: Keyring, b: Keyring) {
  expect(a.newestEpoch).toBe(b.newestEpoch)
  for (let epoch = 1; epoch <= a.newestEpoch; epoch++) {
    const keys = [a.epochKey(epoch), b.epochKey(epoch)] as const
    expect(keys[0] && keys[1] && equalBytes(keys[0].bytes, keys[1].bytes)).toBe(true)
  }
  expect(a.recordIdOf('notes', 'k')).toEqual(b.recordIdOf('notes', 'k'))
  expect(a.collectionTag('notes')).toEqual(b.collectionTag('notes'))
}

describe('foundKeychain, addMember, beginEpoch', () => {
  const vault = begin(begin(growVault()))

  it.each([
    ['libsodium', verifySignature],
    ['node:crypto', verifyNode],
  ])('write a chain that the protocol takes with %s', (_, verifyWith) => {
    const keychain = validateKeychain(vault.root.vaultId, vault.entries, verifyWith)
    expect(keychain.epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3])
    expect(keychain.membersById.size).toBe(2)
    const first = vault.entries[1] ?? new Uint8Array()
    const broken = [...vault.entries.slice(0, 1), first.with(first.length - 9, 0x5a)]
    expect(() => validateKeychain(vault.root.vaultId, broken, verifyWith)).toThrow()
  })

  it('write a chain whose every epoch all members and the root can open', () => {
    for (const holder of [vault.device, vault.second, vault.root]) {
      expectSameKeys(openKeyring({ keychain: vault.keychain, holder }), vault.keyring)
    }
  })

  it('let a device that came after the newest epoch read all older ones', () => {
    const { device: signer, random } = vault
    const late = generateDeviceKeys(random)
    const newcomer = newcomerOf(vault, late)
    const entry = addMember({ ...vault, signer, newcomer, name: '', nowMs })
    const keychain = extendKeychain(vault.keychain, [entry], verifySignature)
    expectSameKeys(openKeyring({ keychain, holder: late }), vault.keyring)
    expect(codeOf(() => openKeyring({ keychain: vault.keychain, holder: late }))).toBe(
      'key-mismatch',
    )
  })

  it('may be signed by the root', () => {
    expect(begin(vault, vault.root).keyring.newestEpoch).toBe(4)
  })

  it('refuse a keyring that is behind the keychain', () => {
    const behind = openKeyring({ keychain: growVault().keychain, holder: vault.device })
    const options = { ...vault, keyring: behind, signer: vault.device, nowMs }
    expect(codeOf(() => beginEpoch(options))).toBe('key-mismatch')
    const newcomer = newcomerOf(vault, generateDeviceKeys(vault.random))
    expect(codeOf(() => addMember({ ...options, newcomer, name: 'x' }))).toBe('key-mismatch')
  })

  it('refuse a newcomer with another’s proof, one that is there already, and one without a key', () => {
    const options = { ...vault, signer: vault.device, name: 'x', nowMs }
    const fresh = newcomerOf(vault, generateDeviceKeys(vault.random))
    const known = newcomerOf(vault, vault.second)
    const kemKey = new Uint8Array(1216).fill(255) as Uint8Array as KemPublicKey
    const code = (newcomer: Newcomer) => codeOf(() => addMember({ ...options, newcomer }))
    expect(code({ ...fresh, proof: known.proof })).toBe('keychain-invalid')
    expect(code(known)).toBe('keychain-invalid')
    expect(code({ ...fresh, kemKey })).toBe('key-mismatch')
    expect(code(fresh)).toBeUndefined()
  })

  it('refuse a signer that is no member', () => {
    const signer = generateDeviceKeys(vault.random)
    expect(codeOf(() => beginEpoch({ ...vault, signer, nowMs }))).toBe('keychain-invalid')
  })

  it('give keyrings that are wiped one by one', () => {
    const begun = beginEpoch({ ...vault, signer: vault.device, nowMs })
    const keyring = openKeyring({ keychain: vault.keychain, holder: vault.device })
    begun.keyring.wipe()
    expect(() => begun.keyring.recordIdOf('notes', 'k')).toThrow('wiped')
    expect(vault.keyring.recordIdOf('notes', 'k')).toEqual(keyring.recordIdOf('notes', 'k'))
  })
})

describe('revokeMembers', () => {
  const vault = begin(growVault('revoked'))
  const { device, second, random } = vault
  const seed = generateRecoverySeed(random)
  const recovery = recoveryKeysOf(seed)
  const withKey = {
    ...vault,
    ...extended(
      vault,
      addMember({
        ...vault,
        signer: vault.root,
        newcomer: {
          ...newcomerOf(vault, recovery),
          kind: 'recovery',
          vaultProof: recoveryVaultProof(seed, vault.root.vaultId),
        },
        name: 'key file',
        nowMs,
      }),
    ),
  }

  function revoke(signer: Signer, ...gone: readonly { memberId: MemberId }[]) {
    const memberIds = gone.map(({ memberId }) => memberId)
    const { entries, keyring } = revokeMembers({ ...withKey, signer, memberIds, nowMs })
    const keychain = extendKeychain(withKey.keychain, entries, verifySignature)
    return { ...withKey, keychain, keyring, added: entries }
  }

  it.each<[string, Signer]>([
    ['device', device],
    ['recovery key', recovery],
    ['root', vault.root],
  ])(
    'gives a revocation and its epoch, signed by a %s, that the ones who stay open',
    (_, signer) => {
      const revoked = revoke(signer, second)
      const types = revoked.added.map((bytes) => parseKeychainEntry(bytes).payload.type)
      expect(types).toEqual(['member-revoke', 'epoch'])
      expect(revoked.keyring.newestEpoch).toBe(3)
      for (const holder of [device, recovery, vault.root]) {
        expectSameKeys(openKeyring({ keychain: revoked.keychain, holder }), revoked.keyring)
      }
    },
  )

  it('leaves the revoked with the keys it had, none of which open the new epoch', () => {
    const revoked = revoke(device, second)
    const open = () => openKeyring({ keychain: revoked.keychain, holder: second })
    expect(codeOf(open)).toBe('key-mismatch')
    const before = openKeyring({ keychain: withKey.keychain, holder: second })
    const envelope = sealRecord(revoked.keyring, NOTE, timestampOf(1), random)
    expect(openEnvelope(before, envelope)).toEqual({ type: 'unknown-epoch', epoch: 3 })
    const forged = [...before.epochKeys()].map(([, key]) => key.copy())
    for (const key of forged) {
      const keyring = new Keyring(before.vaultId, before.newestKeys().idKey.copy(), [[3, key]])
      expect(codeOf(() => openEnvelope(keyring, envelope))).toBe('tampered')
    }
  })

  it('refuses nobody, a stranger, itself, and the last device', () => {
    const code = (signer: Signer, ...gone: readonly { memberId: MemberId }[]) =>
      codeOf(() => revoke(signer, ...gone))
    expect(code(device)).toBe('keychain-invalid')
    expect(code(device, generateDeviceKeys(random))).toBe('keychain-invalid')
    expect(code(device, device)).toBe('keychain-invalid')
    expect(code(device, second, second)).toBe('keychain-invalid')
    expect(code(recovery, device, second)).toBe('keychain-invalid')
    expect(code(vault.root, device, second)).toBe('keychain-invalid')
    expect(code(generateDeviceKeys(random), second)).toBe('keychain-invalid')
    expect(code(device, second, recovery)).toBeUndefined()
  })

  it('refuses a keyring that is behind the keychain', () => {
    const keyring = openKeyring({ keychain: growVault('revoked').keychain, holder: device })
    const memberIds = [second.memberId]
    const behind = { ...withKey, keyring, signer: device, memberIds, nowMs }
    expect(codeOf(() => revokeMembers(behind))).toBe('key-mismatch')
  })
})

describe('openMemberName', () => {
  const vault = begin(growVault())
  const members = [...vault.keychain.membersById.values()]
  const [first, second] = members as [Member, Member]
  const epochKey = vault.keyring.epochKey(1) as EpochKey
  const { vaultId } = vault.root

  it('gives the names, also those sealed under an older epoch', () => {
    expect(openMemberName(vault.keyring, first)).toBe('first laptop')
    expect(openMemberName(vault.keyring, second)).toBe('téléphone 📱')
  })

  it('refuses names that were swapped between members, or changed', () => {
    const swapped = { memberId: first.memberId, sealedName: second.sealedName }
    expect(codeOf(() => openMemberName(vault.keyring, swapped))).toBe('tampered')
    for (let offset = 4; offset < first.sealedName.length; offset++) {
      const sealedName = first.sealedName.with(offset, (first.sealedName[offset] ?? 0) ^ 1)
      expect(codeOf(() => openMemberName(vault.keyring, { ...first, sealedName }))).toBe('tampered')
    }
    const empty = { ...first, sealedName: new Uint8Array(0) }
    expect(codeOf(() => openMemberName(vault.keyring, empty))).toBe('tampered')
  })

  it('is undefined for an epoch that is not held yet', () => {
    const sealedName = first.sealedName.with(3, 9)
    expect(openMemberName(vault.keyring, { ...first, sealedName })).toBeUndefined()
  })

  it('hides the length of a name up to its bucket, and takes none beyond 254 bytes', () => {
    const place = { vaultId, memberId: first.memberId, epoch: 1 }
    const seal = (size: number) => sealMemberName('a'.repeat(size), epochKey, place, vault.random)
    expect(seal(0)).toHaveLength(4 + 24 + 64 + 16)
    expect(seal(62)).toHaveLength(4 + 24 + 64 + 16)
    expect(seal(63)).toHaveLength(4 + 24 + 128 + 16)
    expect(openMemberName(vault.keyring, { ...first, sealedName: seal(254) })).toHaveLength(254)
    expect(codeOf(() => seal(255))).toBe('too-large')
  })
})

describe('openKeyring', () => {
  const vault = growVault('hostile')
  const { root, device, second, keyring, keychain, random } = vault
  const { vaultId } = root
  const older = keyring.newestKeys()
  const previous = keychainHead(keychain)
  const place = { vaultId, epoch: 2, previous }
  const sealPlace = { ...place, olderEpoch: 1 }

  type Wrong = { wrapped?: EpochKey; committed?: EpochKey; sealed?: EpochKey; id?: 'wrong' }

  /** Epoch 2 as the second device would begin it, but for what is wrong. */
  function hostileEpoch(wrong: Wrong): Keychain {
    const epochKey: EpochKey = new Secret('EpochKey', random(32))
    const idKey = wrong.id === undefined ? older.idKey : new Secret('IdKey', random(32))
    const wrapped = { epochKey: wrong.wrapped ?? epochKey, idKey }
    const wrapTo = (to: { memberId: typeof root.memberId; kemKey: KemPublicKey }) =>
      wrapKeys(wrapped, to, place, random) ?? new Uint8Array()
    const entry = signEntry(keychain, second, {
      type: 'epoch',
      epoch: 2,
      commitment: commitToEpoch(place, wrong.committed ?? epochKey, idKey),
      wraps: [device, second].map((to) => ({ memberId: to.memberId, wrap: wrapTo(to) })),
      rootWrap: wrapTo(root),
      sealedEpochs: [
        {
          epoch: 1,
          sealed: sealOlderEpoch(wrong.sealed ?? older.epochKey, epochKey, sealPlace, random),
        },
      ],
    })
    return extendKeychain(keychain, [entry], verifySignature)
  }

  const wrongKey = (): EpochKey => new Secret('EpochKey', random(32))
  const codesFor = (hostile: Keychain) =>
    [device, root].map((holder) => codeOf(() => openKeyring({ keychain: hostile, holder })))

  it('opens the epoch that the hostile ones below are made from', () => {
    expect(codesFor(hostileEpoch({}))).toEqual([undefined, undefined])
  })

  it.each<[string, () => Wrong]>([
    ['a wrap of another key than is committed to', () => ({ wrapped: wrongKey() })],
    ['a commitment to another key', () => ({ committed: wrongKey() })],
    ['a wrong key sealed for the epoch before', () => ({ sealed: wrongKey() })],
    ['another id key than genesis commits to', () => ({ id: 'wrong' })],
  ])('refuses %s', (_, wrong) => {
    expect(codesFor(hostileEpoch(wrong()))).toEqual(['key-mismatch', 'key-mismatch'])
  })

  it('refuses a wrap that was taken over from another member or entry', () => {
    const honest = begin(vault)
    const payload = parseKeychainEntry(honest.entries.at(-1) ?? new Uint8Array()).payload
    if (payload.type !== 'epoch') throw new Error('an epoch')
    const wraps = payload.wraps.map(({ wrap }) => wrap).reverse()
    const swapped = payload.wraps.map((item, i) => ({ ...item, wrap: wraps[i] ?? item.wrap }))
    const entry = signEntry(keychain, second, { ...payload, wraps: swapped })
    const hostile = extendKeychain(keychain, [entry], verifySignature)
    expect(codesFor(hostile)).toEqual(['key-mismatch', undefined])
  })

  it('refuses a keychain without an epoch, and keys of no member', () => {
    const begun = validateKeychain(vaultId, vault.entries.slice(0, 2), verifySignature)
    expect(codesFor(begun)).toEqual(['key-mismatch', 'key-mismatch'])
    const holder = generateDeviceKeys(random)
    expect(codeOf(() => openKeyring({ keychain, holder }))).toBe('key-mismatch')
  })

  it('lets no member without a KEM key stop the next epoch, for the others', () => {
    const kemKey = new Uint8Array(1216).fill(255) as Uint8Array as KemPublicKey
    const keyless = { ...generateDeviceKeys(random), kemKey }
    const added = signEntry(keychain, second, {
      type: 'member-add',
      ...newcomerOf(vault, keyless),
      sealedName: new Uint8Array(0),
      wrap: new Uint8Array(1224),
      vaultProof: null,
    })
    const grown = begin({ ...vault, ...extended(vault, added) })
    const open = (holder: DeviceKeys) => openKeyring({ keychain: grown.keychain, holder })
    expectSameKeys(open(device), grown.keyring)
    expect(codeOf(() => open(keyless))).toBe('key-mismatch')
  })

  it('founds vaults that share nothing', () => {
    const again = foundKeychain({ root, device, deviceName: 'x', nowMs, random })
    const fresh = again.keyring.newestKeys()
    expect(equalBytes(fresh.idKey.bytes, older.idKey.bytes)).toBe(false)
    expect(equalBytes(fresh.epochKey.bytes, older.epochKey.bytes)).toBe(false)
  })
})

describe('admitMember', () => {
  const full = (vault: TestVault): TestVault => {
    let { keychain } = vault
    while (keychain.membersById.size < 64) {
      const newcomer = newcomerOf(vault, generateDeviceKeys(vault.random))
      const made = { ...vault, keychain, signer: vault.device, newcomer, name: 'x', nowMs }
      keychain = extendKeychain(keychain, [addMember(made)], verifySignature)
    }
    return { ...vault, keychain }
  }
  const admit = (vault: TestVault, revoke: readonly MemberId[]) => {
    const keys = generateDeviceKeys(vault.random)
    const keyring = openKeyring({ keychain: vault.keychain, holder: vault.root })
    const writing = { ...vault, keyring, signer: vault.root, nowMs, revoke }
    const made = admitMember({ ...writing, newcomer: newcomerOf(vault, keys), name: 'restored' })
    extendKeychain(vault.keychain, made.entries, verifySignature)
    return { ...made, keys }
  }

  it('finds room in a list that was filled up, where some or all of it goes', () => {
    const vault = full(foundTestVault('full'))
    const members = [...vault.keychain.membersById.values()].map(({ memberId }) => memberId)
    expect(codeOf(() => admit(vault, []))).toBe('keychain-invalid')
    for (const revoke of [members.slice(1), members.slice(-1), members]) {
      const { keychain, keys } = admit(vault, revoke)
      expect(keychain.membersById.size).toBe(65 - revoke.length)
      expect(openKeyring({ keychain, holder: keys }).newestEpoch).toBe(2)
      const gone = revoke.includes(vault.device.memberId) ? vault.device : undefined
      if (gone === undefined) continue
      expect(codeOf(() => openKeyring({ keychain, holder: gone }))).toBe('key-mismatch')
    }
  })

  it('refuses to revoke somebody who is no member', () => {
    const vault = foundTestVault('nobody')
    const { memberId } = generateDeviceKeys(vault.random)
    expect(codeOf(() => admit(vault, [memberId]))).toBe('keychain-invalid')
    const twice = [vault.device.memberId, vault.device.memberId]
    expect(codeOf(() => admit(vault, twice))).toBe('keychain-invalid')
  })
})
