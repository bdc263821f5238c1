/**
 * Draft: one write of a local transaction, before it has a timestamp; and how the drafts of one
 * transaction become versions.
 */
import { type Envelope, type RecordId, TIMESTAMP_NONE, type Timestamp } from '@blindcopy/protocol'
import type { LocalClock } from './local-clock.ts'
import type { OutboxOp } from './outbox.ts'
import { isLater, isNone } from './row.ts'
import type { RowBatch } from './row-batch.ts'

/** Where and when a draft is sealed: the parts of a record that only the commit knows. */
export type SealPlace = {
  readonly timestamp: Timestamp
  /** The version it replaces, or null. */
  readonly base: Timestamp | null
  readonly transactionSize: number
}

/** One write of a transaction, before it has a timestamp. */
export type Draft = {
  readonly recordId: RecordId
  readonly tag: Uint8Array
  readonly tombstone: boolean
  readonly compareAndSet: boolean
  seal(place: SealPlace): Envelope
}

/** The version of each record that a transaction has read, by `idText`. */
export type ReadVersions = ReadonlyMap<string, { recordId: RecordId; timestamp: Timestamp }>

export type Committed =
  | { readonly type: 'committed'; readonly timestamp: Timestamp }
  /** Something the transaction had read was changed meanwhile: run it again. */
  | { readonly type: 'outrun' }

/**
 * The greatest version of any record of the batch: the transaction's timestamp must stand above. A
 * version that was served but does not open counts too, unless it claims to be far ahead: whoever
 * made it up could otherwise put a record out of reach.
 */
export function greatestOf(batch: RowBatch, clock: Pick<LocalClock, 'isAhead'>): Timestamp {
  let greatest = TIMESTAMP_NONE
  for (const { row } of batch.slots) {
    if (isLater(row.current, greatest)) greatest = row.current
    if (!isLater(row.confirmed, greatest)) continue
    if (!isLater(row.confirmed, row.current) || !clock.isAhead(row.confirmed)) {
      greatest = row.confirmed
    }
  }
  return greatest
}

/** Seals the drafts, which are the batch's first ids, and files them. Returns the outbox's ops. */
export function fileDrafts(
  batch: RowBatch,
  drafts: readonly Draft[],
  timestamp: Timestamp,
): { ops: OutboxOp[]; sizeBytes: number } {
  let sizeBytes = 0
  const ops = drafts.map((draft, i) => {
    const { recordId, tag, tombstone, compareAndSet } = draft
    const slot = batch.slot(i)
    const { current: replaced, confirmed, pending } = slot.row
    const base = isNone(replaced) ? null : replaced
    const envelope = draft.seal({ timestamp, base, transactionSize: drafts.length })
    sizeBytes += envelope.length
    batch.putVersion(recordId, timestamp, envelope)
    batch.show(recordId, { tag, timestamp, tombstone })
    const oldest = pending === 0 ? replaced : slot.row.base
    batch.setRow(slot, { current: timestamp, confirmed, pending: pending + 1, base: oldest })
    return { recordId, replaced, compareAndSet }
  })
  return { ops, sizeBytes }
}
