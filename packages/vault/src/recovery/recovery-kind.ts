/**
 * What a text is that someone gives to restore from: people mix up what they have kept, and a
 * sentence that says what it is helps more than one that says what it is not.
 */
import { indexOfWord, PHRASE_WORDS, readWords, SHARE_WORDS } from '../word-list.ts'

export type RecoveryKind =
  | 'recovery-file'
  | 'share'
  | 'phrase'
  | 'device-key-file'
  | 'bundle'
  | 'vault-backup'
  /** A web page: the emergency kit is one. */
  | 'page'
  | 'unknown'

export const ARMOR_NAME = 'BLINDCOPY KEY FILE'

/** The first bytes of our binary files, which are read as text when they are given for another. */
const MAGICS: readonly (readonly [magic: string, kind: RecoveryKind])[] = [
  ['bcdevice', 'device-key-file'],
  ['bcbundle', 'bundle'],
  ['bcbackup', 'vault-backup'],
]
/** Longer than any list of words that people type. */
const TYPED_LETTERS_MAX = 2_000
/** Plain English has some listed words too. */
const LISTED_SHARE_MIN = 0.8
/** A list with as many words missing, or too many, is still taken for what it was to be. */
const MISSING_WORDS_MAX = 4

/** By form alone: nothing is checked, nothing is opened. */
export function recoveryKindOf(text: string): RecoveryKind {
  if (text.toUpperCase().includes(ARMOR_NAME)) return 'recovery-file'
  const start = text
    .slice(0, TYPED_LETTERS_MAX)
    .replace(/^\ufeff/u, '')
    .trimStart()
  for (const [magic, kind] of MAGICS) {
    if (start.startsWith(magic)) return kind
  }
  if (/^<(!doctype|html)/iu.test(start)) return 'page'
  return text.trim().length <= TYPED_LETTERS_MAX ? wordsKindOf(readWords(text)) : 'unknown'
}

const SENTENCES: Readonly<Record<RecoveryKind, string>> = {
  'recovery-file': 'a key file',
  share: 'a share of a recovery key',
  phrase: 'a recovery phrase',
  'device-key-file': 'the key file of a device, which stays on that device',
  bundle: 'a bundle of changes, which holds no keys',
  'vault-backup': 'a vault backup, which holds no keys',
  page: 'a web page: if it is an emergency kit, open it and take the phrase from it',
  unknown: 'something else',
}

/** `a share of a recovery key`, to go on a sentence with. */
export function formatKind(kind: RecoveryKind): string {
  return SENTENCES[kind]
}

function wordsKindOf(words: readonly string[]): RecoveryKind {
  const listed = words.filter((word) => indexOfWord(word) !== undefined).length
  if (listed < words.length * LISTED_SHARE_MIN) return 'unknown'
  const isNear = (count: number) => Math.abs(words.length - count) <= MISSING_WORDS_MAX
  if (isNear(SHARE_WORDS)) return 'share'
  return isNear(PHRASE_WORDS) ? 'phrase' : 'unknown'
}
