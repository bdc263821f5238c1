/**
 * Clock check: whether this device's clock may be believed, from the time that the remote states
 * with each answer (design 4).
 *
 *   off by                  then
 *   up to a minute          nothing, or a correction that stood is taken back
 *   up to a day             new timestamps follow the remote
 *   more                    only when the person agrees: it may be the remote that is wrong
 *
 * A minute is far more than an answer takes, and far less than the five that a remote refuses. What
 * was agreed to once counts as right: a later correction is measured from it.
 */
import type { LocalSecondary } from '../local/local-secondary.ts'
import { type Failure, remedyOf } from './failure.ts'
import type { AnswerTime } from './transport.ts'

export type ClockJudgement =
  | { readonly type: 'as-it-is' }
  | { readonly type: 'correct'; readonly offsetMs: number }
  | { readonly type: 'ask'; readonly offsetMs: number }

export const CLOCK_TOLERANCE_MS = 60_000
export const CLOCK_CORRECTION_MS_MAX: number = 24 * 60 * 60_000
/** An answer that took longer, or came before it was asked for, says nothing of the time. */
const ANSWER_MS_MAX = 30_000

/** `offsetMs`: the correction that stands; `agreedMs`: the one that a person last agreed to. */
export function judgeClock(
  answer: AnswerTime | null,
  options: { readonly offsetMs: number; readonly agreedMs: number; readonly isAccepted: boolean },
): ClockJudgement {
  const measuredMs = answer === null ? null : measure(answer)
  if (measuredMs === null) return { type: 'as-it-is' }
  const offsetMs = Math.abs(measuredMs) <= CLOCK_TOLERANCE_MS ? 0 : measuredMs
  const changeMs = Math.abs(offsetMs - options.offsetMs)
  if (changeMs === 0 || (offsetMs !== 0 && changeMs <= CLOCK_TOLERANCE_MS)) {
    return { type: 'as-it-is' }
  }
  // From its own, or from what the person last agreed to; a sum of small steps is a large one.
  const beyondMs = Math.min(Math.abs(offsetMs), Math.abs(offsetMs - options.agreedMs))
  const mayCorrect = beyondMs <= CLOCK_CORRECTION_MS_MAX || options.isAccepted
  return { type: mayCorrect ? 'correct' : 'ask', offsetMs }
}

/** How far the remote's clock is ahead of this device's own; null when it cannot be told. */
function measure({ remoteMs, sentMs, receivedMs }: AnswerTime): number | null {
  const tookMs = receivedMs - sentMs
  if (!(tookMs >= 0 && tookMs <= ANSWER_MS_MAX)) return null
  return Math.round(remoteMs - (sentMs + receivedMs) / 2)
}

function clockWrong({ remoteMs, receivedMs }: AnswerTime): Failure {
  return {
    code: 'clock-wrong',
    message: `the clock of this device showed ${shown(receivedMs)}, that of the remote ${shown(remoteMs)}: one of them is wrong by more than a day`,
    remedy: remedyOf('clock-wrong'),
  }
}

/** Judges the clock when asked to, and follows the remote's where it may. */
export class ClockDesk {
  readonly #local: LocalSecondary
  readonly #answer: () => AnswerTime | null
  readonly #random: (size: number) => Uint8Array
  #isAccepted = false

  constructor(options: {
    readonly local: LocalSecondary
    readonly answer: () => AnswerTime | null
    readonly random: (size: number) => Uint8Array
  }) {
    this.#local = options.local
    this.#answer = options.answer
    this.#random = options.random
  }

  /**
   * Returns what the person must decide, or null. With `isRefused`, what waits is re-stamped even
   * if the clock is right now: it was not when they were written.
   */
  async check({ isRefused }: { isRefused: boolean }): Promise<Failure | null> {
    const answer = this.#answer()
    const { offsetMs, agreedMs } = this.#local.state.clock
    const isAccepted = this.#isAccepted
    const judged = judgeClock(answer, { offsetMs, agreedMs, isAccepted })
    // One word of the person is for one answer that tells the time.
    if (answer !== null && measure(answer) !== null) this.#isAccepted = false
    if (answer !== null && judged.type === 'ask') return clockWrong(answer)
    if (answer !== null && judged.type === 'correct') {
      await this.#follow(judged.offsetMs, isAccepted ? judged.offsetMs : agreedMs)
      await this.#tell(answer, judged.offsetMs)
    } else if (isRefused) {
      await this.#follow(offsetMs, agreedMs)
    }
    return null
  }

  /** The person takes the remote's clock for right; what was refused for its time is sent again. */
  async accept(): Promise<void> {
    this.#isAccepted = true
    await this.check({ isRefused: false })
    await this.#local.retryRefusedFor(['clock-drift'])
    const { offsetMs, agreedMs } = this.#local.state.clock
    await this.#follow(offsetMs, agreedMs)
  }

  async #follow(offsetMs: number, agreed: number): Promise<void> {
    // Within a day of its own, a clock needs nobody's word.
    const agreedMs = Math.abs(offsetMs) <= CLOCK_CORRECTION_MS_MAX ? 0 : agreed
    await this.#local.correctClock({ offsetMs, agreedMs, tail: this.#random(4) })
  }

  async #tell({ remoteMs, receivedMs }: AnswerTime, offsetMs: number): Promise<void> {
    const both = `it showed ${shown(receivedMs)}, that of the remote ${shown(remoteMs)}`
    const message =
      offsetMs === 0
        ? `the clock of this device is right again: ${both}`
        : `the clock of this device is wrong: ${both}; new writes follow the remote's`
    const { state } = this.#local
    await state.run(async () => {
      const notices = state.withNotice({ code: 'clock-corrected', message })
      await state.writeOps([], { notices })
    })
  }
}

/** A time that no date can hold is shown as the number it is. */
function shown(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString()
}
