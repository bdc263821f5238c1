/**
 * Late over another: the remote holds a version that is put aside here as of a closed epoch, of a
 * device that is no longer a member, in the place of one that is shown. Nobody will write that late
 * one again, and a device that joins later gets no other: so the content that is shown here becomes
 * a version just above the late one, and is passed on. Every device then shows it.
 *
 * Its time is the late one's, so that whatever anybody has written since is newer. Once per record
 * and SyncId: a remote that brings up late ones again must not have it written for ever.
 */
import {
  type Envelope,
  encodePair,
  encodeTimestamp,
  equalBytes,
  isAuthoredBy,
  type Keychain,
  type SyncId,
  sha256,
  type Timestamp,
  tick,
} from '@blindcopy/protocol'
import { forwardKey, versionKey } from '@blindcopy/secondary'
import { readQuarantine } from './local-reading.ts'
import type { LocalState } from './local-state.ts'
import type { RewriteKeys } from './rewrite.ts'
import {
  draftOf,
  markRewritten,
  notRewritten,
  REWRITTEN_AT_ONCE,
  recordIdOf,
  timestampOf,
} from './rewrite-named.ts'
import { isLater, isNone } from './row.ts'

const RESTORED =
  'a record that a removed device had changed too late was written again as it stands here'

const MERGES = 1

/** Returns how many records were written again; they are to be passed on. */
export async function restoreUnderLate(
  state: LocalState,
  keys: RewriteKeys | undefined,
  keychain: Keychain,
): Promise<number> {
  const { syncId } = state.cursor
  if (keys === undefined || syncId === null) return 0
  const pairs = await latePairs(state, keychain)
  if (pairs.length === 0) return 0
  return state.run(() => restore(state, keys, { pairs, syncId }))
}

/** Versions that are put aside as late, of nobody who is a member. */
async function latePairs(state: LocalState, keychain: Keychain): Promise<Uint8Array[]> {
  const isActive = (timestamp: Timestamp): boolean =>
    [...keychain.membersById.values()].some(({ memberId }) => isAuthoredBy(timestamp, memberId))
  const pairs: Uint8Array[] = []
  for await (const page of readQuarantine(state.store)) {
    for (const { recordId, timestamp, reason } of page) {
      if (reason !== 'late-old-epoch' || isActive(timestamp)) continue
      if (!state.clock.isAhead(timestamp)) pairs.push(encodePair(recordId, timestamp))
    }
  }
  return pairs
}

/** Inside `run`. */
async function restore(
  state: LocalState,
  keys: RewriteKeys,
  { pairs, syncId }: { readonly pairs: readonly Uint8Array[]; readonly syncId: SyncId },
): Promise<number> {
  const open = await notRewritten(state, pairs, syncId)
  const batch = await state.readRows(open.map(recordIdOf))
  let count = 0
  for (const pair of open) {
    const [recordId, late] = [recordIdOf(pair), timestampOf(pair)]
    const slot = batch.slotOf(recordId)
    const { confirmed, current, pending } = slot.row
    const isUnder = equalBytes(confirmed, late) && !isNone(current) && isLater(late, current)
    if (!isUnder || pending > 0) continue
    const envelope = await state.store.get(versionKey(recordId, current))
    const draft = draftOf(keys, encodePair(recordId, current), envelope as Envelope | undefined)
    if (draft === undefined) continue
    const timestamp = justAbove(state, pair)
    const { tag, tombstone, policy } = draft
    // Whoever shows the late one must not merge it in; all others have seen what is under it.
    const base = policy === MERGES ? late : current
    const version = draft.seal({ timestamp, base, transactionSize: 1 })
    batch.putVersion(recordId, timestamp, version)
    batch.show(recordId, { tag, tombstone, timestamp })
    batch.setRow(slot, { ...slot.row, current: timestamp })
    batch.releaseVersions(slot, [current])
    batch.ops.push({ type: 'put', key: forwardKey(recordId), value: timestamp })
    batch.ops.push(markRewritten(recordId, syncId))
    if (++count === REWRITTEN_AT_ONCE) break
  }
  if (count === 0) return 0
  const notices = state.withNotice({ code: 'record-rewritten', message: RESTORED })
  await state.write(batch, { notices })
  return count
}

/** Of this device. Its tail is no other timestamp's: a timestamp names its transaction. */
function justAbove({ clock }: LocalState, pair: Uint8Array): Timestamp {
  const { deviceId } = clock.identity
  const above = tick({ milliseconds: 0, counter: 0 }, 0, [timestampOf(pair)])
  return encodeTimestamp(above, { deviceId, tail: sha256(pair).subarray(0, 4) })
}
