/**
 * Layout: what is shown fits the line and cannot move the cursor.
 */
import { describe, expect, it } from 'vitest'
import { clip, formatTable, formatWords, printable, widthOf } from './layout.ts'

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
