/**
 * Timestamp and its hybrid logical clock (Kulkarni et al. 2014), 16 bytes that sort as they order:
 *
 *   offset  size  field
 *        0     6  milliseconds since 1970, big-endian
 *        6     2  counter, big-endian
 *        8     4  first bytes of the DeviceId
 *       12     4  random, drawn each time the local secondary is opened
 *
 * The random tail makes a copied or restored folder, which has the same device id, never repeat a
 * timestamp. Milliseconds and counter are one 64-bit number: a full counter carries into the
 * milliseconds instead of failing. Everything here is pure; time and randomness are parameters.
 */
import { compareBytes } from './bytes.ts'
import { ProtocolError } from './error.ts'
import { type Brand, MEMBER_ID_BYTES, type MemberId } from './ids.ts'

export type Timestamp = Brand<'Timestamp'>

export const TIMESTAMP_BYTES = 16
export const CLOCK_TAIL_BYTES = 4
const AUTHOR_BYTES = 4
const COUNTER_MAX = 0xffff
const MILLISECONDS_MAX = 2 ** 48 - 1

/** Sixteen zero bytes: "no version", the base of a record's first version. */
export const TIMESTAMP_NONE: Timestamp = new Uint8Array(TIMESTAMP_BYTES) as Timestamp

/** What a device keeps of its clock: the last time it gave out, or has seen. */
export type ClockState = { readonly milliseconds: number; readonly counter: number }

export const CLOCK_START: ClockState = { milliseconds: 0, counter: 0 }

export function parseTimestamp(bytes: Uint8Array): Timestamp {
  if (bytes.length !== TIMESTAMP_BYTES) {
    throw new ProtocolError('malformed', `timestamp has ${bytes.length} bytes instead of 16`)
  }
  return bytes as Timestamp
}

export function timestampMilliseconds(timestamp: Timestamp): number {
  const view = new DataView(timestamp.buffer, timestamp.byteOffset, TIMESTAMP_BYTES)
  return view.getUint32(0) * 0x1_0000 + view.getUint16(4)
}

export function timestampCounter(timestamp: Timestamp): number {
  return ((timestamp[6] as number) << 8) | (timestamp[7] as number)
}

/** The first four bytes of the DeviceId that wrote it. */
export function timestampAuthor(timestamp: Timestamp): Uint8Array {
  return timestamp.subarray(8, 8 + AUTHOR_BYTES)
}

export function isAuthoredBy(timestamp: Timestamp, deviceId: MemberId): boolean {
  for (let i = 0; i < AUTHOR_BYTES; i++) if (timestamp[8 + i] !== deviceId[i]) return false
  return true
}

export const compareTimestamps = (a: Timestamp, b: Timestamp): number => compareBytes(a, b)

/**
 * The next clock state, above `state`, above every version in `replaced`, and not before `nowMs`.
 * One tick serves a whole transaction.
 */
export function tick(
  state: ClockState,
  nowMs: number,
  replaced: readonly Timestamp[] = [],
): ClockState {
  let last = state
  for (const timestamp of replaced) last = laterOf(last, clockOf(timestamp))
  // Fractions are cut before the comparison: 5.9 is not above a clock that stands at 5.
  const milliseconds = Math.floor(nowMs)
  if (milliseconds > last.milliseconds) return checked({ milliseconds, counter: 0 })
  if (last.counter < COUNTER_MAX) return { ...last, counter: last.counter + 1 }
  return checked({ milliseconds: last.milliseconds + 1, counter: 0 })
}

/** The clock after seeing a timestamp of another device; the caller has checked its drift. */
export function receive(state: ClockState, timestamp: Timestamp): ClockState {
  return laterOf(state, clockOf(timestamp))
}

export function clockOf(timestamp: Timestamp): ClockState {
  return { milliseconds: timestampMilliseconds(timestamp), counter: timestampCounter(timestamp) }
}

function laterOf(a: ClockState, b: ClockState): ClockState {
  if (a.milliseconds !== b.milliseconds) return a.milliseconds > b.milliseconds ? a : b
  return a.counter >= b.counter ? a : b
}

function checked(state: ClockState): ClockState {
  if (state.milliseconds > MILLISECONDS_MAX || state.milliseconds < 0) {
    throw new ProtocolError('clock-exhausted', 'the clock is outside what a timestamp can hold')
  }
  return state
}

export type ClockIdentity = { readonly deviceId: MemberId; readonly tail: Uint8Array }

export function encodeTimestamp(state: ClockState, identity: ClockIdentity): Timestamp {
  const bytes = new Uint8Array(TIMESTAMP_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, Math.floor(state.milliseconds / 0x1_0000))
  view.setUint16(4, state.milliseconds % 0x1_0000)
  view.setUint16(6, state.counter)
  bytes.set(identity.deviceId.subarray(0, Math.min(AUTHOR_BYTES, MEMBER_ID_BYTES)), 8)
  bytes.set(identity.tail.subarray(0, CLOCK_TAIL_BYTES), 12)
  return bytes as Timestamp
}

/** The persisted form of a clock: the first eight bytes of a timestamp. */
export function encodeClock(state: ClockState): Uint8Array {
  const identity = {
    deviceId: new Uint8Array(MEMBER_ID_BYTES) as MemberId,
    tail: new Uint8Array(4),
  }
  return encodeTimestamp(state, identity).slice(0, 8)
}

export function parseClock(bytes: Uint8Array): ClockState {
  if (bytes.length !== 8) throw new ProtocolError('malformed', 'clock has not 8 bytes')
  const padded = new Uint8Array(TIMESTAMP_BYTES)
  padded.set(bytes)
  return clockOf(padded as Timestamp)
}
