/**
 * Covered: whether another device has seen, and opened, what this one has written (tier `device`).
 *
 * A linked checkpoint says that its device had applied the log up to its place. It covers writes
 * that stand before that place, unless it names a version of this device as one that did not open;
 * a list that is full may be a cut one, and covers nothing.
 */
import {
  CHECKPOINT_PAIRS_MAX,
  type Checkpoint,
  equalBytes,
  isAuthoredBy,
  type MemberId,
  RECORD_ID_BYTES,
  type SyncId,
  type Timestamp,
} from '@blindcopy/protocol'
import { readHeard, readOwn } from './checkpoint-store.ts'
import type { LocalState } from './local-state.ts'

/** `isActive`: whether a device is a member still; what a revoked one has signed counts nothing. */
export async function isCovered(
  state: LocalState,
  isActive: (memberId: MemberId) => boolean,
): Promise<boolean> {
  const { syncId } = state.cursor
  const seq = await seqOfWrites(state, syncId)
  if (seq === null || syncId === null) return false
  const { deviceId } = state.clock.identity
  for (const { linked } of (await readHeard(state.store)).values()) {
    if (linked === null || equalBytes(linked.memberId, deviceId)) continue
    const counts = equalBytes(linked.syncId, syncId) && isActive(linked.memberId)
    if (counts && linked.position.seq >= seq && hasOpened(linked, deviceId)) return true
  }
  return false
}

/** Up to where writes of this device stand in the remote's log; null while that is not known. */
async function seqOfWrites(state: LocalState, syncId: SyncId | null): Promise<number | null> {
  const { acknowledged } = state
  if (acknowledged === null) return 0
  if (syncId !== null && equalBytes(acknowledged.syncId, syncId)) return acknowledged.seq
  // The log is another one since: they stand before what this device has signed at its head.
  const { checkpoint } = await readOwn(state.store)
  const isPresent = checkpoint !== null && syncId !== null && equalBytes(checkpoint.syncId, syncId)
  return isPresent ? checkpoint.position.seq : null
}

function hasOpened({ unopened, late }: Checkpoint, deviceId: MemberId): boolean {
  return [unopened, late].every(
    (pairs) =>
      pairs.length < CHECKPOINT_PAIRS_MAX &&
      !pairs.some((pair) => isAuthoredBy(pair.subarray(RECORD_ID_BYTES) as Timestamp, deviceId)),
  )
}
