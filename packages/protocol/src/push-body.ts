/**
 * The body of a push, written as its records are read from a disk.
 *
 * It is the CBOR of a `PushRequest`, byte for byte what the codec would write, but put together
 * from pieces: a first upload sends hundreds of thousands of envelopes, and one object each, alive
 * until the answer, was most of a device's memory.
 */
import { concat } from './bytes.ts'
import { encodeCbor } from './codec.ts'
import type { Timestamp } from './hlc.ts'

/** One op: without a base plain last-write-wins, with one compare-and-set. */
export type PushedOp = { readonly envelope: Uint8Array; readonly base: Timestamp | null }

const MAJOR_BYTES = 0x40
const MAJOR_ARRAY = 0x80
const BASE_BYTES = 17

/** What precedes a transaction's ops: `[id, [` and how many there are. What heals has no id. */
export function encodePushHead(id: Timestamp | null, opCount: number): Uint8Array {
  return concat(Uint8Array.of(MAJOR_ARRAY | 2), encodeCbor(id), headOf(MAJOR_ARRAY, opCount))
}

/** Some ops of a transaction, in their order, in one piece. */
export function encodePushedOps(ops: readonly PushedOp[]): Uint8Array {
  let sizeBytes = 0
  for (const { envelope, base } of ops) {
    sizeBytes += 1 + headBytes(envelope.length) + envelope.length + (base === null ? 0 : BASE_BYTES)
  }
  const bytes = new Uint8Array(sizeBytes)
  let offset = 0
  for (const { envelope, base } of ops) {
    bytes[offset++] = MAJOR_ARRAY | (base === null ? 1 : 2)
    offset = writeBytes(bytes, offset, envelope)
    if (base !== null) offset = writeBytes(bytes, offset, base)
  }
  return bytes
}

/** The whole body, from transactions that are encoded already. */
export function joinPushBody(transactions: readonly (readonly Uint8Array[])[]): Uint8Array {
  // Of a request without transactions, all but the last byte, which says "array of none".
  const opening = encodeCbor({ transactions: [] }).slice(0, -1)
  return concat(opening, headOf(MAJOR_ARRAY, transactions.length), ...transactions.flat())
}

function writeBytes(target: Uint8Array, offset: number, value: Uint8Array): number {
  const end = offset + writeHead(target, offset, { major: MAJOR_BYTES, value: value.length })
  target.set(value, end)
  return end + value.length
}

function headOf(major: number, value: number): Uint8Array {
  const head = new Uint8Array(headBytes(value))
  writeHead(head, 0, { major, value })
  return head
}

const headBytes = (value: number): number =>
  value < 24 ? 1 : value < 0x100 ? 2 : value < 0x1_0000 ? 3 : 5

/** The shortest head for a length (RFC 8949, section 3). Returns how many bytes it took. */
function writeHead(
  target: Uint8Array,
  offset: number,
  { major, value }: { major: number; value: number },
): number {
  const size = headBytes(value)
  if (size === 1) {
    target[offset] = major | value
    return size
  }
  target[offset] = major | (size === 2 ? 24 : size === 3 ? 25 : 26)
  for (let i = 1; i < size; i++) target[offset + i] = value >>> (8 * (size - 1 - i))
  return size
}
