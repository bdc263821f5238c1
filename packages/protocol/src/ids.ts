/**
 * The identifiers of the protocol, each a branded byte string that only a parser here can mint, so
 * that one can never be taken for another.
 *
 *   VaultId   32  SHA-256 of the vault's root public keys: self-certifying
 *   MemberId   8  first bytes of SHA-256 of a member's signing key; a device's is its DeviceId
 *   RecordId  16  keyed hash of collection and key, computed only by devices
 *   SyncId    16  names one incarnation of one remote secondary
 *   Hash      32  SHA-256: entries, digests, chain
 */
import { concat, encodeUtf8, formatBase64Url, parseBase64Url } from './bytes.ts'
import { ProtocolError } from './error.ts'
import { sha256 } from './hash.ts'

declare const brand: unique symbol
export type Brand<Name extends string> = Uint8Array & { readonly [brand]: Name }

export type VaultId = Brand<'VaultId'>
export type MemberId = Brand<'MemberId'>
export type RecordId = Brand<'RecordId'>
export type SyncId = Brand<'SyncId'>
export type Hash = Brand<'Hash'>
export type SigningPublicKey = Brand<'SigningPublicKey'>
export type KemPublicKey = Brand<'KemPublicKey'>
export type Signature = Brand<'Signature'>

export const VAULT_ID_BYTES = 32
export const MEMBER_ID_BYTES = 8
export const RECORD_ID_BYTES = 16
export const SYNC_ID_BYTES = 16
export const HASH_BYTES = 32
/** Ed25519, RFC 8032. */
export const SIGNING_PUBLIC_KEY_BYTES = 32
export const SIGNATURE_BYTES = 64
/** X-Wing (draft-connolly-cfrg-xwing-kem): ML-KEM-768 and X25519. */
export const KEM_PUBLIC_KEY_BYTES = 1216

function sized<Name extends string>(name: Name, size: number, bytes: Uint8Array): Brand<Name> {
  if (bytes.length !== size) {
    throw new ProtocolError('malformed', `${name} has ${bytes.length} bytes instead of ${size}`)
  }
  return bytes as Brand<Name>
}

export const parseVaultId = (bytes: Uint8Array): VaultId => sized('VaultId', VAULT_ID_BYTES, bytes)
export const parseMemberId = (bytes: Uint8Array): MemberId =>
  sized('MemberId', MEMBER_ID_BYTES, bytes)
export const parseRecordId = (bytes: Uint8Array): RecordId =>
  sized('RecordId', RECORD_ID_BYTES, bytes)
export const parseSyncId = (bytes: Uint8Array): SyncId => sized('SyncId', SYNC_ID_BYTES, bytes)
export const parseHash = (bytes: Uint8Array): Hash => sized('Hash', HASH_BYTES, bytes)
export const parseSigningPublicKey = (bytes: Uint8Array): SigningPublicKey =>
  sized('SigningPublicKey', SIGNING_PUBLIC_KEY_BYTES, bytes)
export const parseKemPublicKey = (bytes: Uint8Array): KemPublicKey =>
  sized('KemPublicKey', KEM_PUBLIC_KEY_BYTES, bytes)
export const parseSignature = (bytes: Uint8Array): Signature =>
  sized('Signature', SIGNATURE_BYTES, bytes)

/** The text people see: base64url, 43 characters. */
export const formatVaultId = (vaultId: VaultId): string => formatBase64Url(vaultId)
export const parseVaultIdText = (text: string): VaultId => parseVaultId(parseBase64Url(text))
export const formatMemberId = (memberId: MemberId): string => formatBase64Url(memberId)
export const formatSyncId = (syncId: SyncId): string => formatBase64Url(syncId)
export const parseSyncIdText = (text: string): SyncId => parseSyncId(parseBase64Url(text))

const VAULT_LABEL = encodeUtf8('blindcopy.vault.v1')

/** Whoever knows the root keys knows the id, and nobody can make other keys that fit it. */
export function vaultIdOf(rootSigningKey: SigningPublicKey, rootKemKey: KemPublicKey): VaultId {
  return sha256(concat(VAULT_LABEL, rootSigningKey, rootKemKey)) as Uint8Array as VaultId
}

export function memberIdOf(signingKey: SigningPublicKey): MemberId {
  return sha256(signingKey).slice(0, MEMBER_ID_BYTES) as MemberId
}
