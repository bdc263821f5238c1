/**
 * Troubles: what is wrong with sync now, of which the worst is told: a failure of the last
 * attempt, or else a concern that stays while all else goes on. It is kept on the disk, for whoever
 * opens the vault next and asks how it stands.
 */
import type { Concern } from './exchange-events.ts'
import type { Failure } from './failure.ts'
import type { SyncProblem } from './status.ts'

export class Troubles {
  readonly #nowMs: () => number
  readonly #keep: (problem: SyncProblem | null) => void
  readonly #concerns = new Map<Concern, SyncProblem>()
  #failure: SyncProblem | null
  #kept: SyncProblem | null

  constructor(options: {
    readonly nowMs: () => number
    /** What was wrong when the vault was last open. */
    readonly kept: SyncProblem | null
    readonly keep: (problem: SyncProblem | null) => void
  }) {
    this.#nowMs = options.nowMs
    this.#keep = options.keep
    this.#failure = options.kept
    this.#kept = options.kept
  }

  get problem(): SyncProblem | null {
    const [concern] = this.#concerns.values()
    return this.#failure ?? concern ?? null
  }

  /** An attempt failed. */
  fail(failure: Failure): SyncProblem {
    const problem = { ...failure, atMs: this.#nowMs() }
    this.#failure = problem
    this.#note()
    return problem
  }

  /** An attempt went well. */
  succeed(): void {
    this.#failure = null
    this.#note()
  }

  /** What stays, or with null what is over. */
  concern(concern: Concern, problem: Failure | null): void {
    if (problem === null) this.#concerns.delete(concern)
    else this.#concerns.set(concern, { ...problem, atMs: this.#nowMs() })
    this.#note()
  }

  /** Written when it is another, not each time it is met. */
  #note(): void {
    const { problem } = this
    const isSame = problem?.code === this.#kept?.code && problem?.message === this.#kept?.message
    if (isSame) return
    this.#kept = problem
    this.#keep(problem)
  }
}
