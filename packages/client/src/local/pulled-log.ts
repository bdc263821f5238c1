/**
 * Pulled log: applies steps of the remote's log, in one batch with the cursor.
 *
 *   steps ─▶ chain recomputed ─▶ envelopes opened ─▶ versions confirmed ─▶ whole ones shown
 *                                                                     └──▶ others parked
 */
import {
  compareTimestamps,
  type Envelope,
  equalBytes,
  formatHex,
  isAuthoredBy,
  isTombstone,
  PAIR_BYTES,
  RECORD_ID_BYTES,
  type RecordId,
  type Timestamp,
  timestampAuthor,
} from '@blindcopy/protocol'
import { forwardKey, versionKey } from '@blindcopy/secondary'
import { ClientError } from '../error.ts'
import { keepAcknowledged, readMine } from './acknowledged.ts'
import {
  type Arrival,
  type ArrivalContext,
  followLog,
  type LogStep,
  type OpenArrival,
  type OpenedStep,
  openArrivals,
  openSteps,
  overlooks,
  releaseArrival,
  showConfirmed,
  takeArrival,
} from './arrival.ts'
import { type FileMeetings, TORN, writeArrivals } from './arrival-batch.ts'
import { judgeEpochs } from './closed-epoch.ts'
import { type KeychainFollower, putEntries } from './keychain-store.ts'
import { versionText } from './lineage.ts'
import type { QuarantinedVersion } from './local-reading.ts'
import type { LocalState } from './local-state.ts'
import { deleteParked, type ParkedOp, type ParkedTransaction, putParked } from './parking.ts'
import { isLater, isNone } from './row.ts'
import { idText, type RowBatch, type Slot } from './row-batch.ts'

export type LogReading = KeychainFollower & { readonly open: OpenArrival }

/**
 * Applies steps that follow the cursor. Throws `integrity`, and changes nothing, when they do not
 * follow it or their chain is not what it should be.
 */
export async function applyPulled(
  state: LocalState,
  steps: readonly LogStep[],
  options: LogReading & { fileMeetings: FileMeetings },
): Promise<void> {
  const { syncId, position: before } = state.cursor
  if (syncId === null) throw new ClientError('integrity', 'there is no SyncId yet')
  const position = followLog(before, steps)
  const steppedInto = { ...options, closedBelow: state.closedBelow }
  const { opened: unjudged, taken, closedBelow } = openSteps(steps, steppedInto)
  const ids = unjudged.flatMap((step) => step.arrivals.map(({ recordId }) => recordId))
  const batch = await state.readRows(ids)
  const opened = unjudged.map((step) => ({ ...step, arrivals: judgeEpochs(batch, step) }))
  const arrivals = opened.flatMap((step) => step.arrivals)
  batch.ops.push(...putEntries(taken))
  // The first pull shows what it has as it comes: there is no earlier state to keep whole.
  const parked = state.synced.complete ? await candidatesOf(batch, opened) : new Map()
  const context = await contextOf(state, batch, arrivals)
  for (const { step } of opened) if (step.id === null) noteOvertaken(state, step.others)
  const cameRound = ({ step }: OpenedStep, { recordId }: Arrival): boolean =>
    step.id === null || state.overtaken.has(idText(recordId))
  const healing = opened.flatMap((one) => one.arrivals.filter((arrival) => cameRound(one, arrival)))
  const mine = await readMine(state.store, batch, healing)
  for (const one of opened) {
    const isHidden = parked.has(one.step.seq)
    for (const arrival of one.arrivals) {
      const slot = batch.slotOf(arrival.recordId)
      if (cameRound(one, arrival)) {
        const met = { arrival, context, mine: mine.get(idText(arrival.recordId)) }
        keepAcknowledged(batch, slot, met)
      }
      takeArrival(batch, slot, { arrival, context, isHidden })
    }
  }
  const parking = await settleParking(state, batch, parked)
  const isTorn = opened.some((step) => isCut(step))
  const { fileMeetings } = options
  const next = { cursor: { syncId, position }, parking, closedBelow }
  await writeArrivals(state, batch, { arrivals, context, isTorn, fileMeetings, next })
  options.keychainStored?.(taken)
}

