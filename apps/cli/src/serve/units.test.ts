/** Sizes and times as people write them. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatSize, formatTime, parseSize, parseTime } from './units.ts'

describe('parseSize', () => {
  it('takes units of both kinds, in any case, with or without a space', () => {
    expect(parseSize('10 GiB')).toBe(10 * 2 ** 30)
    expect(parseSize('10gib')).toBe(10 * 2 ** 30)
    expect(parseSize(' 1.5 MB ')).toBe(1_500_000)
    expect(parseSize('4711')).toBe(4711)
    expect(parseSize('0')).toBe(0)
  })

  it('refuses what is none', () => {
    const wrong = [
      '',
      'GiB',
      '-1 B',
      '1 GiB 2',
      '1,5 GB',
      '1e9',
      '0x10',
      '10 G',
      '∞',
      '9 constructor',
    ]
    for (const text of [...wrong, '1 days', '99999999999999 TiB', '1..5 B', '1'.repeat(400)]) {
      expect(parseSize(text), text).toBeUndefined()
    }
  })
})

describe('parseTime', () => {
  it('takes units, and nothing without one but 0', () => {
    expect(parseTime('250 ms')).toBe(250)
    expect(parseTime('10s')).toBe(10_000)
    expect(parseTime('1.5 hours')).toBe(5_400_000)
    expect(parseTime('30 days')).toBe(30 * 86_400_000)
    expect(parseTime('0')).toBe(0)
    for (const text of ['', '10', 's', '-1 s', '1 month', '1 GiB', '1 m']) {
      expect(parseTime(text), text).toBeUndefined()
    }
  })
})

describe('what is formatted', () => {
  it('is read back as it was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 2 ** 50 }), async (number) => {
        expect(parseSize(formatSize(number))).toBe(number)
        expect(parseTime(formatTime(number))).toBe(number)
      }),
    )
    expect([formatSize(2 ** 30), formatSize(1500), formatTime(60_000)]).toEqual([
      '1 GiB',
      '1500 B',
      '1 min',
    ])
  })
})
