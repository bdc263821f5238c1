/**
 * Row: what a local secondary knows of one record without opening anything.
 *
 *   offset  size  field
 *        0    16  current    the version that reads show; zeros when none opened yet
 *       16    16  confirmed  the newest version the remote served or acknowledged; zeros when none
 *       32     4  pending    how many transactions of the outbox, or in attention, write this
 * record
 *       36    16  base       only while some are pending: what was shown before the first of them
 *
 * `current` and `confirmed` differ while a local write waits, and while a served version does not
 * open. Versions that a pending transaction wrote or replaced, and their base, are kept until the
 * verdict: the base is what both sides of a conflict began with.
 */
import {
  compareTimestamps,
  decodeUint32,
  equalBytes,
  TIMESTAMP_BYTES,
  TIMESTAMP_NONE,
  type Timestamp,
} from '@blindcopy/protocol'
import { allocate } from '@blindcopy/secondary'

export type Row = {
  readonly current: Timestamp
  readonly confirmed: Timestamp
  readonly pending: number
  readonly base: Timestamp
}

const ROW_NONE: Row = {
  current: TIMESTAMP_NONE,
  confirmed: TIMESTAMP_NONE,
  pending: 0,
  base: TIMESTAMP_NONE,
}
const PENDING_OFFSET = 2 * TIMESTAMP_BYTES
const BASE_OFFSET = PENDING_OFFSET + 4

export function encodeRow(row: Row): Uint8Array {
  const bytes = allocate(BASE_OFFSET + (row.pending > 0 ? TIMESTAMP_BYTES : 0))
  bytes.set(row.current, 0)
  bytes.set(row.confirmed, TIMESTAMP_BYTES)
  writePending(bytes, row.pending)
  if (row.pending > 0) bytes.set(row.base, BASE_OFFSET)
  return bytes
}

/** By hand: a view for these four bytes would cost as much as the rest of the row. */
function writePending(bytes: Uint8Array, pending: number): void {
  bytes[PENDING_OFFSET] = pending >>> 24
  bytes[PENDING_OFFSET + 1] = pending >>> 16
  bytes[PENDING_OFFSET + 2] = pending >>> 8
  bytes[PENDING_OFFSET + 3] = pending
}

export function parseRow(bytes: Uint8Array | undefined): Row {
  if (bytes === undefined) return ROW_NONE
  const pending = decodeUint32(bytes, PENDING_OFFSET)
  return {
    current: bytes.subarray(0, TIMESTAMP_BYTES) as Timestamp,
    confirmed: bytes.subarray(TIMESTAMP_BYTES, 2 * TIMESTAMP_BYTES) as Timestamp,
    pending,
    base: pending > 0 ? (bytes.subarray(BASE_OFFSET) as Timestamp) : TIMESTAMP_NONE,
  }
}

export const isNone = (timestamp: Timestamp): boolean => equalBytes(timestamp, TIMESTAMP_NONE)

export const isLater = (a: Timestamp, b: Timestamp): boolean => compareTimestamps(a, b) > 0
