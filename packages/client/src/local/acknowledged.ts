/**
 * Acknowledged: what a remote had once taken, and a newer version replaces whose writer had not
 * seen it. That happens only where remotes were reset or put back, or a version came round another
 * way; in the order of one log it is history. Whoever holds the older one keeps it in the conflict
 * log.
 */
import { type Envelope, envelopeTimestamp, equalBytes, type Timestamp } from '@blindcopy/protocol'
import { type Store, versionKey } from '@blindcopy/secondary'
import type { Arrival, ArrivalContext } from './arrival.ts'
import { isLater, isNone, type Row } from './row.ts'
import { idText, type RowBatch, type Slot } from './row-batch.ts'

/** Of a record that arrives, what is here. */
export type Mine = {
  /** The envelope of what is shown. */
  readonly current: Envelope | undefined
  /** Of what stands under the writes that wait; where none wait, of what is shown. */
  readonly under: Envelope | undefined
}

/** What is here of the records that arrive. */
export async function readMine(
  store: Store,
  batch: RowBatch,
  arrivals: readonly Arrival[],
): Promise<ReadonlyMap<string, Mine>> {
  const shown = arrivals.flatMap(({ recordId }) => {
    const { row } = batch.slotOf(recordId)
    return isNone(row.current) ? [] : [{ recordId, row }]
  })
  const keys = shown.flatMap(({ recordId, row }) => [
    versionKey(recordId, row.current),
    versionKey(recordId, underOf(row)),
  ])
  const envelopes = (await store.getMany(keys)) as (Envelope | undefined)[]
  const mine = shown.map(({ recordId }, i) => {
    return [idText(recordId), { current: envelopes[2 * i], under: envelopes[2 * i + 1] }] as const
  })
  return new Map(mine)
}

const underOf = ({ pending, base, current }: Row): Timestamp => (pending > 0 ? base : current)

export type Met = {
  readonly arrival: Arrival
  readonly context: ArrivalContext
  readonly mine: Mine | undefined
}

/**
 * Logs mine, where a newer version takes its place whose writer had not seen it. Also under writes
 * that wait: a mutation that runs again on the newer one leaves behind what it had stood on.
 */
export function keepAcknowledged(
  batch: RowBatch,
  { row }: Slot,
  { arrival, context, mine }: Met,
): void {
  const { opening, timestamp } = arrival
  // What merges loses nothing, and a plain write that waits has replaced it itself.
  if (opening.type === 'closed' || opening.merges === true) return
  if (row.pending > 0 && row.policy === 0) return
  const under = underOf(row)
  const envelope = mine?.under
  if (envelope === undefined || !equalBytes(under, row.confirmed)) return
  // Of the batch itself, something may have replaced it already.
  const isUnder = equalBytes(envelopeTimestamp(envelope), under)
  if (!isUnder || !isLater(timestamp, under)) return
  if (opening.base !== undefined && opening.base !== null) {
    if (equalBytes(opening.base, under)) return
  }
  logLoser(batch, { arrival, context, loser: under, winner: timestamp, envelope })
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
