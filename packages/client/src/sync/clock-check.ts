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
import type { LocalState } from '../local-state.ts'
import type { Failure } from './failure.ts'
import { remedyOf } from './failure.ts'
import type { AnswerTime } from './transport.ts'

export type ClockJudgement =
  | { readonly type: 'as-it-is' }
  | { readonly type: 'correct'; readonly offsetMs: number }
  | { readonly type: 'ask'; readonly offsetMs: number }

export const CLOCK_TOLERANCE_MS = 60_000
export const CLOCK_CORRECTION_MS_MAX: number = 24 * 60 * 60_000
/** An answer that took longer, or came before it was asked for, says nothing of the time. */
const ANSWER_MS_MAX = 30_000

/** `offsetMs`: the correction that stands. */
export function judgeClock(
  answer: AnswerTime | null,
  options: { readonly offsetMs: number; readonly isAccepted: boolean },
): ClockJudgement {
  const measuredMs = answer === null ? null : measure(answer)
  if (measuredMs === null) return { type: 'as-it-is' }
  const offsetMs = Math.abs(measuredMs) <= CLOCK_TOLERANCE_MS ? 0 : measuredMs
  const changeMs = Math.abs(offsetMs - options.offsetMs)
  if (changeMs === 0 || (offsetMs !== 0 && changeMs <= CLOCK_TOLERANCE_MS)) {
    return { type: 'as-it-is' }
  }
  const mayCorrect = offsetMs === 0 || changeMs <= CLOCK_CORRECTION_MS_MAX || options.isAccepted
  return { type: mayCorrect ? 'correct' : 'ask', offsetMs }
}

/** How far the remote's clock is ahead of this device's own; null when it cannot be told. */
function measure({ remoteMs, sentMs, receivedMs }: AnswerTime): number | null {
  const tookMs = receivedMs - sentMs
  if (!(tookMs >= 0 && tookMs <= ANSWER_MS_MAX)) return null
  return Math.round(remoteMs - (sentMs + receivedMs) / 2)
}

/** Follows another clock from now on, and tells the person. Returns how many were re-stamped. */
export async function tellCorrection(
  state: LocalState,
  { remoteMs, receivedMs }: AnswerTime,
  offsetMs: number,
): Promise<void> {
  const message =
    offsetMs === 0
      ? `the clock of this device is right again: it showed ${shown(receivedMs)}, the remote's ${shown(remoteMs)}`
      : `the clock of this device is wrong: it showed ${shown(receivedMs)}, the remote's ${shown(remoteMs)}; new writes follow the remote's`
  await state.run(async () => {
    const notices = state.withNotice({ code: 'clock-corrected', message })
    await state.writeOps([], { notices })
  })
}

export function clockWrong({ remoteMs, receivedMs }: AnswerTime): Failure {
  return {
    code: 'clock-wrong',
    message: `the clock of this device showed ${shown(receivedMs)}, that of the remote ${shown(remoteMs)}: one of them is wrong by more than a day`,
    remedy: remedyOf('clock-wrong'),
  }
}

/** A time that no date can hold is shown as the number it is. */
function shown(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString()
}
