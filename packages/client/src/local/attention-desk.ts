/**
 * Attention desk: what a person may do with transactions that the remote refused, and how the ones
 * that the disk has spoiled come there.
 */
import { type Envelope, equalBytes, isTombstone, TIMESTAMP_NONE } from '@blindcopy/protocol'
import { numberedKey, versionKey } from '@blindcopy/secondary'
import type { OpenArrival } from './arrival.ts'
import { type AttentionEntry, deleteAttention, readAttention, readAttentions } from './attention.ts'
import { findDamaged } from './local-reading.ts'
import type { LocalState } from './local-state.ts'
import { encodeOutboxEntry, flagsOf, type OutboxEntry, tryParseEntry } from './outbox.ts'
import { isNone } from './row.ts'
import type { RowBatch, Slot } from './row-batch.ts'
import { moveToAttention } from './settlement.ts'

/** Inside `run`. As they were, with their time, but at the end of the outbox. */
export async function retryAttention(
  state: LocalState,
  isMeant: (attention: AttentionEntry) => boolean,
): Promise<number> {
  let count = 0
  for await (const page of readAttentions(state.store)) {
    for (const attention of page) {
      if (!isMeant(attention)) continue
      if (await takeBack(state, attention)) count++
    }
  }
  return count
}

/** One whose envelopes the disk has lost stays where it is. */
async function takeBack(state: LocalState, attention: AttentionEntry): Promise<boolean> {
  const entry = tryParseEntry(attention.entry)
  if (entry === undefined || attention.envelopes.length !== entry.ops.length) return false
  const batch = await state.readRows(entry.ops.map(({ recordId }) => recordId))
  const number = state.outbox.nextNumber
  let { isRebaseDue } = state
  entry.ops.forEach((op, i) => {
    const slot = batch.slot(i)
    const { row } = slot
    batch.putVersion(op.recordId, entry.timestamp, attention.envelopes[i] as Envelope)
    const isShown = equalBytes(row.current, entry.timestamp)
    const under = isShown ? row.confirmed : row.current
    if (op.compareAndSet && !equalBytes(op.replaced, under)) isRebaseDue = true
    batch.setRow(slot, {
      ...row,
      pending: row.pending + 1,
      base: row.pending === 0 ? under : row.base,
      last: number,
      policy: flagsOf(op),
    })
  })
  batch.ops.push(deleteAttention(attention.number))
  // The person has looked: what it was refused for before counts no more.
  const value = encodeOutboxEntry({ ...entry, refusals: 0 })
  batch.ops.push({ type: 'put', key: numberedKey('outbox', number), value })
  await state.write(batch, { nextNumber: number + 1, isRebaseDue })
  state.outbox.takenBack(number)
  return true
}

/** Inside `run`. */
export async function discardAttention(
  state: LocalState,
  number: number,
  open: OpenArrival,
): Promise<boolean> {
  const attention = await readAttention(state.store, number)
  if (attention === undefined) return false
  const entry = tryParseEntry(attention.entry)
  const batch = await state.readRows(entry?.ops.map(({ recordId }) => recordId) ?? [])
  for (const i of entry?.ops.keys() ?? []) {
    if (entry === undefined) break
    await undoShown(state, batch, {
      slot: batch.slot(i),
      entry,
      open,
      envelope: attention.envelopes[i],
    })
  }
  batch.ops.push(deleteAttention(number))
  await state.write(batch)
  state.outbox.discarded(1)
  return true
}

/** Shows what the remote holds in place of a version that is given up. */
async function undoShown(
  state: LocalState,
  batch: RowBatch,
  given: { slot: Slot; entry: OutboxEntry; open: OpenArrival; envelope: Envelope | undefined },
): Promise<void> {
  const { slot, entry, open, envelope } = given
  const { recordId, row } = slot
  if (!equalBytes(row.current, entry.timestamp) || row.pending > 0) return
  const { confirmed } = row
  const stored = isNone(confirmed)
    ? undefined
    : ((await state.store.get(versionKey(recordId, confirmed))) as Envelope | undefined)
  const known = stored ?? envelope
  const opening = known === undefined ? undefined : open(known)
  if (opening?.type === 'opened') {
    if (stored === undefined) batch.hide(recordId, opening.tag)
    else {
      const tombstone = isTombstone(stored)
      batch.show(recordId, { tag: opening.tag, timestamp: confirmed, tombstone })
    }
  }
  batch.setRow(slot, { ...row, current: stored === undefined ? TIMESTAMP_NONE : confirmed })
  batch.releaseVersions(slot, [entry.timestamp])
}

/** Inside `run`. Returns how many were moved. */
export async function setDamagedAside(
  state: LocalState,
  isWhole: (envelope: Envelope) => boolean,
): Promise<number> {
  const damaged = await findDamaged(state.store, isWhole)
  if (damaged.length === 0) return 0
  const batch = await state.readRows([])
  for (const { number, entry } of damaged) {
    const parsed = tryParseEntry(entry)
    const slots = await batch.include(parsed?.ops.map(({ recordId }) => recordId) ?? [])
    const timestamp = parsed?.timestamp ?? TIMESTAMP_NONE
    const transaction = { number, entry, timestamp }
    await moveToAttention(state, batch, { transaction, slots, code: 'tampered' })
  }
  await state.write(batch)
  state.outbox.dropped(damaged.length, damaged.length)
  return damaged.length
}
