/**
 * Outbox entry: one local transaction without a verdict. Its envelopes stand among the versions,
 * under the transaction's timestamp; the entry holds what they replaced.
 *
 *   offset  size  field
 *        0    16  timestamp     the transaction's id, shared by its ops
 *       16     2  count
 *       18     1  refusals      how often the remote answered "conflict"
 *       19     1  reserved, 0
 *       20  33·n  ops, by record id: recordId (16) ‖ replaced timestamp (16) ‖ flags (1)
 *        …     …  intent        of a custom mutation: a sealed record with its name and arguments
 *
 * Flags: bits 0 and 1 the conflict policy of the op's collection (conflict-policy.ts); bit 2: it is
 * pushed compare-and-set, with the replaced version as base.
 */
import {
  type Envelope,
  RECORD_ID_BYTES,
  type RecordId,
  TIMESTAMP_BYTES,
  type Timestamp,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import type { PolicyCode } from '../records/conflict-policy.ts'

export type OutboxOp = {
  readonly recordId: RecordId
  /** The version this write replaced; zeros when there was none. */
  readonly replaced: Timestamp
  readonly policy: PolicyCode
  readonly compareAndSet: boolean
}

export type OutboxEntry = {
  readonly timestamp: Timestamp
  readonly ops: readonly OutboxOp[]
  readonly refusals: number
  /** The sealed name and arguments of the mutation that wrote it. */
  readonly intent: Envelope | null
}

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
const REFUSALS_OFFSET = TIMESTAMP_BYTES + 2
const OP_BYTES = RECORD_ID_BYTES + TIMESTAMP_BYTES + 1
const POLICY_MASK = 3
const FLAG_COMPARE_AND_SET = 4

/** As they stand in an entry and in a row; in a row 0 says that nothing has to wait for it. */
export const flagsOf = ({
  policy,
  compareAndSet,
}: Pick<OutboxOp, 'policy' | 'compareAndSet'>): number =>
  policy | (compareAndSet ? FLAG_COMPARE_AND_SET : 0)

export function encodeOutboxEntry(entry: OutboxEntry): Uint8Array {
  const opsEnd = HEAD_BYTES + entry.ops.length * OP_BYTES
  const bytes = new Uint8Array(opsEnd + (entry.intent?.length ?? 0))
  bytes.set(entry.timestamp, 0)
  bytes[TIMESTAMP_BYTES] = entry.ops.length >> 8
  bytes[TIMESTAMP_BYTES + 1] = entry.ops.length
  bytes[REFUSALS_OFFSET] = Math.min(entry.refusals, 255)
  let offset = HEAD_BYTES
  for (const op of entry.ops) {
    bytes.set(op.recordId, offset)
    bytes.set(op.replaced, offset + RECORD_ID_BYTES)
    bytes[offset + OP_BYTES - 1] = flagsOf(op)
    offset += OP_BYTES
  }
  if (entry.intent !== null) bytes.set(entry.intent, opsEnd)
  return bytes
}

/** How many ops an entry has; throws `vault-damaged` when it is cut. */
export function outboxOpCount(bytes: Uint8Array): number {
  const high = bytes[TIMESTAMP_BYTES] as number
  const count = (high << 8) | (bytes[TIMESTAMP_BYTES + 1] as number)
  if (bytes.length >= HEAD_BYTES + count * OP_BYTES && count > 0) return count
  throw new ClientError('vault-damaged', 'a write that waits to be sent is damaged on the disk')
}

export function parseOutboxEntry(bytes: Uint8Array): OutboxEntry {
  const opsEnd = HEAD_BYTES + outboxOpCount(bytes) * OP_BYTES
  const ops: OutboxOp[] = []
  for (let offset = HEAD_BYTES; offset < opsEnd; offset += OP_BYTES) {
    const replacedAt = offset + RECORD_ID_BYTES
    const flags = bytes[offset + OP_BYTES - 1] as number
    ops.push({
      recordId: bytes.subarray(offset, replacedAt) as RecordId,
      replaced: bytes.subarray(replacedAt, replacedAt + TIMESTAMP_BYTES) as Timestamp,
      policy: (flags & POLICY_MASK) as PolicyCode,
      compareAndSet: (flags & FLAG_COMPARE_AND_SET) !== 0,
    })
  }
  return {
    timestamp: bytes.subarray(0, TIMESTAMP_BYTES) as Timestamp,
    ops,
    refusals: bytes[REFUSALS_OFFSET] as number,
    intent: bytes.length > opsEnd ? (bytes.subarray(opsEnd) as Envelope) : null,
  }
}

/** Whether any op is compare-and-set; false for an entry that is damaged. */
export function isCompared(entry: Uint8Array): boolean {
  const high = entry[TIMESTAMP_BYTES] as number
  const count = (high << 8) | (entry[TIMESTAMP_BYTES + 1] as number)
  for (let op = 1; op <= count; op++) {
    const flags = entry[HEAD_BYTES + op * OP_BYTES - 1] ?? 0
    if ((flags & FLAG_COMPARE_AND_SET) !== 0) return true
  }
  return false
}

/** Undefined for an entry that the disk has spoiled. */
export function tryParseEntry(bytes: Uint8Array): OutboxEntry | undefined {
  try {
    return parseOutboxEntry(bytes)
  } catch {
    return undefined
  }
}

/** The records a transaction writes, in the order of its ops. */
export function recordIdsOf({ entry }: OutboxTransaction): RecordId[] {
  const ids: RecordId[] = []
  const opsEnd = HEAD_BYTES + outboxOpCount(entry) * OP_BYTES
  for (let offset = HEAD_BYTES; offset < opsEnd; offset += OP_BYTES) {
    ids.push(entry.subarray(offset, offset + RECORD_ID_BYTES) as RecordId)
  }
  return ids
}
