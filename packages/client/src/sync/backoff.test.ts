/**
 * Pauses after failures: within bounds, spread out, and never shorter than the remote asked for.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { backoffMs } from './backoff.ts'

const constant = (byte: number) => (size: number) => new Uint8Array(size).fill(byte)

describe('backoffMs', () => {
  it('doubles its ceiling from 1 s to 60 s', () => {
    const ceilings = [1, 2, 3, 6, 7, 50].map((count) => backoffMs(count, { random: constant(255) }))
    expect(ceilings).toEqual([1_000, 2_000, 4_000, 32_000, 60_000, 60_000])
  })

  it('stays above nothing and below its ceiling, whatever is drawn', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.uint8Array({ minLength: 2 }), (n, bytes) => {
        const delayMs = backoffMs(n, { random: () => bytes })
        expect(delayMs).toBeGreaterThan(0)
        expect(delayMs).toBeLessThanOrEqual(60_000)
      }),
    )
  })

  it('waits as long as the remote asked for', () => {
    expect(backoffMs(1, { random: constant(0), retryAfterMs: 90_000 })).toBe(90_000)
  })

  it('never waits so long that a timer would not wait at all', () => {
    for (const retryAfterMs of [2 ** 31, 1e12, Number.POSITIVE_INFINITY]) {
      expect(backoffMs(1, { random: constant(0), retryAfterMs })).toBe(86_400_000)
    }
  })
})
