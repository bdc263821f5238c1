/**
 * Short names: unique, as short as they can be, and found again.
 */
import { describe, expect, it } from 'vitest'
import { findId, nameOfId, shortNames } from './short-name.ts'

const IDS = Array.from({ length: 1_000 }, (_, i) => `AaH7zTwUAADDwc89${i}`)

describe('short names', () => {
  it('differ, and are no longer than that takes', () => {
    const names = shortNames(IDS)
    expect(new Set(names).size).toBe(IDS.length)
    const [first = ''] = names
    const shorter = IDS.map((id) => nameOfId(id).slice(0, first.length - 1))
    expect(new Set(shorter).size).toBeLessThan(IDS.length)
    expect(shortNames(IDS.slice(0, 1))[0]).toHaveLength(4)
    expect(shortNames([])).toEqual([])
  })

  it('find their ids again, as ids do', () => {
    const names = shortNames(IDS)
    for (const i of [0, 1, 500, 999]) {
      expect([findId(names[i] ?? '', IDS), findId(IDS[i] ?? '', IDS)]).toEqual([IDS[i], IDS[i]])
    }
  })

  it('are refused when they name several, or none', () => {
    const names = IDS.map(nameOfId)
    const prefixes = names.map((name) => name.slice(0, 4))
    const shared = prefixes.find((prefix, i) => prefixes.indexOf(prefix) !== i)
    expect(shared).toBeDefined()
    expect(() => findId(shared ?? '', IDS)).toThrow(/conflicts begin with .{4}: give more/)
    for (const given of ['', 'fff', '.*', 'zzzz', names[0]?.toUpperCase() ?? '']) {
      expect(() => findId(given, IDS), given).toThrow(/no conflict of that name/)
    }
  })
})
