/**
 * Every vector of this package through the code: what opens, opens to what is written and is made
 * again byte for byte from the same randomness; what is refused, is refused with its code. Never
 * generate a vector again to make this pass.
 */
import { createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import {
  checkSignature,
  decodeValue,
  type Envelope,
  equalBytes,
  type Fields,
  formatHex,
  type Hash,
  keychainHead,
  mergeKeychain,
  parseEnvelope,
  type Signature,
  type SigningPublicKey,
  sha256,
  type Timestamp,
  type VaultId,
  type VerifySignature,
  validateKeychain,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { derive, SUBKEYS, type SubkeyName } from './derivation.ts'
import { type DeviceKeys, deviceKeysOf } from './device.ts'
import type { FieldClocks } from './field-clocks.ts'
import { replaceBranches } from './keychain-branch.ts'
import {
  addMember,
  beginEpoch,
  foundKeychain,
  type Newcomer,
  revokeMembers,
} from './keychain-writer.ts'
import { Keyring, openKeyring } from './keyring.ts'
import { type MemberKeys, memberProof } from './member-keys.ts'
import { openMemberName } from './member-name.ts'
import { formatPhrase, parsePhrase } from './phrase.ts'
import type { RandomBytes } from './random.ts'
import { decodeRecord, encodeRecord, type VaultRecord } from './record.ts'
import { recoveryKeysOf, recoveryVaultProof } from './recovery/recovery-key.ts'
import { deriveRoot, type Root } from './root.ts'
import { openEnvelope, sealRecord } from './seal.ts'
import { Secret } from './secret.ts'
import { verifySignature } from './sodium.ts'
import { codeOf, fixedRandom } from './vault.fixture.ts'
import { unwrapKeys, wrapKeys } from './wrap.ts'

type Common = { name: string; expect: string; comment: string }

function casesOf<Case>(file: string): (Common & Case)[] {
  const url = new URL(`../../../test/vectors/${file}.json`, import.meta.url)
  const { cases } = JSON.parse(readFileSync(url, 'utf8')) as { cases: (Common & Case)[] }
  return cases
}

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
const secretOf = <Name extends string>(name: Name, hex: string) => new Secret(name, bytesOf(hex))

function expectBytes(bytes: Uint8Array | undefined, hex: string | undefined) {
  expect(bytes && formatHex(bytes)).toBe(hex)
}

describe('vectors', () => {
  it.each(['phrase', 'derivation', 'record', 'envelope', 'wrap', 'keychain', 'ed25519'])(
    'hold at least as many refusals as successes: %s',
    (file) => {
      const good = new Set(['opens', 'derives', 'verifies'])
      const cases = casesOf(file)
      const successes = cases.filter((vector) => good.has(vector.expect)).length
      expect(successes).toBeGreaterThan(0)
      expect(cases.length - successes).toBeGreaterThanOrEqual(successes)
    },
  )
})

describe('phrase.json', () => {
  type PhraseCase = { phrase: string; canonical: string; root: string }
  it.each(casesOf<PhraseCase>('phrase'))('$name: $expect', (vector) => {
    if (vector.expect !== 'opens') {
      expect(codeOf(() => parsePhrase(vector.phrase))).toBe(vector.expect)
      return
    }
    const root = parsePhrase(vector.phrase)
    expectBytes(root.bytes, vector.root)
    expect(formatPhrase(root)).toBe(vector.canonical)
  })
})

describe('derivation.json', () => {
  type DerivationCase = {
    input: string
    output?: string
    vaultId?: string
    memberId?: string
    kemKeyHash?: string
  }
  it.each(casesOf<DerivationCase>('derivation'))('$name: $expect', (vector) => {
    const isEqual = vector.expect === 'derives'
    const check = (bytes: Uint8Array, hex: string | undefined) =>
      expect(formatHex(bytes) === hex).toBe(isEqual)
    if (vector.name === 'root') {
      const root = deriveRoot(secretOf('RootSecret', vector.input))
      check(root.vaultId, vector.vaultId)
      check(root.memberId, vector.memberId)
      check(sha256(root.kemKey), vector.kemKeyHash)
      return
    }
    const name = vector.name as SubkeyName
    const from = secretOf(SUBKEYS[name].from, vector.input) as Secret<never>
    check(derive(name, from).bytes, vector.output)
  })

  it('has every row of the table', () => {
    const rows = new Set(casesOf('derivation').map(({ name }) => name))
    for (const name of Object.keys(SUBKEYS)) expect(rows).toContain(name)
  })
})

type RecordHex = {
  collection: string
  key: string
  fields: string | null
  base: string | null
  transactionSize: number
  fieldClocks: ClocksHex | null
  schemaVersion: number
}

type ClocksHex = {
  editedAt: string | null
  deletedAt: string | null
  groups: [clock: string | null, names: string[]][]
}

const clockOf = (hex: string | null) => (hex === null ? null : (bytesOf(hex) as Timestamp))

function clocksOf({ editedAt, deletedAt, groups }: ClocksHex): FieldClocks {
  return {
    editedAt: clockOf(editedAt),
    deletedAt: clockOf(deletedAt),
    groups: groups.map(([clock, names]) => [clockOf(clock), names]),
  }
}

function recordOf(vector: RecordHex): VaultRecord {
  const { collection, key, transactionSize, schemaVersion } = vector
  const fields = vector.fields === null ? null : (decodeValue(bytesOf(vector.fields)) as Fields)
  const base = clockOf(vector.base)
  const fieldClocks = vector.fieldClocks && clocksOf(vector.fieldClocks)
  return { collection, key, fields, base, transactionSize, fieldClocks, schemaVersion }
}

describe('record.json', () => {
  type RecordCase = RecordHex & {
    padded: string
    idKey: string
    recordId: string
    collectionTag: string
  }
  it.each(casesOf<RecordCase>('record'))('$name: $expect', (vector) => {
    const padded = bytesOf(vector.padded)
    if (vector.expect !== 'opens') {
      expect(codeOf(() => decodeRecord(padded))).toMatch(/^(tampered|malformed)$/)
      return
    }
    const record = recordOf(vector)
    expect(decodeRecord(padded)).toEqual(record)
    expectBytes(encodeRecord(record), vector.padded)
    const epochKeys = new Map([[1, new Secret('EpochKey', new Uint8Array(32))]])
    const vaultId = new Uint8Array(32) as Uint8Array as VaultId
    const keyring = new Keyring(vaultId, secretOf('IdKey', vector.idKey), epochKeys)
    expectBytes(keyring.recordIdOf(record.collection, record.key), vector.recordId)
    expectBytes(keyring.collectionTag(record.collection), vector.collectionTag)
  })
})

describe('envelope.json', () => {
  type EnvelopeCase = RecordHex & {
    vaultId: string
    idKey: string
    epochKeys: Record<string, string>
    timestamp: string
    random: string
    envelope: string
  }
  it.each(casesOf<EnvelopeCase>('envelope'))('$name: $expect', (vector) => {
    const epochKeys = new Map(
      Object.entries(vector.epochKeys).map(([epoch, hex]) => [
        Number(epoch),
        secretOf('EpochKey', hex),
      ]),
    )
    const vaultId = bytesOf(vector.vaultId) as VaultId
    const keyring = new Keyring(vaultId, secretOf('IdKey', vector.idKey), epochKeys)
    const open = () => openEnvelope(keyring, parseEnvelope(bytesOf(vector.envelope)))
    if (vector.expect === 'opens') {
      const record = recordOf(vector)
      expect(open()).toEqual({ type: 'opened', record })
      const timestamp = bytesOf(vector.timestamp) as Timestamp
      const random = fixedRandom(vector.random)
      expectBytes(sealRecord(keyring, record, timestamp, random), vector.envelope)
    } else if (vector.expect === 'unknown-epoch') {
      expect(open().type).toBe('unknown-epoch')
    } else {
      expect(codeOf(open)).toBe(vector.expect)
    }
    // Without the check of its form before, it does not open either.
    if (vector.expect === 'tampered' || vector.expect === 'malformed') {
      const outcome = codeOf(() => {
        const opened = openEnvelope(keyring, bytesOf(vector.envelope) as Envelope)
        expect(opened.type).toBe('unknown-epoch')
      })
      expect([undefined, 'tampered']).toContain(outcome)
    }
  })
})

describe('wrap.json', () => {
  type WrapCase = {
    signingSeed: string
    kemSeed: string
    vaultId: string
    epoch: number
    previous: string
    wrap: string
    random?: string
    epochKey: string
    idKey: string
  }
  it.each(casesOf<WrapCase>('wrap'))('$name: $expect', (vector) => {
    const holder = deviceOf(vector)
    const place = {
      vaultId: bytesOf(vector.vaultId) as VaultId,
      epoch: vector.epoch,
      previous: bytesOf(vector.previous) as Hash,
    }
    const unwrap = () => unwrapKeys(bytesOf(vector.wrap), holder, place)
    if (vector.random === undefined) {
      expect(codeOf(unwrap)).toBe(vector.expect)
      return
    }
    const keys = unwrap()
    expectBytes(keys.epochKey.bytes, vector.epochKey)
    expectBytes(keys.idKey.bytes, vector.idKey)
    expectBytes(wrapKeys(keys, holder, place, fixedRandom(vector.random)), vector.wrap)
  })
})

type Seeds = { signingSeed: string; kemSeed: string }

function deviceOf(seeds: Seeds): DeviceKeys {
  return deviceKeysOf(
    secretOf('SigningSeed', seeds.signingSeed),
    secretOf('KemSeed', seeds.kemSeed),
  )
}

type Who = number | 'root' | 'recovery'
type Step =
  | { type: 'found'; device: Who; name: string }
  | { type: 'add'; device: Who; signer: Who; kind: 'device' | 'recovery'; name: string }
  | { type: 'revoke'; signer: Who; members: Who[] }
  | { type: 'epoch'; signer: Who }

type KeychainCase = {
  rootSecret: string
  recoverySeed: string
  devices: Seeds[]
  vaultId: string
  entries: string[]
  random: string
  steps: Step[]
  nowMs: number
  head: string
  names: string[]
  newestEpoch: number
  epochKeys: [number, string][]
  recordIdOfNotesK1: string
  holder: Who
  /** What goes on from `steps`, and gives way to a branch of the root's that keeps `keep`. */
  branches?: Step[][]
  branchEntries?: string[][]
  keep?: Who[]
  /** The chain of who is served `entries`. */
  held?: string[]
}

type Members = { root: Root; recovery: MemberKeys; devices: DeviceKeys[] }
type Written = { entries: readonly Uint8Array[]; keyring: Keyring }

const memberOf = (members: Members, who: Who): Root | MemberKeys => {
  if (who === 'root') return members.root
  return who === 'recovery' ? members.recovery : (members.devices[who] as DeviceKeys)
}

/** As the generator does it: the steps in order, each with the stream that goes on. */
function writeSteps(
  vector: KeychainCase,
  members: Members,
  { steps, random, from }: { steps: readonly Step[]; random: RandomBytes; from?: Written },
): Written {
  const { root } = members
  const { nowMs } = vector
  let written = from
  for (const step of steps) {
    if (step.type === 'found') {
      const device = memberOf(members, step.device) as DeviceKeys
      written = foundKeychain({ root, device, deviceName: step.name, nowMs, random })
      continue
    }
    if (written === undefined) throw new Error('a vault is founded first')
    const { entries, keyring } = written
    const keychain = validateKeychain(root.vaultId, entries, verifySignature)
    const writing = { keychain, keyring, signer: memberOf(members, step.signer), nowMs, random }
    if (step.type === 'add') {
      const newcomer = newcomerOf(vector, members, step)
      const entry = addMember({ ...writing, newcomer, name: step.name })
      written = { keyring, entries: [...entries, entry] }
    } else if (step.type === 'revoke') {
      const memberIds = step.members.map((who) => memberOf(members, who).memberId)
      const revoked = revokeMembers({ ...writing, memberIds })
      written = { keyring: revoked.keyring, entries: [...entries, ...revoked.entries] }
    } else {
      const begun = beginEpoch(writing)
      written = { keyring: begun.keyring, entries: [...entries, begun.entry] }
    }
  }
  if (written === undefined) throw new Error('a chain has steps')
  return written
}

function newcomerOf(
  vector: KeychainCase,
  members: Members,
  { device, kind }: { device: Who; kind: 'device' | 'recovery' },
): Newcomer {
  const { vaultId } = members.root
  const keys = memberOf(members, device) as MemberKeys
  const seed = secretOf('RecoverySeed', vector.recoverySeed)
  return {
    kind,
    signingKey: keys.signingKey,
    kemKey: keys.kemKey,
    proof: memberProof(vaultId, keys),
    vaultProof: kind === 'recovery' ? recoveryVaultProof(seed, vaultId) : undefined,
  }
}

function writeChain(vector: KeychainCase, members: Members): readonly Uint8Array[] {
  const { root } = members
  const random = fixedRandom(vector.random)
  const base = writeSteps(vector, members, { steps: vector.steps, random })
  if (vector.branches === undefined) return base.entries
  const check = (entries: readonly Uint8Array[]) =>
    validateKeychain(root.vaultId, entries, verifySignature)
  const branches = vector.branches.map(
    (steps) => writeSteps(vector, members, { steps, random, from: base }).entries,
  )
  expect(branches.map((entries) => entries.map(formatHex))).toEqual(vector.branchEntries)
  return replaceBranches({
    root,
    base: check(base.entries),
    branches: branches.map(check),
    keep: (vector.keep ?? []).map((who) => memberOf(members, who).memberId),
    nowMs: vector.nowMs,
    random,
  }).keychain.entries
}

describe('keychain.json', () => {
  it.each(casesOf<KeychainCase>('keychain'))('$name: $expect', (vector) => {
    const root = deriveRoot(secretOf('RootSecret', vector.rootSecret))
    const recovery = recoveryKeysOf(secretOf('RecoverySeed', vector.recoverySeed))
    const members = { root, recovery, devices: vector.devices.map(deviceOf) }
    expectBytes(root.vaultId, vector.vaultId)
    const entries = vector.entries.map(bytesOf)
    const validate = () => validateKeychain(root.vaultId, entries, verifySignature)
    const mergeInto = (held: readonly string[]) => {
      const own = validateKeychain(root.vaultId, held.map(bytesOf), verifySignature)
      return mergeKeychain(own, entries, verifySignature).keychain
    }
    if (vector.held !== undefined) {
      const { held } = vector
      expect(codeOf(() => mergeInto(held))).toBe(vector.expect)
      return
    }
    if (vector.expect !== 'opens') {
      const holder = memberOf(members, vector.holder)
      const open = () => openKeyring({ keychain: validate(), holder })
      expect(codeOf(open)).toBe(vector.expect)
      return
    }
    const keychain = validate()
    expectBytes(keychainHead(keychain), vector.head)
    const active = [...keychain.membersById.values()]
    for (const held of vector.branchEntries ?? []) {
      expectBytes(keychainHead(mergeInto(held)), vector.head)
    }
    const isActive = ({ memberId }: MemberKeys) =>
      active.some((member) => equalBytes(member.memberId, memberId))
    for (const holder of [root, ...[recovery, ...members.devices].filter(isActive)]) {
      const keyring = openKeyring({ keychain, holder })
      expect(keyring.newestEpoch).toBe(vector.newestEpoch)
      const keys = [...keyring.epochKeys()].map(([epoch, key]) => [epoch, formatHex(key.bytes)])
      expect(keys).toEqual(vector.epochKeys)
      expectBytes(keyring.recordIdOf('notes', 'k1'), vector.recordIdOfNotesK1)
      expect(active.map((member) => openMemberName(keyring, member))).toEqual(vector.names)
    }
    expect(writeChain(vector, members).map(formatHex)).toEqual(vector.entries)
  })
})

/** The 12 bytes that turn a raw key into what node:crypto reads (RFC 8410). */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex')

/** As an end without libsodium does it: a key that cannot be read verifies nothing. */
const verifyNode: VerifySignature = (message, signature, publicKey) => {
  try {
    const der = Buffer.concat([SPKI_HEAD, publicKey])
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
    return verify(null, message, key, signature)
  } catch {
    return false
  }
}

describe('ed25519.json', () => {
  type SignatureCase = { publicKey: string; message: string; signature: string }
  it.each(casesOf<SignatureCase>('ed25519'))('$name: $expect', (vector) => {
    const publicKey = bytesOf(vector.publicKey) as SigningPublicKey
    const signature = bytesOf(vector.signature) as Signature
    for (const verifyWith of [verifySignature, verifyNode]) {
      const isGood = checkSignature(verifyWith, bytesOf(vector.message), signature, publicKey)
      expect(isGood ? 'verifies' : 'refused').toBe(vector.expect)
    }
  })

  it('has cases on which the two libraries by themselves disagree', () => {
    const disagreements = casesOf<SignatureCase>('ed25519').filter((vector) => {
      const publicKey = bytesOf(vector.publicKey) as SigningPublicKey
      const signature = bytesOf(vector.signature) as Signature
      const message = bytesOf(vector.message)
      return (
        verifySignature(message, signature, publicKey) !== verifyNode(message, signature, publicKey)
      )
    })
    expect(disagreements.length).toBeGreaterThan(0)
  })
})
