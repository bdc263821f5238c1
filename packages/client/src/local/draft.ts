/**
 * Draft: one write of a local transaction, before it has a timestamp; and how the drafts of one
 * transaction become versions.
 */
import {
  type Envelope,
  equalBytes,
  type RecordId,
  TIMESTAMP_NONE,
  type Timestamp,
} from '@blindcopy/protocol'
import type { PolicyCode } from '../records/conflict-policy.ts'
import type { LocalClock } from './local-clock.ts'
import { flagsOf, type OutboxEntry, type OutboxOp } from './outbox.ts'
import { isLater, isNone, NOTHING_PENDING } from './row.ts'
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
  /** How a conflict with it is resolved; lww when absent. */
  readonly policy?: PolicyCode
  /** Pushed with the version it replaces as base; by default when the policy is not lww. */
  readonly compareAndSet?: boolean
  /** Undefined when it is not known which version the record had that it replaces. */
  readonly schemaVersion?: number | undefined
  /** Sealed and stored, never pushed. */
  readonly isLocalOnly?: boolean
  seal(place: SealPlace): Envelope
}

/** The version of each record that a transaction has read, by `idText`. */
export type ReadVersions = ReadonlyMap<string, { recordId: RecordId; timestamp: Timestamp }>

export type Committed =
  | { readonly type: 'committed'; readonly timestamp: Timestamp; readonly number: number | null }
  /** Something the transaction had read was changed meanwhile: run it again. */
  | { readonly type: 'outrun' }

/** A transaction that waits unsent, and that a new one replaces in all its records. */
export type Replaced = { readonly number: number; readonly entry: OutboxEntry }

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

/**
 * Seals the drafts, which are the batch's first ids, and files them under `number`. Returns the
 * outbox's ops: none when all of them stay on this device.
 */
export function fileDrafts(
  batch: RowBatch,
  drafts: readonly Draft[],
  commit: {
    readonly timestamp: Timestamp
    /** Of what stays here: the versions at the other are those that are pushed. */
    readonly localTimestamp: Timestamp
    readonly number: number
    readonly replaced: readonly Replaced[]
  },
): { ops: OutboxOp[]; sizeBytes: number } {
  const { number } = commit
  let sizeBytes = 0
  const transactionSize = drafts.filter(({ isLocalOnly }) => isLocalOnly !== true).length
  for (const replaced of commit.replaced) dropReplaced(batch, drafts, replaced)
  const ops: OutboxOp[] = []
  drafts.forEach((draft, i) => {
    const { recordId, tag, tombstone, policy = 0, isLocalOnly = false } = draft
    const timestamp = isLocalOnly ? commit.localTimestamp : commit.timestamp
    const slot = batch.slot(i)
    const { current: replaced } = slot.row
    const base = isNone(replaced) ? null : replaced
    const envelope = draft.seal({ timestamp, base, transactionSize: Math.max(1, transactionSize) })
    sizeBytes += envelope.length
    batch.putVersion(recordId, timestamp, envelope)
    batch.show(recordId, { tag, timestamp, tombstone })
    if (isLocalOnly) {
      const before = slot.row
      batch.setRow(slot, { ...before, current: timestamp })
      if (before.pending === 0) batch.releaseVersions(slot, [before.current])
      return
    }
    const compareAndSet = draft.compareAndSet ?? policy !== 0
    const { confirmed, pending, base: oldest } = slot.row
    batch.setRow(slot, {
      current: timestamp,
      confirmed,
      pending: pending + 1,
      base: pending === 0 ? replaced : oldest,
      last: number,
      policy: flagsOf({ policy, compareAndSet }),
    })
    ops.push({ recordId, replaced, policy, compareAndSet })
  })
  return { ops, sizeBytes }
}

/** Takes an unsent transaction back, as if it had never been: its successor carries its bases. */
function dropReplaced(batch: RowBatch, drafts: readonly Draft[], { entry }: Replaced): void {
  for (const op of entry.ops) {
    const index = drafts.findIndex(({ recordId }) => equalBytes(recordId, op.recordId))
    const slot = batch.slot(index)
    batch.deleteVersion(op.recordId, entry.timestamp)
    const pending = slot.row.pending - 1
    const row = { ...slot.row, current: op.replaced, pending }
    batch.setRow(slot, pending === 0 ? { ...row, ...NOTHING_PENDING } : row)
  }
}
