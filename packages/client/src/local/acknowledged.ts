/**
 * Acknowledged: what a remote had once taken, and a newer version replaces whose writer had not
 * seen it. That happens only where remotes were reset or put back, or a version came round another
 * way; in the order of one log it is history. Whoever holds the older one keeps it in the conflict
 * log.
 */
import { type Envelope, envelopeTimestamp, equalBytes, type Timestamp } from '@blindcopy/protocol'
import { type Store, versionKey } from '@blindcopy/secondary'
import type { Arrival, ArrivalContext } from './arrival.ts'
import { isLater, isNone } from './row.ts'
import { idText, type RowBatch, type Slot } from './row-batch.ts'

/** The versions that are shown of the records that arrive. */
export async function readMine(
  store: Store,
  batch: RowBatch,
  arrivals: readonly Arrival[],
): Promise<ReadonlyMap<string, Envelope>> {
  const shown = arrivals.flatMap(({ recordId }) => {
    const { current } = batch.slotOf(recordId).row
    return isNone(current) ? [] : [{ recordId, key: versionKey(recordId, current) }]
  })
  const envelopes = await store.getMany(shown.map(({ key }) => key))
  const mine = new Map<string, Envelope>()
  shown.forEach(({ recordId }, i) => {
    const envelope = envelopes[i]
    if (envelope !== undefined) mine.set(idText(recordId), envelope as Envelope)
  })
  return mine
}

export type Met = {
  readonly arrival: Arrival
  readonly context: ArrivalContext
  /** The envelope of what is shown. */
  readonly current: Envelope | undefined
}

/** Logs mine, where a newer version takes its place whose writer had not seen it. */
export function keepAcknowledged(
  batch: RowBatch,
  { row }: Slot,
  { arrival, context, current }: Met,
): void {
  const { opening, timestamp } = arrival
  // What waits is judged where it arrives, and what merges loses nothing.
  if (opening.type === 'closed' || opening.merges === true || row.pending > 0) return
  if (current === undefined || !equalBytes(row.current, row.confirmed)) return
  // Of the batch itself, something may have replaced it already.
  const isCurrent = equalBytes(envelopeTimestamp(current), row.current)
  if (!isCurrent || !isLater(timestamp, row.current)) return
  if (opening.base !== undefined && opening.base !== null) {
    if (equalBytes(opening.base, row.current)) return
  }
  logLoser(batch, { arrival, context, loser: row.current, winner: timestamp, envelope: current })
}

export function logLoser(
  batch: RowBatch,
  lost: {
    readonly arrival: Arrival
    readonly context: ArrivalContext
    readonly loser: Timestamp
    readonly winner: Timestamp
    readonly envelope: Envelope
  },
): void {
  batch.logConflict({
    recordId: lost.arrival.recordId,
    timestamp: lost.loser,
    kind: 'overwritten',
    notedMs: lost.context.nowMs,
    winner: lost.winner,
    note: null,
    envelope: lost.envelope,
  })
}
