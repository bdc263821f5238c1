/**
 * What pairing asks of a person, and how it shows what two people compare. Questions are answered
 * at a terminal or, by a program that stands before a person, line by line on stdin: never ahead.
 */
import { createInterface, type Interface } from 'node:readline'
import { CliError } from './cli-error.ts'
import { ask } from './prompt.ts'
import type { Terminal } from './terminal.ts'

export type Asker = {
  ask(question: string): Promise<string>
  /** Lets the program end though nobody closes stdin. */
  close(): void
}

export function createAsker(terminal: Terminal): Asker {
  if (terminal.canAsk) return { ask: (question) => ask(terminal, question), close: () => undefined }
  let piped: Interface | undefined
  let lines: AsyncIterator<string> | undefined
  return {
    async ask(question) {
      if (!terminal.json) terminal.note(question.trimEnd())
      piped ??= createInterface({ input: terminal.input })
      lines ??= piped[Symbol.asyncIterator]()
      const { value, done } = await lines.next()
      if (done === true) throw new CliError('interrupted', 'stopped at a question')
      return value
    },
    close() {
      piped?.close()
      terminal.input.destroy()
    },
  }
}

/** Asks until the answer is one. */
export async function askYesOrNo(asker: Asker, question: string): Promise<boolean> {
  for (;;) {
    const answer = (await asker.ask(`${question} (y/n) `)).trim().toLowerCase()
    if (answer === 'y' || answer === 'yes') return true
    if (answer === 'n' || answer === 'no') return false
  }
}

/** `123 456`: as people say them. */
export const formatDigits = (digits: string): string => `${digits.slice(0, 3)} ${digits.slice(3)}`
