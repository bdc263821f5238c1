/**
 * What the status tells of the local secondary, as it is now.
 */
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { SyncStatus } from './status.ts'

export type StatusCounts = Pick<
  SyncStatus,
  | 'pending'
  | 'attention'
  | 'conflicts'
  | 'received'
  | 'lastContactMs'
  | 'lastCheckedMs'
  | 'notices'
  | 'clock'
>

/** `clock` is what was shown before: the same object where nothing has changed. */
export function countsOf(
  local: LocalSecondary,
  shown: {
    readonly lastContactMs: number | undefined
    readonly clock: SyncStatus['clock']
  },
): StatusCounts {
  const { pendingCount, attentionCount, notices, state } = local
  const { offsetMs } = state.clock
  const isSame = (shown.clock?.offsetMs ?? 0) === offsetMs
  return {
    pending: pendingCount,
    attention: attentionCount,
    conflicts: state.conflictCount,
    received: state.receivedCount,
    lastContactMs: shown.lastContactMs ?? local.lastSyncedMs,
    lastCheckedMs: state.lastCheckedMs,
    notices,
    clock: isSame ? shown.clock : offsetMs === 0 ? null : { offsetMs },
  }
}
