/** Set summaries: whatever is added and removed, in any order, they equal a recount. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatHex } from './bytes.ts'
import { Fingerprint } from './log.ts'
import { makePairs } from './reconcile.fixture.ts'
import { type NodeSummary, pairSum } from './reconcile-node.ts'
import { SetSummary } from './set-summary.ts'

const runs = process.env.SLOW === undefined ? 100 : 2_000
const POOL = makePairs(60, 1)
// Some of one bucket, whatever its depth.
for (const pair of POOL.slice(40)) pair.fill(0, 0, 3)

/** By the definition, from all pairs that begin with the digits. */
function recount(pairs: readonly Uint8Array[], node: string): NodeSummary {
  const below = pairs.filter((pair) => formatHex(pair).startsWith(node))
  const sum = below.reduce((total, pair) => total + BigInt(pairSum(pair)), 0n) % 2n ** 48n
  return { count: below.length, sum: Number(sum) }
}

const digits = Array.from({ length: 16 }, (_, i) => i.toString(16))

describe('SetSummary', () => {
  it.each([
    [0, 1],
    [512, 1],
    [513, 2],
    [8_192, 2],
    [8_193, 3],
    [131_072, 3],
    [131_073, 4],
    [1_000_000_000, 4],
  ])('has buckets for %i pairs of depth %i, below 1 MiB', (count, depth) => {
    const summary = new SetSummary(count)
    expect(summary.depth).toBe(depth)
    expect(summary.sizeBytes).toBe(16 ** depth * 12)
    expect(summary.sizeBytes).toBeLessThan(1024 * 1024)
  })

  it('equals a recount after any additions and removals, in any order', () => {
    const steps = fc.array(fc.nat({ max: POOL.length - 1 }), { maxLength: 200 })
    fc.assert(
      fc.property(steps, fc.constantFrom(0, 600, 9_000, 200_000), (list, expectedCount) => {
        const summary = new SetSummary(expectedCount)
        const held = new Set<Uint8Array>()
        for (const index of list) {
          const pair = POOL[index] as Uint8Array
          if (held.has(pair)) summary.remove(pair)
          else summary.add(pair)
          if (!held.delete(pair)) held.add(pair)
        }
        const pairs = [...held]
        expect(summary.count).toBe(pairs.length)
        for (const node of ['', '0', '00', '000', '0000', '7', '7a', 'f0f']) {
          const expected = digits.map((digit) => recount(pairs, node + digit))
          const children = summary.children(node)
          if (node.length < summary.depth) expect(children).toEqual(expected)
          else expect(children).toBeUndefined()
        }
      }),
      { numRuns: runs },
    )
  })

  it('sums up to the end of the fingerprint', () => {
    const summary = new SetSummary(0)
    const fingerprint = new Fingerprint()
    for (const pair of makePairs(500, 2)) {
      summary.add(pair)
      fingerprint.add(pair)
    }
    const children = summary.children('') as NodeSummary[]
    const sum = children.reduce((total, child) => (total + child.sum) % 2 ** 48, 0)
    expect(sum.toString(16).padStart(12, '0')).toBe(formatHex(fingerprint.toBytes().slice(10)))
  })

  it('says when another table would be better, and never of the largest', () => {
    const crowded = (expectedCount: number, count: number): boolean => {
      const summary = new SetSummary(expectedCount)
      for (const pair of makePairs(count, 3)) summary.add(pair)
      return summary.isCrowded
    }
    expect(crowded(0, 4_096)).toBe(false)
    expect(crowded(0, 4_097)).toBe(true)
    expect(crowded(4_097, 4_097)).toBe(false)
    expect(crowded(10 ** 6, 5_000)).toBe(false)
  })

  it('refuses to remove what cannot be there', () => {
    const [a, b] = makePairs(2, 4) as [Uint8Array, Uint8Array]
    const summary = new SetSummary(10 ** 6)
    summary.add(a)
    expect(() => summary.remove(b)).toThrowError(/assertion/)
    expect(summary.count).toBe(1)
  })
})
