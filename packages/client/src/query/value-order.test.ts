/**
 * The order of all values: total over every kind, and what is kept of a value keeps its place.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareValues, equalValues, isComparable, isWhole, placeValueOf } from './value-order.ts'

const value = fc.oneof(
  fc.constantFrom(null, undefined, true, false, 0, -0, 0n, 1, 1n, '', '\uffff', Number.NaN),
  fc.constantFrom(2 ** 53, 2n ** 53n + 1n, Number.POSITIVE_INFINITY, new Date(Number.NaN)),
  fc.integer(),
  fc.double(),
  fc.bigInt(),
  fc.string(),
  fc.date(),
  fc.uint8Array({ maxLength: 4 }),
  fc.array(fc.integer(), { maxLength: 2 }),
  fc.dictionary(fc.string(), fc.integer(), { maxKeys: 2 }),
)

const sign = (a: unknown, b: unknown): number => Math.sign(compareValues(a, b))

describe('compareValues', () => {
  it('orders every two values, the other way round when they change places', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(sign(a, b)).toBe(-sign(b, a) + 0)
        expect(compareValues(a, a)).toBe(0)
      }),
    )
  })

  it('is transitive, also between values that share a place', () => {
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        if (sign(a, b) <= 0 && sign(b, c) <= 0) expect(sign(a, c)).toBeLessThanOrEqual(0)
        if (sign(a, b) === 0) expect(sign(a, c)).toBe(sign(b, c))
      }),
      { numRuns: 2_000 },
    )
  })

  it('has a place for NaN, and no range of numbers reaches it', () => {
    expect([3, Number.NaN, -1].sort(compareValues)).toEqual([Number.NaN, -1, 3])
    expect(isComparable(Number.NaN, 3)).toBe(false)
    expect(isComparable(new Date(Number.NaN), new Date(0))).toBe(false)
    expect(isComparable([], [])).toBe(false)
  })
})

describe('equalValues', () => {
  it('finds a value equal to its copy, and equal values in one place', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(equalValues(a, structuredClone(a))).toBe(true)
        if (equalValues(a, b)) expect(compareValues(a, b)).toBe(0)
      }),
    )
  })
})

describe('placeValueOf', () => {
  it('keeps the place, and all of the value unless it has no order', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        const kept = placeValueOf(a)
        expect(sign(kept, b)).toBe(sign(a, b))
        if (isWhole(kept)) expect(equalValues(kept, a)).toBe(true)
        else expect(isComparable(a, a)).toBe(false)
      }),
    )
  })

  it('does not change with the value', () => {
    const [bytes, date] = [new Uint8Array([1]), new Date(1)]
    const kept = [placeValueOf(bytes), placeValueOf(date)]
    bytes[0] = 2
    date.setTime(2)
    expect(kept).toEqual([new Uint8Array([1]), new Date(1)])
  })
})
