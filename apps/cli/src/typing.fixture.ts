/**
 * Fixture: a terminal whose person types when asked. Only tests import it.
 */
import { PassThrough, Writable } from 'node:stream'
import type { Terminal } from './terminal.ts'

/** Each answer is typed when what was said since the last one ends with its question. */
export function typingTerminal(answers: readonly (readonly [question: string, typed: string])[]): {
  readonly terminal: Terminal
  /** Without what moves the cursor. */
  readonly said: () => string
} {
  const input = new PassThrough()
  const left = [...answers]
  let said = ''
  let heard = 0
  const messages = new Writable({
    write(chunk: Buffer, _encoding, written) {
      said += chunk.toString()
      const [question, typed] = left[0] ?? []
      if (question !== undefined && plain(said.slice(heard)).includes(question)) {
        heard = said.length
        left.shift()
        setImmediate(() => input.write(typed))
      }
      written()
    },
  })
  const note = (text: string): void => void messages.write(`${text}\n`)
  const tty = { isTTY: true, columns: 80 }
  const terminal = {
    ...{ input: Object.assign(input, tty), messages: Object.assign(messages, tty), note },
    ...{ env: {}, json: false, canAsk: true, columns: 80, messageColumns: 80 },
  }
  return { terminal: terminal as unknown as Terminal, said: () => plain(said) }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what moves the cursor.
const plain = (text: string): string => text.replace(/\u001b\[[\d;?]*[A-Za-z]/g, '')
