/**
 * Keychain: the signed, append-only list of a vault's members and epochs, and its rules (design
 * 14).
 *
 * Both ends run exactly this code over the whole chain, from the vault id alone; only `verify` is
 * theirs. An entry holds the hash of the one before it and a signature by an active member or by
 * the root. The rules here never look inside a wrap: whether a wrap opens, and to the committed
 * key, only a member can tell (packages/vault).
 */
import { equalBytes, formatHex } from './bytes.ts'
import { ProtocolError } from './error.ts'
import type { KemPublicKey, SigningPublicKey } from './ids.ts'
import { type Hash, type MemberId, memberIdOf, type VaultId, vaultIdOf } from './ids.ts'
import {
  HASH_NONE,
  type KeychainEntry,
  type KeychainPayload,
  type MemberKind,
  parseKeychainEntry,
} from './keychain-entry.ts'
import {
  DEVICES_ACTIVE_MAX,
  KEYCHAIN_BYTES_MAX,
  KEYCHAIN_ENTRIES_MAX,
  RECOVERY_KEYS_ACTIVE_MAX,
} from './limits.ts'
import {
  checkSignature,
  isStrictPoint,
  keychainSignedBytes,
  memberProofBytes,
  type VerifySignature,
} from './signature.ts'

type Payload<Type extends KeychainPayload['type']> = Extract<KeychainPayload, { type: Type }>

export type Member = {
  readonly memberId: MemberId
  readonly kind: MemberKind
  readonly signingKey: SigningPublicKey
  readonly kemKey: KemPublicKey
  readonly sealedName: Uint8Array
  readonly addedBy: MemberId
  readonly addedMs: number
  /** Where it was added, and its wrap there of the then newest epoch (null before the first). */
  readonly entryIndex: number
  readonly previous: Hash
  readonly wrap: Uint8Array | null
  readonly status: 'active'
}

export type Epoch = Payload<'epoch'> & { readonly entryIndex: number; readonly previous: Hash }

/** What a checked chain says. Immutable: extending makes another. */
export type Keychain = {
  readonly vaultId: VaultId
  readonly root: Payload<'genesis'> & { readonly memberId: MemberId }
  /** By the hex of the member id, in the order they were added. */
  readonly membersById: ReadonlyMap<string, Member>
  /** In the order they were begun; numbers rise. */
  readonly epochs: readonly Epoch[]
  /** Hash of each entry, so that a prefix or a fork is found without parsing again. */
  readonly hashes: readonly Hash[]
  readonly sizeBytes: number
}

export const keychainHead = (keychain: Keychain): Hash =>
  keychain.hashes[keychain.hashes.length - 1] ?? HASH_NONE

export const newestEpoch = (keychain: Keychain): Epoch | undefined =>
  keychain.epochs[keychain.epochs.length - 1]

export function findMember(keychain: Keychain, memberId: Uint8Array): Member | undefined {
  return keychain.membersById.get(formatHex(memberId))
}

/** The key that a login or an entry of this signer must verify under; undefined for a stranger. */
export function signingKeyOf(keychain: Keychain, signer: Uint8Array): SigningPublicKey | undefined {
  if (equalBytes(signer, keychain.root.memberId)) return keychain.root.rootSigningKey
  return findMember(keychain, signer)?.signingKey
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
    epochs: [],
    hashes: [entry.hash],
    sizeBytes: bytes.length,
  }
  checkEntrySignature(keychain, entry, verify)
  return keychain
}

/**
 * Appends entries to a checked chain, each checked. Throws and changes nothing when one is wrong.
 */
export function extendKeychain(
  keychain: Keychain,
  entries: readonly Uint8Array[],
  verify: VerifySignature,
): Keychain {
  let extended = keychain
  for (const bytes of entries) extended = appendEntry(extended, bytes, verify)
  return extended
}

function appendEntry(keychain: Keychain, bytes: Uint8Array, verify: VerifySignature): Keychain {
  const entry = parseKeychainEntry(bytes)
  if (entry.index !== keychain.hashes.length) invalid('an entry has the wrong index')
  if (!equalBytes(entry.previous, keychainHead(keychain))) {
    invalid('an entry does not follow the one before it')
  }
  if (keychain.hashes.length >= KEYCHAIN_ENTRIES_MAX) invalid('it has too many entries')
  if (keychain.sizeBytes + bytes.length > KEYCHAIN_BYTES_MAX) invalid('it is too large')
  checkEntrySignature(keychain, entry, verify)
  const next = {
    ...keychain,
    hashes: [...keychain.hashes, entry.hash],
    sizeBytes: keychain.sizeBytes + bytes.length,
  }
  switch (entry.payload.type) {
    case 'genesis':
      return invalid('genesis comes twice')
    case 'member-add':
      return addMember(next, entry, entry.payload, verify)
    case 'epoch':
      return addEpoch(next, entry, entry.payload)
  }
}

