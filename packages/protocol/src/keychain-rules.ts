/**
 * Keychain rules: what each type of entry may say where it stands, and what it changes.
 *
 *   member-add      a key and an id never used before, proved; there is room for its kind
 *   member-revoke   active members, not its signer; at least one device stays; an epoch is next
 *   replace         the root's word that other entries give way to those that follow; then it may
 *                   add and revoke members, and an epoch must end it, all signed by the root
 *   epoch           the next number, wrapped to exactly the active members, sealing the one
 *                   before; after a `replace` it may seal keys of the branches that gave way
 *
 * The rules never look inside a wrap: whether it opens, and to the committed key, only a member can
 * tell (packages/vault).
 */
import { equalBytes, formatHex } from './bytes.ts'
import { ProtocolError } from './error.ts'
import { type MemberId, memberIdOf } from './ids.ts'
import type { Keychain, Member, PayloadOf, RevokedMember } from './keychain.ts'
import type { KeychainEntry } from './keychain-entry.ts'
import { DEVICES_ACTIVE_MAX, RECOVERY_KEYS_ACTIVE_MAX } from './limits.ts'
import {
  checkSignature,
  isStrictPoint,
  memberProofBytes,
  type VerifySignature,
} from './signature.ts'

/** Entries from a revocation or replacement to its epoch: every member once, and a few. */
const UNSETTLED_MAX: number = DEVICES_ACTIVE_MAX + RECOVERY_KEYS_ACTIVE_MAX + 3
const EPOCH_MAX = 0xffff_ffff
/** Keys of one number that an epoch may seal: one of each branch. */
const SEALS_OF_NUMBER_MAX = 16

/** `keychain` has the entry already; its place and signature are checked. */
export function applyEntry(
  keychain: Keychain,
  entry: KeychainEntry,
  verify: VerifySignature,
): Keychain {
  const { payload } = entry
  const { unsettled } = keychain
  if (unsettled >= UNSETTLED_MAX) invalid('too many entries wait for an epoch')
  const waiting = unsettled > 0 ? unsettled + 1 : 0
  switch (payload.type) {
    case 'genesis':
      return invalid('genesis comes twice')
    case 'member-add':
      return { ...addMember(keychain, entry, payload, verify), unsettled: waiting }
    case 'member-revoke':
      return { ...revokeMembers(keychain, entry, payload), unsettled: unsettled + 1 }
    case 'replace':
      return { ...replaceEntries(keychain, payload), unsettled: unsettled + 1 }
    case 'epoch':
      return { ...addEpoch(keychain, entry, payload), unsettled: 0 }
  }
}

function addMember(
  keychain: Keychain,
  entry: KeychainEntry,
  payload: PayloadOf<'member-add'>,
  verify: VerifySignature,
): Keychain {
  const memberId = memberIdOf(payload.signingKey)
  checkNewcomer(keychain, memberId, payload)
  const proof = memberProofBytes(keychain.vaultId, payload)
  if (!checkSignature(verify, proof, payload.proof, payload.signingKey)) {
    invalid('a member does not prove that it holds its key')
  }
  const { type: _type, ...keys } = payload
  const member: Member = {
    ...keys,
    memberId,
    addedBy: entry.signer,
    addedMs: entry.timeMs,
    entryIndex: entry.index,
    previous: entry.previous,
  }
  const membersById = new Map(keychain.membersById).set(formatHex(memberId), member)
  return { ...keychain, membersById }
}

function checkNewcomer(
  keychain: Keychain,
  memberId: MemberId,
  payload: PayloadOf<'member-add'>,
): void {
  if (!isStrictPoint(payload.signingKey)) invalid('the key of a member is not a safe point')
  // Four bytes name the author inside a timestamp, so no two members may ever share them.
  const author = memberId.subarray(0, 4)
  const members = [...keychain.membersById.values()]
  const everybody = [...members, ...keychain.revokedById.values()]
  const taken = [keychain.root.memberId, ...everybody.map((member) => member.memberId)]
  if (taken.some((other) => equalBytes(other.subarray(0, 4), author))) {
    invalid('the id of a member is taken')
  }
  const sameKind = members.filter(({ kind }) => kind === payload.kind)
  const countMax = payload.kind === 'device' ? DEVICES_ACTIVE_MAX : RECOVERY_KEYS_ACTIVE_MAX
  if (sameKind.length >= countMax) invalid(`there are ${countMax} members of its kind already`)
  if ((payload.wrap === null) !== (keychain.epochs.length === 0)) {
    invalid('a member is added without the keys of the newest epoch')
  }
  if ((payload.vaultProof === null) !== (payload.kind === 'device')) {
    invalid('a recovery key, and only that, names its vault')
  }
}

