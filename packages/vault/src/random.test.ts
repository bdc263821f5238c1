/** The pool never gives the same bytes twice, whatever the sizes asked for. */
import { formatHex } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { pooledRandom } from './random.ts'

describe('pooledRandom', () => {
  it('gives as many bytes as asked, below, at and above the size of the pool', () => {
    const random = pooledRandom()
    for (const size of [0, 1, 24, 4095, 4096, 4097, 65_537]) expect(random(size)).toHaveLength(size)
  })

  it('repeats nothing over many refills', () => {
    const random = pooledRandom()
    const seen = new Set(Array.from({ length: 2_000 }, () => formatHex(random(24))))
    expect(seen.size).toBe(2_000)
  })

  it('gives bytes of the caller’s own, which later calls do not change', () => {
    const random = pooledRandom()
    const bytes = random(24)
    const before = formatHex(bytes)
    bytes.fill(0)
    expect(formatHex(random(24))).not.toBe(before)
    expect(bytes.every((byte) => byte === 0)).toBe(true)
  })
})
