/**
 * Terminal: the person's end of a command. Results go to stdout, everything else to stderr, so that
 * what a command answers can be piped; with --json stdout holds JSON alone.
 *
 * A signal ends the program at once, as everything that is written is written whole. A command that
 * has something to end first says so with `onInterrupt`; a second signal does not wait for it.
 */
import { once } from 'node:events'
import { wrap, wrapLines } from './layout.ts'

const EXIT_BY_SIGNAL: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 }

export class Terminal {
  readonly json: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  readonly input: NodeJS.ReadStream
  readonly output: NodeJS.WriteStream
  readonly messages: NodeJS.WriteStream
  readonly #stops = new Set<() => void>()
  #isInterrupted = false

  constructor(json: boolean) {
    this.json = json
    this.env = process.env
    this.input = process.stdin
    this.output = process.stdout
    this.messages = process.stderr
    // A reader that has seen enough (`| head`) is no failure.
    this.output.on('error', (error: NodeJS.ErrnoException) => {
      process.exit(error.code === 'EPIPE' ? 0 : 1)
    })
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => this.#interrupt(name))
  }

  /** How wide a line of the answer may be: nothing is cut where another program reads it. */
  get columns(): number {
    return this.#columnsOf(this.output)
  }

  /** How wide a line beside the answer may be. */
  get messageColumns(): number {
    return this.#columnsOf(this.messages)
  }

  /** Whether the answer goes to another program, which wants the whole of it. */
  get isPiped(): boolean {
    return this.output.isTTY !== true
  }

  /** Whether a person can be asked something. */
  get canAsk(): boolean {
    return this.input.isTTY === true && this.messages.isTTY === true && !this.json
  }

  /** Whether a person watches. */
  get isWatched(): boolean {
    return this.messages.isTTY === true && !this.json
  }

  /** A line, or several, of the answer. Waits while the reader is slow. */
  async print(text: string): Promise<void> {
    if (!this.output.write(`${text}\n`)) await once(this.output, 'drain')
  }

  /** The answer of a command that answers once: JSON for machines, text for people. */
  answer(json: unknown, text: string): Promise<void> {
    return this.print(this.json ? JSON.stringify(json) : wrapLines(text, this.columns))
  }

  /** A line for the person, beside the answer. */
  note(text: string): void {
    this.messages.write(`${text}\n`)
  }

  /** Something the person should know that is not a failure. */
  warn(code: string, message: string): void {
    if (this.json) this.note(JSON.stringify({ warning: { code, message } }))
    else this.note(this.fit(`blindcopy: ${message} [${code}]`, 2))
  }

  /** A sentence in lines that fit, where a person reads it. */
  fit(text: string, indent: number): string {
    return this.isWatched ? wrap(text, this.messageColumns, indent) : text
  }

  bold(text: string): string {
    return this.#style(text, '1', '22')
  }

  dim(text: string): string {
    return this.#style(text, '2', '22')
  }

  /** A terminal that does not know its size says 0; COLUMNS may. */
  #columnsOf(stream: NodeJS.WriteStream): number {
    return stream.columns || Number(this.env.COLUMNS) || Number.POSITIVE_INFINITY
  }

  #style(text: string, on: string, off: string): string {
    const isPlain = this.json || this.output.isTTY !== true || (this.env.NO_COLOR ?? '') !== ''
    return isPlain ? text : `\u001b[${on}m${text}\u001b[${off}m`
  }

  /** Calls `stop` on the first signal, instead of ending. Returns how to take that back. */
  onInterrupt(stop: () => void): () => void {
    this.#stops.add(stop)
    return () => this.#stops.delete(stop)
  }

  #interrupt(name: 'SIGINT' | 'SIGTERM'): void {
    if (this.#isInterrupted || this.#stops.size === 0) {
      if (this.isWatched) this.messages.write('\n')
      process.exit(EXIT_BY_SIGNAL[name])
    }
    this.#isInterrupted = true
    for (const stop of this.#stops) stop()
  }
}
