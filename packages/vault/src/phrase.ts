/**
 * The recovery phrase: a root secret spelled as 24 words (BIP-39, English list; 256 bits and 8 bits
 * of checksum). Frozen by test/vectors/phrase.json.
 *
 * People type it from paper: what readWords takes is taken. An error says which word is wrong and
 * what it may have been, and repeats no other word, because error texts end up in screenshots and
 * logs.
 */

import { sha256 } from '@blindcopy/protocol'
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { VaultError } from './error.ts'
import type { RandomBytes } from './random.ts'
import { type RootSecret, SECRET_BYTES, Secret } from './secret.ts'
import {
  indexOfWord,
  likelyWords,
  PHRASE_WORDS,
  packWords,
  readWords,
  SHARE_WORDS,
} from './word-list.ts'
import { formatMistakes, formatUnlisted, likelyMistakes } from './word-mistake.ts'

/** Further away, and the 8 bits of checksum would prove more wrong words right than true ones. */
const MISTAKE_DISTANCE_MAX = 2

export function generateRootSecret(random: RandomBytes): RootSecret {
  return new Secret('RootSecret', random(SECRET_BYTES))
}

/** The words, one space apart. Show it once, on the person's own screen; never keep it. */
export function formatPhrase(root: RootSecret): string {
  return entropyToMnemonic(root.bytes, wordlist)
}

/**
 * Throws `phrase-malformed`, with `details.position` and `details.candidates` when a word is on no
 * list, or `phrase-checksum`, with `details.mistakes`, when the words are not a phrase together.
 */
export function parsePhrase(text: string): RootSecret {
  const words = readWords(text)
  const unlisted = words.findIndex((word) => indexOfWord(word) === undefined)
  if (unlisted >= 0) {
    const candidates = likelyWords(words[unlisted] as string)
    const details = { position: unlisted + 1, candidates }
    throw new VaultError('phrase-malformed', formatUnlisted(unlisted + 1, candidates), { details })
  }
  if (words.length !== PHRASE_WORDS) {
    const hint = words.length === SHARE_WORDS ? ', as a share of a recovery key has' : ''
    throw new VaultError(
      'phrase-malformed',
      `the recovery phrase has ${PHRASE_WORDS} words, and these are ${words.length}${hint}`,
      { details: { words: words.length } },
    )
  }
  const entropy = entropyOf(words)
  if (entropy === undefined) throw phraseChecksum(words)
  return new Secret('RootSecret', entropy)
}

/** Undefined when the checksum is wrong. What the library says of a phrase is not passed on. */
function entropyOf(words: readonly string[]): Uint8Array | undefined {
  try {
    return mnemonicToEntropy(words.join(' '), wordlist)
  } catch {
    return undefined
  }
}

/** The same answer as the library's, which takes 50 times as long. */
function hasGoodChecksum(words: readonly string[]): boolean {
  const bytes = packWords(words)
  const isGood = sha256(bytes.subarray(0, SECRET_BYTES))[0] === bytes[SECRET_BYTES]
  bytes.fill(0)
  return isGood
}

function phraseChecksum(words: readonly string[]): VaultError {
  const mistakes = likelyMistakes(words, hasGoodChecksum, MISTAKE_DISTANCE_MAX)
  return new VaultError(
    'phrase-checksum',
    'every word is on the list, but together they are no recovery phrase: ' +
      `one is wrong or misplaced${formatMistakes(mistakes)}`,
    { details: { mistakes } },
  )
}
