/**
 * Refusals: why writes were refused and must be sent again, and how often in a row.
 */
import type { AgainCode } from '../local/verdict.ts'

/** For its time or its epoch, a write that was put right is refused by no honest remote. */
const ATTEMPTS_MAX = 3

export class Refusals {
  readonly #due = new Set<AgainCode>()
  readonly #counts = new Map<AgainCode, number>()

  /** To be put right before anything is sent again. */
  has(code: AgainCode): boolean {
    return this.#due.has(code)
  }

  /** After a push. Returns how often in a row one met the same refusal; 0 without any. */
  note(codes: ReadonlySet<AgainCode>): number {
    if (codes.size === 0) this.#counts.clear()
    for (const code of codes) {
      this.#due.add(code)
      this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1)
    }
    return Math.max(0, ...this.#counts.values())
  }

  putRight(code: AgainCode): void {
    this.#due.delete(code)
  }

  /** Nothing can be put right about it: the next write that meets it goes to attention. */
  exhaust(code: AgainCode): void {
    this.#due.delete(code)
    this.#counts.set(code, ATTEMPTS_MAX)
  }

  /** Those that go to attention; conflicts do so by a count of their own, kept with each write. */
  get final(): ReadonlySet<AgainCode> {
    const codes: readonly AgainCode[] = ['clock-drift', 'epoch-old']
    return new Set(codes.filter((code) => (this.#counts.get(code) ?? 0) >= ATTEMPTS_MAX))
  }
}
