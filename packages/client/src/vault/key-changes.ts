/**
 * Key changes: taking members out, and new keys for what is written from now on. Apart so that an
 * app downloads it when somebody does one of them.
 */
import { equalBytes, type Member, type MemberId } from '@blindcopy/protocol'
import { beginEpoch, revokeMembers } from '@blindcopy/vault'
import { ClientError } from '../error.ts'
import { appendAtRemote, type KeychainState } from './keychain-desk.ts'
import { addedBy, type Since } from './listed-members.ts'
import type { KeysDesk } from './vault-keys.ts'

const writingOf = ({ membership, platform }: KeysDesk) => ({
  signer: membership.device,
  nowMs: platform.nowMs(),
  random: platform.random,
})

/** Who went. Throws as `VaultKeys.revoke` does. */
export async function revoke(
  desk: KeysDesk,
  memberIds: readonly MemberId[],
  sinceMs: number,
): Promise<readonly Member[]> {
  checkMayGo(desk, memberIds)
  const since = { ms: sinceMs, length: desk.membership.keychain.hashes.length }
  let gone: readonly Member[] = []
  await appendAtRemote(desk, (state) => {
    gone = goingFrom(state, memberIds, since)
    if (gone.length === 0) return []
    checkMayGo(
      desk,
      gone.map(({ memberId }) => memberId),
    )
    const going = { memberIds: gone.map(({ memberId }) => memberId) }
    const { entries, keyring } = revokeMembers({ ...writingOf(desk), ...state, ...going })
    keyring.wipe()
    return entries
  })
  return gone
}

export async function rotate(desk: KeysDesk): Promise<void> {
  await appendAtRemote(desk, (state) => {
    const { entry, keyring } = beginEpoch({ ...writingOf(desk), ...state })
    keyring.wipe()
    return [entry]
  })
}

/** Those of the members that are still active, and whom they have added. */
function goingFrom(
  { keychain }: KeychainState,
  memberIds: readonly MemberId[],
  since: Since,
): readonly Member[] {
  const named = [...keychain.membersById.values()].filter(({ memberId }) =>
    memberIds.some((id) => equalBytes(id, memberId)),
  )
  return [...named, ...addedBy(keychain, memberIds, since)]
}

/** Throws `last-way-in` or `invalid-argument` where this device is among them. */
function checkMayGo({ membership }: KeysDesk, memberIds: readonly MemberId[]): void {
  if (!memberIds.some((id) => equalBytes(id, membership.memberId))) return
  const devices = membership.devices().filter(({ kind }) => kind === 'device')
  throw devices.length === 1
    ? new ClientError(
        'last-way-in',
        'this is the last device of the vault: it cannot be removed; delete its folder instead, and keep the recovery phrase',
      )
    : new ClientError(
        'invalid-argument',
        'a device cannot remove itself: remove it on another device of the vault',
      )
}
