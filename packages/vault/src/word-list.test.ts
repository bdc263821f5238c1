/** Words as they stand on paper, on metal and in files, and what a mistyped one may have been. */
import { wordlist } from '@scure/bip39/wordlists/english.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { completeWord, indexOfWord, likelyWords, readWords, wordOf } from './word-list.ts'

const listed = fc.array(fc.constantFrom(...wordlist), { minLength: 1, maxLength: 33 })

describe('readWords', () => {
  it('takes any spacing, case, punctuation and numbering', () => {
    const between = fc.constantFrom(
      ' ',
      '\n',
      ', ',
      ',',
      '; ',
      ' | ',
      '-',
      '\u2014',
      '\t',
      '\u3000',
    )
    const before = fc.constantFrom('', '1. ', '12) ', '3.', '7: ', '(', '"', '• ', '#4 ', '\ufeff')
    const after = fc.constantFrom('', '.', '"', ')', '\u200b')
    const spell = fc.constantFrom(
      (word: string) => word,
      (word: string) => word.toUpperCase(),
      (word: string) => word.slice(0, Math.max(4, word.length - 3)),
      (word: string) => word.replace('a', '\uff41'),
    )
    const written = fc.tuple(listed, fc.array(fc.tuple(before, spell, after, between)))
    fc.assert(
      fc.property(written, ([words, forms]) => {
        const text = words.map((word, i) => {
          const [head, form, tail, gap] = forms[i] ?? ['', (same: string) => same, '', ' ']
          // A three-letter start of a listed word may be listed itself.
          const shown = form(word).length < 4 ? word : form(word)
          return `${head}${shown}${tail}${gap}`
        })
        // What comes before the first word has no gap of its own.
        expect(readWords(text.join(''))).toEqual(expected(words, text))
      }),
    )
    /** A whole word that is listed stays, also when it was a cut longer one. */
    function expected(words: readonly string[], text: readonly string[]): string[] {
      return words.map((word, i) => {
        const typed = /[a-z\uff41]+/.exec((text[i] as string).toLowerCase())?.[0] ?? ''
        const plain = typed.normalize('NFKD')
        return indexOfWord(plain) === undefined ? word : plain
      })
    }
  })

  it('gives unlisted words back as they are, so that they are refused at their place', () => {
    expect(readWords('1. abandon 2. ab4ndon, abándon')).toEqual([
      'abandon',
      'ab4ndon',
      'aba\u0301ndon',
    ])
    expect(readWords(' \n 1. 2) --- ')).toEqual([])
  })

  it('is quick with endless input', () => {
    const endless = [`x${'!'.repeat(1_000_000)}x`, 'z '.repeat(500_000), 'x'.repeat(1_000_000)]
    for (const text of endless) expect(readWords(text).length).toBeGreaterThan(0)
  })
})

describe('completeWord', () => {
  it('has one answer for four letters of any word, and the word itself for all', () => {
    for (const word of wordlist) {
      expect(completeWord(word)).toContain(word)
      if (word.length >= 4)
        expect(completeWord(` ${word.slice(0, 4).toUpperCase()}`)).toEqual([word])
    }
  })

  it('has none for nothing, or for what no word begins with', () => {
    expect(completeWord('')).toEqual([])
    expect(completeWord('  ')).toEqual([])
    expect(completeWord('xyz')).toEqual([])
    expect(completeWord('zo')).toEqual(['zone', 'zoo'])
  })
})

describe('likelyWords', () => {
  it('finds a word with a letter too many, too few, changed or swapped', () => {
    for (const [typed, meant] of [
      ['absrtact', 'abstract'],
      ['abstrct', 'abstract'],
      ['tomatoe', 'tomato'],
      ['balanse', 'balance'],
      ['recieve', 'receive'],
      ['abándon', 'abandon'],
    ] as const) {
      expect(likelyWords(typed)[0]).toBe(meant)
    }
  })

  it('names at most three, all listed, whatever is typed', () => {
    fc.assert(
      fc.property(fc.string(), (typed) => {
        const likely = likelyWords(typed)
        expect(likely.length).toBeGreaterThan(0)
        expect(likely.length).toBeLessThanOrEqual(3)
        for (const word of likely) expect(wordOf(indexOfWord(word) ?? -1)).toBe(word)
      }),
      { numRuns: 50 },
    )
  })
})
