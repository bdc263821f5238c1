/**
 * Arrival: what becomes of the versions a remote serves.
 *
 * Every envelope is opened before it takes effect, and the digest of its transaction is recomputed
 * before that: what the chain does not cover is refused, what does not open is put aside
 * (quarantine) and holds up nothing. A newer version of a record replaces what is shown; an older
 * one changes nothing, whatever the remote says.
 */
import {
  chainNext,
  type Envelope,
  envelopePair,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  type Hash,
  isTombstone,
  keychainDigest,
  type LogPosition,
  PAIR_BYTES,
  ProtocolError,
  parseEnvelope,
  parseKeychainEntry,
  type RecordId,
  type Timestamp,
  transactionDigest,
} from '@blindcopy/protocol'
import { forwardKey } from '@blindcopy/secondary'
import { ClientError } from '../error.ts'
import { closedAfter } from './closed-epoch.ts'
import type { TakeKeychain, TakenEntries } from './keychain-store.ts'
import { ENVELOPE_BOUND_MIN, type QuarantineReason } from './quarantine.ts'
import { isLater, isNone, type Row } from './row.ts'
import type { RowBatch, Slot } from './row-batch.ts'

/** One step of the remote's log, as it was served. */
export type LogStep =
  | {
      readonly type: 'transaction'
      readonly seq: number
      readonly chain: Hash
      /** The timestamp its ops share; null for a batch that healed a remote. */
      readonly id?: Timestamp | null
      readonly envelopes: readonly Uint8Array[]
      /** The pairs, 32 bytes each and joined, of the ops whose envelopes are not served. */
      readonly others: Uint8Array
    }
  | {
      readonly type: 'keychain'
      readonly seq: number
      readonly chain: Hash
      readonly entries: readonly Uint8Array[]
    }

/** What opening tells the local secondary: enough to file the record, and nothing readable. */
export type Opening =
  | {
      readonly type: 'opened'
      readonly tag: Uint8Array
      /** The version it replaced where it was written; null for none. */
      readonly base?: Timestamp | null
      /** How many ops its transaction pushed. */
      readonly transactionSize?: number
      /** Whether its fields carry clocks, so that it is merged and not just replaced. */
      readonly merges?: boolean
      /** Whether it has a schema version. */
      readonly isVersioned?: boolean
    }
  | { readonly type: 'closed'; readonly reason: QuarantineReason }

/** Opens an envelope with the keys of the vault. Never throws for what a remote can send. */
export type OpenArrival = (envelope: Envelope) => Opening

export type Arrival = {
  readonly recordId: RecordId
  readonly timestamp: Timestamp
  readonly envelope: Uint8Array
  readonly opening: Opening
}

/**
 * Recomputes the chain over steps that must follow `position` without a gap. Throws `integrity` at
 * the first whose digest does not lead to the chain that is stated with it.
 */
export function followLog(position: LogPosition, steps: readonly LogStep[]): LogPosition {
  let { seq, chain } = position
  for (const step of steps) {
    if (step.seq !== seq + 1) {
      throw new ClientError('integrity', `the remote served ${step.seq} after ${seq}`)
    }
    seq = step.seq
    chain = chainNext(chain, digestOf(step))
    if (!equalBytes(chain, step.chain)) {
      throw new ClientError(
        'integrity',
        `what the remote served as number ${seq} does not fit its history; nothing of it was taken`,
      )
    }
  }
  return { seq, chain }
}

function digestOf(step: LogStep): Hash {
  if (step.type === 'keychain') {
    return keychainDigest(step.entries.map((bytes) => parseKeychainEntry(bytes).hash))
  }
  return transactionDigest(pairsOf(step.envelopes, step.others))
}

export function pairsOf(envelopes: readonly Uint8Array[], others: Uint8Array): Uint8Array[] {
  const pairs = envelopes.map((envelope) => {
    if (envelope.length < ENVELOPE_BOUND_MIN) {
      throw new ClientError('integrity', 'the remote served an envelope that is cut')
    }
    return envelopePair(envelope as Envelope)
  })
  for (let offset = 0; offset < others.length; offset += PAIR_BYTES) {
    pairs.push(others.subarray(offset, offset + PAIR_BYTES))
  }
  return pairs
}

export function openArrivals(envelopes: readonly Uint8Array[], open: OpenArrival): Arrival[] {
  return envelopes.map((bytes) => ({
    recordId: envelopeRecordId(bytes as Envelope),
    timestamp: envelopeTimestamp(bytes as Envelope),
    envelope: bytes,
    opening: openArrival(bytes, open),
  }))
}

