/**
 * Listed members: finding one by the id that a person was shown, and whoever came by way of others.
 */
import {
  equalBytes,
  formatMemberId,
  type Keychain,
  type Member,
  type MemberId,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'

/** Throws `not-found`. */
export function findListed(keychain: Keychain, id: string): MemberId {
  const everybody = [...keychain.membersById.values(), ...keychain.revokedById.values()]
  const found = everybody.find(({ memberId }) => formatMemberId(memberId) === id)
  if (found !== undefined) return found.memberId
  throw new ClientError('not-found', 'the vault has no member of that id: list its devices')
}

/** Those that members have added since a moment, and those that these have added, and so on. */
export function addedBy(
  keychain: Keychain,
  memberIds: readonly MemberId[],
  sinceMs: number,
): readonly Member[] {
  const going = new Set(memberIds.map(formatMemberId))
  const added: Member[] = []
  // In the order in which they were added: whoever was added by one of these comes after it.
  for (const member of keychain.membersById.values()) {
    const id = formatMemberId(member.memberId)
    const isLate = member.addedMs >= sinceMs || added.some((one) => isBy(member, one))
    if (going.has(id) || !going.has(formatMemberId(member.addedBy)) || !isLate) continue
    going.add(id)
    added.push(member)
  }
  return added
}

const isBy = (member: Member, by: Member): boolean => equalBytes(member.addedBy, by.memberId)
