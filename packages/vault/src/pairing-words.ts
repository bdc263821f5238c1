/**
 * Pairing words: six words of the BIP-39 English list, 66 bits, that a person reads aloud or types
 * to pair a device where no code can be scanned. They are no phrase: they have no checksum, are
 * good for one pairing, and are worth nothing after ten minutes.
 */
import { VaultError } from './error.ts'
import type { RandomBytes } from './random.ts'
import { indexOfWord, likelyWords, readWords, WORD_BITS, wordOf } from './word-list.ts'
import { formatUnlisted } from './word-mistake.ts'

export const PAIRING_WORDS = 6

/** Six words, one space apart: their one spelling. */
export function generatePairingWords(random: RandomBytes): string {
  const bytes = random(2 * PAIRING_WORDS)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const words = Array.from({ length: PAIRING_WORDS }, (_, i) =>
    wordOf(view.getUint16(2 * i) & (2 ** WORD_BITS - 1)),
  )
  bytes.fill(0)
  return words.join(' ')
}

/** The one spelling of words as a person types them. Throws `pairing-code-malformed`. */
export function parsePairingWords(text: string): string {
  const words = readWords(text)
  for (const [i, word] of words.entries()) {
    if (indexOfWord(word) === undefined) throw malformed(formatUnlisted(i + 1, likelyWords(word)))
  }
  if (words.length === PAIRING_WORDS) return words.join(' ')
  throw malformed(`a pairing has ${PAIRING_WORDS} words, and these are ${words.length}`)
}

function malformed(why: string): VaultError {
  return new VaultError('pairing-code-malformed', why)
}
