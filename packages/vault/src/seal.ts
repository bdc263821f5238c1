/**
 * Sealing and opening envelopes: the hot path. XChaCha20-Poly1305 under the epoch's sealing key,
 * with the associated data and layout of protocol's envelope.ts; from its nonce on an envelope is a
 * box (box.ts), and like there no nonce is handed in or out. Frozen by test/vectors/envelope.json.
 *
 * Both directions work in one buffer:
 *
 *   offset  size  field
 *        0    24  random bytes, when sealing
 *       24    91  associated data
 *      115     …  the padded record
 *
 * It is kept, because allocating one costs as much as hashing it, and wiped before a function
 * returns: whenever the next begins, it is zeros.
 */
import {
  assert,
  ENVELOPE_BOUND_BYTES,
  ENVELOPE_HEADER_BYTES,
  type Envelope,
  encodeBoundHeader,
  envelopeEpoch,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  isTombstone,
  NONCE_BYTES,
  TAG_BYTES,
  type Timestamp,
} from '@blindcopy/protocol'
import { tampered } from './error.ts'
import { fitClocks } from './field-clocks.ts'
import type { Keyring } from './keyring.ts'
import type { RandomBytes } from './random.ts'
import { openHedged, sealHedged } from './raw-sodium.ts'
import { decodeRecord, encodeRecord, type RecordDraft, type VaultRecord } from './record.ts'
import type { SealingKey } from './secret.ts'

export type OpenResult =
  | { readonly type: 'opened'; readonly record: VaultRecord }
  /**
   * Ordinary on a device that is behind: keep the envelope, and open it after the next epoch entry.
   */
  | { readonly type: 'unknown-epoch'; readonly epoch: number }

const LABEL_BYTES = 21
const VAULT_ID_BYTES = 32
const BOUND_OFFSET = NONCE_BYTES + LABEL_BYTES + VAULT_ID_BYTES
/** Where the padded record begins in the buffer. */
export const SEAL_ROOM_BYTES: number = BOUND_OFFSET + ENVELOPE_BOUND_BYTES
/** Nearly every record; a larger one gets a buffer of its own. */
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
  assert(fitClocks(record.fieldClocks ?? null, timestamp), 'no field clock exceeds its record')
  const boundHeader = encodeBoundHeader({
    tombstone: record.fields === null,
    epoch: keyring.newestEpoch,
    recordId: keyring.recordIdOf(record.collection, record.key),
    timestamp,
  })
  const seed = random(NONCE_BYTES)
  return sealWork(keyring, boundHeader, encodeRecord(record, SEAL_ROOM_BYTES, borrowWork), seed)
}

/**
 * Opens an envelope with the key its epoch names. Whatever is wrong with it throws `tampered`, with
 * one text: a tag that does not fit is never ordinary, and trying again cannot help.
 */
export function openEnvelope(keyring: Keyring, envelope: Envelope): OpenResult {
  const epoch = envelopeEpoch(envelope)
  if (!keyring.has(epoch)) return { type: 'unknown-epoch', epoch }
  const work = openWork(keyring, envelope)
  try {
    return { type: 'opened', record: readRecord(keyring, envelope, work) }
  } finally {
    work.fill(0)
  }
}

/**
 * The same record, timestamp and base under the newest epoch, byte for byte. Throws `tampered`,
 * also for an epoch that is not held: open the envelope first.
 */
export function resealEnvelope(
  keyring: Keyring,
  envelope: Envelope,
  random: RandomBytes,
): Envelope {
  const seed = random(NONCE_BYTES)
  const work = openWork(keyring, envelope)
  try {
    readRecord(keyring, envelope, work)
    const boundHeader = encodeBoundHeader({
      tombstone: isTombstone(envelope),
      epoch: keyring.newestEpoch,
      recordId: envelopeRecordId(envelope),
      timestamp: envelopeTimestamp(envelope),
    })
    return sealWork(keyring, boundHeader, work, seed)
  } finally {
    work.fill(0)
  }
}

/**
 * `work` holds the padded record, and is wiped. `seed` is 24 random bytes. Exported for vectors.
 */
export function sealWork(
  keyring: Keyring,
  boundHeader: Uint8Array,
  work: Uint8Array,
  seed: Uint8Array,
): Envelope {
  const key = keyring.sealingKey(envelopeEpoch(boundHeader as Envelope))
  assert(key !== undefined, 'an envelope is sealed under an epoch that the keyring holds')
  assert(seed.length === NONCE_BYTES, 'randomness has the size that was asked for')
  work.set(seed, 0)
  work.set(keyring.associatedDataStart, NONCE_BYTES)
  work.set(boundHeader, BOUND_OFFSET)
  const ciphertextBytes = work.length - SEAL_ROOM_BYTES + TAG_BYTES
  const envelope = new Uint8Array(ENVELOPE_HEADER_BYTES + ciphertextBytes)
  envelope.set(boundHeader, 0)
  sealHedged(envelope, work, SEAL_ROOM_BYTES, key.bytes)
  work.fill(0)
  return envelope as Uint8Array as Envelope
}

/** The buffer with associated data and padded record, to be wiped by the caller. */
function openWork(keyring: Keyring, envelope: Envelope): Uint8Array {
  for (const key of keyring.sealingKeys(envelopeEpoch(envelope))) {
    const work = openWorkWith(key, keyring, envelope)
    if (work !== undefined) return work
  }
  throw tampered()
}

function openWorkWith(
  key: SealingKey,
  keyring: Keyring,
  envelope: Envelope,
): Uint8Array | undefined {
  const paddedBytes = envelope.length - ENVELOPE_HEADER_BYTES - TAG_BYTES
  const work = borrowWork(SEAL_ROOM_BYTES + Math.max(0, paddedBytes))
  work.set(keyring.associatedDataStart, NONCE_BYTES)
  work.set(envelope.subarray(0, ENVELOPE_BOUND_BYTES), BOUND_OFFSET)
  const size = openHedged(
    work.subarray(SEAL_ROOM_BYTES),
    envelope.subarray(ENVELOPE_BOUND_BYTES),
    work.subarray(NONCE_BYTES, SEAL_ROOM_BYTES),
    key.bytes,
  )
  if (size !== undefined) return work
  work.fill(0)
  return undefined
}

function readRecord(keyring: Keyring, envelope: Envelope, work: Uint8Array): VaultRecord {
  let record: VaultRecord
  let recordId: Uint8Array
  try {
    record = decodeRecord(work.subarray(SEAL_ROOM_BYTES))
    recordId = keyring.recordIdOf(record.collection, record.key)
  } catch {
    // Without the cause: every failure to open is the same failure.
    throw tampered()
  }
  if (!equalBytes(recordId, envelopeRecordId(envelope))) throw tampered()
  if ((record.fields === null) !== isTombstone(envelope)) throw tampered()
  if (!fitClocks(record.fieldClocks, envelopeTimestamp(envelope))) throw tampered()
  return record
}
