/**
 * Keychain: the signed, append-only list of a vault's members and epochs, checked (design 14).
 *
 * Both ends run exactly this code over the whole chain, from the vault id alone; only `verify` is
 * theirs. An entry holds the hash of the one before it and a signature by an active member or by
 * the root. What each type of entry may say is keychain-rules.ts; what becomes of a chain that
 * differs from the one that is held is keychain-merge.ts.
 */
import { equalBytes, formatHex } from './bytes.ts'
import type { KemPublicKey, SigningPublicKey } from './ids.ts'
import { type Hash, type MemberId, memberIdOf, type VaultId, vaultIdOf } from './ids.ts'
import {
  HASH_NONE,
  type KeychainEntry,
  type KeychainPayload,
  type MemberKind,
  parseKeychainEntry,
} from './keychain-entry.ts'
import { applyEntry, invalid } from './keychain-rules.ts'
import {
  KEYCHAIN_BYTES_MAX,
  KEYCHAIN_BYTES_RESERVED,
  KEYCHAIN_ENTRIES_MAX,
  KEYCHAIN_ENTRIES_RESERVED,
} from './limits.ts'
import { checkSignature, keychainSignedBytes, type VerifySignature } from './signature.ts'

export type PayloadOf<Type extends KeychainPayload['type']> = Extract<
  KeychainPayload,
  { type: Type }
>

export type Member = {
  readonly memberId: MemberId
  readonly kind: MemberKind
  readonly signingKey: SigningPublicKey
  readonly kemKey: KemPublicKey
  readonly proof: PayloadOf<'member-add'>['proof']
  readonly sealedName: Uint8Array
  readonly addedBy: MemberId
  readonly addedMs: number
  /** Where it was added, and its wrap there of the then newest epoch (null before the first). */
  readonly entryIndex: number
  readonly previous: Hash
  readonly wrap: Uint8Array | null
  /** Of a recovery key: what its seed makes of the vault id. */
  readonly vaultProof: Hash | null
}

export type RevokedMember = Member & {
  readonly revokedBy: MemberId
  readonly revokedMs: number
  readonly revokedIndex: number
}

export type Epoch = PayloadOf<'epoch'> & {
  readonly entryIndex: number
  readonly previous: Hash
  readonly signer: MemberId
  readonly begunMs: number
  /** Whether it follows a branch of the root's, and so may seal keys that no entry here has. */
  readonly joinsBranches: boolean
}

/** What a checked chain says. Immutable: extending makes another. */
export type Keychain = {
  readonly vaultId: VaultId
  readonly root: PayloadOf<'genesis'> & { readonly memberId: MemberId }
  /** The active ones, by the hex of the member id, in the order they were added. */
  readonly membersById: ReadonlyMap<string, Member>
  readonly revokedById: ReadonlyMap<string, RevokedMember>
  /** In the order they were begun; numbers rise. */
  readonly epochs: readonly Epoch[]
  /** Hash of each entry, so that a prefix or a fork is found without parsing again. */
  readonly hashes: readonly Hash[]
  /** The entries as they were signed. */
  readonly entries: readonly Uint8Array[]
  /** Hashes of entries that a branch of the root's has replaced, by their hex. */
  readonly replaced: ReadonlyMap<string, Hash>
  /** The greatest number that an epoch has had, here or on a replaced branch. */
  readonly greatestEpoch: number
  /** Entries since a revocation or replacement that no epoch has followed yet; 0 for none. */
  readonly unsettled: number
  /** Whether among those is a replacement. */
  readonly isReplacing: boolean
  readonly sizeBytes: number
}

export const keychainHead = (keychain: Keychain): Hash =>
  keychain.hashes[keychain.hashes.length - 1] ?? HASH_NONE

export const newestEpoch = (keychain: Keychain): Epoch | undefined =>
  keychain.epochs[keychain.epochs.length - 1]

/** An active member. */
export function findMember(keychain: Keychain, memberId: Uint8Array): Member | undefined {
  return keychain.membersById.get(formatHex(memberId))
}

export function findRevoked(keychain: Keychain, memberId: Uint8Array): RevokedMember | undefined {
  return keychain.revokedById.get(formatHex(memberId))
}

/** The key that a login or an entry of this signer must verify under; undefined for a stranger. */
export function signingKeyOf(keychain: Keychain, signer: Uint8Array): SigningPublicKey | undefined {
  if (equalBytes(signer, keychain.root.memberId)) return keychain.root.rootSigningKey
  return findMember(keychain, signer)?.signingKey
}

/** Whether the chain has an entry of this hash, or says that one was replaced. */
export function knowsEntry(keychain: Keychain, hash: Hash): boolean {
  return (
    keychain.hashes.some((own) => equalBytes(own, hash)) || keychain.replaced.has(formatHex(hash))
  )
}

