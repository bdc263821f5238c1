/**
 * Share prompt: shares typed at a terminal, one after the other, until they are enough. One that is
 * wrong is told at once, and typed again; nothing of it is lost but itself.
 */
import { codeOf, inspectShare } from '@blindcopy/client'
import { wrap } from './layout.ts'
import type { Terminal } from './terminal.ts'
import { askWords } from './word-prompt.ts'

const WORDS = 33

/** `given` are those that are there already. Fewer than enough where the person stops. */
export async function askShares(given: readonly string[], terminal: Terminal): Promise<string[]> {
  const shares = [...given]
  if (lackingOf(shares) > 0) {
    terminal.note(
      wrap(
        'A share has 33 words: type those of one, in one line or several (Tab completes a word).',
        terminal.messageColumns,
      ),
    )
  }
  for (let left = lackingOf(shares); left > 0; left = lackingOf(shares)) {
    if (shares.length > 0) terminal.note(`\nThe next share (${left} more needed):`)
    const text = await askWords(terminal, WORDS)
    if (text === '') return shares
    const problem = problemOf(text, shares)
    if (problem === undefined) shares.push(text)
    else terminal.note(wrap(problem, terminal.messageColumns))
  }
  return shares
}

/** How many more are needed; one, as long as there is none that says it. */
function lackingOf(shares: readonly string[]): number {
  const [first, ...rest] = shares.map(inspectShare)
  if (first === undefined) return 1
  const numbers = new Set([first, ...rest].map(({ number }) => number))
  return Math.max(0, first.threshold - numbers.size)
}

function problemOf(text: string, shares: readonly string[]): string | undefined {
  try {
    const share = inspectShare(text)
    const others = shares.map(inspectShare)
    if (others.some(({ set }) => set !== share.set)) {
      return 'This share is of another set than the ones before. Type one of theirs.'
    }
    const isThere = others.some(({ number }) => number === share.number)
    return isThere ? `Share ${share.number} is here already. Type another one.` : undefined
  } catch (error) {
    if (codeOf(error) === undefined || !(error instanceof Error)) throw error
    return `That is not right yet: ${error.message}. Type it again, or another one.`
  }
}
