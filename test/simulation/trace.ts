/**
 * Trace: what happened in a run, a line each, and one hash over all of it: two runs that did the
 * same have the same hash.
 */
import { createHash, type Hash } from 'node:crypto'

export class Trace {
  readonly #lines: string[] = []
  readonly #hash: Hash = createHash('sha256')
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** `who` is a device or the remote. Bytes count for the hash and are not shown. */
  note(who: string, what: string, bytes?: Uint8Array): void {
    const line = `${(this.#nowMs() / 1000).toFixed(3).padStart(9)}s  ${who.padEnd(7)} ${what}`
    this.#lines.push(line)
    this.#hash.update(line)
    if (bytes !== undefined) this.#hash.update(bytes)
  }

  get lines(): readonly string[] {
    return this.#lines
  }

  hash(): string {
    return this.#hash.copy().digest('hex')
  }

  /** The last lines, for a person. */
  tail(count: number): string {
    const left = this.#lines.length - count
    const skipped = left > 0 ? `          … ${left} lines before\n` : ''
    return skipped + this.#lines.slice(-count).join('\n')
  }
}
