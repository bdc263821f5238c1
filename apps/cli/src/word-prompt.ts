/**
 * Word prompt: a phrase or a share typed at a terminal, in one line or many, with Tab to complete
 * a word. A word that is on no list is told at once, and typed again from there.
 */
import { createInterface } from 'node:readline'
import { completeWord, likelyWords, readWords } from '@blindcopy/client'
import { answerOf } from './prompt.ts'
import type { Terminal } from './terminal.ts'

/**
 * At most `count` words; fewer where the person enters an empty line. `whole` takes a first line
 * that is something else, such as the text of a QR code, as it is.
 */
export async function askWords(
  terminal: Terminal,
  count: number,
  whole: (line: string) => boolean = () => false,
): Promise<string> {
  const words: string[] = []
  while (words.length < count) {
    const line = await askLine(terminal, `  ${String(words.length + 1).padStart(2)}: `)
    if (words.length === 0 && whole(line)) return line
    const typed = readWords(line)
    if (typed.length === 0) break
    // All of them in one line: whoever pastes them does not go on from the middle.
    if (typed.length >= count) words.length = 0
    const good = typed.findIndex((word) => !isListed(word))
    words.push(...(good < 0 ? typed : typed.slice(0, good)))
    if (good >= 0) terminal.note(unlistedText(words.length + 1, typed[good] ?? ''))
  }
  return words.join(' ')
}

/** Nothing that is typed here is remembered: a history would hold the words. */
function askLine(terminal: Terminal, question: string): Promise<string> {
  const lines = createInterface({
    input: terminal.input,
    output: terminal.messages,
    historySize: 0,
    completer: completeLine,
  })
  lines.once('SIGINT', () => terminal.messages.write('\n'))
  return answerOf(lines, (take) => lines.question(question, take))
}

/** What Tab offers for the last word of a line; one that is the only one gets its space. */
export function completeLine(line: string): [hits: string[], typed: string] {
  const typed = /\S*$/.exec(line)?.[0] ?? ''
  const hits = completeWord(typed)
  return [hits.length === 1 ? hits.map((word) => `${word} `) : hits, typed]
}

const isListed = (word: string): boolean => completeWord(word)[0] === word

function unlistedText(position: number, word: string): string {
  const likely = likelyWords(word).map((near) => `"${near}"`)
  const maybe = likely.join(' or ')
  return `      Word ${position} is not on the list; it may be ${maybe}. Go on from it.`
}
