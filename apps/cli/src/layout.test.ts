/**
 * Layout: what is shown fits the line and cannot move the cursor.
 */
import { describe, expect, it } from 'vitest'
import {
  clip,
  formatAgo,
  formatRows,
  formatSpan,
  formatTable,
  formatWords,
  printable,
  widthOf,
  wrap,
  wrapLines,
} from './layout.ts'

describe('widthOf', () => {
  it.each([
    ['abc', 3],
    ['日本語', 6],
    ['e\u0301', 1],
    ['👍', 2],
    ['', 0],
  ])('of %s is %i', (text, width) => {
    expect(widthOf(text)).toBe(width)
  })
})

describe('clip', () => {
  it('leaves what fits, and ends the rest with an ellipsis within the line', () => {
    expect(clip('abcdef', 6)).toBe('abcdef')
    expect(clip('abcdef', 5)).toBe('abcd…')
    expect(clip('日本語', 6)).toBe('日本語')
    expect(clip('日本語', 5)).toBe('日本…')
    expect(widthOf(clip('日本語', 4))).toBeLessThanOrEqual(4)
  })
})

describe('printable', () => {
  it('shows no control character and nothing that turns a line around', () => {
    expect(printable('a\u001b[31mb\u0007\n\u009b\u202ec')).toBe('a·[31mb···' + '·c')
  })
})

describe('formatTable', () => {
  it('sets columns by what they show, and cuts the last', () => {
    const rows = [
      ['日', 'x', 'long enough'],
      ['abc', 'y', 'b'],
    ]
    expect(formatTable(rows, 12)).toBe('日   x  lon…\nabc  y  b')
  })
})

describe('formatWords', () => {
  it('numbers 24 words in rows', () => {
    const words = Array.from({ length: 24 }, (_, i) => `word${i + 1}`)
    const rows = formatWords(words).split('\n')
    expect(rows).toHaveLength(6)
    expect(rows[5]).toContain('24. word24')
    expect(formatWords(words).match(/word\d+/g)).toEqual(words)
  })
})

describe('formatAgo', () => {
  const NOW = Date.UTC(2026, 0, 31, 12)

  it.each([
    [0, 'just now'],
    [1_999, 'just now'],
    [2_000, '2 seconds ago'],
    [60_000, '1 minute ago'],
    [7_199_999, '1 hour ago'],
    [7 * 86_400_000, '7 days ago'],
    [7 * 86_400_000 + 1, '2026-01-24 11:59:59 UTC'],
    [-1_000, '2026-01-31 12:00:01 UTC'],
  ])('tells %i ms as %j', (spanMs, text) => {
    expect(formatAgo(NOW - spanMs, NOW)).toBe(text)
  })

  it('counts a span either way', () => {
    expect([formatSpan(-7_200_000), formatSpan(999)]).toEqual(['2 hours', 'less than a second'])
  })
})

describe('wrap', () => {
  it('sets words in lines that fit, and indents all but the first', () => {
    expect(wrap('one two three four', 10, 2)).toBe('one two\n  three\n  four')
    expect(wrap('日本 日本', 6, 0)).toBe('日本\n日本')
  })

  it('leaves a word whole that is longer than a line', () => {
    expect(wrap('a wordthatislong b', 6, 0)).toBe('a\nwordthatislong\nb')
    expect(wrap('', 6, 0)).toBe('')
  })
})

describe('formatRows', () => {
  const rows = [
    ['  abcdef', 'the phone', 'added by the phrase', 'this device'],
    ['  ghijkl', '日本', 'added by the phone', ''],
  ]

  it('is a table where the lines are wide enough, or nobody knows how wide they are', () => {
    const table = formatTable(rows, Number.POSITIVE_INFINITY)
    const width = Math.max(...table.split('\n').map(widthOf))
    expect(formatRows(rows, width)).toBe(table)
    expect(formatRows(rows, Number.POSITIVE_INFINITY)).toBe(table)
  })

  it('cuts nothing of what a person decides by where they are narrow', () => {
    expect(formatRows(rows, 25).split('\n')).toEqual([
      '  abcdef  the phone',
      '      added by the phrase',
      '      this device',
      '  ghijkl  日本',
      '      added by the phone',
    ])
  })
})

describe('wrapLines', () => {
  it('sets each line below its first word, and leaves what fits or has no end', () => {
    const text = 'short\n  one two three four'
    expect(wrapLines(text, 12)).toBe('short\n  one two\n  three four')
    expect(wrapLines(text, Number.POSITIVE_INFINITY)).toBe(text)
    const styled = '\u001b[97;40m█▀ ▀█\u001b[0m'
    expect(wrapLines(styled, 5)).toBe(styled)
  })
})

describe('formatWords', () => {
  const words = Array.from({ length: 24 }, (_, i) => `word${'x'.repeat(i % 5)}`)

  it.each([20, 40, 60, 80])('keeps each number beside its word in %i columns', (columns) => {
    const lines = formatWords(words, columns).split('\n')
    for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(columns)
    expect(lines.join(' ').match(/\d+\. word/g)).toHaveLength(24)
  })
})
