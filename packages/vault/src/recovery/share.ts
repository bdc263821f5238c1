/**
 * Share: the words of one of n people, of whom k together can restore a recovery key.
 *
 *   bits  field
 *      4  version     1
 *     18  set         random for each split: the first two words are the same on all its shares
 *      4  threshold   less 1
 *      4  count       less 1
 *      4  number      less 1
 *    288  values      of the polynomials (shamir.ts) for seed ‖ digest
 *      8  point       1 to 255
 *     33  checksum    the first bits of SHA-256(label ‖ all bits before, zeros to a whole byte)
 *
 * 363 bits, so 33 words of 11, the last three of them the checksum: far from anything by chance, so
 * a single wrong word can be named. The English list of BIP-39 is that of the recovery phrase,
 * which has 24 words. Frozen by test/vectors/recovery.json; decision 0024.
 */
import { assert, concat, encodeUtf8, equalBytes, sha256 } from '@blindcopy/protocol'
import { type BitField, bitsAt, packBits } from '../bits.ts'
import { VaultError } from '../error.ts'
import {
  indexOfWord,
  likelyWords,
  PHRASE_WORDS,
  packWords,
  readWords,
  SHARE_WORDS,
  WORD_BITS,
  wordOf,
} from '../word-list.ts'
import { formatMistakes, formatUnlisted, likelyMistakes } from '../word-mistake.ts'
import { pointOf, type Split } from './shamir.ts'

export const SHARES_MAX = 16
export const PART_BYTES = 37
const VERSION = 1
const VERSION_BITS = 4
export const SET_BITS = 18
const COUNT_BITS = 4
const HEAD_BITS = VERSION_BITS + SET_BITS + 3 * COUNT_BITS
const CHECKSUM_WORDS = 3
const DATA_WORDS = SHARE_WORDS - CHECKSUM_WORDS
const CHECKSUM_LABEL = encodeUtf8('blindcopy.share-checksum.v1')

/** What a share says of itself: `number` is 1 to `count`, and `set` tells sets apart. */
export type ShareHead = Split & { readonly set: number; readonly number: number }

export type Share = ShareHead & { readonly part: Uint8Array }

/** The words, one space apart. As secret as a key: show them, never keep them. */
export function formatShare(share: Share): string {
  assert(share.part.length === PART_BYTES, 'a part has 36 values and a point')
  const fields: BitField[] = [
    [VERSION, VERSION_BITS],
    [share.set, SET_BITS],
    [share.threshold - 1, COUNT_BITS],
    [share.count - 1, COUNT_BITS],
    [share.number - 1, COUNT_BITS],
    ...Array.from(share.part, (byte): BitField => [byte, 8]),
  ]
  const data = packBits(fields)
  const indexes = Array.from({ length: DATA_WORDS }, (_, i) =>
    bitsAt(data, i * WORD_BITS, WORD_BITS),
  )
  return [...indexes, ...checksumOf(data)].map(wordOf).join(' ')
}

/**
 * Throws `share-malformed`, with `details.position` and `details.candidates` when a word is on no
 * list; `share-checksum`, with `details.mistakes`; or `recovery-newer`.
 */
export function parseShare(text: string): Share {
  const words = readWords(text)
  checkWords(words)
  if (!hasGoodChecksum(words)) throw shareChecksum(words)
  const data = packWords(words.slice(0, DATA_WORDS))
  const version = bitsAt(data, 0, VERSION_BITS)
  if (version !== VERSION) {
    throw new VaultError(
      'recovery-newer',
      `the share is of version ${version}, which this program does not know`,
    )
  }
  const share = {
    set: bitsAt(data, VERSION_BITS, SET_BITS),
    threshold: bitsAt(data, HEAD_BITS - 3 * COUNT_BITS, COUNT_BITS) + 1,
    count: bitsAt(data, HEAD_BITS - 2 * COUNT_BITS, COUNT_BITS) + 1,
    number: bitsAt(data, HEAD_BITS - COUNT_BITS, COUNT_BITS) + 1,
    part: Uint8Array.from({ length: PART_BYTES }, (_, i) => bitsAt(data, HEAD_BITS + i * 8, 8)),
  }
  data.fill(0)
  checkFields(share)
  return share
}

/** What a share says of itself, without its part: for showing which ones are there. */
export function inspectShare(text: string): ShareHead {
  const { set, threshold, count, number, part } = parseShare(text)
  part.fill(0)
  return { set, threshold, count, number }
}

export function equalShares(a: Share, b: Share): boolean {
  return isSameSet(a, b) && a.number === b.number && equalBytes(a.part, b.part)
}

export function isSameSet(a: ShareHead, b: ShareHead): boolean {
  return a.set === b.set && a.threshold === b.threshold && a.count === b.count
}

function checkWords(words: readonly string[]): void {
  const unlisted = words.findIndex((word) => indexOfWord(word) === undefined)
  if (unlisted >= 0) {
    const candidates = likelyWords(words[unlisted] as string)
    const details = { position: unlisted + 1, candidates }
    throw new VaultError('share-malformed', formatUnlisted(unlisted + 1, candidates), { details })
  }
  if (words.length === SHARE_WORDS) return
  const hint = words.length === PHRASE_WORDS ? ', as a recovery phrase has' : ''
  throw new VaultError(
    'share-malformed',
    `a share has ${SHARE_WORDS} words, and these are ${words.length}${hint}`,
    { details: { words: words.length } },
  )
}

/** A good checksum over these was made by someone who wanted it, not by an accident. */
function checkFields({ threshold, count, number, part }: Share): void {
  const isPossible = threshold >= 2 && threshold <= count && number <= count && pointOf(part) !== 0
  if (isPossible) return
  throw new VaultError('share-malformed', 'the words are whole, but no program makes such a share')
}

function hasGoodChecksum(words: readonly string[]): boolean {
  const expected = checksumOf(packWords(words.slice(0, DATA_WORDS)))
  return expected.every((index, i) => index === indexOfWord(words[DATA_WORDS + i] as string))
}

function checksumOf(data: Uint8Array): number[] {
  const hash = sha256(concat(CHECKSUM_LABEL, data))
  const words = Array.from({ length: CHECKSUM_WORDS })
  return words.map((_, i) => bitsAt(hash, i * WORD_BITS, WORD_BITS))
}

function shareChecksum(words: readonly string[]): VaultError {
  const mistakes = likelyMistakes(words, hasGoodChecksum, Number.POSITIVE_INFINITY)
  const more = mistakes.length === 0 ? '; more than one word is wrong' : formatMistakes(mistakes)
  return new VaultError(
    'share-checksum',
    `every word is on the list, but together they are no share${more}`,
    { details: { mistakes } },
  )
}
