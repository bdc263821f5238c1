/**
 * Verdict: what becomes of a transaction when the remote has answered.
 *
 * Applied: its versions are confirmed (but for ops that lost to a newer version, which the next
 * pull brings), and what it had replaced is let go. Refused: it moves to attention with its
 * versions, and everything else keeps flowing.
 */
import {
  chainNext,
  concat,
  decodeUtf8,
  encodePair,
  encodeUtf8,
  equalBytes,
  type LogPosition,
  TIMESTAMP_NONE,
  type Timestamp,
  transactionDigest,
} from '@blindcopy/protocol'
import { numberedKey, type StoreOp } from '@blindcopy/secondary'
import { type OutboxOp, type OutboxTransaction, parseOutboxEntry } from './outbox.ts'
import { isLater } from './row.ts'
import type { RowBatch, Slot } from './row-batch.ts'

export type AppliedVerdict =
  | {
      readonly type: 'applied'
      readonly position: LogPosition
      readonly staleByOp: ReadonlyMap<number, Timestamp>
    }
  | { readonly type: 'refused'; readonly code: string }

/**
 * Confirms an applied transaction in the batch. `slots` are those of its ops, `staleByOp` names the
 * version that each lost op met.
 */
export function takeApplied(
  batch: RowBatch,
  slots: readonly Slot[],
  transaction: OutboxTransaction,
  staleByOp: ReadonlyMap<number, Timestamp>,
): void {
  batch.ops.push({ type: 'delete', key: numberedKey('outbox', transaction.number) })
  parseOutboxEntry(transaction.entry).ops.forEach((op, i) => {
    const stale = staleByOp.get(i)
    const lost = stale !== undefined && !equalBytes(stale, transaction.timestamp)
    settleOp(batch, slots[i] as Slot, { op, timestamp: transaction.timestamp, lost })
  })
}

function settleOp(
  batch: RowBatch,
  slot: Slot,
  version: { op: OutboxOp; timestamp: Timestamp; lost: boolean },
): void {
  const { recordId, replaced } = version.op
  const before = slot.row
  const confirms = !version.lost && isLater(version.timestamp, before.confirmed)
  const pending = Math.max(0, before.pending - 1)
  const row = {
    current: before.current,
    confirmed: confirms ? version.timestamp : before.confirmed,
    pending,
    base: pending > 0 ? before.base : TIMESTAMP_NONE,
  }
  if (confirms) {
    batch.confirm(recordId, before.confirmed, version.timestamp)
    batch.deleteQuarantined(recordId, before.confirmed)
  }
  batch.setRow(slot, row)
  // Each of these may have lost its last reader.
  batch.releaseVersions(slot, [before.confirmed, before.base, replaced, version.timestamp])
}

/** The log position after this transaction, when it follows `position` and fits what is stated. */
export function positionAfter(
  position: LogPosition,
  transaction: OutboxTransaction,
  stated: LogPosition,
): LogPosition | undefined {
  if (stated.seq !== position.seq + 1) return undefined
  const { ops } = parseOutboxEntry(transaction.entry)
  const pairs = ops.map((op) => encodePair(op.recordId, transaction.timestamp))
  const chain = chainNext(position.chain, transactionDigest(pairs))
  return equalBytes(chain, stated.chain) ? { seq: stated.seq, chain } : undefined
}

/** Moves a refused transaction to attention, with the code that says why. */
export function moveToAttention({ number, code, entry }: AttentionEntry): StoreOp[] {
  const text = encodeUtf8(code)
  const value = concat(Uint8Array.of(text.length), text, entry)
  return [
    { type: 'delete', key: numberedKey('outbox', number) },
    { type: 'put', key: numberedKey('attention', number), value },
  ]
}

/** A refused transaction as it waits for the person. */
export type AttentionEntry = {
  readonly number: number
  readonly code: string
  readonly entry: Uint8Array
}

export function parseAttention(number: number, value: Uint8Array): AttentionEntry {
  const end = 1 + (value[0] as number)
  return { number, code: decodeUtf8(value.subarray(1, end)), entry: value.subarray(end) }
}

export function moveToOutbox({ number, entry }: AttentionEntry): StoreOp[] {
  return [
    { type: 'delete', key: numberedKey('attention', number) },
    { type: 'put', key: numberedKey('outbox', number), value: entry },
  ]
}
