/**
 * The keys of a local secondary: the only place that builds or parses them.
 *
 *   m ‖ name                           one value each: cursor, clock, counters (local-meta of the
 * client)
 *   k ‖ index (4)                      keychain entry
 *   r ‖ recordId                       row: current ‖ confirmed ‖ pending count
 *   c ‖ collectionTag ‖ recordId       timestamp of the current version; none for a deleted record
 *   v ‖ timestamp ‖ recordId           envelope
 *   o ‖ number (8)                     outbox: one transaction without a verdict
 *   a ‖ number (8)                     attention: one transaction that was refused
 *   q ‖ recordId ‖ timestamp           quarantine: reason ‖ envelope that did not open
 *   x ‖ timestamp ‖ recordId           conflict log: a version that lost, and to what
 *   p ‖ seq (8)                        parked: a pulled transaction of which something is missing
 *   f ‖ recordId                       to forward: its current version came from no remote
 *
 * Versions are kept by time first: a transaction's envelopes lie side by side, are written at the
 * end of the key space, and are read for a push by one range scan. Nothing here is plaintext:
 * record ids and collection tags are keyed hashes.
 */
import {
  decodeUint64,
  encodeUint32,
  encodeUint64,
  encodeUtf8,
  RECORD_ID_BYTES,
  type RecordId,
  TIMESTAMP_BYTES,
  type Timestamp,
} from '@blindcopy/protocol'
import { allocate } from './slab.ts'
import type { KeyRange } from './store.ts'

export const COLLECTION_TAG_BYTES = 16

const SECTION = {
  meta: 0x6d,
  keychain: 0x6b,
  row: 0x72,
  collection: 0x63,
  version: 0x76,
  outbox: 0x6f,
  attention: 0x61,
  quarantine: 0x71,
  conflict: 0x78,
  parked: 0x70,
  forward: 0x66,
} as const

export type NumberedSection = 'outbox' | 'attention' | 'parked'

const NOTHING = new Uint8Array(0)

function key(section: number, first: Uint8Array, second: Uint8Array = NOTHING): Uint8Array {
  const bytes = allocate(1 + first.length + second.length)
  bytes[0] = section
  bytes.set(first, 1)
  if (second.length > 0) bytes.set(second, 1 + first.length)
  return bytes
}

/** Every key that begins with `prefix`; the last byte of a prefix here is never 0xff throughout. */
function startingWith(prefix: Uint8Array): KeyRange {
  const end = prefix.slice()
  for (let i = end.length - 1; i >= 0; i--) {
    if (end[i] !== 0xff) {
      end[i] = (end[i] as number) + 1
      return { gte: prefix, lt: end.slice(0, i + 1) }
    }
  }
  return { gte: prefix }
}

export const metaKey = (name: string): Uint8Array => key(SECTION.meta, encodeUtf8(name))

export const keychainKey = (index: number): Uint8Array => key(SECTION.keychain, encodeUint32(index))
export const keychainRange = (): KeyRange => startingWith(Uint8Array.of(SECTION.keychain))

export const rowKey = (recordId: RecordId): Uint8Array => key(SECTION.row, recordId)

export const collectionKey = (tag: Uint8Array, recordId: RecordId): Uint8Array =>
  key(SECTION.collection, tag, recordId)
export const collectionRange = (tag: Uint8Array): KeyRange =>
  startingWith(key(SECTION.collection, tag))
export const parseCollectionKey = (bytes: Uint8Array): RecordId =>
  bytes.slice(1 + COLLECTION_TAG_BYTES, 1 + COLLECTION_TAG_BYTES + RECORD_ID_BYTES) as RecordId

/** The range of every record of every collection, deleted ones left out. */
export const everyCollectionRange = (): KeyRange => startingWith(Uint8Array.of(SECTION.collection))

export const versionKey = (recordId: RecordId, timestamp: Timestamp): Uint8Array =>
  key(SECTION.version, timestamp, recordId)
export const transactionVersionRange = (timestamp: Timestamp): KeyRange =>
  startingWith(key(SECTION.version, timestamp))
export const parseVersionKey = (
  bytes: Uint8Array,
): { recordId: RecordId; timestamp: Timestamp } => ({
  timestamp: bytes.slice(1, 1 + TIMESTAMP_BYTES) as Timestamp,
  recordId: bytes.slice(1 + TIMESTAMP_BYTES) as RecordId,
})

export const numberedKey = (section: NumberedSection, number: number): Uint8Array =>
  key(SECTION[section], encodeUint64(number))
export const numberedRange = (section: NumberedSection, from = 0): KeyRange => ({
  ...startingWith(Uint8Array.of(SECTION[section])),
  gte: numberedKey(section, from),
})
export const parseNumberedKey = (bytes: Uint8Array): number => decodeUint64(bytes, 1)

export const quarantineKey = (recordId: RecordId, timestamp: Timestamp): Uint8Array =>
  key(SECTION.quarantine, recordId, timestamp)
export const quarantineRange = (): KeyRange => startingWith(Uint8Array.of(SECTION.quarantine))
export const parseQuarantineKey = (
  bytes: Uint8Array,
): { recordId: RecordId; timestamp: Timestamp } => ({
  recordId: bytes.slice(1, 1 + RECORD_ID_BYTES) as RecordId,
  timestamp: bytes.slice(1 + RECORD_ID_BYTES) as Timestamp,
})

export const conflictKey = (recordId: RecordId, timestamp: Timestamp): Uint8Array =>
  key(SECTION.conflict, timestamp, recordId)
export const conflictRange = (): KeyRange => startingWith(Uint8Array.of(SECTION.conflict))
export const parseConflictKey: typeof parseVersionKey = parseVersionKey

export const forwardKey = (recordId: RecordId): Uint8Array => key(SECTION.forward, recordId)
export const forwardRange = (): KeyRange => startingWith(Uint8Array.of(SECTION.forward))
export const parseForwardKey = (bytes: Uint8Array): RecordId => bytes.slice(1) as RecordId

/** The rows of the records whose ids lie from `first` on, and below `end` if there is one. */
export const rowRange = (first: RecordId, end?: RecordId): KeyRange => ({
  ...startingWith(Uint8Array.of(SECTION.row)),
  gte: rowKey(first),
  ...(end === undefined ? {} : { lt: rowKey(end) }),
})
export const parseRowKey = (bytes: Uint8Array): RecordId => bytes.slice(1) as RecordId
