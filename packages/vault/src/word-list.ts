/**
 * The English word list of BIP-39, and what helps a person to type from it: reading words in
 * whatever form they are written down, completing them, and finding those that were meant.
 *
 * 2,048 words, so each spells 11 bits; no two begin with the same four letters, so four are enough.
 * The most that these functions tell about a word is what it may have been: error texts end up in
 * screenshots and logs.
 */

import { wordlist } from '@scure/bip39/wordlists/english.js'
import { packBits } from './bits.ts'

export const WORD_BITS = 11
/** How many words each of the two lists that people type has: by this they are told apart. */
export const PHRASE_WORDS = 24
export const SHARE_WORDS = 33

const INDEXES: ReadonlyMap<string, number> = new Map(wordlist.map((word, i) => [word, i]))
const LETTERS_ENOUGH = 4
const WORDS_BY_START: ReadonlyMap<string, string> = new Map(
  wordlist.map((word) => [word.slice(0, LETTERS_ENOUGH), word]),
)
/** No listed word has more than 8 letters; longer input is not compared letter by letter. */
const COMPARED_LETTERS_MAX = 12
const TOKEN_LETTERS_MAX = 64
const LIKELY_MAX = 3
/** Characters without width, such as soft hyphens and byte order marks. */
const INVISIBLE = /\p{Cf}/gu
const BETWEEN_WORDS = /[\s,;|/\p{Pd}]+/u
const BEFORE_WORD = /^[\p{P}\p{S}\p{N}]+/u
const AFTER_WORD = /[\p{P}\p{S}]+$/u

/**
 * Words as people write them: any case, any space, commas or dashes between, quotes around, numbers
 * before. Whole words are given back where the first four letters stand, as on metal plates; what
 * is on no list is given back as it is.
 */
export function readWords(text: string): string[] {
  return text
    .normalize('NFKD')
    .replace(INVISIBLE, '')
    .toLowerCase()
    .split(BETWEEN_WORDS)
    .map(readWord)
    .filter((token) => token !== '')
}

/** The number of a word on the list. */
export function indexOfWord(word: string): number | undefined {
  return INDEXES.get(word)
}

export function wordOf(index: number): string {
  return wordlist[index] as string
}

/** Of listed words: 11 bits each. */
export function packWords(words: readonly string[]): Uint8Array {
  return packBits(words.map((word) => [INDEXES.get(word) ?? 0, WORD_BITS]))
}

/** The words that begin so, in the order of the list: none for an empty prefix. */
export function completeWord(prefix: string): string[] {
  const letters = prefix.normalize('NFKD').trim().toLowerCase()
  return letters === '' ? [] : wordlist.filter((word) => word.startsWith(letters))
}

/**
 * The words that a mistyped one may have been, the likeliest first, at most three: those with the
 * fewest letters put in, left out, changed or swapped, and of these first what begins as it does.
 */
export function likelyWords(word: string): string[] {
  const near = nearWords(word.normalize('NFKD').trim().toLowerCase(), Number.POSITIVE_INFINITY)
  const least = near[0]?.distance ?? 0
  return near
    .filter(({ distance }) => distance <= least + 1)
    .slice(0, LIKELY_MAX)
    .map((found) => found.word)
}

export type NearWord = { readonly word: string; readonly distance: number }

/** Every listed word but itself within `distanceMax`, the nearest first. */
export function nearWords(word: string, distanceMax: number): NearWord[] {
  const letters = word.slice(0, COMPARED_LETTERS_MAX)
  const sharesStart = (near: NearWord) => near.word.startsWith(letters.slice(0, 2))
  return wordlist
    .filter((listed) => listed !== word)
    .filter((listed) => Math.abs(listed.length - letters.length) <= distanceMax)
    .map((listed) => ({ word: listed, distance: editDistance(letters, listed) }))
    .filter(({ distance }) => distance <= distanceMax)
    .toSorted((a, b) => a.distance - b.distance || Number(sharesStart(b)) - Number(sharesStart(a)))
}

function readWord(text: string): string {
  // Expressions that look for the end are slow on endless tokens, and those are no words.
  if (text.length > TOKEN_LETTERS_MAX) return text
  const token = text.replace(BEFORE_WORD, '').replace(AFTER_WORD, '')
  if (token.length < LETTERS_ENOUGH || INDEXES.has(token)) return token
  const whole = WORDS_BY_START.get(token.slice(0, LETTERS_ENOUGH))
  return whole?.startsWith(token) === true ? whole : token
}

/** Optimal string alignment: letters put in, left out, changed, or two neighbours swapped. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let least = Math.min(changed, (row[j] as number) + 1, (next[j - 1] as number) + 1)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwap) least = Math.min(least, (before[j - 2] as number) + 1)
      next.push(least)
    }
    before = row
    row = next
  }
  return row[b.length] as number
}
