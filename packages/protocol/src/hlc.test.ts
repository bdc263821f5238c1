/**
 * The laws of the clock: bytes sort as clocks do, a tick is above everything, nothing is forgotten.
 */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from './error.ts'
import {
  CLOCK_START,
  type ClockState,
  clockOf,
  compareTimestamps,
  encodeClock,
  encodeTimestamp,
  isAuthoredBy,
  parseClock,
  parseTimestamp,
  receive,
  TIMESTAMP_NONE,
  tick,
  timestampAuthor,
  timestampCounter,
  timestampMilliseconds,
} from './hlc.ts'
import { parseMemberId } from './ids.ts'

const numRuns = process.env.SLOW === '1' ? 5_000 : 300
const MILLISECONDS_MAX = 2 ** 48 - 1
const COUNTER_MAX = 0xffff

const milliseconds = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: MILLISECONDS_MAX - 1 }),
  fc.constantFrom(2 ** 32 - 1, 2 ** 32, MILLISECONDS_MAX - 1),
)
const counter = fc.oneof(
  fc.integer({ min: 0, max: COUNTER_MAX }),
  fc.constantFrom(0, 1, COUNTER_MAX),
)
const clock = fc.record({ milliseconds, counter })
const identity = fc.record({
  deviceId: fc.uint8Array({ minLength: 8, maxLength: 8 }).map(parseMemberId),
  tail: fc.uint8Array({ minLength: 4, maxLength: 4 }),
})
const timestamp = fc.tuple(clock, identity).map(([state, who]) => encodeTimestamp(state, who))

function compareClocks(a: ClockState, b: ClockState): number {
  return a.milliseconds - b.milliseconds || a.counter - b.counter
}

describe('encodeTimestamp', () => {
  it('sorts as bytes in the order of the clocks', () => {
    fc.assert(
      fc.property(clock, clock, identity, identity, (a, b, whoA, whoB) => {
        const order = compareClocks(a, b)
        const bytes = compareTimestamps(encodeTimestamp(a, whoA), encodeTimestamp(b, whoB))
        if (order !== 0) expect(Math.sign(bytes)).toBe(Math.sign(order))
      }),
      { numRuns },
    )
  })

  it('keeps milliseconds, counter, author and tail', () => {
    fc.assert(
      fc.property(clock, identity, (state, who) => {
        const bytes = encodeTimestamp(state, who)
        expect(timestampMilliseconds(bytes)).toBe(state.milliseconds)
        expect(timestampCounter(bytes)).toBe(state.counter)
        expect(timestampAuthor(bytes)).toEqual(who.deviceId.subarray(0, 4))
        expect(bytes.subarray(12)).toEqual(who.tail)
        expect(isAuthoredBy(bytes, who.deviceId)).toBe(true)
      }),
      { numRuns },
    )
  })

  it('reads a timestamp that stands inside other bytes', () => {
    fc.assert(
      fc.property(timestamp, fc.nat({ max: 9 }), (stamp, offset) => {
        const around = new Uint8Array(40).fill(0xee)
        around.set(stamp, offset)
        const inside = parseTimestamp(around.subarray(offset, offset + 16))
        expect(clockOf(inside)).toEqual(clockOf(stamp))
      }),
      { numRuns },
    )
  })
})

describe('isAuthoredBy', () => {
  it('notices each of the four bytes', () => {
    const deviceId = parseMemberId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))
    const stamp = encodeTimestamp(CLOCK_START, { deviceId, tail: new Uint8Array(4) })
    for (let i = 0; i < 4; i++) {
      const other = parseMemberId(deviceId.map((byte, at) => (at === i ? byte ^ 1 : byte)))
      expect(isAuthoredBy(stamp, other)).toBe(false)
    }
  })
})

