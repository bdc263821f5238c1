/**
 * Fork: two lists of devices, neither of which follows from the other, and the phrase that ends it.
 *
 * The root goes back to what both have in common, and puts one append in the place of both: who
 * stays, and an epoch that holds the keys of both. Every device on either goes over by itself.
 */
import {
  commonKeychain,
  formatHex,
  formatMemberId,
  type Keychain,
  keychainHead,
  type Member,
  validateKeychain,
} from '@blindcopy/protocol'
import { type Root, replaceBranches, verifySignature } from '@blindcopy/vault'
import { ClientError, codeOf } from '../error.ts'
import { logIn } from '../sync/session.ts'
import { take } from './keychain-desk.ts'
import { addedBy, findListed } from './listed-members.ts'
import {
  beforeRevocation,
  listMembers,
  openablePart,
  type ReviewedMember,
  type ReviewMembers,
  roomyPart,
} from './member-review.ts'
import { checkRecovery, openRecovery } from './recovery-source.ts'
import type { KeysDesk } from './vault-keys.ts'

const ATTEMPTS_MAX = 10

/** Does nothing where there is no fork. Throws `wrong-phrase` and `network`. */
export async function endFork(
  desk: KeysDesk,
  options: { readonly recoveryPhrase: string; readonly review?: ReviewMembers },
): Promise<void> {
  const recovery = await openRecovery({ recoveryPhrase: options.recoveryPhrase })
  try {
    checkRecovery(recovery, desk.membership.keychain)
    const root = recovery.keys as Root
    const { vaultId } = desk.membership.keychain
    const { transport } = desk
    const { token } = await logIn(transport, { ...root, vaultId })
    let keep: readonly string[] | undefined
    for (let attempt = 1; ; attempt++) {
      const served = validateKeychain(vaultId, await transport.keychain(token, 0), verifySignature)
      if (!isForked(desk.membership.keychain, served)) return await take(desk, served.entries)
      const members = membersOf([desk.membership.keychain, served], root)
      keep ??= await (options.review ?? (() => stayingIn(desk.membership.keychain, served)))(
        members,
      )
      const written = writeBranch(desk, { root, served, keep })
      try {
        const { previous, entries } = written
        await transport.appendKeychain(token, { previous, entries: [...entries] })
        // Without the other branch: beside this one it would be a fork still.
        return await take(desk, written.keychain.entries)
      } catch (error) {
        if (codeOf(error) !== 'keychain-race' || attempt >= ATTEMPTS_MAX) throw error
      }
    }
  } finally {
    recovery.wipe()
  }
}

function writeBranch(
  { membership, platform }: KeysDesk,
  fork: { readonly root: Root; readonly served: Keychain; readonly keep: readonly string[] },
) {
  const { root, served, keep } = fork
  const branches = [membership.keychain, served]
  const keptIds = keep.map((id) => findInAny(branches, id))
  const common = openablePart(roomyPart(commonKeychain(membership.keychain, served)), root)
  const base = beforeRevocation(common, keptIds)
  const { nowMs, random } = platform
  const branch = { root, base, branches, keep: keptIds, nowMs: nowMs(), random }
  return { previous: keychainHead(base), ...replaceBranches(branch) }
}

function isForked(mine: Keychain, served: Keychain): boolean {
  const common = commonKeychain(mine, served).hashes.length
  return common < mine.hashes.length && common < served.hashes.length
}

/** The active members of either, each once. */
function membersOf(branches: readonly Keychain[], root: Root): ReviewedMember[] {
  const membersById = new Map<string, ReviewedMember>()
  for (const keychain of branches) {
    for (const member of listMembers(keychain, root)) {
      const known = membersById.get(member.memberId)
      if (known === undefined || known.revoked !== null) membersById.set(member.memberId, member)
    }
  }
  return [...membersById.values()]
}

/**
 * Without a choice: whoever is active in either, but for those whom the list of this device, where
 * the phrase is typed, has removed, and whom these have brought into the other.
 */
async function stayingIn(mine: Keychain, served: Keychain): Promise<string[]> {
  const gone = [...mine.revokedById.values()].map(({ memberId }) => memberId)
  const brought = addedBy(served, gone, { ms: 0 }).map(({ memberId }) => formatHex(memberId))
  const active = new Map([...served.membersById, ...mine.membersById])
  const isGone = (id: string): boolean =>
    mine.revokedById.has(id) || (brought.includes(id) && !mine.membersById.has(id))
  return [...active]
    .filter(([id]) => !isGone(id))
    .map(([, { memberId }]) => formatMemberId(memberId))
}

function findInAny(branches: readonly Keychain[], id: string): Member['memberId'] {
  for (const keychain of branches) {
    try {
      return findListed(keychain, id)
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== 'not-found') throw error
    }
  }
  throw new ClientError('not-found', 'the vault has no member of that id: list its devices')
}
