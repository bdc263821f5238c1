/**
 * Judging a clock by the time of answers: never on an answer that says nothing, never past a day
 * without the person, and never twice for one fault.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CLOCK_CORRECTION_MS_MAX, CLOCK_TOLERANCE_MS, judgeClock } from './clock-check.ts'

const NOW_MS = 1_800_000_000_000
const HOUR_MS = 3_600_000

/** An answer of a remote whose clock is `aheadMs` ahead of this device's. */
const answerOf = (aheadMs: number, tookMs = 100) => ({
  remoteMs: NOW_MS + aheadMs,
  sentMs: NOW_MS - tookMs / 2,
  receivedMs: NOW_MS + tookMs / 2,
})
const fresh = { offsetMs: 0, agreedMs: 0, isAccepted: false }

describe('judgeClock', () => {
  it('leaves a clock alone that is right to a minute, or is not compared', () => {
    expect(judgeClock(null, fresh)).toEqual({ type: 'as-it-is' })
    for (const aheadMs of [0, CLOCK_TOLERANCE_MS, -CLOCK_TOLERANCE_MS]) {
      expect(judgeClock(answerOf(aheadMs), fresh)).toEqual({ type: 'as-it-is' })
    }
  })

  it('corrects up to a day, either way, and asks beyond', () => {
    for (const sign of [1, -1]) {
      for (const ms of [CLOCK_TOLERANCE_MS + 1, 3 * HOUR_MS, CLOCK_CORRECTION_MS_MAX]) {
        const offsetMs = sign * ms
        expect(judgeClock(answerOf(offsetMs), fresh)).toEqual({ type: 'correct', offsetMs })
      }
      const offsetMs = sign * (CLOCK_CORRECTION_MS_MAX + 1)
      expect(judgeClock(answerOf(offsetMs), fresh)).toEqual({ type: 'ask', offsetMs })
      const accepted = { offsetMs: 0, agreedMs: 0, isAccepted: true }
      expect(judgeClock(answerOf(offsetMs), accepted)).toEqual({ type: 'correct', offsetMs })
    }
  })

  it('takes a correction back when the clock is right again, however large it was', () => {
    const offsetMs = 400 * 24 * HOUR_MS
    const judged = judgeClock(answerOf(0), { offsetMs, agreedMs: 0, isAccepted: false })
    expect(judged).toEqual({ type: 'correct', offsetMs: 0 })
  })

  it('believes no answer that took long, or came before it was asked for', () => {
    expect(judgeClock(answerOf(HOUR_MS, 31_000), fresh)).toEqual({ type: 'as-it-is' })
    expect(judgeClock(answerOf(HOUR_MS, -2), fresh)).toEqual({ type: 'as-it-is' })
  })

  it('has nothing to add once its judgement was followed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -(2 ** 41), max: 2 ** 41 }),
        fc.integer({ min: -(2 ** 41), max: 2 ** 41 }),
        fc.integer({ min: 0, max: 20_000 }),
        fc.boolean(),
        (aheadMs, offsetMs, tookMs, isAccepted) => {
          const answer = answerOf(aheadMs, tookMs)
          const judged = judgeClock(answer, { offsetMs, agreedMs: 0, isAccepted })
          if (judged.type !== 'correct') return
          const followed = { offsetMs: judged.offsetMs, agreedMs: 0, isAccepted: false }
          expect(judgeClock(answer, followed)).toEqual({ type: 'as-it-is' })
        },
      ),
    )
  })
})
