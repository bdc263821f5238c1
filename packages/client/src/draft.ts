/**
 * Draft: one write of a local transaction, before it has a timestamp; and how the drafts of one
 * transaction become versions.
 */
import type { Envelope, RecordId, Timestamp } from '@blindcopy/protocol'
import type { OutboxOp } from './outbox.ts'
import { isNone } from './row.ts'
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

/** What the drafts replace: the transaction's timestamp must stand above all of it. */
export function replacedBy(batch: RowBatch, drafts: readonly Draft[]): Timestamp[] {
  // A version that was served but does not open counts too: the new write stands above it.
  return drafts.flatMap(({ recordId }) => {
    const { current, confirmed } = batch.row(recordId)
    return [current, confirmed]
  })
}

/** Seals the drafts at their place and files them. Returns what the outbox holds of each. */
export function fileDrafts(
  batch: RowBatch,
  drafts: readonly Draft[],
  timestamp: Timestamp,
): OutboxOp[] {
  return drafts.map((draft) => {
    const { recordId, tag, tombstone, compareAndSet } = draft
    const row = batch.row(recordId)
    const base = isNone(row.current) ? null : row.current
    const envelope = draft.seal({ timestamp, base, transactionSize: drafts.length })
    batch.putVersion(recordId, timestamp, envelope)
    batch.show(recordId, { tag, timestamp, tombstone })
    batch.setRow(recordId, { ...row, current: timestamp, pending: row.pending + 1 })
    return { recordId, replaced: row.current, compareAndSet }
  })
}
