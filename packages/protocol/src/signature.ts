/**
 * Signatures: what is signed, and the one test that precedes every Ed25519 check on both ends.
 *
 * Libraries disagree on edge cases (Chalkias et al., "Taming the many EdDSAs", 2020): some accept
 * points of small order or non-canonical encodings that others refuse. Two ends that disagree fork
 * a keychain, so `isStrictSignature` refuses them all before a library is asked: A and R canonical
 * and not of small order, S < L. Vectors: test/vectors/ed25519.json.
 *
 * Every signed string begins with a label of its own and the vault id, in a fixed layout, so that a
 * signature made for one purpose is worth nothing for another.
 */
import { concat, encodeUint64, encodeUtf8 } from './bytes.ts'
import {
  type Hash,
  type KemPublicKey,
  type MemberId,
  SIGNATURE_BYTES,
  SIGNING_PUBLIC_KEY_BYTES,
  type Signature,
  type SigningPublicKey,
  type VaultId,
} from './ids.ts'

/** Plain Ed25519 (RFC 8032) of whichever library an end has. */
export type VerifySignature = (
  message: Uint8Array,
  signature: Signature,
  publicKey: SigningPublicKey,
) => boolean

/** The order of the base point, 2^252 + 27742317777372353535851937790883648493, little-endian. */
const ORDER = bytesOf('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010')
/** The field's prime, 2^255 - 19, little-endian. */
const PRIME = bytesOf('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')

/** The y coordinates of the points whose order divides 8, little-endian, the sign bit cleared. */
const SMALL_ORDER: readonly Uint8Array[] = [
  bytesOf('0000000000000000000000000000000000000000000000000000000000000000'),
  bytesOf('0100000000000000000000000000000000000000000000000000000000000000'),
  bytesOf('ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'),
  bytesOf('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'),
  bytesOf('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'),
]

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
}

/** A usable public key: canonical, and not of small order. Does not say that it is on the curve. */
export function isStrictPoint(point: Uint8Array): boolean {
  if (point.length !== SIGNING_PUBLIC_KEY_BYTES) return false
  const y = point.slice()
  y[31] = (y[31] as number) & 0x7f
  if (!isLess(y, PRIME)) return false
  return !SMALL_ORDER.some((small) => small.every((byte, i) => byte === y[i]))
}

export function isStrictSignature(signature: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false
  return (
    isStrictPoint(publicKey) &&
    isStrictPoint(signature.subarray(0, 32)) &&
    isLess(signature.subarray(32), ORDER)
  )
}

/** Little-endian a < b. */
function isLess(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 31; i >= 0; i--) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference < 0
  }
  return false
}

/** The check that both ends use: the strict test, then the library. */
export function checkSignature(
  verify: VerifySignature,
  message: Uint8Array,
  signature: Signature,
  publicKey: SigningPublicKey,
): boolean {
  return isStrictSignature(signature, publicKey) && verify(message, signature, publicKey)
}

const KEYCHAIN_LABEL = encodeUtf8('blindcopy.keychain.v1')
const MEMBER_LABEL = encodeUtf8('blindcopy.member.v1')
const LOGIN_LABEL = encodeUtf8('blindcopy.login.v1')
const CREATE_LABEL = encodeUtf8('blindcopy.create.v1')
const PEER_LABEL = encodeUtf8('blindcopy.peer.v1')
const BUNDLE_LABEL = encodeUtf8('blindcopy.bundle.v1')
const BACKUP_LABEL = encodeUtf8('blindcopy.backup.v1')
const CHECKPOINT_LABEL = encodeUtf8('blindcopy.checkpoint.v1')

/** What the signer of a keychain entry signs: the entry's body as it stands. */
export function keychainSignedBytes(vaultId: VaultId, body: Uint8Array): Uint8Array {
  return concat(KEYCHAIN_LABEL, vaultId, body)
}

/** What a new member signs with its own key, to show that it holds it. */
export function memberProofBytes(
  vaultId: VaultId,
  keys: { signingKey: SigningPublicKey; kemKey: KemPublicKey },
): Uint8Array {
  return concat(MEMBER_LABEL, vaultId, keys.signingKey, keys.kemKey)
}

export type LoginStatement = {
  readonly vaultId: VaultId
  readonly memberId: MemberId
  readonly nonce: Uint8Array
  readonly expiresMs: number
  /** Scheme, host and port of the remote as the member knows it: a phishing host has another. */
  readonly origin: string
}

export function loginSignedBytes(login: LoginStatement): Uint8Array {
  return concat(
    LOGIN_LABEL,
    login.vaultId,
    login.memberId,
    login.nonce,
    encodeUint64(login.expiresMs),
    encodeUtf8(login.origin),
  )
}

export type CreateStatement = {
  readonly vaultId: VaultId
  readonly memberId: MemberId
  readonly nonce: Uint8Array
  /** The head of the keychain that is offered. */
  readonly keychainHead: Hash
  /** The greatest milliseconds the member holds confirmed; it counts as stored (design 4). */
  readonly greatestMs: number
  readonly origin: string
}

export function createSignedBytes(statement: CreateStatement): Uint8Array {
  return concat(
    CREATE_LABEL,
    statement.vaultId,
    statement.memberId,
    statement.nonce,
    statement.keychainHead,
    encodeUint64(statement.greatestMs),
    encodeUtf8(statement.origin),
  )
}

export type PeerStatement = {
  readonly vaultId: VaultId
  readonly memberId: MemberId
  /** Of the one who signs, and of the other end. */
  readonly nonce: Uint8Array
  readonly otherNonce: Uint8Array
}

/** What a device signs to show another one that it is a member. */
export function peerSignedBytes(statement: PeerStatement): Uint8Array {
  const { vaultId, memberId, nonce, otherNonce } = statement
  return concat(PEER_LABEL, vaultId, memberId, nonce, otherNonce)
}

export type FileStatement = {
  readonly vaultId: VaultId
  readonly memberId: MemberId
  readonly digest: Hash
}

/** What the device that made a bundle signs: `digest` covers all that stands before its end. */
export function bundleSignedBytes(statement: FileStatement): Uint8Array {
  return concat(BUNDLE_LABEL, statement.vaultId, statement.memberId, statement.digest)
}

/** The same of a backup. */
export function backupSignedBytes(statement: FileStatement): Uint8Array {
  return concat(BACKUP_LABEL, statement.vaultId, statement.memberId, statement.digest)
}

/** What a device signs of its checkpoint: the body as it stands. */
export function checkpointSignedBytes(vaultId: VaultId, body: Uint8Array): Uint8Array {
  return concat(CHECKPOINT_LABEL, vaultId, body)
}
