/**
 * Healing, the local side: what a reconciliation with the remote does to the rows.
 *
 *   the stored count is wrong   it is counted again
 *   theirs is newer             an arrival like any other, but mine was acknowledged once too: if
 *                               the writer of theirs had not seen it, it goes to the conflict log
 *   theirs is older             nothing is confirmed, and mine is pushed; a writer who had not seen
 *                               mine is merged with it, or kept in the conflict log
 *   mine never opened here      it is not mine to give: the row falls back to what did open
 *
 * Nothing here deletes a record because the remote does not have it.
 */
import {
  concat,
  type Envelope,
  equalBytes,
  type LogPosition,
  type RecordId,
  type SyncId,
  TIMESTAMP_NONE,
  type Timestamp,
} from '@blindcopy/protocol'
import { forwardKey, quarantineKey, rowKey, type Store, versionKey } from '@blindcopy/secondary'
import { keepAcknowledged, logLoser, type Met, readMine } from './acknowledged.ts'
import { type OpenArrival, takeArrival } from './arrival.ts'
import { type FileMeetings, writeArrivals } from './arrival-batch.ts'
import { type ConfirmedScan, scanConfirmed } from './confirmed-source.ts'
import { putKeyedSet } from './keyed-set.ts'
import { type Notice, putConfirmedSet } from './local-meta.ts'
import type { LocalState } from './local-state.ts'
import { contextOf, readArrivals, unpark } from './pulled-log.ts'
import { isLater, isNone, parseRow, type Row } from './row.ts'
import { idText, type RowBatch, type Slot } from './row-batch.ts'

/** A version by its name. */
export type NamedVersion = { readonly recordId: RecordId; readonly timestamp: Timestamp }

const MISCOUNTED =
  'the count of what the remote holds was wrong on this disk and has been counted again'

/**
 * Scans the confirmed versions, and sets count and fingerprint right where the disk has them wrong.
 * Without the lock, which only the last part needs: nothing but sync changes what is confirmed.
 */
export async function recountConfirmed(
  state: LocalState,
): Promise<ConfirmedScan & { readonly wasWrong: boolean }> {
  const scan = await scanConfirmed(state.store, state.confirmedSet.count)
  const { count, fingerprint } = scan
  const wasWrong = await state.run(async () => {
    const { confirmedSet: held } = state
    const isSame =
      held.count === count && equalBytes(held.fingerprint.toBytes(), fingerprint.toBytes())
    if (isSame) return false
    const confirmedSet = { count, fingerprint }
    const notices = state.withNotice({ code: 'mismatch-healed', message: MISCOUNTED })
    await state.writeOps([putConfirmedSet(confirmedSet), putKeyedSet(null)], { notices })
    state.confirmedSet = confirmedSet
    state.keyedSet = null
    return true
  })
  return { ...scan, wasWrong }
}

/** Inside `run`. Versions of the other end, found by name: newer ones are confirmed. */
export async function takeReconciled(
  state: LocalState,
  envelopes: readonly Uint8Array[],
  options: { open: OpenArrival; fileMeetings: FileMeetings },
): Promise<void> {
  const { arrivals, batch } = await readArrivals(state, envelopes, options.open)
  const context = await contextOf(state, batch, arrivals)
  const mine = await readMine(state.store, batch, arrivals)
  for (const arrival of arrivals) {
    const slot = batch.slotOf(arrival.recordId)
    const met = { arrival, context, mine: mine.get(idText(arrival.recordId)) }
    if (isLater(arrival.timestamp, slot.row.confirmed)) {
      keepAcknowledged(batch, slot, met)
      takeArrival(batch, slot, { arrival, context })
    } else {
      meetOlder(batch, slot, { ...met, open: options.open })
    }
  }
  await writeArrivals(state, batch, { arrivals, context, fileMeetings: options.fileMeetings })
}

function meetOlder(batch: RowBatch, slot: Slot, met: Met & { open: OpenArrival }): void {
  const { arrival, context, open } = met
  const { current } = met.mine ?? {}
  const { row } = slot
  const { opening, timestamp } = arrival
  if (opening.type === 'closed' || current === undefined) return
  if (!isLater(row.current, timestamp)) return
  const envelope = arrival.envelope as Envelope
  if (opening.merges === true && row.pending === 0) {
    context.meetings.push({ slot, older: envelope, newer: current })
    return
  }
  const shown = open(current)
  const isBase =
    shown.type === 'opened' && shown.base !== undefined && shown.base !== null
      ? equalBytes(shown.base, timestamp)
      : false
  if (isBase || context.wasSeen(timestamp)) return
  logLoser(batch, { arrival, context, loser: timestamp, winner: row.current, envelope })
}