function revokeMembers(
  keychain: Keychain,
  entry: KeychainEntry,
  { memberIds }: PayloadOf<'member-revoke'>,
): Keychain {
  if (memberIds.length === 0) invalid('a revocation names nobody')
  const membersById = new Map(keychain.membersById)
  const revokedById = new Map(keychain.revokedById)
  for (const memberId of memberIds) {
    const id = formatHex(memberId)
    const member = membersById.get(id)
    if (member === undefined) return invalid('a revocation names somebody who is no active member')
    // Whoever leaves could not begin the epoch that must follow.
    if (equalBytes(memberId, entry.signer)) invalid('a member revokes itself')
    membersById.delete(id)
    const revoked: RevokedMember = {
      ...member,
      revokedBy: entry.signer,
      revokedMs: entry.timeMs,
      revokedIndex: entry.index,
    }
    revokedById.set(id, revoked)
  }
  if (![...membersById.values()].some(({ kind }) => kind === 'device')) {
    invalid('a revocation leaves no device')
  }
  return { ...keychain, membersById, revokedById }
}

function replaceEntries(
  keychain: Keychain,
  { replaced: hashes, greatestEpoch }: PayloadOf<'replace'>,
): Keychain {
  if (keychain.epochs.length === 0) invalid('entries are replaced before the first epoch')
  if (keychain.unsettled > 0) invalid('entries are replaced where an epoch must follow')
  if (hashes.length === 0) invalid('a replacement names no entry')
  const replaced = new Map(keychain.replaced)
  for (const hash of hashes) {
    if (keychain.hashes.some((own) => equalBytes(own, hash))) {
      invalid('a replacement names an entry of its own chain')
    }
    replaced.set(formatHex(hash), hash)
  }
  if (greatestEpoch >= EPOCH_MAX) invalid('the number of an epoch is too large')
  return {
    ...keychain,
    replaced,
    isReplacing: true,
    greatestEpoch: Math.max(keychain.greatestEpoch, greatestEpoch),
  }
}

function addEpoch(keychain: Keychain, entry: KeychainEntry, payload: PayloadOf<'epoch'>): Keychain {
  // By one: a member that skipped to the last number would leave nobody another epoch, and so no
  // revocation, not even to the root.
  if (payload.epoch !== keychain.greatestEpoch + 1 || payload.epoch > EPOCH_MAX) {
    invalid('the number of an epoch is not the next one')
  }
  const recipients = new Set(payload.wraps.map(({ memberId }) => formatHex(memberId)))
  const isExact =
    recipients.size === payload.wraps.length &&
    recipients.size === keychain.membersById.size &&
    [...keychain.membersById.keys()].every((id) => recipients.has(id))
  if (!isExact) invalid('an epoch is not wrapped to exactly the active members')
  const joinsBranches = keychain.isReplacing
  checkSeals(keychain, payload, joinsBranches)
  const { signer, timeMs: begunMs, index: entryIndex, previous } = entry
  const epoch = { ...payload, entryIndex, previous, signer, begunMs, joinsBranches }
  return {
    ...keychain,
    epochs: [...keychain.epochs, epoch],
    greatestEpoch: payload.epoch,
    isReplacing: false,
  }
}

function checkSeals(keychain: Keychain, payload: PayloadOf<'epoch'>, joinsBranches: boolean): void {
  const previous = keychain.epochs[keychain.epochs.length - 1]
  const counts = new Map<number, number>()
  for (const { epoch } of payload.sealedEpochs) counts.set(epoch, (counts.get(epoch) ?? 0) + 1)
  if (previous !== undefined && !counts.has(previous.epoch)) {
    invalid('an epoch does not seal the one before it')
  }
  if (previous === undefined && counts.size > 0) invalid('the first epoch seals another')
  const countMax = joinsBranches ? SEALS_OF_NUMBER_MAX : 1
  for (const [older, count] of counts) {
    if (count > countMax || older >= payload.epoch) {
      invalid('an epoch seals another twice, or one that is not older')
    }
  }
}

export function invalid(why: string): never {
  throw new ProtocolError('keychain-invalid', `keychain refused: ${why}`)
}
