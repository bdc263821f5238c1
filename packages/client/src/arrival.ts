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
  concat,
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
import { keychainKey, quarantineKey, type StoreOp } from '@blindcopy/secondary'
import { ClientError } from './error.ts'
import { isLater, type Row } from './row.ts'
import type { RowBatch, Slot } from './row-batch.ts'

/** One step of the remote's log, as it was served. */
export type LogStep =
  | {
      readonly type: 'transaction'
      readonly seq: number
      readonly chain: Hash
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

/** Why an envelope was put aside. */
export type QuarantineReason = 'tampered' | 'unknown-epoch' | 'unsupported-version' | 'malformed'

/** What opening tells the local secondary: enough to file the record, and nothing readable. */
export type Opening =
  | { readonly type: 'opened'; readonly tag: Uint8Array }
  | { readonly type: 'closed'; readonly reason: QuarantineReason }

/** Opens an envelope with the keys of the vault. Never throws for what a remote can send. */
export type OpenArrival = (envelope: Envelope) => Opening

/**
 * Takes keychain entries as they come, so that what follows them opens, and returns them for
 * storing. Throws when they do not fit the pinned chain.
 */
export type TakeKeychain = (
  entries: readonly Uint8Array[],
) => readonly { readonly index: number; readonly entry: Uint8Array }[]

export type Arrival = {
  readonly recordId: RecordId
  readonly timestamp: Timestamp
  readonly envelope: Uint8Array
  readonly opening: Opening
}

const ENVELOPE_BOUND_MIN = 62

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

/** Opens what the steps carry, in their order: an epoch's entry comes before what it sealed. */
export function openSteps(
  steps: readonly LogStep[],
  options: { open: OpenArrival; takeKeychain: TakeKeychain },
): { arrivals: Arrival[]; keychainOps: StoreOp[] } {
  const arrivals: Arrival[] = []
  const keychainOps: StoreOp[] = []
  for (const step of steps) {
    if (step.type === 'transaction') {
      arrivals.push(...openArrivals(step.envelopes, options.open))
      continue
    }
    for (const { index, entry } of options.takeKeychain(step.entries)) {
      keychainOps.push({ type: 'put', key: keychainKey(index), value: entry })
    }
  }
  return { arrivals, keychainOps }
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

/** Files one arrival into the batch. Returns whether it was news. */
export function takeArrival(batch: RowBatch, slot: Slot, arrival: Arrival): boolean {
  const { recordId, timestamp, opening } = arrival
  const { row } = slot
  if (!isLater(timestamp, row.confirmed)) return false
  batch.confirm(recordId, row.confirmed, timestamp)
  // A version that was put aside is no longer worth listing once a newer one is known.
  if (!equalBytes(row.confirmed, row.current)) batch.deleteQuarantined(recordId, row.confirmed)
  if (opening.type === 'closed') {
    batch.ops.push(putQuarantine(arrival, opening.reason))
    batch.setRow(slot, { ...row, confirmed: timestamp })
    return true
  }
  const envelope = arrival.envelope as Envelope
  const isShown = isLater(timestamp, row.current)
  if (isShown) {
    batch.show(recordId, { tag: opening.tag, timestamp, tombstone: isTombstone(envelope) })
  }
  // Otherwise a write of this device is newer: what arrived is kept as what it competes with.
  if (!equalBytes(timestamp, row.current)) batch.putVersion(recordId, timestamp, envelope)
  batch.setRow(slot, { ...row, current: isShown ? timestamp : row.current, confirmed: timestamp })
  releaseReplaced(batch, slot, row)
  return true
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
export function releaseArrival(batch: RowBatch, slot: Slot, arrival: Arrival): boolean {
  const { recordId, timestamp, opening } = arrival
  if (opening.type === 'closed') return false
  batch.deleteQuarantined(recordId, timestamp)
  const { row } = slot
  if (!equalBytes(timestamp, row.confirmed) || !isLater(timestamp, row.current)) return true
  const envelope = arrival.envelope as Envelope
  batch.putVersion(recordId, timestamp, envelope)
  batch.show(recordId, { tag: opening.tag, timestamp, tombstone: isTombstone(envelope) })
  batch.setRow(slot, { ...row, current: timestamp })
  releaseReplaced(batch, slot, row)
  return true
}

const REASONS: readonly QuarantineReason[] = [
  'tampered',
  'unknown-epoch',
  'unsupported-version',
  'malformed',
]

function putQuarantine(arrival: Arrival, reason: QuarantineReason): StoreOp {
  return {
    type: 'put',
    key: quarantineKey(arrival.recordId, arrival.timestamp),
    value: concat(Uint8Array.of(REASONS.indexOf(reason)), arrival.envelope),
  }
}

export function parseQuarantineValue(value: Uint8Array): {
  reason: QuarantineReason
  envelope: Uint8Array
} {
  return { reason: REASONS[value[0] as number] ?? 'malformed', envelope: value.subarray(1) }
}
