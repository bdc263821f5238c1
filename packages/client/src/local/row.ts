/**
 * Row: what a local secondary knows of one record without opening anything.
 *
 *   offset  size  field
 *        0    16  current    the version that reads show; zeros when none opened yet
 *       16    16  confirmed  the newest version the remote served or acknowledged; zeros when none
 *       32     4  pending    how many transactions of the outbox write this record
 *
 * and only while some are pending:
 *       36    16  base       the version under the first of them
 *       52     8  last       the outbox number of the newest of them
 *       60     1  policy     flags of that write (outbox.ts): not 0 when arrivals wait for it
 *
 * `current` and `confirmed` differ while a local write waits, while a version that a bundle brought
 * has not been passed on, and while a served version does not open or is not yet shown. Versions
 * that a pending transaction wrote or replaced, and their base, are kept until the verdict: the
 * base is what both sides of a conflict began with.
 */
import {
  compareTimestamps,
  decodeUint32,
  decodeUint64,
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
  readonly last: number
  readonly policy: number
}

/** What a row says beside its versions when nothing waits. */
export const NOTHING_PENDING: Pick<Row, 'pending' | 'base' | 'last' | 'policy'> = {
  pending: 0,
  base: TIMESTAMP_NONE,
  last: 0,
  policy: 0,
}

const ROW_NONE: Row = {
  current: TIMESTAMP_NONE,
  confirmed: TIMESTAMP_NONE,
  ...NOTHING_PENDING,
}
const PENDING_OFFSET = 2 * TIMESTAMP_BYTES
const BASE_OFFSET = PENDING_OFFSET + 4
const LAST_OFFSET = BASE_OFFSET + TIMESTAMP_BYTES
const POLICY_OFFSET = LAST_OFFSET + 8
const PENDING_ROW_BYTES = POLICY_OFFSET + 1

export function encodeRow(row: Row): Uint8Array {
  const bytes = allocate(row.pending > 0 ? PENDING_ROW_BYTES : BASE_OFFSET)
  bytes.set(row.current, 0)
  bytes.set(row.confirmed, TIMESTAMP_BYTES)
  writeUint32(bytes, PENDING_OFFSET, row.pending)
  if (row.pending === 0) return bytes
  bytes.set(row.base, BASE_OFFSET)
  writeUint32(bytes, LAST_OFFSET, Math.floor(row.last / 2 ** 32))
  writeUint32(bytes, LAST_OFFSET + 4, row.last)
  bytes[POLICY_OFFSET] = row.policy
  return bytes
}

/** By hand: a view for these four bytes would cost as much as the rest of the row. */
function writeUint32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24
  bytes[offset + 1] = value >>> 16
  bytes[offset + 2] = value >>> 8
  bytes[offset + 3] = value
}

export function parseRow(bytes: Uint8Array | undefined): Row {
  if (bytes === undefined) return ROW_NONE
  const current = bytes.subarray(0, TIMESTAMP_BYTES) as Timestamp
  const confirmed = bytes.subarray(TIMESTAMP_BYTES, 2 * TIMESTAMP_BYTES) as Timestamp
  const pending = decodeUint32(bytes, PENDING_OFFSET)
  if (pending === 0) return { current, confirmed, ...NOTHING_PENDING }
  return {
    current,
    confirmed,
    pending,
    base: bytes.subarray(BASE_OFFSET, LAST_OFFSET) as Timestamp,
    last: decodeUint64(bytes, LAST_OFFSET),
    policy: bytes[POLICY_OFFSET] as number,
  }
}

export const isNone = (timestamp: Timestamp): boolean => equalBytes(timestamp, TIMESTAMP_NONE)

export const isLater = (a: Timestamp, b: Timestamp): boolean => compareTimestamps(a, b) > 0