function checkEntrySignature(
  keychain: Keychain,
  entry: KeychainEntry,
  verify: VerifySignature,
): void {
  const signingKey = signingKeyOf(keychain, entry.signer)
  if (signingKey === undefined) invalid('the signer of an entry is not an active member')
  if (entry.payload.type === 'genesis' && !equalBytes(entry.signer, keychain.root.memberId)) {
    invalid('genesis is not signed by the root')
  }
  const signed = keychainSignedBytes(keychain.vaultId, entry.body)
  if (!checkSignature(verify, signed, entry.signature, signingKey)) {
    invalid('the signature of an entry is wrong')
  }
}

function addMember(
  keychain: Keychain,
  entry: KeychainEntry,
  payload: Payload<'member-add'>,
  verify: VerifySignature,
): Keychain {
  const memberId = memberIdOf(payload.signingKey)
  checkNewcomer(keychain, memberId, payload)
  const proof = memberProofBytes(keychain.vaultId, payload)
  if (!checkSignature(verify, proof, payload.proof, payload.signingKey)) {
    invalid('a member does not prove that it holds its key')
  }
  const member: Member = {
    memberId,
    kind: payload.kind,
    signingKey: payload.signingKey,
    kemKey: payload.kemKey,
    sealedName: payload.sealedName,
    addedBy: entry.signer,
    addedMs: entry.timeMs,
    entryIndex: entry.index,
    previous: entry.previous,
    wrap: payload.wrap,
    status: 'active',
  }
  const membersById = new Map(keychain.membersById).set(formatHex(memberId), member)
  return { ...keychain, membersById }
}

function checkNewcomer(
  keychain: Keychain,
  memberId: MemberId,
  payload: Payload<'member-add'>,
): void {
  if (!isStrictPoint(payload.signingKey)) invalid('the key of a member is not a safe point')
  // Four bytes name the author inside a timestamp, so no two members may ever share them.
  const author = memberId.subarray(0, 4)
  const taken = [keychain.root.memberId, ...[...keychain.membersById.values()].map(idOf)]
  if (taken.some((other) => equalBytes(other.subarray(0, 4), author))) {
    invalid('the id of a member is taken')
  }
  const sameKind = [...keychain.membersById.values()].filter(({ kind }) => kind === payload.kind)
  const countMax = payload.kind === 'device' ? DEVICES_ACTIVE_MAX : RECOVERY_KEYS_ACTIVE_MAX
  if (sameKind.length >= countMax) invalid(`there are ${countMax} members of its kind already`)
  if ((payload.wrap === null) !== (keychain.epochs.length === 0)) {
    invalid('a member is added without the keys of the newest epoch')
  }
}

const idOf = (member: Member): MemberId => member.memberId

function addEpoch(keychain: Keychain, entry: KeychainEntry, payload: Payload<'epoch'>): Keychain {
  const previous = newestEpoch(keychain)
  if (payload.epoch <= (previous?.epoch ?? 0) || payload.epoch > 0xffff_ffff) {
    invalid('the number of an epoch does not rise')
  }
  const recipients = new Set(payload.wraps.map(({ memberId }) => formatHex(memberId)))
  const isExact =
    recipients.size === payload.wraps.length &&
    recipients.size === keychain.membersById.size &&
    [...keychain.membersById.keys()].every((id) => recipients.has(id))
  if (!isExact) invalid('an epoch is not wrapped to exactly the active members')
  const seals = payload.sealedEpochs.map(({ epoch }) => epoch)
  if (previous !== undefined && !seals.includes(previous.epoch)) {
    invalid('an epoch does not seal the one before it')
  }
  if (previous === undefined && seals.length > 0) invalid('the first epoch seals another')
  if (new Set(seals).size < seals.length || seals.some((older) => older >= payload.epoch)) {
    invalid('an epoch seals another twice, or one that is not older')
  }
  const epoch: Epoch = { ...payload, entryIndex: entry.index, previous: entry.previous }
  return { ...keychain, epochs: [...keychain.epochs, epoch] }
}

function invalid(why: string): never {
  throw new ProtocolError('keychain-invalid', `keychain refused: ${why}`)
}
