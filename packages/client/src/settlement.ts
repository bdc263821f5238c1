/**
 * Settlement: takes the verdicts on transactions, in their order, in one batch with the cursor.
 */
import type { Envelope } from '@blindcopy/protocol'
import { numberedKey, type Store, transactionVersionRange } from '@blindcopy/secondary'
import { putAttention } from './attention.ts'
import { putSentBelow } from './local-meta.ts'
import type { LocalState } from './local-state.ts'
import { type OutboxTransaction, recordIdsOf } from './outbox.ts'
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

export type Settled = { readonly transaction: OutboxTransaction; readonly verdict: TakenVerdict }

/** Inside `run`. */
export async function settleTransactions(
  state: LocalState,
  settled: readonly Settled[],
): Promise<void> {
  const batch = await state.readRows(settled.flatMap(({ transaction }) => recordIdsOf(transaction)))
  const gone: number[] = []
  const again: number[] = []
  let refusedCount = 0
  let { position } = state.cursor
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
    const lost = await lostEnvelopes(state.store, transaction, staleByOp.size)
    takeApplied(batch, slots, { transaction, staleByOp, lost, nowMs: state.nowMs() })
    position = positionAfter(position, transaction, verdict.position) ?? position
  }
  await state.write(batch, { cursor: { ...state.cursor, position } })
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

/** Those of a transaction of which something lost; else nothing is read. */
async function lostEnvelopes(
  store: Store,
  { timestamp }: OutboxTransaction,
  lostCount: number,
): Promise<ReadonlyMap<number, Envelope>> {
  if (lostCount === 0) return new Map()
  return new Map((await readEnvelopes(store, timestamp)).entries())
}
