/**
 * Remote keyspace: every key of a remote secondary is built and parsed here, and nowhere else.
 *
 *   vaultId (32) ‖ section (1) ‖ …
 *     s                          the vault's state: SyncId, head, count, fingerprint, …
 *     k  index (4)               one keychain entry, after the seq of the append that brought it
 *     r  recordId (16)           the newest version: timestamp (16) ‖ place (10) ‖ size (4)
 *     e  seq (8) ‖ op index (2)  the envelope of a live version; the ten bytes are its place
 *     l  seq (8)                 one log entry
 *     t  timestamp (16)          the seq of the transaction with this id
 *     c  memberId (8)            the newest checkpoint of a device
 *     h  recordId (16) ‖ timestamp (16)      a superseded envelope, after when it was (8)
 *     x  ms (8) ‖ recordId (16) ‖ timestamp (16)   by when it was superseded: its size (4)
 *
 * One key stands outside of any vault: SHA-256 of a recovery key's signing key ‖ "i" leads to the
 * vault that it was added to.
 *
 * Envelopes stand by seq, not by record, so that a bootstrap is one scan in log order beside the
 * scan of the log. Numbers are big-endian, so that bytes sort as they count.
 */
import {
  type Brand,
  concat,
  encodeUtf8,
  type MemberId,
  type RecordId,
  type SigningPublicKey,
  sha256,
  type Timestamp,
  type VaultId,
} from '@blindcopy/protocol'
import type { Entry, KeyRange } from './store.ts'

const SECTION_AT = 32
const KEY_AT = 33
const PLACE_BYTES = 10
const SIZE_BYTES = 4
const TIMESTAMP_BYTES = 16
const RECORD_ID_BYTES = 16
const SIZE_AT = TIMESTAMP_BYTES + PLACE_BYTES
const SUPERSEDED_BYTES = 8
const EXPIRY_PAIR_AT = KEY_AT + 8

/** Of the newest version: its timestamp, where its envelope is, and how many bytes it has. */
export type RecordVersion = Brand<'RecordVersion'>

export type RemoteKeyspace = {
  readonly state: Uint8Array
  keychainEntry(index: number): Uint8Array
  keychainFrom(index: number): KeyRange
  record(recordId: RecordId): Uint8Array
  records(ids: RecordIdRange): KeyRange
  envelope(version: RecordVersion): Uint8Array
  envelopes(seqs: SeqRange): KeyRange
  logEntry(seq: number): Uint8Array
  logEntries(seqs: SeqRange): KeyRange
  transaction(id: Timestamp): Uint8Array
  checkpoint(memberId: MemberId): Uint8Array
  history(recordId: RecordId, timestamp: Timestamp): Uint8Array
  /** The superseded versions of a record that are older than a timestamp, or all. */
  historyOf(recordId: RecordId, before: Timestamp | undefined): KeyRange
  readonly histories: Required<Pick<KeyRange, 'gte' | 'lt'>>
  expiry(version: Superseded): Uint8Array
  /** What was superseded before a time, or all. */
  expiries(beforeMs: number | undefined): KeyRange
  /** All of a vault: from its first key to before the next vault's. */
  readonly all: KeyRange
}

/** A version that is no longer the newest of its record, and since when. */
export type Superseded = {
  readonly recordId: RecordId
  readonly timestamp: Timestamp
  readonly supersededMs: number
}

const MEMBER_INDEX_LABEL = encodeUtf8('blindcopy.member-index.v1')

/** Where the vault id of a recovery key stands. */
export function memberIndexKey(signingKey: SigningPublicKey): Uint8Array {
  return concat(sha256(concat(MEMBER_INDEX_LABEL, signingKey)), encodeUtf8('i'))
}

/** Both ends are included. */
export type RecordIdRange = { readonly first: RecordId; readonly last: RecordId }
/** Both ends are included. */
export type SeqRange = { readonly first: number; readonly last: number }

export function remoteKeyspace(vaultId: VaultId): RemoteKeyspace {
  const section = (letter: string, sizeBytes: number): Uint8Array => {
    const key = new Uint8Array(KEY_AT + sizeBytes)
    key.set(vaultId)
    key[SECTION_AT] = letter.charCodeAt(0)
    return key
  }
  const seqKey = (letter: string, seq: number): Uint8Array => {
    const key = section(letter, 8)
    writeSeq(key, KEY_AT, seq)
    return key
  }
  const indexKey = (index: number): Uint8Array => {
    const key = section('k', 4)
    new DataView(key.buffer).setUint32(KEY_AT, index)
    return key
  }
  const bytesKey = (letter: string, bytes: Uint8Array): Uint8Array => {
    const key = section(letter, bytes.length)
    key.set(bytes, KEY_AT)
    return key
  }
  const seqRange = (letter: string, { first, last }: SeqRange): KeyRange => ({
    gte: seqKey(letter, first),
    lt: seqKey(letter, last + 1),
  })
  return {
    state: section('s', 0),
    keychainEntry: indexKey,
    keychainFrom: (index) => ({ gte: indexKey(index), lt: section('l', 0) }),
    record: (recordId) => bytesKey('r', recordId),
    records: ({ first, last }) => ({ gte: bytesKey('r', first), lte: bytesKey('r', last) }),
    envelope: (version) => bytesKey('e', version.subarray(TIMESTAMP_BYTES, SIZE_AT)),
    envelopes: (seqs) => seqRange('e', seqs),
    logEntry: (seq) => seqKey('l', seq),
    logEntries: (seqs) => seqRange('l', seqs),
    transaction: (id) => bytesKey('t', id),
    checkpoint: (memberId) => bytesKey('c', memberId),
    history: (recordId, timestamp) => bytesKey('h', concat(recordId, timestamp)),
    historyOf: (recordId, before) => ({
      gte: bytesKey('h', recordId),
      ...(before === undefined
        ? { lte: bytesKey('h', concat(recordId, TIMESTAMP_LAST)) }
        : { lt: bytesKey('h', concat(recordId, before)) }),
    }),
    histories: { gte: section('h', 0), lt: section('i', 0) },
    expiry: ({ recordId, timestamp, supersededMs }) => {
      const key = section('x', EXPIRY_PAIR_AT - KEY_AT + RECORD_ID_BYTES + TIMESTAMP_BYTES)
      writeSeq(key, KEY_AT, supersededMs)
      key.set(recordId, EXPIRY_PAIR_AT)
      key.set(timestamp, EXPIRY_PAIR_AT + RECORD_ID_BYTES)
      return key
    },
    expiries: (beforeMs) => ({
      gte: section('x', 0),
      lt: beforeMs === undefined ? section('y', 0) : seqKey('x', beforeMs),
    }),
    all: { gte: vaultId, lte: concat(vaultId, SECTION_LAST) },
  }
}

