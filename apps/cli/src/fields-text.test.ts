/**
 * Two versions side by side: what differs is seen, however long or hostile the text is.
 */
import { describe, expect, it } from 'vitest'
import { differingFields, formatComparison, preview } from './fields-text.ts'
import { Terminal } from './terminal.ts'

/** As a terminal of 80 columns. */
class Screen extends Terminal {
  override get columns(): number {
    return 80
  }
  override get isPiped(): boolean {
    return false
  }
}
const screen = new Screen(false)

describe('differingFields', () => {
  it('compares by what would be stored', () => {
    const lost = { a: 1, b: undefined, c: [1n], d: new Date(0), same: { x: [1] } }
    const current = { a: 1n, c: [1], d: new Date(1), same: { x: [1] } }
    expect(differingFields({ lost, current })).toEqual(['a', 'b', 'c', 'd'])
    expect(differingFields({ lost: null, current: { a: 1 } })).toEqual(['a'])
    expect(differingFields({ lost: {}, current: null })).toEqual([])
  })
})

describe('formatComparison', () => {
  it('fits the terminal, and shows where long texts part', () => {
    const body = 'the same words '.repeat(20)
    const sides = { lost: { body: `${body}mine`, n: 1 }, current: { body: `${body}theirs`, n: 1 } }
    const text = formatComparison(sides, screen)
    expect(text).toMatch(/body +….*mine +….*theirs/)
    expect(text).toContain('The same in both: n')
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  })

  it('says what is deleted or not there, and lets nothing move the cursor', () => {
    const gone = formatComparison({ lost: { a: '\u001b[2J' }, current: null }, screen)
    expect(gone).toMatch(/a +·\[2J +\(deleted\)/)
    const other = formatComparison({ lost: {}, current: { a: 1 } }, screen)
    expect(other).toMatch(/a +\(no such field\) +1/)
  })
})

describe('preview', () => {
  it('is one line, of every kind of value', () => {
    const text = preview({ t: 'a\nb', n: 1n, nothing: null })
    expect(text).toBe('t: a b · n: {"$bigint":"1"} · nothing: null')
  })
})
