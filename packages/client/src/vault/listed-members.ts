/**
 * Listed members: finding one by the id that a person was shown, and whoever came by way of others.
 */
import {
  equalBytes,
  formatMemberId,
  type Keychain,
  type Member,
  type MemberId,
  parseKeychainEntry,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'

/** Throws `not-found`. */
export function findListed(keychain: Keychain, id: string): MemberId {
  const everybody = [...keychain.membersById.values(), ...keychain.revokedById.values()]
  const found = everybody.find(({ memberId }) => formatMemberId(memberId) === id)
  if (found !== undefined) return found.memberId
  throw new ClientError('not-found', 'the vault has no member of that id: list its devices')
}

/** A moment in the life of a keychain. */
export type Since = {
  readonly ms: number
  /** How long it was then: what stands behind came later, whatever time it says. */
  readonly length?: number | undefined
}

/**
 * Those that members have added since a moment, and those that these have added, and so on. The
 * time of an entry is what its signer says: none is earlier than what others have signed before it.
 */
export function addedBy(
  keychain: Keychain,
  memberIds: readonly MemberId[],
  { ms, length = Number.POSITIVE_INFINITY }: Since,
): readonly Member[] {
  const going = new Set(memberIds.map(formatMemberId))
  const lateIndex = firstIndexSince(keychain, { going, ms })
  const added: Member[] = []
  // In the order in which they were added: whoever was added by one of these comes after it.
  for (const member of keychain.membersById.values()) {
    const id = formatMemberId(member.memberId)
    const isAfter = member.entryIndex > lateIndex || member.entryIndex >= length
    const isLate = member.addedMs >= ms || isAfter || added.some((one) => isBy(member, one))
    if (going.has(id) || !going.has(formatMemberId(member.addedBy)) || !isLate) continue
    going.add(id)
    added.push(member)
  }
  return added
}

/** The first entry that somebody else has signed at the moment or later. */
function firstIndexSince(
  { entries }: Keychain,
  { going, ms }: { readonly going: ReadonlySet<string>; readonly ms: number },
): number {
  const index = entries.findIndex((bytes) => {
    const { signer, timeMs } = parseKeychainEntry(bytes)
    return timeMs >= ms && !going.has(formatMemberId(signer))
  })
  return index < 0 ? Number.POSITIVE_INFINITY : index
}

const isBy = (member: Member, by: Member): boolean => equalBytes(member.addedBy, by.memberId)
