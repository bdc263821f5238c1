/** Phrases as people type them, and errors that help without repeating what was typed. */
import { equalBytes } from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VaultError } from './error.ts'
import { formatPhrase, generateRootSecret, parsePhrase } from './phrase.ts'
import { Secret } from './secret.ts'
import { codeOf, fixedRandom } from './vault.fixture.ts'

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
    for (const word of words) expect(messageOf(swapped).split(/[ ":,]+/)).not.toContain(word)
  })
})
