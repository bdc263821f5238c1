/**
 * The decision of the sync engine: its rules over every combination of facts.
 */
import { describe, expect, it } from 'vitest'
import { decide, type Facts, type Step } from './decision.ts'

const BOOLEANS = [
  'mayPush',
  'mayPull',
  'isStopped',
  'isPaused',
  'hasSession',
  'mustReconcile',
  'hasSentUnanswered',
  'isBehind',
  'hasFrames',
  'mustCorrectClock',
  'mustReseal',
  'isRebaseDue',
  'hasPending',
  'awaitsPull',
  'hasForwards',
  'isSocketOpen',
] as const

const WANTED = ['rest', 'once', 'interval', 'live'] as const

/** What comes last of all has rules of its own: elsewhere there is nothing of it. */
type Signing = Pick<Facts, 'hasCheckpoints' | 'isCheckpointDue'>
const NO_SIGNING: Signing = { hasCheckpoints: false, isCheckpointDue: false }

/** All 262,144 combinations of the others, each in the same object. */
function* everyFacts(signing: Signing): Generator<Facts> {
  const facts: Record<string, unknown> = { ...signing }
  for (const wanted of WANTED) {
    facts.wanted = wanted
    for (let bits = 0; bits < 2 ** BOOLEANS.length; bits++) {
      for (const [i, name] of BOOLEANS.entries()) facts[name] = (bits & (1 << i)) !== 0
      yield facts as Facts
    }
  }
}

/** The first facts of which `isSo` is true; a rule that holds finds none. */
function firstWhere(
  isSo: (facts: Facts, step: Step) => boolean,
  signing: Signing = NO_SIGNING,
): [Facts, Step] | undefined {
  for (const facts of everyFacts(signing)) {
    const step = decide(facts)
    if (isSo(facts, step)) return [facts, step]
  }
  return undefined
}

const PUSHES: readonly Step[] = ['push-sent', 'push', 'forward']
const PULLS: readonly Step[] = ['pull', 'apply-live', 'open-socket']
const IDLE: readonly Step[] = ['finish', 'rest-between', 'listen', 'open-socket']
const REWRITES: readonly Step[] = ['correct-clock', 'reseal', 'rebase']

describe('decide', () => {
  it('asks nothing of a remote that nobody wants asked, nor while stopped or paused', () => {
    const found = firstWhere(({ wanted, isStopped, isPaused }, step) => {
      const mayAsk = wanted !== 'rest' && !isStopped && !isPaused
      return !mayAsk && step !== 'rest' && step !== 'wait'
    })
    expect(found).toBeUndefined()
  })

  it('rests and waits only then', () => {
    const found = firstWhere(({ wanted, isStopped, isPaused }, step) => {
      const mayAsk = wanted !== 'rest' && !isStopped && !isPaused
      return mayAsk && (step === 'rest' || step === 'wait')
    })
    expect(found).toBeUndefined()
  })

  it('logs in before anything else, and reconciles next', () => {
    const found = firstWhere(({ hasSession, mustReconcile }, step) => {
      if (step === 'rest' || step === 'wait') return false
      if (!hasSession) return step !== 'login'
      return mustReconcile ? step !== 'reconcile' : step === 'reconcile' || step === 'login'
    })
    expect(found).toBeUndefined()
  })

  it('repeats what was sent before it pulls or pushes, and rewrites nothing before the answer', () => {
    const found = firstWhere(({ hasSentUnanswered, mayPush }, step) => {
      if (!hasSentUnanswered) return step === 'push-sent'
      if (REWRITES.includes(step)) return true
      return mayPush && (PULLS.includes(step) || step === 'push' || step === 'forward')
    })
    expect(found).toBeUndefined()
  })

  it('pulls before it applies frames, and does both before it pushes', () => {
    const found = firstWhere(({ mayPull, isBehind, hasFrames }, step) => {
      if (!mayPull) return false
      const isLater = step === 'push' || step === 'forward' || IDLE.includes(step)
      if (isBehind) return step === 'apply-live' || isLater
      return hasFrames && isLater
    })
    expect(found).toBeUndefined()
  })

  it('pushes nothing that must be put right first', () => {
    const found = firstWhere((facts, step) => {
      if (step !== 'push') return false
      const { mustCorrectClock, mustReseal, isRebaseDue, awaitsPull } = facts
      return mustCorrectClock || mustReseal || isRebaseDue || awaitsPull
    })
    expect(found).toBeUndefined()
  })

  it('goes one way only where that is asked for', () => {
    const found = firstWhere(({ mayPush, mayPull }, step) => {
      if (!mayPush && PUSHES.includes(step)) return true
      return !mayPull && PULLS.includes(step)
    })
    expect(found).toBeUndefined()
  })

  it('is idle only when nothing is left that it may exchange', () => {
    const found = firstWhere((facts, step) => {
      if (!IDLE.includes(step)) return false
      const { mayPush, mayPull, awaitsPull } = facts
      const isUnread = mayPull && (facts.isBehind || facts.hasFrames)
      const isUnsent =
        mayPush &&
        (facts.hasSentUnanswered || facts.hasForwards || (facts.hasPending && !awaitsPull))
      return isUnread || isUnsent || facts.mustReconcile || !facts.hasSession
    })
    expect(found).toBeUndefined()
  })

  it.each([
    { hasCheckpoints: true, isCheckpointDue: false },
    { hasCheckpoints: false, isCheckpointDue: true },
    { hasCheckpoints: true, isCheckpointDue: true },
  ])('judges and signs checkpoints once all is exchanged, and then rests: %o', (signing) => {
    const found = firstWhere((facts, step) => {
      const { mayPush, mayPull, hasCheckpoints, isCheckpointDue } = facts
      const isDue = mayPull && (hasCheckpoints || (mayPush && isCheckpointDue))
      if (IDLE.includes(step)) return isDue
      if (step !== 'checkpoint') return false
      const isUnread = facts.isBehind || facts.hasFrames
      const isUnsent = mayPush && (facts.hasSentUnanswered || facts.hasForwards)
      return !isDue || isUnread || isUnsent
    }, signing)
    expect(found).toBeUndefined()
  })

  it('signs nothing when nothing is to be judged or signed', () => {
    expect(firstWhere((_facts, step) => step === 'checkpoint')).toBeUndefined()
  })

  it('ends each mode in its own way', () => {
    const found = firstWhere(({ wanted }, step) => {
      if (step === 'finish') return wanted !== 'once'
      if (step === 'rest-between') return wanted !== 'interval'
      return (step === 'listen' || step === 'open-socket') && wanted !== 'live'
    })
    expect(found).toBeUndefined()
  })
})
