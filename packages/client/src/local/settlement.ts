/**
 * Settlement: takes the verdicts on transactions, in their order, in one batch with the cursor.
 */
import { type Envelope, equalBytes, isTombstone, type Timestamp } from '@blindcopy/protocol'
import { numberedKey, type Store, transactionVersionRange, versionKey } from '@blindcopy/secondary'
import { furthestOf, putAcknowledged } from './acknowledged-seq.ts'
import { showConfirmed } from './arrival.ts'
import { putAttention } from './attention.ts'
import { readConflict } from './conflict-log.ts'
import { putSentBelow } from './local-meta.ts'
import type { LocalState } from './local-state.ts'
import { type OutboxTransaction, recordIdsOf } from './outbox.ts'
import { isParked } from './parking.ts'
import { isLater } from './row.ts'
import type { RowBatch, Slot } from './row-batch.ts'
import {
  type AgainCode,
  entryAgain,
  isRefusedTooOften,
  positionAfter,
  type TakenVerdict,
  takeApplied,
  withoutPending,
} from './verdict.ts'

/** The list that a version stands in; undefined when it does not open. */
export type TagOf = (envelope: Envelope) => Uint8Array | undefined

export type Settled = { readonly transaction: OutboxTransaction; readonly verdict: TakenVerdict }

/** Inside `run`. */
export async function settleTransactions(
  state: LocalState,
  settled: readonly Settled[],
  tagOf: TagOf,
): Promise<void> {
  const batch = await state.readRows(settled.flatMap(({ transaction }) => recordIdsOf(transaction)))
  const gone: number[] = []
  const again: number[] = []
  let refusedCount = 0
  let { position } = state.cursor
  let { acknowledged } = state
  let firstSlot = 0
  for (const { transaction, verdict } of settled) {
    const { number, opCount } = transaction
    const slots = batch.slots.slice(firstSlot, firstSlot + opCount)
    firstSlot += opCount
    if (verdict.type === 'again' && !isExhausted(verdict.code, transaction)) {
      const value = entryAgain(transaction.entry, verdict.code)
      batch.ops.push({ type: 'put', key: numberedKey('outbox', number), value })
      again.push(number)
      continue
    }
    gone.push(number)
    if (verdict.type !== 'applied') {
      await moveToAttention(state, batch, { transaction, slots, code: verdict.code })
      refusedCount++
      continue
    }
    const { staleByOp } = verdict
    const lost = await lostEnvelopes(state, batch, { transaction, slots, staleByOp })
    takeApplied(batch, slots, { transaction, staleByOp, lost, nowMs: state.nowMs() })
    position = positionAfter(position, transaction, verdict.position) ?? position
    const { syncId } = state.cursor
    const { seq } = verdict.position
    if (syncId !== null) acknowledged = furthestOf(acknowledged, { syncId, seq })
  }
  await showAwaited(state, batch, batch.slots, tagOf)
  if (acknowledged !== null) batch.ops.push(putAcknowledged(acknowledged))
  await state.write(batch, { cursor: { ...state.cursor, position } })
  state.acknowledged = acknowledged
  state.outbox.settled({ gone, again, refusedCount })
}

/**
 * Once all that was sent is answered: what waits again may be rewritten, and is sent anew. Inside
 * `run`.
 */
export async function thawAnswered(state: LocalState): Promise<void> {
  const below = state.outbox.thawedBelow
  if (below === null) return
  await state.writeOps([putSentBelow(below)])
  state.outbox.thawed(below)
}

const isExhausted = (code: AgainCode, { entry }: OutboxTransaction): boolean =>
  code === 'conflict' && isRefusedTooOften(entry)

/** Its records go on without it; what it wrote stays shown until a newer version comes. */
export async function moveToAttention(
  state: LocalState,
  batch: RowBatch,
  refused: {
    transaction: Pick<OutboxTransaction, 'number' | 'timestamp' | 'entry'>
    slots: readonly Slot[]
    code: string
  },
): Promise<void> {
  const { transaction, slots, code } = refused
  const { number, timestamp, entry } = transaction
  const envelopes = await readEnvelopes(state.store, timestamp)
  batch.ops.push({ type: 'delete', key: numberedKey('outbox', number) })
  batch.ops.push(putAttention({ number, code, refusedMs: state.nowMs(), entry, envelopes }))
  for (const slot of slots) {
    const before = slot.row
    batch.setRow(slot, withoutPending(before))
    batch.releaseVersions(slot, [timestamp, before.base])
  }
}

/** In the order of the record ids, as the ops are. */
export async function readEnvelopes(
  store: Store,
  timestamp: OutboxTransaction['timestamp'],
): Promise<Envelope[]> {
  const envelopes: Envelope[] = []
  for await (const page of store.pages(transactionVersionRange(timestamp))) {
    for (const [, envelope] of page) envelopes.push(envelope as Envelope)
  }
  return envelopes
}

/**
 * The ops that lost and belong in the conflict log. Not there: what is still shown, since the
 * winner will meet it when it arrives; what this device has written on itself; and what was logged.
 */
async function lostEnvelopes(
  state: LocalState,
  batch: RowBatch,
  lost: {
    readonly transaction: OutboxTransaction
    readonly slots: readonly Slot[]
    readonly staleByOp: ReadonlyMap<number, Timestamp>
  },
): Promise<ReadonlyMap<number, Envelope>> {
  const { transaction, slots, staleByOp } = lost
  const { number, timestamp } = transaction
  const logged = new Map<number, Envelope>()
  for (const [op, winner] of staleByOp) {
    const { recordId, row } = slots[op] as Slot
    const isOver = row.last === number && !equalBytes(row.current, timestamp)
    if (!isOver || batch.isOwn(winner)) continue
    if ((await readConflict(state.store, recordId, timestamp)) !== undefined) continue
    const envelope = await state.store.get(versionKey(recordId, timestamp))
    if (envelope !== undefined) logged.set(op, envelope as Envelope)
  }
  return logged
}

/**
 * Shows what arrived while writes waited that had to be resolved against it, and are answered now.
 * What is parked is shown with the rest of its transaction.
 */
async function showAwaited(
  state: LocalState,
  batch: RowBatch,
  slots: readonly Slot[],
  tagOf: TagOf,
): Promise<void> {
  for (const slot of slots) {
    const { recordId, row } = slot
    const isAwaited = row.pending > 0 && row.policy !== 0
    if (isAwaited || !isLater(row.confirmed, row.current)) continue
    if (isParked(state.parking, recordId, row.confirmed)) continue
    const envelope = await state.store.get(versionKey(recordId, row.confirmed))
    if (envelope === undefined) continue
    const tag = tagOf(envelope as Envelope)
    const tombstone = isTombstone(envelope as Envelope)
    if (tag !== undefined) showConfirmed(batch, slot, { tag, tombstone })
  }
}