/**
 * Versions that a healing brought to the remote and that a newer one took the place of, before this
 * device saw them: what replaces that one may know them, and not what is held here.
 */
function noteOvertaken(state: LocalState, others: Uint8Array): void {
  for (let offset = 0; offset < others.length; offset += PAIR_BYTES) {
    state.overtaken.add(idText(others.subarray(offset, offset + RECORD_ID_BYTES)))
  }
}

/** Versions that came from elsewhere than the log: they are confirmed all the same. */
export async function applyConfirmed(
  state: LocalState,
  envelopes: readonly Uint8Array[],
  options: { open: OpenArrival; fileMeetings: FileMeetings },
): Promise<void> {
  const { arrivals, batch } = await readArrivals(state, envelopes, options.open)
  const context = await contextOf(state, batch, arrivals)
  for (const arrival of arrivals) {
    takeArrival(batch, batch.slotOf(arrival.recordId), { arrival, context })
  }
  await writeArrivals(state, batch, { arrivals, context, fileMeetings: options.fileMeetings })
}

/** What came by name, opened, with its rows. */
export async function readArrivals(
  state: LocalState,
  envelopes: readonly Uint8Array[],
  open: OpenArrival,
  isTimely?: (arrival: Arrival) => boolean,
): Promise<{ arrivals: readonly Arrival[]; batch: RowBatch }> {
  const unjudged = openArrivals(envelopes, open)
  const batch = await state.readRows(unjudged.map(({ recordId }) => recordId))
  const { closedBelow } = state
  return { arrivals: judgeEpochs(batch, { arrivals: unjudged, closedBelow, isTimely }), batch }
}

/** What may be tried again: versions that were put aside, and what the remote has of them. */
export type Retried = {
  readonly held: readonly QuarantinedVersion[]
  readonly fetched: readonly Uint8Array[]
}

/**
 * Tries versions again that were put aside. Returns how many now open. One whose key was lacking
 * came before its epoch was over (else it would be listed as late), and is not late by now; what is
 * fetched under its name may be another, and is.
 */
export async function releaseQuarantined(
  state: LocalState,
  { held, fetched }: Retried,
  options: { open: OpenArrival; fileMeetings: FileMeetings },
): Promise<number> {
  const timely = new Set<Uint8Array>()
  for (const { reason, envelope } of held) if (reason === 'unknown-epoch') timely.add(envelope)
  const { arrivals, batch } = await readArrivals(
    state,
    [...held.map(({ envelope }) => envelope), ...fetched],
    options.open,
    ({ envelope }) => timely.has(envelope),
  )
  const context = await contextOf(state, batch, arrivals)
  const released = arrivals.filter((arrival) =>
    releaseArrival(batch, batch.slotOf(arrival.recordId), { arrival, context }),
  )
  if (released.length === 0) return 0
  const { fileMeetings } = options
  await writeArrivals(state, batch, { arrivals: released, context, fileMeetings })
  return released.length
}

/** At the head nothing more will come: shows what is parked. Returns how many were torn. */
export async function showParked(state: LocalState): Promise<number> {
  state.overtaken.clear()
  if (state.parking.size === 0) return 0
  const parked = [...state.parking.values()]
  const pairs = parked.flatMap(({ missing }) => [...missing.values()])
  const batch = await state.readRows(pairs.map(idOfPair))
  const isTorn = pairs.some((pair) => !isHeld(batch, pair))
  for (const transaction of parked) await unpark(batch, transaction)
  const notices = isTorn
    ? { notices: state.withNotice({ code: 'transaction-torn', message: TORN }) }
    : {}
  await state.write(batch, { ...notices, parking: new Map() })
  return isTorn ? parked.length : 0
}

