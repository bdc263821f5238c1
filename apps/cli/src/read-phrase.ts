/**
 * The recovery phrase as a person gives it: typed, piped in, or as an emergency kit, the page or
 * what its QR code says.
 */
import { isKit, parseKit } from '@blindcopy/client'
import { wrap } from './layout.ts'
import { readInput } from './prompt.ts'
import type { Terminal } from './terminal.ts'
import { askWords } from './word-prompt.ts'

const WORDS = 24

/** The words alone. Throws `kit-damaged`. */
export async function readPhrase(terminal: Terminal): Promise<string> {
  const text = terminal.canAsk ? await askPhrase(terminal) : await readInput(terminal)
  return isKit(text) ? parseKit(text).recoveryPhrase : text
}

/** The words as they were typed, or the text of a kit. */
export function askPhrase(terminal: Terminal): Promise<string> {
  const sentence =
    'The 24 words of the recovery phrase, in one line or several (Tab completes one):'
  terminal.note(wrap(sentence, terminal.messageColumns))
  return askWords(terminal, WORDS, isKit)
}