const TIMESTAMP_LAST = new Uint8Array(TIMESTAMP_BYTES).fill(255)
/** No section has such a letter. */
const SECTION_LAST = new Uint8Array([255])

export function recordVersion(
  timestamp: Timestamp,
  { seq, opIndex, sizeBytes }: { seq: number; opIndex: number; sizeBytes: number },
): RecordVersion {
  const version = new Uint8Array(SIZE_AT + SIZE_BYTES)
  version.set(timestamp)
  writeSeq(version, TIMESTAMP_BYTES, seq)
  version[TIMESTAMP_BYTES + 8] = opIndex >> 8
  version[TIMESTAMP_BYTES + 9] = opIndex
  // By hand: a view for these four bytes would cost as much as all the rest.
  version[SIZE_AT] = sizeBytes >>> 24
  version[SIZE_AT + 1] = sizeBytes >>> 16
  version[SIZE_AT + 2] = sizeBytes >>> 8
  version[SIZE_AT + 3] = sizeBytes
  return version as RecordVersion
}

/** How many bytes the envelope of a version has. */
export const recordVersionSize = (version: RecordVersion): number =>
  new DataView(version.buffer, version.byteOffset, version.byteLength).getUint32(SIZE_AT)

/** What an entry of the history says, key and value together. */
export function parseHistory([key, value]: Entry): Superseded & { readonly envelope: Uint8Array } {
  return {
    recordId: key.subarray(KEY_AT, KEY_AT + RECORD_ID_BYTES) as RecordId,
    timestamp: key.subarray(KEY_AT + RECORD_ID_BYTES) as Timestamp,
    supersededMs: readSeq(value, 0),
    envelope: value.subarray(SUPERSEDED_BYTES),
  }
}

export function encodeHistory(supersededMs: number, envelope: Uint8Array): Uint8Array {
  const value = new Uint8Array(SUPERSEDED_BYTES + envelope.length)
  writeSeq(value, 0, supersededMs)
  value.set(envelope, SUPERSEDED_BYTES)
  return value
}

/** What an entry of the expiries says: what was superseded, when, and how many bytes it has. */
export function parseExpiry([key, value]: Entry): Superseded & { readonly sizeBytes: number } {
  return {
    supersededMs: readSeq(key, KEY_AT),
    recordId: key.subarray(EXPIRY_PAIR_AT, EXPIRY_PAIR_AT + RECORD_ID_BYTES) as RecordId,
    timestamp: key.subarray(EXPIRY_PAIR_AT + RECORD_ID_BYTES) as Timestamp,
    sizeBytes: new DataView(value.buffer, value.byteOffset, value.byteLength).getUint32(0),
  }
}

export const recordVersionTimestamp = (version: RecordVersion): Timestamp =>
  version.subarray(0, TIMESTAMP_BYTES) as Timestamp

/** Of a record's key. */
export const recordIdOfKey = (key: Uint8Array): RecordId => key.subarray(KEY_AT) as RecordId

/** Of a log entry's key or an envelope's. */
export const seqOfKey = (key: Uint8Array): number => readSeq(key, KEY_AT)

function readSeq(bytes: Uint8Array, offset: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return view.getUint32(offset) * 0x1_0000_0000 + view.getUint32(offset + 4)
}

/** Of an envelope's key. */
export function opIndexOfKey(key: Uint8Array): number {
  return ((key[KEY_AT + 8] as number) << 8) | (key[KEY_AT + 9] as number)
}

/** Written by halves: JavaScript's shifts are 32 bits wide. */
function writeSeq(bytes: Uint8Array, offset: number, seq: number): void {
  const high = Math.floor(seq / 0x1_0000_0000)
  bytes[offset] = high >>> 24
  bytes[offset + 1] = high >>> 16
  bytes[offset + 2] = high >>> 8
  bytes[offset + 3] = high
  bytes[offset + 4] = seq >>> 24
  bytes[offset + 5] = seq >>> 16
  bytes[offset + 6] = seq >>> 8
  bytes[offset + 7] = seq
}