/** Fewer or more ops than its records say: whoever passed it on has torn it. */
function isCut({ step, arrivals }: OpenedStep): boolean {
  if (step.id === undefined || step.id === null) return false
  const count = step.envelopes.length + step.others.length / PAIR_BYTES
  return arrivals.some(
    ({ opening }) =>
      opening.type === 'opened' &&
      opening.transactionSize !== undefined &&
      opening.transactionSize !== count,
  )
}

/** The transactions of which something is not served: to be shown only once they are whole. */
async function candidatesOf(
  batch: RowBatch,
  opened: readonly OpenedStep[],
): Promise<Map<number, ParkedTransaction>> {
  const candidates = new Map<number, ParkedTransaction>()
  const ids: RecordId[] = []
  for (const { step, arrivals } of opened) {
    if (step.others.length === 0 || arrivals.length === 0) continue
    const missing = new Map<string, Uint8Array>()
    for (let offset = 0; offset < step.others.length; offset += PAIR_BYTES) {
      const pair = step.others.slice(offset, offset + PAIR_BYTES)
      const recordId = pair.subarray(0, RECORD_ID_BYTES) as RecordId
      missing.set(idText(recordId), pair)
      ids.push(recordId)
    }
    const ops: ParkedOp[] = arrivals.flatMap(({ recordId, timestamp, opening, envelope }) =>
      opening.type === 'opened'
        ? [{ recordId, timestamp, tag: opening.tag, tombstone: isTombstone(envelope as Envelope) }]
        : [],
    )
    candidates.set(step.seq, { seq: step.seq, ops, missing })
  }
  await batch.include(ids)
  return candidates
}

/** Shows what is whole now, parks what is not. Returns what is parked once the batch is written. */
async function settleParking(
  state: LocalState,
  batch: RowBatch,
  candidates: ReadonlyMap<number, ParkedTransaction>,
): Promise<LocalState['parking']> {
  if (state.parking.size === 0 && candidates.size === 0) return state.parking
  const parking = new Map([...state.parking, ...candidates])
  const hidden = new Set([...parking.values()].flatMap(({ ops }) => ops.map(opText)))
  // What supersedes a part of one comes later in the log: so the last are judged first.
  for (const seq of [...parking.keys()].sort((a, b) => b - a)) {
    const transaction = parking.get(seq) as ParkedTransaction
    if (await isWhole(batch, transaction, hidden)) {
      await unpark(batch, transaction)
      parking.delete(seq)
      for (const op of transaction.ops) hidden.delete(opText(op))
    } else if (candidates.has(seq)) {
      batch.ops.push(putParked(transaction))
    }
  }
  return parking
}

/** Whether readers who are shown it see all of it, but for what newer versions have superseded. */
async function isWhole(
  batch: RowBatch,
  { ops, missing }: ParkedTransaction,
  hidden: ReadonlySet<string>,
): Promise<boolean> {
  const pairs = [...missing.values()]
  const ids = [...pairs.map(idOfPair), ...ops.map(({ recordId }) => recordId)]
  // Where nothing has come for any of its records, nothing has changed.
  if (!ids.some((recordId) => batch.findSlot(recordId) !== undefined)) return false
  await batch.include(ids)
  const isSeen = (recordId: RecordId, timestamp: Timestamp): boolean => {
    const { current, confirmed } = batch.slotOf(recordId).row
    if (!isLater(timestamp, current)) return true
    return !isLater(timestamp, confirmed) && !hidden.has(versionText(recordId, confirmed))
  }
  return (
    pairs.every((pair) => isSeen(idOfPair(pair), timestampOfPair(pair))) &&
    ops.every((op) => {
      const { confirmed } = batch.slotOf(op.recordId).row
      return equalBytes(confirmed, op.timestamp) || isSeen(op.recordId, op.timestamp)
    })
  )
}

