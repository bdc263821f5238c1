/**
 * Verdict: what becomes of a transaction when the remote has answered.
 *
 *   applied    its versions are confirmed (but for ops that lost to a newer version, which the next
 *              pull brings), and what it had replaced is let go
 *   again      it waits in the outbox as if it were new, to be rewritten and sent again: on the
 *              newer state (conflict), at the right time (clock-drift), under the newest key
 *              (epoch-old)
 *   refused    it moves to attention, and everything else keeps flowing
 */
import {
  chainNext,
  type Envelope,
  encodePair,
  equalBytes,
  type LogPosition,
  type Timestamp,
  transactionDigest,
} from '@blindcopy/protocol'
import { forwardKey, numberedKey } from '@blindcopy/secondary'
import {
  encodeOutboxEntry,
  type OutboxOp,
  type OutboxTransaction,
  parseOutboxEntry,
} from './outbox.ts'
import { isLater, isNone, NOTHING_PENDING, type Row } from './row.ts'
import type { RowBatch, Slot } from './row-batch.ts'

export type TakenVerdict =
  | {
      readonly type: 'applied'
      readonly position: LogPosition
      readonly staleByOp: ReadonlyMap<number, Timestamp>
    }
  | { readonly type: 'again'; readonly code: AgainCode }
  | { readonly type: 'refused'; readonly code: string }

export type AgainCode = 'conflict' | 'clock-drift' | 'epoch-old'

/** Refusals of one transaction for conflicts, after which a person must look. */
export const CONFLICT_REFUSALS_MAX = 20

/**
 * Confirms an applied transaction in the batch. `slots` are those of its ops, `staleByOp` names the
 * version that each lost op met; `lost` are the envelopes of those to log.
 */
export function takeApplied(
  batch: RowBatch,
  slots: readonly Slot[],
  applied: {
    readonly transaction: OutboxTransaction
    readonly staleByOp: ReadonlyMap<number, Timestamp>
    readonly lost: ReadonlyMap<number, Envelope>
    readonly nowMs: number
  },
): void {
  const { transaction, staleByOp, lost, nowMs } = applied
  const { timestamp } = transaction
  batch.ops.push({ type: 'delete', key: numberedKey('outbox', transaction.number) })
  parseOutboxEntry(transaction.entry).ops.forEach((op, i) => {
    const winner = staleByOp.get(i)
    const isLost = winner !== undefined && !equalBytes(winner, timestamp)
    const envelope = lost.get(i)
    if (isLost && envelope !== undefined) {
      const { recordId } = op
      batch.logConflict({
        recordId,
        timestamp,
        kind: 'overwritten',
        notedMs: nowMs,
        winner,
        note: null,
        envelope,
      })
    }
    settleOp(batch, slots[i] as Slot, { op, timestamp, isLost })
  })
}

function settleOp(
  batch: RowBatch,
  slot: Slot,
  version: { op: OutboxOp; timestamp: Timestamp; isLost: boolean },
): void {
  const { recordId, replaced } = version.op
  const before = slot.row
  const confirms = !version.isLost && isLater(version.timestamp, before.confirmed)
  const confirmed = confirms ? version.timestamp : before.confirmed
  if (confirms) {
    batch.confirm(recordId, before.confirmed, version.timestamp)
    batch.deleteQuarantined(recordId, before.confirmed)
    // Its successors, and not what it came from, are what a bundle brought and nobody has.
    if (isUnconfirmedBase(before)) batch.ops.push({ type: 'delete', key: forwardKey(recordId) })
  }
  // What is confirmed now stands under the next write that waits.
  const base = confirms ? version.timestamp : before.base
  batch.setRow(slot, withoutPending({ ...before, confirmed, base }))
  // Each of these may have lost its last reader.
  batch.releaseVersions(slot, [before.confirmed, before.base, replaced, version.timestamp])
}

/** Where it is shown itself, above the writes that wait (carried.ts), it has no successor. */
const isUnconfirmedBase = ({ base, confirmed, current }: Row): boolean =>
  !isNone(base) && isLater(base, confirmed) && !equalBytes(base, current)

/** A row after one of its waiting writes has left the outbox. */
export function withoutPending(row: Row): Row {
  const pending = Math.max(0, row.pending - 1)
  return pending === 0 ? { ...row, ...NOTHING_PENDING } : { ...row, pending }
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

/** The entry of a transaction that waits again, with one more refusal if it met a conflict. */
export function entryAgain(entry: Uint8Array, code: AgainCode): Uint8Array {
  const parsed = parseOutboxEntry(entry)
  const refusals = parsed.refusals + (code === 'conflict' ? 1 : 0)
  return encodeOutboxEntry({ ...parsed, refusals })
}

export const isRefusedTooOften = (entry: Uint8Array): boolean =>
  parseOutboxEntry(entry).refusals + 1 >= CONFLICT_REFUSALS_MAX
