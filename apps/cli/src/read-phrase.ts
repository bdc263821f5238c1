/**
 * The recovery phrase as a person gives it: typed, piped in, or as an emergency kit, the page or
 * what its QR code says.
 */
import { isKit, parseKit } from '@blindcopy/client'
import { ask, readInput } from './prompt.ts'
import type { Terminal } from './terminal.ts'

const WORDS = 24

export async function readPhrase(terminal: Terminal): Promise<string> {
  if (!terminal.canAsk) {
    const text = await readInput(terminal)
    return isKit(text) ? parseKit(text).recoveryPhrase : wordsOf(text).join(' ')
  }
  terminal.note('The 24 words of the recovery phrase, in one line or several:')
  const words: string[] = []
  while (words.length < WORDS) {
    const line = await ask(terminal, `  ${words.length + 1}: `)
    if (isKit(line)) return parseKit(line).recoveryPhrase
    const typed = wordsOf(line)
    if (typed.length === 0) break
    words.push(...typed)
  }
  return words.join(' ')
}

/** The numbers with which `init` shows the words may be copied along. */
function wordsOf(text: string): string[] {
  return text.split(/\s+/u).filter((word) => word !== '' && !/^\d+[.):]?$/.test(word))
}