/** A transaction of the log with its envelopes opened. */
export type OpenedStep = {
  readonly step: Extract<LogStep, { type: 'transaction' }>
  readonly arrivals: readonly Arrival[]
  /** The epochs below this were over where the step stands. */
  readonly closedBelow: number
}

/** Opens what the steps carry, in their order: an epoch's entry comes before what it sealed. */
export function openSteps(
  steps: readonly LogStep[],
  options: { open: OpenArrival; takeKeychain: TakeKeychain; closedBelow: number },
): { opened: OpenedStep[]; taken: TakenEntries; closedBelow: number } {
  const opened: OpenedStep[] = []
  const taken: TakenEntries[number][] = []
  let { closedBelow } = options
  for (const step of steps) {
    if (step.type === 'transaction') {
      opened.push({ step, arrivals: openArrivals(step.envelopes, options.open), closedBelow })
      continue
    }
    closedBelow = closedAfter(step.entries, closedBelow)
    taken.push(...options.takeKeychain(step.entries))
  }
  return { opened, taken, closedBelow }
}

/** Whether an envelope is what was sealed, under a key that this device holds. */
export function opens(bytes: Uint8Array, open: OpenArrival): boolean {
  return openArrival(bytes, open).type === 'opened'
}

function openArrival(bytes: Uint8Array, open: OpenArrival): Opening {
  try {
    return open(parseEnvelope(bytes))
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    const isLaterVersion = error.code === 'unsupported-version'
    return { type: 'closed', reason: isLaterVersion ? 'unsupported-version' : 'malformed' }
  }
}

/** What filing arrivals needs beside the rows, and what it finds out. */
export type ArrivalContext = {
  readonly nowMs: number
  /** The envelope of the version that a row showed before the batch, where it may be needed. */
  readonly currentEnvelope: (slot: Slot) => Envelope | undefined
  /** Whether a version of this device is stored here. */
  readonly holdsOwn: (recordId: RecordId, timestamp: Timestamp) => boolean
  /** Whether what is shown came from no remote, and will be passed on. */
  readonly isPassedOn: (recordId: RecordId) => boolean
  /** Whether a version was held here before, as far as can be told from its author. */
  readonly wasSeen: (timestamp: Timestamp) => boolean
  /** Two versions of a merge record, of which neither was written on top of the other. */
  readonly meetings: Meeting[]
  /** A version that must be resolved against writes that wait. */
  isRebaseDue: boolean
  /** A version of this device that this folder never wrote. */
  isCopied: boolean
}

export type Meeting = { readonly slot: Slot; readonly older: Envelope; readonly newer: Envelope }

/**
 * Files one arrival into the batch: confirmed at once, shown unless `isHidden` (its transaction is
 * not whole yet). Returns whether it was news.
 */
export function takeArrival(
  batch: RowBatch,
  slot: Slot,
  options: { arrival: Arrival; context: ArrivalContext; isHidden?: boolean },
): boolean {
  const { arrival, context, isHidden = false } = options
  const { recordId, timestamp, opening } = arrival
  const before = slot.row
  if (!isLater(timestamp, before.confirmed)) return false
  batch.confirm(recordId, before.confirmed, timestamp)
  if (!batch.isOwn(timestamp)) batch.receivedCount++
  // A version that was put aside is no longer worth listing once a newer one is known.
  if (!equalBytes(before.confirmed, before.current)) {
    batch.deleteQuarantined(recordId, before.confirmed)
  }
  if (opening.type === 'closed') {
    batch.putAside(arrival, opening.reason)
    batch.setRow(slot, { ...before, confirmed: timestamp })
    return true
  }
  if (isForwarded(before) && !isLater(before.current, timestamp)) {
    batch.ops.push({ type: 'delete', key: forwardKey(recordId) })
  }
  if (equalBytes(timestamp, before.current)) {
    batch.setRow(slot, { ...before, confirmed: timestamp })
  } else {
    // Also when a write of this device is newer: it is what that write competes with.
    batch.putVersion(recordId, timestamp, arrival.envelope as Envelope)
    batch.setRow(slot, { ...before, confirmed: timestamp })
    judgeMeeting(batch, slot, { arrival, before, context })
    if (!isHidden) showConfirmed(batch, slot, { ...opening, tombstone: isTomb(arrival) })
  }
  releaseReplaced(batch, slot, before)
  return true
}

const isTomb = ({ envelope }: Arrival): boolean => isTombstone(envelope as Envelope)

/** Whether the version that is shown came from no remote and may be listed for passing on. */
const isForwarded = ({ pending, current, confirmed }: Row): boolean =>
  pending === 0 && isLater(current, confirmed)

/**
 * Makes the confirmed version the one that reads show, if it is newer and no write that waits must
 * be resolved against it first.
 */
