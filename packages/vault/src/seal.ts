/**
 * Sealing and opening envelopes: the hot path. XChaCha20-Poly1305 under the epoch's sealing key, with
 * the associated data and layout of protocol's envelope.ts; nonces as in box.ts, and like there none
 * is handed in or out. Frozen by test/vectors/envelope.json.
 *
 * From its nonce on an envelope is a box. Both directions work in one buffer that is kept, because
 * allocating costs as much as hashing; it is wiped before each function returns, so that it is zeros
 * whenever the next begins.
 */
import {
  assert,
  ENVELOPE_BOUND_BYTES,
  ENVELOPE_HEADER_BYTES,
  type Envelope,
  encodeBoundHeader,
  envelopeAssociatedData,
  envelopeEpoch,
  ENVELOPE_BYTES_MAX,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  isTombstone,
  NONCE_BYTES,
  TAG_BYTES,
  type Timestamp,
} from '@blindcopy/protocol'
import { tampered } from './error.ts'
import type { Keyring } from './keyring.ts'
import type { RandomBytes } from './random.ts'
import { openHedged, sealHedged } from './raw-sodium.ts'
import { decodeRecord, encodeRecord, type RecordDraft, type VaultRecord } from './record.ts'

export type OpenResult =
  | { readonly type: 'opened'; readonly record: VaultRecord }
  /** Ordinary on a device that is behind: keep the envelope, and open it after the next epoch entry. */
  | { readonly type: 'unknown-epoch'; readonly epoch: number }

/** While a record is sealed, this stands before it: 24 random bytes and the associated data. */
export const SEAL_ROOM_BYTES: number = NONCE_BYTES + ASSOCIATED_DATA_BYTES
const WORK_BYTES = 4096
const keptWork = new Uint8Array(WORK_BYTES)

function borrowWork(sizeBytes: number): Uint8Array {
  return sizeBytes <= WORK_BYTES ? keptWork.subarray(0, sizeBytes) : new Uint8Array(sizeBytes)
}

/** Seals under the newest epoch. Throws `record-too-large`, or `not-carried` of the protocol. */
export function sealRecord(
  keyring: Keyring,
  record: RecordDraft,
  timestamp: Timestamp,
  random: RandomBytes,
): Envelope {
  const boundHeader = encodeBoundHeader({
    tombstone: record.fields === null,
    epoch: keyring.newestEpoch,
    recordId: keyring.recordIdOf(record.collection, record.key),
    timestamp,
  })
  return sealPadded(keyring, boundHeader, encodeRecord(record, SEAL_ROOM_BYTES, borrowWork), random)
}

/** `work` is room, then the padded record; it is wiped. For `sealRecord`, re-sealing and vectors. */
export function sealPadded(
  keyring: Keyring,
  boundHeader: Uint8Array,
  work: Uint8Array,
  random: RandomBytes,
): Envelope {
  const key = keyring.sealingKey(envelopeEpoch(boundHeader as Envelope))
  assert(key !== undefined, 'an envelope is sealed under an epoch that the keyring holds')
  work.set(random(NONCE_BYTES), 0)
  work.set(keyring.associatedDataStart, NONCE_BYTES)
  work.set(boundHeader, SEAL_ROOM_BYTES - ENVELOPE_BOUND_BYTES)
  const paddedBytes = work.length - SEAL_ROOM_BYTES
  const envelope = new Uint8Array(ENVELOPE_HEADER_BYTES + paddedBytes + TAG_BYTES)
  envelope.set(boundHeader, 0)
  sealHedged(envelope, work, SEAL_ROOM_BYTES, key.bytes)
  work.fill(0)
  return envelope as Uint8Array as Envelope
}

/**
 * Opens an envelope with the key its epoch names. Whatever is wrong with it throws `tampered`, with
 * one text: a tag that does not fit is never ordinary, and trying again cannot help.
 */
export function openEnvelope(keyring: Keyring, envelope: Envelope): OpenResult {
  const epoch = envelopeEpoch(envelope)
  if (!keyring.has(epoch)) return { type: 'unknown-epoch', epoch }
  const padded = openPadded(keyring, envelope)
  const record = readRecord(keyring, envelope, padded)
  padded.fill(0)
  return { type: 'opened', record }
}

/**
 * The same record, timestamp and base under the newest epoch, byte for byte, with whatever places of
 * the record a later version has filled. Throws `tampered`, also for an epoch that is not held: open
 * the envelope first.
 */
export function resealEnvelope(
  keyring: Keyring,
  envelope: Envelope,
  random: RandomBytes,
): Envelope {
  const padded = openPadded(keyring, envelope)
  readRecord(keyring, envelope, padded)
  const boundHeader = encodeBoundHeader({
    tombstone: isTombstone(envelope),
    epoch: keyring.newestEpoch,
    recordId: envelopeRecordId(envelope),
    timestamp: envelopeTimestamp(envelope),
  })
  const work = new Uint8Array(SEAL_ROOM_BYTES + padded.length)
  work.set(padded, SEAL_ROOM_BYTES)
  padded.fill(0)
  return sealPadded(keyring, boundHeader, work, random)
}

function openPadded(keyring: Keyring, envelope: Envelope): Uint8Array {
  const key = keyring.sealingKey(envelopeEpoch(envelope))
  if (key === undefined) throw tampered()
  const padded = aeadOpen(envelopeCiphertext(envelope), {
    key: key.bytes,
    nonce: envelopeNonce(envelope),
    associatedData: envelopeAssociatedData(keyring.vaultId, envelope),
  })
  if (padded === undefined) throw tampered()
  return padded
}

function readRecord(keyring: Keyring, envelope: Envelope, padded: Uint8Array): VaultRecord {
  let record: VaultRecord
  let isFitting: boolean
  try {
    record = decodeRecord(padded)
    const recordId = keyring.recordIdOf(record.collection, record.key)
    isFitting = equalBytes(recordId, envelopeRecordId(envelope))
  } catch {
    // Without the cause: every failure to open is the same failure.
    throw tampered()
  }
  if (!isFitting || (record.fields === null) !== isTombstone(envelope)) throw tampered()
  return record
}
