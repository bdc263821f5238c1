/**
 * Member review: who is in a vault that is being restored, and who stays.
 *
 * A stolen device may have added others, or thrown somebody out. Whoever holds the root phrase is
 * shown all of that and has the last word: members that are to stay though they were thrown out
 * come back by a branch of the root's that begins before it.
 */
import {
  equalBytes,
  findRevoked,
  formatMemberId,
  KEYCHAIN_APPEND_BYTES_MAX,
  KEYCHAIN_BYTES_MAX,
  KEYCHAIN_ENTRIES_MAX,
  type Keychain,
  type Member,
  type MemberId,
  settledBefore,
} from '@blindcopy/protocol'
import { type MemberKeys, openKeyring, openMemberName, VaultError } from '@blindcopy/vault'
import { ClientError } from '../error.ts'
import { findListed } from './listed-members.ts'

/** A member as a person decides on it. */
export type ReviewedMember = {
  readonly memberId: string
  readonly kind: 'device' | 'recovery'
  readonly name: string
  readonly addedMs: number
  /** Who added it: a member's id, or null for the recovery phrase. */
  readonly addedBy: string | null
  /** When and by whom it was thrown out; null for an active one. */
  readonly revoked: { readonly atMs: number; readonly by: string | null } | null
}

/**
 * Answers the ids of the members that stay. Those that were thrown out may be among them where the
 * vault is restored by its phrase.
 */
export type ReviewMembers = (members: readonly ReviewedMember[]) => Promise<readonly string[]>

export type MemberReview = {
  readonly keep: readonly MemberId[]
  readonly revoke: readonly MemberId[]
  /** The part of the keychain that the root goes back to; undefined when it only goes on. */
  readonly base: Keychain | undefined
}

export function judgeMembers(
  keychain: Keychain,
  keys: MemberKeys,
): {
  ask(review: ReviewMembers | undefined): Promise<readonly MemberId[] | undefined>
  /** Of members that stay; all active ones, without a choice. */
  after(keep: readonly MemberId[] | undefined): MemberReview
} {
  const active = [...keychain.membersById.values()]
  const isRoot = equalBytes(keys.memberId, keychain.root.memberId)
  return {
    async ask(review) {
      if (review === undefined) return undefined
      const listed = listMembers(keychain, keys)
      const kept = await review(listed)
      return kept.map((id) => findListed(keychain, id))
    },
    after(keep) {
      const part = isRoot ? openablePart(roomyPart(keychain), keys) : keychain
      const spoiled = part === keychain ? undefined : part
      if (keep === undefined) {
        return { keep: idsOf(active), revoke: [], base: spoiled }
      }
      const isKept = ({ memberId }: Member): boolean =>
        keep.some((kept) => equalBytes(kept, memberId))
      const revoke = idsOf(active.filter((member) => !isKept(member)))
      // The key that is used must be able to sign what follows.
      const gone = revoke.filter((memberId) => !equalBytes(memberId, keys.memberId))
      if (!keep.some((memberId) => findRevoked(keychain, memberId) !== undefined)) {
        return { keep, revoke: gone, base: spoiled }
      }
      if (!isRoot) {
        throw new ClientError(
          'invalid-argument',
          'a device that was removed comes back only with the recovery phrase',
        )
      }
      return { keep, revoke: gone, base: beforeRevocation(part, keep) }
    },
  }
}

/** The longest part of a keychain in which none of these was thrown out. */
export function beforeRevocation(keychain: Keychain, memberIds: readonly MemberId[]): Keychain {
  const back = memberIds.flatMap((memberId) => findRevoked(keychain, memberId) ?? [])
  if (back.length === 0) return keychain
  return settledBefore(keychain, Math.min(...back.map(({ revokedIndex }) => revokedIndex)))
}

/** For all that a restore may append: this device, revocations, and an epoch. */
const ROOM_ENTRIES = 8
const ROOM_BYTES = KEYCHAIN_APPEND_BYTES_MAX

/** A part of a keychain that the root can go on from: half of one that a member has filled up. */
export function roomyPart(keychain: Keychain): Keychain {
  const { hashes, sizeBytes } = keychain
  const isFull =
    hashes.length + ROOM_ENTRIES > KEYCHAIN_ENTRIES_MAX ||
    sizeBytes + ROOM_BYTES > KEYCHAIN_BYTES_MAX
  return isFull ? roomyPart(settledBefore(keychain, Math.ceil(hashes.length / 2))) : keychain
}

/**
 * The longest part of a keychain that keys open: a hostile member may have begun an epoch whose key
 * it gave to nobody, and the root goes back to before that. Throws `key-mismatch`.
 */
export function openablePart(keychain: Keychain, keys: MemberKeys): Keychain {
  const ends = keychain.epochs.map(({ entryIndex }) => entryIndex).reverse()
  let mismatch: unknown
  for (const end of [keychain.hashes.length, ...ends]) {
    const part = end === keychain.hashes.length ? keychain : settledBefore(keychain, end)
    try {
      openKeyring({ keychain: part, holder: keys }).wipe()
      return part
    } catch (error) {
      if (!(error instanceof VaultError) || error.code !== 'key-mismatch') throw error
      mismatch ??= error
    }
  }
  throw mismatch
}

/** The active members, then those that were thrown out. */
export function listMembers(keychain: Keychain, keys: MemberKeys): ReviewedMember[] {
  const keyring = openKeyring({ keychain: openablePart(keychain, keys), holder: keys })
  const idOf = (memberId: MemberId): string | null =>
    equalBytes(memberId, keychain.root.memberId) ? null : formatMemberId(memberId)
  const nameOf = (member: Member): string => {
    try {
      return openMemberName(keyring, member) ?? ''
    } catch (error) {
      if (error instanceof VaultError) return ''
      throw error
    }
  }
  const view = (member: Member): Omit<ReviewedMember, 'revoked'> => ({
    memberId: formatMemberId(member.memberId),
    kind: member.kind,
    name: nameOf(member),
    addedMs: member.addedMs,
    addedBy: idOf(member.addedBy),
  })
  try {
    return [
      ...[...keychain.membersById.values()].map((member) => ({ ...view(member), revoked: null })),
      ...[...keychain.revokedById.values()].map((member) => ({
        ...view(member),
        revoked: { atMs: member.revokedMs, by: idOf(member.revokedBy) },
      })),
    ]
  } finally {
    keyring.wipe()
  }
}

const idsOf = (members: readonly Member[]): MemberId[] => members.map(({ memberId }) => memberId)
