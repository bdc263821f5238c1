/**
 * The decision of the sync engine: its rules over every combination of facts.
 */
import { describe, expect, it } from 'vitest'
import { decide, type Facts } from './decision.ts'

const BOOLEANS = [
  'isStopped',
  'isPaused',
  'hasSession',
  'hasSentUnanswered',
  'isBehind',
  'hasFrames',
  'hasPending',
  'isSocketOpen',
] as const

/** All 768 combinations. */
function* everyFacts(): Generator<Facts> {
  for (const wanted of ['rest', 'once', 'live'] as const) {
    for (let bits = 0; bits < 2 ** BOOLEANS.length; bits++) {
      const flags = Object.fromEntries(BOOLEANS.map((name, i) => [name, (bits & (1 << i)) !== 0]))
      yield { wanted, ...flags } as Facts
    }
  }
}

const REMOTE_STEPS = ['login', 'push-sent', 'pull', 'push', 'open-socket']

describe('decide', () => {
  it('asks nothing of a remote that nobody wants asked, nor while stopped or paused', () => {
    for (const facts of everyFacts()) {
      const mayAsk = facts.wanted !== 'rest' && !facts.isStopped && !facts.isPaused
      if (!mayAsk) expect(['rest', 'wait']).toContain(decide(facts))
    }
  })

  it('logs in before anything else', () => {
    for (const facts of everyFacts()) {
      const step = decide(facts)
      if (!facts.hasSession && REMOTE_STEPS.includes(step)) expect(step).toBe('login')
    }
  })

  it('repeats what was sent before it pulls, pushes or applies anything', () => {
    for (const facts of everyFacts()) {
      if (!facts.hasSentUnanswered) continue
      expect(['pull', 'apply-live', 'push', 'finish', 'open-socket', 'listen']).not.toContain(
        decide(facts),
      )
    }
  })

  it('pulls before it applies frames, and does both before it pushes', () => {
    for (const facts of everyFacts()) {
      const step = decide(facts)
      if (facts.isBehind) expect(['apply-live', 'push']).not.toContain(step)
      if (facts.hasFrames) expect(step).not.toBe('push')
    }
  })

  it('is done, or listens, only when nothing is left to exchange', () => {
    for (const facts of everyFacts()) {
      const step = decide(facts)
      if (step !== 'finish' && step !== 'listen' && step !== 'open-socket') continue
      expect(facts).toMatchObject({
        hasSession: true,
        hasSentUnanswered: false,
        isBehind: false,
        hasFrames: false,
        hasPending: false,
      })
      expect(step === 'finish').toBe(facts.wanted === 'once')
    }
  })
})