const idOfPair = (pair: Uint8Array): RecordId => pair.subarray(0, RECORD_ID_BYTES) as RecordId
const timestampOfPair = (pair: Uint8Array): Timestamp => pair.subarray(RECORD_ID_BYTES) as Timestamp
const opText = ({ recordId, timestamp }: ParkedOp): string => versionText(recordId, timestamp)

/** Whether a pair's record is held in that version or a newer one; unknown rows are not. */
function isHeld(batch: RowBatch, pair: Uint8Array): boolean {
  const slot = batch.findSlot(idOfPair(pair))
  if (slot === undefined) return false
  const timestamp = timestampOfPair(pair)
  const { current, confirmed } = slot.row
  return !isLater(timestamp, current) || !isLater(timestamp, confirmed)
}

export async function unpark(batch: RowBatch, { seq, ops }: ParkedTransaction): Promise<void> {
  const slots = await batch.include(ops.map(({ recordId }) => recordId))
  ops.forEach((op, i) => {
    const slot = slots[i] as Slot
    // A newer version belongs to another transaction, which shows it.
    if (compareTimestamps(slot.row.confirmed, op.timestamp) === 0) showConfirmed(batch, slot, op)
  })
  batch.ops.push(deleteParked(seq))
}

/** Reads what judging the arrivals needs: what is shown now, and what this device wrote. */
export async function contextOf(
  state: LocalState,
  batch: RowBatch,
  arrivals: readonly Arrival[],
): Promise<ArrivalContext> {
  const { deviceId } = state.clock.identity
  const shown = new Map<string, { timestamp: Timestamp; envelope: Envelope | undefined }>()
  const keys: Uint8Array[] = []
  const places: (() => void)[] = []
  const own = new Set<string>()
  const passedOn = new Set<string>()
  const values: (Uint8Array | undefined)[] = []
  for (const { recordId, timestamp, opening } of arrivals) {
    const { row } = batch.slotOf(recordId)
    if (!isLater(timestamp, row.confirmed)) continue
    if (isAuthoredBy(timestamp, deviceId)) {
      const at = keys.push(versionKey(recordId, timestamp)) - 1
      places.push(() => values[at] !== undefined && own.add(versionText(recordId, timestamp)))
    }
    const isAhead = row.pending === 0 && isLater(row.current, row.confirmed)
    if (isAhead) {
      const at = keys.push(forwardKey(recordId)) - 1
      places.push(() => values[at] !== undefined && passedOn.add(idText(recordId)))
    }
    const isOverlooked =
      opening.type === 'opened' &&
      isAuthoredBy(row.current, deviceId) &&
      overlooks(opening, row.current)
    const mayMeet =
      row.pending > 0 || isLater(row.current, row.confirmed) || merges(opening) || isOverlooked
    if (!mayMeet || isNone(row.current)) continue
    const at = keys.push(versionKey(recordId, row.current)) - 1
    places.push(() =>
      shown.set(idText(recordId), {
        timestamp: row.current,
        envelope: values[at] as Envelope | undefined,
      }),
    )
  }
  if (keys.length > 0) values.push(...(await state.store.getMany(keys)))
  for (const place of places) place()
  return {
    nowMs: state.nowMs(),
    currentEnvelope: ({ recordId, row }) => {
      const found = shown.get(idText(recordId))
      const isSame = found !== undefined && compareTimestamps(found.timestamp, row.current) === 0
      return isSame ? found.envelope : undefined
    },
    isPassedOn: (recordId) => passedOn.has(idText(recordId)),
    holdsOwn: (recordId, timestamp) => own.has(versionText(recordId, timestamp)),
    wasSeen: (timestamp) => {
      const greatest = state.seen.get(formatHex(timestampAuthor(timestamp)))
      return greatest !== undefined && compareTimestamps(timestamp, greatest) <= 0
    },
    meetings: [],
    isRebaseDue: false,
    isCopied: false,
  }
}

const merges = (opening: Arrival['opening']): boolean =>
  opening.type === 'opened' && opening.merges === true