describe('tick', () => {
  it('is above the state and all that is replaced, and not before now', () => {
    const now = fc.oneof(milliseconds, fc.double({ min: 0, max: 1e6, noNaN: true }))
    fc.assert(
      fc.property(clock, now, fc.array(timestamp, { maxLength: 4 }), (state, nowMs, replaced) => {
        const next = tick(state, nowMs, replaced)
        expect(compareClocks(next, state)).toBeGreaterThan(0)
        for (const version of replaced) {
          expect(compareClocks(next, clockOf(version))).toBeGreaterThan(0)
        }
        expect(next.milliseconds).toBeGreaterThanOrEqual(Math.floor(nowMs))
        expect(Number.isInteger(next.milliseconds)).toBe(true)
      }),
      { numRuns },
    )
  })

  it('is above a state of the same millisecond when the clock tells fractions', () => {
    const next = tick({ milliseconds: 5, counter: 3 }, 5.9)
    expect(next).toEqual({ milliseconds: 5, counter: 4 })
  })

  it('carries a full counter into the milliseconds', () => {
    const full = { milliseconds: 7, counter: COUNTER_MAX }
    expect(tick(full, 0)).toEqual({ milliseconds: 8, counter: 0 })
    expect(tick(full, 7)).toEqual({ milliseconds: 8, counter: 0 })
    expect(tick(full, 9)).toEqual({ milliseconds: 9, counter: 0 })
  })

  it('does not go back with the wall clock', () => {
    expect(tick({ milliseconds: 100, counter: 0 }, 5)).toEqual({ milliseconds: 100, counter: 1 })
    expect(tick({ milliseconds: 100, counter: 0 }, -5)).toEqual({ milliseconds: 100, counter: 1 })
    expect(tick({ milliseconds: 9, counter: 0 }, Number.NaN)).toEqual({
      milliseconds: 9,
      counter: 1,
    })
  })

  it('reaches the last state a timestamp can hold, and refuses to go beyond it', () => {
    const almost = { milliseconds: MILLISECONDS_MAX, counter: COUNTER_MAX - 1 }
    const last = { milliseconds: MILLISECONDS_MAX, counter: COUNTER_MAX }
    expect(tick(almost, 0)).toEqual(last)
    expect(tick(CLOCK_START, MILLISECONDS_MAX).milliseconds).toBe(MILLISECONDS_MAX)
    for (const act of [
      () => tick(last, 0),
      () => tick(CLOCK_START, MILLISECONDS_MAX + 1),
      () => tick(CLOCK_START, Number.POSITIVE_INFINITY),
    ]) {
      expect(act).toThrowError(ProtocolError)
      expect(act).toThrowError(expect.objectContaining({ code: 'clock-exhausted' }))
    }
  })
})

describe('receive', () => {
  it('is not below the state nor what was seen, and is one of them', () => {
    fc.assert(
      fc.property(clock, timestamp, (state, seen) => {
        const next = receive(state, seen)
        expect(compareClocks(next, state)).toBeGreaterThanOrEqual(0)
        expect(compareClocks(next, clockOf(seen))).toBeGreaterThanOrEqual(0)
        expect([state, clockOf(seen)]).toContainEqual(next)
      }),
      { numRuns },
    )
  })

  it('makes the next tick exceed both', () => {
    fc.assert(
      fc.property(clock, timestamp, milliseconds, (state, seen, nowMs) => {
        const next = tick(receive(state, seen), nowMs)
        expect(compareClocks(next, state)).toBeGreaterThan(0)
        expect(compareClocks(next, clockOf(seen))).toBeGreaterThan(0)
      }),
      { numRuns },
    )
  })
})

describe('encodeClock', () => {
  it('is undone by parseClock, to the last state', () => {
    fc.assert(
      fc.property(clock, (state) => {
        expect(parseClock(encodeClock(state))).toEqual(state)
      }),
      { numRuns },
    )
    const last = { milliseconds: MILLISECONDS_MAX, counter: COUNTER_MAX }
    expect(parseClock(encodeClock(last))).toEqual(last)
    expect(parseClock(encodeClock(CLOCK_START))).toEqual(CLOCK_START)
  })

  it('refuses any other size', () => {
    for (const size of [0, 7, 9, 16]) {
      expect(() => parseClock(new Uint8Array(size))).toThrowError(
        expect.objectContaining({ code: 'malformed' }),
      )
    }
  })
})

describe('parseTimestamp', () => {
  it('refuses any other size', () => {
    expect(parseTimestamp(TIMESTAMP_NONE)).toEqual(new Uint8Array(16))
    for (const size of [0, 15, 17]) {
      expect(() => parseTimestamp(new Uint8Array(size))).toThrowError(
        expect.objectContaining({ code: 'malformed' }),
      )
    }
  })
})
