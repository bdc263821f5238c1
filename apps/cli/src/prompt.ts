/**
 * Prompts: what is asked of a person, on stderr, so that stdout stays the answer's.
 */
import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'
import { CliError } from './cli-error.ts'
import type { Terminal } from './terminal.ts'

/** One line, shown as it is typed. */
export async function ask(terminal: Terminal, question: string): Promise<string> {
  const lines = createInterface({ input: terminal.input, output: terminal.messages })
  // What is said next stands on a line of its own.
  lines.once('SIGINT', () => terminal.messages.write('\n'))
  return answerOf(lines, (take) => lines.question(question, take))
}

/** One line that nobody looking on can read. */
export async function askHidden(terminal: Terminal, question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: terminal.input, output: nowhere, terminal: true })
  // Asked when the terminal shows nothing any more of what is typed.
  terminal.messages.write(question)
  try {
    return await answerOf(lines, (take) => lines.question('', take))
  } finally {
    terminal.messages.write('\n')
  }
}

/** A new passphrase, typed twice: again from the start while the two differ. */
export async function askNewPassphrase(
  terminal: Terminal,
  question: string,
  lengthMin = 1,
): Promise<string> {
  for (;;) {
    const passphrase = await askHidden(terminal, question)
    if ([...passphrase.normalize('NFC').trim()].length < lengthMin) {
      const needed = lengthMin === 1 ? 'at least one character' : `at least ${lengthMin} characters`
      terminal.note(`It needs ${needed}; four or five random words are good.`)
      continue
    }
    if (passphrase === (await askHidden(terminal, 'The same again: '))) return passphrase
    terminal.note('The two differ. Once more:')
  }
}

/** Ctrl-C and Ctrl-D at a prompt end it, and with it the command. */
export function answerOf(
  lines: Interface,
  start: (take: (line: string) => void) => void,
): Promise<string> {
  return new Promise<string>((resolve, reject) => {
    lines.once('SIGINT', () => lines.close())
    lines.once('close', () => reject(new CliError('interrupted', 'stopped at a question')))
    start((line) => {
      resolve(line)
      lines.close()
    })
  })
}

/** Everything that is piped in, as text. Throws `invalid-json` for bytes that are no text. */
export async function readInput(terminal: Terminal): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of terminal.input) chunks.push(Buffer.from(chunk))
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch (cause) {
    throw new CliError('invalid-json', 'what was piped in is not text in UTF-8', { cause })
  }
}
