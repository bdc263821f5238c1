/**
 * What the keychain tests share: members with real keys (node:crypto), payloads that are good but
 * for what is asked, entries signed with them, and a good chain to extend.
 */
import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto'
import { expect } from 'vitest'
import { concat, encodeUint32 } from './bytes.ts'
import { ProtocolError } from './error.ts'
import { sha256 } from './hash.ts'
import {
  type Hash,
  memberIdOf,
  parseHash,
  parseKemPublicKey,
  parseSignature,
  parseSigningPublicKey,
  type VaultId,
  vaultIdOf,
} from './ids.ts'
import {
  appendEntries,
  checkSettled,
  extendKeychain,
  type Keychain,
  keychainHead,
  type PayloadOf,
  validateKeychain,
} from './keychain.ts'
import {
  encodeKeychainBody,
  encodeKeychainEntry,
  HASH_NONE,
  type KeychainPayload,
  type KeychainPlace,
  type MemberKind,
  SEALED_EPOCH_BYTES,
  WRAP_BYTES,
} from './keychain-entry.ts'
import { keychainSignedBytes, memberProofBytes, type VerifySignature } from './signature.ts'

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

export const verifyEd25519: VerifySignature = (message, signature, publicKey) => {
  const key = Buffer.concat([SPKI, publicKey])
  return verify(null, message, { key, format: 'der', type: 'spki' }, signature)
}

/** The same, each triple checked once: for tests that read one chain over and over. */
export function verifyingOnce(): VerifySignature {
  const seen = new Map<string, boolean>()
  return (message, signature, publicKey) => {
    const id = Buffer.from(sha256(concat(message, signature, publicKey))).toString('hex')
    const known = seen.get(id) ?? verifyEd25519(message, signature, publicKey)
    seen.set(id, known)
    return known
  }
}

/** The key pairs of one member, from a number. */
export function keysOf(number: number) {
  const seed = concat(new Uint8Array(28), encodeUint32(number))
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8, seed]),
    format: 'der',
    type: 'pkcs8',
  })
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const signingKey = parseSigningPublicKey(new Uint8Array(spki.subarray(SPKI.length)))
  return {
    signingKey,
    kemKey: parseKemPublicKey(new Uint8Array(randomBytes(1216))),
    memberId: memberIdOf(signingKey),
    sign: (message: Uint8Array) => parseSignature(new Uint8Array(sign(null, message, privateKey))),
  }
}
export type Keys = ReturnType<typeof keysOf>

export const root = keysOf(1)
export const device = keysOf(2)
export const vaultId = vaultIdOf(root.signingKey, root.kemKey)
export const wrap = () => new Uint8Array(randomBytes(WRAP_BYTES))
export const random = (size: number) => new Uint8Array(randomBytes(size))
export const randomHash = () => parseHash(random(32))

export const genesis = (keys: Keys = root): KeychainPayload => ({
  type: 'genesis',
  rootSigningKey: keys.signingKey,
  rootKemKey: keys.kemKey,
  idKeyCommitment: randomHash(),
})

type AddOptions = { kind?: MemberKind; wrap?: Uint8Array | null; vault?: VaultId }
export function add(
  keys: Keys,
  { kind = 'device', wrap: given = wrap(), vault = vaultId }: AddOptions = {},
): PayloadOf<'member-add'> {
  return {
    type: 'member-add',
    kind,
    signingKey: keys.signingKey,
    kemKey: keys.kemKey,
    proof: keys.sign(memberProofBytes(vault, keys)),
    sealedName: random(40),
    wrap: given,
    vaultProof: kind === 'recovery' ? randomHash() : null,
  }
}

export const revoke = (...members: readonly Keys[]): PayloadOf<'member-revoke'> => ({
  type: 'member-revoke',
  memberIds: members.map(({ memberId }) => memberId),
})

export const replace = (replaced: readonly Hash[], greatestEpoch = 0): PayloadOf<'replace'> => ({
  type: 'replace',
  replaced,
  greatestEpoch,
})

type EpochOptions = { sealed?: readonly number[] }
export function epoch(
  number: number,
  members: readonly Keys[],
  { sealed = [] }: EpochOptions = {},
): PayloadOf<'epoch'> {
  return {
    type: 'epoch',
    epoch: number,
    commitment: randomHash(),
    wraps: members.map(({ memberId }) => ({ memberId, wrap: wrap() })),
    rootWrap: wrap(),
    sealedEpochs: sealed.map((older) => ({ epoch: older, sealed: random(SEALED_EPOCH_BYTES) })),
  }
}

type EntryOptions = { place?: Partial<KeychainPlace>; vault?: VaultId }

/** A good entry but for what `options.place` says. */
export function entry(
  at: { index: number; previous: Hash },
  signer: Keys,
  payload: KeychainPayload,
  { place, vault = vaultId }: EntryOptions = {},
): Uint8Array {
  const whole = { ...at, signer: signer.memberId, timeMs: 1_795_132_800_000, ...place }
  const body = encodeKeychainBody(whole, payload).slice()
  return encodeKeychainEntry(body, signer.sign(keychainSignedBytes(vault, body))).slice()
}

export const START = { index: 0, previous: HASH_NONE }
export const after = (keychain: Keychain) => ({
  index: keychain.hashes.length,
  previous: keychainHead(keychain),
})

export type Step = readonly [signer: Keys, payload: KeychainPayload]

/** The chain with these, signed each where it stands, whether or not an epoch is missing then. */
export function append(keychain: Keychain, ...steps: readonly Step[]): Keychain {
  let grown = keychain
  for (const [signer, payload] of steps) {
    grown = appendEntries(grown, [entry(after(grown), signer, payload)], verifyEd25519)
  }
  return grown
}

export const grow = (keychain: Keychain, ...steps: readonly Step[]): Keychain =>
  checkSettled(append(keychain, ...steps))

/** What `longer` has beyond `shorter`. */
export const beyond = (longer: Keychain, shorter: Keychain): readonly Uint8Array[] =>
  longer.entries.slice(shorter.entries.length)

/** Genesis, one device added by the root, epoch 1 by the device. */
export const keychain: Keychain = grow(
  validateKeychain(vaultId, [entry(START, root, genesis())], verifyEd25519),
  [root, add(device, { wrap: null })],
  [device, epoch(1, [device])],
)
export const good = keychain.entries

/** `keychain` with one entry more. */
export function extended(
  payload: KeychainPayload,
  signer = device,
  options: EntryOptions = {},
): Keychain {
  const bytes = entry(after(keychain), signer, payload, options)
  return extendKeychain(keychain, [bytes], verifyEd25519)
}

export function refuses(act: () => unknown, reason: RegExp, code = 'keychain-invalid') {
  expect(act).toThrowError(ProtocolError)
  expect(act).toThrowError(expect.objectContaining({ code }))
  expect(act).toThrowError(reason)
}
