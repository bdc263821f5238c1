/** Phrases as people type them, and errors that help without repeating what was typed. */
import { equalBytes } from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VaultError } from './error.ts'
import { formatPhrase, generateRootSecret, parsePhrase } from './phrase.ts'
import { Secret } from './secret.ts'
import { codeOf, fixedRandom } from './vault.fixture.ts'
import { nearWords } from './word-list.ts'
import type { Mistake } from './word-mistake.ts'

const numRuns = process.env.SLOW === '1' ? 5_000 : 200
const phrase = formatPhrase(generateRootSecret(fixedRandom('phrase')))
const words = phrase.split(' ')
const replaced = (position: number, word: string) => words.with(position - 1, word).join(' ')

function messageOf(text: string): string {
  try {
    parsePhrase(text)
  } catch (error) {
    expect(error).toBeInstanceOf(VaultError)
    expect((error as Error).cause).toBeUndefined()
    return (error as Error).message
  }
  throw new Error('nothing was refused')
}

describe('parsePhrase', () => {
  it('inverts formatPhrase', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const text = formatPhrase(new Secret('RootSecret', bytes.slice()))
        expect(text.split(' ')).toHaveLength(24)
        expect(equalBytes(parsePhrase(text).bytes, bytes)).toBe(true)
      }),
      { numRuns },
    )
  })

  it('takes any spacing and case, and letters in other Unicode forms', () => {
    const wide = words.map((word, i) =>
      i % 2 === 0 ? word.toUpperCase() : word.replace('a', '\uff41'),
    )
    const spaced = `\n ${wide.join(' \t\u00a0\r\n\u3000')}  `
    expect(equalBytes(parsePhrase(spaced).bytes, parsePhrase(phrase).bytes)).toBe(true)
  })

  it('names the place of an unknown word and the closest listed one, and repeats no word', () => {
    const message = messageOf(replaced(7, 'absrtact'))
    expect(message).toContain('word 7')
    expect(message).toContain('"abstract"')
    for (const word of ['absrtact', ...words]) expect(message.split(/\W+/)).not.toContain(word)
    expect(codeOf(() => parsePhrase(replaced(7, 'absrtact')))).toBe('phrase-malformed')
  })

  it('survives an unknown word of any length', () => {
    expect(messageOf(replaced(1, 'x'.repeat(1_000_000))).length).toBeLessThan(200)
  })

  it('refuses another count of words', () => {
    for (const count of [0, 1, 12, 23]) {
      expect(codeOf(() => parsePhrase(words.slice(0, count).join(' ')))).toBe('phrase-malformed')
    }
    expect(codeOf(() => parsePhrase(`${phrase} abandon`))).toBe('phrase-malformed')
  })

  it('refuses listed words that are no phrase together', () => {
    const swapped = [words[1], words[0], ...words.slice(2)].join(' ')
    expect(codeOf(() => parsePhrase(swapped))).toBe('phrase-checksum')
    const said = messageOf(swapped).split(/[ ":,]+/)
    for (const word of words) expect(said).not.toContain(word)
  })

  it('takes words as they stand on paper, and their first four letters', () => {
    const numbered = words.map((word, i) => `${i + 1}. ${word},`).join('\n')
    const starts = words.map((word) => word.slice(0, 4).toUpperCase()).join('-')
    for (const text of [numbered, starts]) {
      expect(equalBytes(parsePhrase(text).bytes, parsePhrase(phrase).bytes)).toBe(true)
    }
  })

  it('says that two neighbours may be the wrong way round', () => {
    for (const i of [0, 7, 22]) {
      const swapped = words.with(i, words[i + 1] as string).with(i + 1, words[i] as string)
      const details = detailsOf(swapped.join(' '))
      if (details !== undefined) expect(details.mistakes).toContainEqual({ swapped: i + 1 })
    }
  })

  it('names the word that was meant when another listed one was typed, and at most three', () => {
    const likeness = fc.tuple(
      fc.nat(23),
      fc.nat(2047),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
    )
    let named = 0
    fc.assert(
      fc.property(likeness, ([at, pick, bytes]) => {
        const right = formatPhrase(new Secret('RootSecret', bytes)).split(' ')
        const meant = right[at] as string
        const alike = nearWords(meant, 1)
        if (alike.length === 0) return
        const typed = alike[pick % alike.length]?.word as string
        const details = detailsOf(right.with(at, typed).join(' '))
        // One in 256 wrong words makes the checksum right.
        if (details === undefined) return
        expect(details.mistakes.length).toBeLessThanOrEqual(3)
        expect(details.mistakes).toContainEqual({ position: at + 1, word: meant })
        named++
      }),
      { numRuns: 40, seed: 7 },
    )
    expect(named).toBeGreaterThan(10)
  }, 60_000)

  it('repeats no word of the phrase but the ones it proposes', () => {
    const typed = replaced(3, 'adjust')
    const { mistakes } = detailsOf(typed) ?? { mistakes: [] }
    const proposed = mistakes.flatMap((mistake) => ('word' in mistake ? [mistake.word] : []))
    const quoted = [...messageOf(typed).matchAll(/"(\w+)"/g)].map((match) => match[1])
    expect(quoted).toEqual(proposed)
  })

  it('says what was typed instead, when it has the length of a share', () => {
    expect(messageOf(`${phrase} ${words.slice(0, 9).join(' ')}`)).toContain('share')
  })
})

function detailsOf(text: string): { mistakes: Mistake[] } | undefined {
  try {
    parsePhrase(text)
    return undefined
  } catch (error) {
    expect((error as VaultError).code).toBe('phrase-checksum')
    return (error as VaultError).details as { mistakes: Mistake[] }
  }
}
