/**
 * Machine clock: what one machine takes for the time of day. It may be set wrong, jump, or stand
 * still; timers go on regardless, as they do on real machines.
 */
import type { Scheduler } from './scheduler.ts'

const START_MS = 1_760_000_000_000

export class MachineClock {
  readonly #scheduler: Scheduler
  #skewMs = 0
  #frozenMs: number | undefined

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  nowMs(): number {
    return this.#frozenMs ?? START_MS + this.#scheduler.nowMs + this.#skewMs
  }

  get skewMs(): number {
    return this.#skewMs
  }

  /** Set to the right time plus this; it goes on if it stood still. */
  set(skewMs: number): void {
    this.#frozenMs = undefined
    this.#skewMs = skewMs
  }

  freeze(): void {
    this.#frozenMs = this.nowMs()
  }
}