/** The confirmed versions of records, where they are still confirmed. Without the lock. */
export async function readConfirmed(
  store: Store,
  recordIds: readonly RecordId[],
): Promise<(NamedVersion & { readonly envelope: Envelope | undefined })[]> {
  const rows = (await store.getMany(recordIds.map(rowKey))).map(parseRow)
  const named = recordIds.flatMap((recordId, i) => {
    const { confirmed } = rows[i] as Row
    return isNone(confirmed) ? [] : [{ recordId, timestamp: confirmed }]
  })
  const keys = named.map(({ recordId, timestamp }) => versionKey(recordId, timestamp))
  const envelopes = await store.getMany(keys)
  return named.map((version, i) => ({ ...version, envelope: envelopes[i] as Envelope | undefined }))
}

/** Of these records, the confirmed versions that were put aside here and never opened. */
export async function findUnopened(
  store: Store,
  recordIds: readonly RecordId[],
): Promise<NamedVersion[]> {
  const rows = (await store.getMany(recordIds.map(rowKey))).map(parseRow)
  const aside = await store.getMany(
    recordIds.map((recordId, i) => quarantineKey(recordId, (rows[i] as Row).confirmed)),
  )
  return recordIds.flatMap((recordId, i) => {
    const { confirmed, current } = rows[i] as Row
    const isUnopened = aside[i] !== undefined && !equalBytes(confirmed, current)
    return isUnopened ? [{ recordId, timestamp: confirmed }] : []
  })
}

/**
 * These versions are not at the remote and cannot be brought there: each row falls
 * back to the newest older version that is held. With `isKept` the version itself stays, listed to
 * be passed on later.
 */
export async function unconfirmVersions(
  state: LocalState,
  versions: readonly NamedVersion[],
  options: { isKept: boolean },
): Promise<void> {
  if (versions.length > 0) await state.run(() => unconfirm(state, versions, options))
}

async function unconfirm(
  state: LocalState,
  versions: readonly NamedVersion[],
  options: { isKept: boolean },
): Promise<void> {
  const batch = await state.readRows(versions.map(({ recordId }) => recordId))
  for (const { recordId, timestamp } of versions) {
    const slot = batch.slotOf(recordId)
    const { row } = slot
    if (!equalBytes(row.confirmed, timestamp)) continue
    const fallback = options.isKept ? TIMESTAMP_NONE : fallbackOf(row)
    batch.confirm(recordId, timestamp, fallback)
    batch.setRow(slot, { ...row, confirmed: fallback })
    const isShown = equalBytes(row.current, timestamp) && row.pending === 0
    if (options.isKept && isShown) {
      batch.ops.push({ type: 'put', key: forwardKey(recordId), value: concat(timestamp) })
    }
  }
  await state.write(batch)
}

/** What is shown, or stands under the writes that wait; it was confirmed before, or will be. */
function fallbackOf({ confirmed, current, pending, base }: Row): Timestamp {
  const held = pending > 0 ? base : current
  return isLater(confirmed, held) ? held : TIMESTAMP_NONE
}

/** All is worked off: the cursor moves to the remote's log as it now is. */
export async function finishHealing(
  state: LocalState,
  healed: {
    readonly cursor: { readonly syncId: SyncId; readonly position: LogPosition } | null
    readonly notice: Omit<Notice, 'atMs'>
    /** The newest epoch of the keychain: what the log up to the cursor has is over with it. */
    readonly closedBelow?: number
  },
): Promise<void> {
  await state.run(async () => {
    const batch = await state.readRows([])
    // Their numbers are those of the log as it was; what they miss came another way, or never will.
    for (const parked of state.parking.values()) await unpark(batch, parked)
    const notices = state.withNotice(healed.notice)
    const cursor = healed.cursor === null ? {} : { cursor: healed.cursor }
    const closedBelow = Math.max(healed.closedBelow ?? 0, state.closedBelow)
    await state.write(batch, { ...cursor, notices, parking: new Map(), closedBelow, sync: true })
  })
}
