/**
 * Closed epochs: once the cursor has passed the entry of an epoch, those before it are over on this
 * device, under every SyncId (design 14). A version that is sealed under one of them and is not
 * held here comes too late: its honest writer seals it again before it sends it, so it may be of a
 * member that was revoked. It is put aside, whoever serves it.
 */
import { type Envelope, envelopeEpoch, equalBytes, parseKeychainEntry } from '@blindcopy/protocol'
import type { Arrival } from './arrival.ts'
import type { Row } from './row.ts'
import type { RowBatch } from './row-batch.ts'

/** Of the first epoch there is nothing before. */
const FIRST_EPOCH = 1

/** The epochs that are over after these entries of the log. */
export function closedAfter(entries: readonly Uint8Array[], closedBelow: number): number {
  let newest = closedBelow
  for (const entry of entries) {
    const { payload } = parseKeychainEntry(entry)
    if (payload.type === 'epoch') newest = Math.max(newest, payload.epoch)
  }
  return newest
}

/**
 * The arrivals, those that come too late as ones that do not open. `isTimely` knows those that were
 * put aside here before their epoch was over, because their key was lacking.
 */
export function judgeEpochs(
  batch: RowBatch,
  taken: {
    readonly arrivals: readonly Arrival[]
    readonly closedBelow: number
    readonly isTimely?: ((arrival: Arrival) => boolean) | undefined
  },
): readonly Arrival[] {
  const { arrivals, closedBelow, isTimely } = taken
  if (closedBelow <= FIRST_EPOCH) return arrivals
  return arrivals.map((arrival) => {
    const isLate =
      isLateFor(batch.slotOf(arrival.recordId).row, arrival, closedBelow) &&
      isTimely?.(arrival) !== true
    return isLate ? { ...arrival, opening: { type: 'closed', reason: 'late-old-epoch' } } : arrival
  })
}

/**
 * Whether a version is of an epoch that is over, and not held. Also where its key is lacking: the
 * newest key, once it is here, opens that epoch too.
 */
export function isLateFor(row: Row, arrival: Arrival, closedBelow: number): boolean {
  const { opening, envelope, timestamp } = arrival
  if (opening.type === 'closed' && opening.reason !== 'unknown-epoch') return false
  if (envelopeEpoch(envelope as Envelope) >= closedBelow) return false
  const isHeld =
    equalBytes(timestamp, row.current) || (row.pending > 0 && equalBytes(timestamp, row.base))
  return !isHeld
}