export function showConfirmed(
  batch: RowBatch,
  slot: Slot,
  version: { tag: Uint8Array; tombstone: boolean },
): void {
  const { recordId, row } = slot
  const isAwaited = row.pending > 0 && row.policy !== 0
  if (isAwaited || !isLater(row.confirmed, row.current)) return
  batch.show(recordId, { ...version, timestamp: row.confirmed })
  batch.setRow(slot, { ...row, current: row.confirmed })
  releaseReplaced(batch, slot, row)
}

/**
 * Whether whoever wrote a newer version cannot have seen this one: it replaced an older one. The
 * author of what is overlooked keeps it, whoever won the race to the remote.
 */
export const overlooks = (
  opening: Extract<Opening, { type: 'opened' }>,
  timestamp: Timestamp,
): boolean =>
  opening.base !== undefined && (opening.base === null || isLater(timestamp, opening.base))

/** Whether the arrival and what is here were written without knowing of each other. */
function judgeMeeting(
  batch: RowBatch,
  slot: Slot,
  met: { arrival: Arrival; before: Row; context: ArrivalContext },
): void {
  const { arrival, before, context } = met
  const { recordId, timestamp, opening } = arrival
  if (opening.type === 'closed') return
  const isOwn = batch.isOwn(timestamp)
  if (isOwn && context.holdsOwn(recordId, timestamp)) return
  if (isOwn) context.isCopied = true
  if (before.pending > 0 && before.policy !== 0) {
    context.isRebaseDue = true
    return
  }
  if (isNone(before.current)) return
  const envelope = arrival.envelope as Envelope
  if (context.meetings.some((meeting) => meeting.slot === slot)) {
    // What meets in one batch is merged in one write.
    context.meetings.push({ slot, older: envelope, newer: envelope })
    return
  }
  const isNewer = isLater(timestamp, before.current)
  const isDescendant =
    isNewer && opening.base !== null && opening.base !== undefined
      ? equalBytes(opening.base, before.current)
      : false
  if (isDescendant) return
  const current = context.currentEnvelope(slot)
  if (current === undefined) return
  // What the remote refused, and what is local only, stays here alone.
  const isAlone =
    before.pending === 0 &&
    isLater(before.current, before.confirmed) &&
    !context.isPassedOn(recordId)
  if (opening.merges === true && before.pending === 0 && !isAlone) {
    const [older, newer] = isNewer ? [current, envelope] : [envelope, current]
    context.meetings.push({ slot, older, newer })
    return
  }
  // What both ends once held is history, not a conflict.
  const isWaiting = before.pending > 0 && batch.isOwn(before.current)
  const isUnconfirmed =
    !equalBytes(before.current, before.confirmed) &&
    (isWaiting || isLater(before.current, before.confirmed))
  const loser = isNewer ? current : envelope
  const isOverlooked = isNewer && batch.isOwn(before.current) && overlooks(opening, before.current)
  const isHistory = isNewer
    ? !isUnconfirmed && !isOverlooked
    : isAlone || context.wasSeen(timestamp)
  if (isHistory) return
  batch.logConflict({
    recordId,
    timestamp: envelopeTimestamp(loser),
    kind: 'overwritten',
    notedMs: context.nowMs,
    winner: isNewer ? timestamp : before.current,
    note: null,
    envelope: loser,
  })
}

/** What the row showed or had confirmed before. A version that may wait for a verdict stays. */
function releaseReplaced(batch: RowBatch, slot: Slot, before: Row): void {
  const replaced = [before.current, before.confirmed]
  const isWaiting = (timestamp: Timestamp): boolean => before.pending > 0 && batch.isOwn(timestamp)
  batch.releaseVersions(
    slot,
    replaced.filter((timestamp) => !isWaiting(timestamp)),
  )
}

/**
 * A version that was put aside and now opens: the same as an arrival, but it is confirmed already.
 */
export function releaseArrival(
  batch: RowBatch,
  slot: Slot,
  options: { arrival: Arrival; context: ArrivalContext },
): boolean {
  const { arrival, context } = options
  const { recordId, timestamp, opening } = arrival
  const { row } = slot
  // What no remote has confirmed waits for its time (carried.ts).
  if (opening.type === 'closed' || isLater(timestamp, row.confirmed)) return false
  batch.deleteQuarantined(recordId, timestamp)
  if (!equalBytes(timestamp, row.confirmed) || equalBytes(timestamp, row.current)) return true
  batch.putVersion(recordId, timestamp, arrival.envelope as Envelope)
  judgeMeeting(batch, slot, { arrival, before: row, context })
  showConfirmed(batch, slot, { ...opening, tombstone: isTomb(arrival) })
  return true
}
