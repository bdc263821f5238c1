/**
 * The recovery phrase: a root secret spelled as 24 words (BIP-39, English list; 256 bits and 8 bits
 * of checksum). Frozen by test/vectors/phrase.json.
 *
 * People type it from paper: any spacing and case is taken. An error says which word is wrong and
 * what it may have been, and repeats no other word, because error texts end up in screenshots and
 * logs.
 */
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { VaultError } from './error.ts'
import type { RandomBytes } from './random.ts'
import { type RootSecret, SECRET_BYTES, Secret } from './secret.ts'

const WORDS = 24
/** No listed word has more than 8 letters; longer input is not compared letter by letter. */
const COMPARED_LETTERS_MAX = 12
const LISTED: ReadonlySet<string> = new Set(wordlist)

export function generateRootSecret(random: RandomBytes): RootSecret {
  return new Secret('RootSecret', random(SECRET_BYTES))
}

/** The words, one space apart. Show it once, on the person's own screen; never keep it. */
export function formatPhrase(root: RootSecret): string {
  return entropyToMnemonic(root.bytes, wordlist)
}

/** Throws `phrase-malformed`, or `phrase-checksum` when the words are not a phrase together. */
export function parsePhrase(text: string): RootSecret {
  const words = text
    .normalize('NFKD')
    .toLowerCase()
    .split(/\s+/u)
    .filter((word) => word !== '')
  words.forEach((word, i) => {
    if (!LISTED.has(word)) refuseWord(word, i + 1)
  })
  if (words.length !== WORDS) {
    throw new VaultError(
      'phrase-malformed',
      `the recovery phrase has ${WORDS} words, and these are ${words.length}`,
    )
  }
  return new Secret('RootSecret', checkedEntropy(words.join(' ')))
}

function checkedEntropy(phrase: string): Uint8Array {
  try {
    return mnemonicToEntropy(phrase, wordlist)
  } catch {
    // Without a cause: what the library says about a phrase is not ours to vouch for.
    throw new VaultError(
      'phrase-checksum',
      'every word is on the list, but together they are no recovery phrase: one is wrong or misplaced',
    )
  }
}

function refuseWord(word: string, position: number): never {
  throw new VaultError(
    'phrase-malformed',
    `word ${position} is not on the list of words; the closest that is: "${closestWord(word)}"`,
  )
}

function closestWord(word: string): string {
  const letters = word.slice(0, COMPARED_LETTERS_MAX)
  let closest = ''
  let least = Number.POSITIVE_INFINITY
  for (const listed of wordlist) {
    const distance = editDistance(letters, listed)
    if (distance < least) {
      closest = listed
      least = distance
    }
  }
  return closest
}

/** Levenshtein: the fewest letters put in, left out or changed. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(changed, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
