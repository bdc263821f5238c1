/**
 * Outbox entry: one local transaction without a verdict. Its envelopes stand among the versions,
 * under the transaction's timestamp; the entry holds what they replaced.
 *
 *   offset  size  field
 *        0    16  timestamp     the transaction's id, shared by its ops
 *       16     4  count
 *       20  33·n  ops, by record id: recordId (16) ‖ replaced timestamp (16) ‖ flags (1)
 *
 * Flag bit 0: pushed compare-and-set, with the replaced version as base.
 */
import {
  decodeUint32,
  encodeUint32,
  RECORD_ID_BYTES,
  type RecordId,
  TIMESTAMP_BYTES,
  type Timestamp,
} from '@blindcopy/protocol'
import { ClientError } from './error.ts'

export type OutboxOp = {
  readonly recordId: RecordId
  /** The version this write replaced; zeros when there was none. */
  readonly replaced: Timestamp
  readonly compareAndSet: boolean
}

export type OutboxEntry = { readonly timestamp: Timestamp; readonly ops: readonly OutboxOp[] }

/**
 * A transaction as it is pushed. Few and large pieces: its ops are parsed again when the verdict is
 * in, so that no object a record outlives the wait for it.
 */
export type OutboxTransaction = {
  readonly number: number
  readonly timestamp: Timestamp
  readonly opCount: number
  /** The stored entry. */
  readonly entry: Uint8Array
  /** The transaction as it stands in the body of a push. */
  readonly pushed: readonly Uint8Array[]
  /** Of `pushed`. */
  readonly sizeBytes: number
}

const HEAD_BYTES = TIMESTAMP_BYTES + 4
const OP_BYTES = RECORD_ID_BYTES + TIMESTAMP_BYTES + 1
const FLAG_COMPARE_AND_SET = 1

export function encodeOutboxEntry(entry: OutboxEntry): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + entry.ops.length * OP_BYTES)
  bytes.set(entry.timestamp, 0)
  bytes.set(encodeUint32(entry.ops.length), TIMESTAMP_BYTES)
  let offset = HEAD_BYTES
  for (const op of entry.ops) {
    bytes.set(op.recordId, offset)
    bytes.set(op.replaced, offset + RECORD_ID_BYTES)
    bytes[offset + OP_BYTES - 1] = op.compareAndSet ? FLAG_COMPARE_AND_SET : 0
    offset += OP_BYTES
  }
  return bytes
}

export function parseOutboxEntry(bytes: Uint8Array): OutboxEntry {
  const count = bytes.length < HEAD_BYTES ? -1 : decodeUint32(bytes, TIMESTAMP_BYTES)
  if (bytes.length !== HEAD_BYTES + count * OP_BYTES) {
    throw new ClientError('vault-damaged', 'a write that waits to be sent is damaged on the disk')
  }
  const ops: OutboxOp[] = []
  for (let offset = HEAD_BYTES; offset < bytes.length; offset += OP_BYTES) {
    const replacedAt = offset + RECORD_ID_BYTES
    ops.push({
      recordId: bytes.subarray(offset, replacedAt) as RecordId,
      replaced: bytes.subarray(replacedAt, replacedAt + TIMESTAMP_BYTES) as Timestamp,
      compareAndSet: ((bytes[offset + OP_BYTES - 1] as number) & FLAG_COMPARE_AND_SET) !== 0,
    })
  }
  return { timestamp: bytes.subarray(0, TIMESTAMP_BYTES) as Timestamp, ops }
}

/** The records a transaction writes, in the order of its ops. */
export function recordIdsOf({ entry }: OutboxTransaction): RecordId[] {
  const ids: RecordId[] = []
  for (let offset = HEAD_BYTES; offset < entry.length; offset += OP_BYTES) {
    ids.push(entry.subarray(offset, offset + RECORD_ID_BYTES) as RecordId)
  }
  return ids
}