/** Checks a whole chain against the vault it claims to be. Throws `keychain-invalid`. */
export function validateKeychain(
  vaultId: VaultId,
  entries: readonly Uint8Array[],
  verify: VerifySignature,
): Keychain {
  const [first, ...rest] = entries
  if (first === undefined) return invalid('it is empty')
  return extendKeychain(beginKeychain(vaultId, first, verify), rest, verify)
}

/** The chain up to an index that it has, as it was then. Its signatures were checked before. */
export function keychainBefore(keychain: Keychain, length: number): Keychain {
  return validateKeychain(keychain.vaultId, keychain.entries.slice(0, length), () => true)
}

function beginKeychain(vaultId: VaultId, bytes: Uint8Array, verify: VerifySignature): Keychain {
  const entry = parseKeychainEntry(bytes)
  const { payload } = entry
  if (payload.type !== 'genesis') return invalid('it does not begin with genesis')
  if (entry.index !== 0 || !equalBytes(entry.previous, HASH_NONE)) invalid('genesis is not first')
  if (!equalBytes(vaultIdOf(payload.rootSigningKey, payload.rootKemKey), vaultId)) {
    invalid('its root keys are not those of this vault')
  }
  const memberId = memberIdOf(payload.rootSigningKey)
  const keychain: Keychain = {
    vaultId,
    root: { ...payload, memberId },
    membersById: new Map(),
    revokedById: new Map(),
    epochs: [],
    hashes: [entry.hash],
    entries: [bytes],
    replaced: new Map(),
    greatestEpoch: 0,
    unsettled: 0,
    isReplacing: false,
    sizeBytes: bytes.length,
  }
  checkEntrySignature(keychain, entry, verify)
  return keychain
}

/**
 * Appends entries to a checked chain, each checked. Throws and changes nothing when one is wrong,
 * or when a revocation is left without the epoch that must follow it.
 */
export function extendKeychain(
  keychain: Keychain,
  entries: readonly Uint8Array[],
  verify: VerifySignature,
): Keychain {
  return checkSettled(appendEntries(keychain, entries, verify))
}

/** The same for entries that others will follow: the last need not settle the chain. */
export function appendEntries(
  keychain: Keychain,
  entries: readonly Uint8Array[],
  verify: VerifySignature,
): Keychain {
  let extended = keychain
  for (const bytes of entries) extended = appendEntry(extended, bytes, verify)
  return extended
}

/** Throws `keychain-invalid` where an epoch is missing at the end. */
export function checkSettled(keychain: Keychain): Keychain {
  if (keychain.unsettled > 0) invalid('a revocation is not followed by an epoch')
  return keychain
}

function appendEntry(keychain: Keychain, bytes: Uint8Array, verify: VerifySignature): Keychain {
  const entry = parseKeychainEntry(bytes)
  if (entry.index !== keychain.hashes.length) invalid('an entry has the wrong index')
  if (!equalBytes(entry.previous, keychainHead(keychain))) {
    invalid('an entry does not follow the one before it')
  }
  checkRoom(keychain, entry, bytes)
  if (keychain.replaced.has(formatHex(entry.hash))) invalid('an entry was replaced before')
  checkEntrySignature(keychain, entry, verify)
  const next = {
    ...keychain,
    hashes: [...keychain.hashes, entry.hash],
    entries: [...keychain.entries, bytes],
    sizeBytes: keychain.sizeBytes + bytes.length,
  }
  return applyEntry(next, entry, verify)
}

/** A stolen device that fills the list must not keep itself from being revoked by that. */
function checkRoom(
  keychain: Keychain,
  { payload, signer }: KeychainEntry,
  bytes: Uint8Array,
): void {
  const isOfRoot = equalBytes(signer, keychain.root.memberId)
  const takesOut = payload.type === 'member-revoke' || keychain.unsettled > 0
  const [entries, sizeBytes] =
    isOfRoot || takesOut ? [0, 0] : [KEYCHAIN_ENTRIES_RESERVED, KEYCHAIN_BYTES_RESERVED]
  if (keychain.hashes.length + entries >= KEYCHAIN_ENTRIES_MAX) invalid('it has too many entries')
  if (keychain.sizeBytes + sizeBytes + bytes.length > KEYCHAIN_BYTES_MAX) invalid('it is too large')
}

function checkEntrySignature(
  keychain: Keychain,
  entry: KeychainEntry,
  verify: VerifySignature,
): void {
  const signingKey = signingKeyOf(keychain, entry.signer)
  if (signingKey === undefined) invalid('the signer of an entry is not an active member')
  const isOfRoot = equalBytes(entry.signer, keychain.root.memberId)
  const { type } = entry.payload
  if ((type === 'genesis' || type === 'replace') && !isOfRoot) {
    invalid(`${type} is not signed by the root`)
  }
  // Else a member could cut the root's branch short and end it with an epoch of its own.
  if (keychain.isReplacing && !isOfRoot) invalid('a branch of the root is not ended by the root')
  const signed = keychainSignedBytes(keychain.vaultId, entry.body)
  if (!checkSignature(verify, signed, entry.signature, signingKey)) {
    invalid('the signature of an entry is wrong')
  }
}
