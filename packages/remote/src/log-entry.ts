/**
 * Log entry: what the remote keeps of one seq, for ever, so that anybody can recompute the chain.
 *
 *   kind 1 ‖ chain 32 ‖ …
 *     1  transaction with an id     id 16 ‖ op count 2 ‖ record ids, 16 each ‖ stale
 *     2  transaction without an id  op count 2 ‖ pairs, 32 each ‖ stale
 *     3  keychain append            first entry 4 ‖ end (exclusive) 4
 *   stale = (op index 2 ‖ timestamp 16 of the version it lost to)…
 *
 * All ops of a transaction with an id share that timestamp, so their record ids are enough. What
 * each stale op lost to is kept because a repeated push is answered from here, word for word
 * (design 9).
 */
import {
  decodeUint32,
  type Envelope,
  encodeUint32,
  envelopePair,
  envelopeRecordId,
  type Hash,
  PAIR_BYTES,
  RECORD_ID_BYTES,
  TIMESTAMP_BYTES,
  type Timestamp,
} from '@blindcopy/protocol'

export type StaleOp = readonly [opIndex: number, storedTimestamp: Timestamp]

export type TransactionEntry = {
  readonly type: 'transaction'
  readonly chain: Hash
  readonly id: Timestamp | null
  readonly opCount: number
  /** Record ids when there is an id, else pairs; joined, in the order of the ops. */
  readonly names: Uint8Array
  readonly stale: readonly StaleOp[]
}

export type AppendEntry = {
  readonly type: 'append'
  readonly chain: Hash
  readonly firstEntry: number
  readonly endEntry: number
}

export type LogEntry = TransactionEntry | AppendEntry

const KIND_WITH_ID = 1
const KIND_WITHOUT_ID = 2
const KIND_APPEND = 3
const CHAIN_AT = 1
const REST_AT = 33
const STALE_BYTES = 2 + TIMESTAMP_BYTES

export function encodeTransactionEntry(entry: {
  readonly chain: Hash
  readonly id: Timestamp | null
  readonly envelopes: readonly Envelope[]
  readonly stale: readonly StaleOp[]
}): Uint8Array {
  const { chain, id, envelopes, stale } = entry
  const nameBytes = id === null ? PAIR_BYTES : RECORD_ID_BYTES
  const countAt = REST_AT + (id?.length ?? 0)
  const staleAt = countAt + 2 + envelopes.length * nameBytes
  const bytes = new Uint8Array(staleAt + stale.length * STALE_BYTES)
  const view = new DataView(bytes.buffer)
  bytes[0] = id === null ? KIND_WITHOUT_ID : KIND_WITH_ID
  bytes.set(chain, CHAIN_AT)
  if (id !== null) bytes.set(id, REST_AT)
  view.setUint16(countAt, envelopes.length)
  let offset = countAt + 2
  for (const envelope of envelopes) {
    bytes.set(id === null ? envelopePair(envelope) : envelopeRecordId(envelope), offset)
    offset += nameBytes
  }
  for (const [opIndex, timestamp] of stale) {
    view.setUint16(offset, opIndex)
    bytes.set(timestamp, offset + 2)
    offset += STALE_BYTES
  }
  return bytes
}

/** How long the entry of a transaction is. */
export function transactionEntryBytes(of: {
  readonly hasId: boolean
  readonly opCount: number
  readonly staleCount: number
}): number {
  const nameBytes = of.hasId ? RECORD_ID_BYTES : PAIR_BYTES
  const idBytes = of.hasId ? TIMESTAMP_BYTES : 0
  return REST_AT + idBytes + 2 + of.opCount * nameBytes + of.staleCount * STALE_BYTES
}

export function encodeAppendEntry(entry: Omit<AppendEntry, 'type'>): Uint8Array {
  const bytes = new Uint8Array(REST_AT + 8)
  bytes[0] = KIND_APPEND
  bytes.set(entry.chain, CHAIN_AT)
  bytes.set(encodeUint32(entry.firstEntry), REST_AT)
  bytes.set(encodeUint32(entry.endEntry), REST_AT + 4)
  return bytes
}

export const logEntryChain = (bytes: Uint8Array): Hash =>
  bytes.slice(CHAIN_AT, REST_AT) as Uint8Array as Hash

export function decodeLogEntry(bytes: Uint8Array): LogEntry {
  const chain = logEntryChain(bytes)
  if (bytes[0] === KIND_APPEND) {
    const firstEntry = decodeUint32(bytes, REST_AT)
    return { type: 'append', chain, firstEntry, endEntry: decodeUint32(bytes, REST_AT + 4) }
  }
  const hasId = bytes[0] === KIND_WITH_ID
  if (!hasId && bytes[0] !== KIND_WITHOUT_ID) throw new Error(`log entry of kind ${bytes[0]}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const countAt = REST_AT + (hasId ? TIMESTAMP_BYTES : 0)
  const opCount = view.getUint16(countAt)
  const staleAt = countAt + 2 + opCount * (hasId ? RECORD_ID_BYTES : PAIR_BYTES)
  const stale: StaleOp[] = []
  for (let offset = staleAt; offset < bytes.length; offset += STALE_BYTES) {
    stale.push([view.getUint16(offset), bytes.slice(offset + 2, offset + STALE_BYTES) as Timestamp])
  }
  return {
    type: 'transaction',
    chain,
    id: hasId ? (bytes.slice(REST_AT, countAt) as Timestamp) : null,
    opCount,
    names: bytes.subarray(countAt + 2, staleAt),
    stale,
  }
}

/** The pairs of all ops but those in `without` (op indexes, rising), joined. */
export function joinPairs(entry: TransactionEntry, without: readonly number[]): Uint8Array {
  const pairs = new Uint8Array((entry.opCount - without.length) * PAIR_BYTES)
  let skip = 0
  let offset = 0
  for (let op = 0; op < entry.opCount; op++) {
    if (op === without[skip]) {
      skip++
      continue
    }
    if (entry.id === null) {
      pairs.set(entry.names.subarray(op * PAIR_BYTES, (op + 1) * PAIR_BYTES), offset)
    } else {
      pairs.set(entry.names.subarray(op * RECORD_ID_BYTES, (op + 1) * RECORD_ID_BYTES), offset)
      pairs.set(entry.id, offset + RECORD_ID_BYTES)
    }
    offset += PAIR_BYTES
  }
  return pairs
}
