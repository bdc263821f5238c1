/**
 * Decision: what the sync engine does next, as one pure function over what it knows.
 *
 *              ┌──────────────────────────────── failure ────────────────────────────────────┐
 *              ▼                                                                             │
 *   rest ──▶ wait ──▶ login ──▶ reconcile ──▶ push-sent ──▶ pull ──▶ apply-live ─┐           │
 *    ▲                              ▲                        ▲  │                ▼           │
 *    │                              │                        │  │  correct-clock ▶ reseal ▶ rebase
 *    │                              └──── sets differ ───────┼──┘                ▼
 *    │                                                       ├── again ◀─ push ▶ forward ▶ sign
 *    ├── finish (once) ◀─────────────────────────────────────┼───────────────────┤
 *    │           wait ◀── rest-between (interval) ◀──────────┼───────────────────┤
 *    │                                                       └─ behind, write ◀ open-socket ▶
 * listen
 *
 * Triggers (a local write, a frame, a closed socket, a timer, a request of the app) only change
 * facts.
 *
 *  1. Nothing is asked of a remote that nobody wants asked, nor while a pause is on.
 *  2. A remote with another SyncId is reconciled with before anything else: what was sent is
 *     repeated to it afterwards.
 *  3. What was sent and not answered is repeated before a pull, so that no arrival is judged
 *     against it; and nothing that waits is rewritten before it is answered.
 *  4. A pull comes before live frames, both before a push, and all before what is only passed on.
 *  5. What other devices have signed is judged, and what is held here is signed (`checkpoint`),
 *     once nothing is left to send.
 *  6. The socket is opened last: its first frame states the head, so nothing falls between.
 *  7. One way only (`mayPush`, `mayPull`) leaves the other's steps out, and nothing else.
 */
export type Facts = {
  readonly wanted: 'rest' | 'once' | 'interval' | 'live'
  readonly mayPush: boolean
  readonly mayPull: boolean
  /** A problem that only the person can end. */
  readonly isStopped: boolean
  /** Offline, pausing after a failure, or resting between two exchanges. */
  readonly isPaused: boolean
  readonly hasSession: boolean
  /** The remote has another SyncId than the cursor, or another set at the same head. */
  readonly mustReconcile: boolean
  readonly hasSentUnanswered: boolean
  /** The remote is ahead of the cursor, or may be. */
  readonly isBehind: boolean
  readonly hasFrames: boolean
  /** The remote refused a write for its time. */
  readonly mustCorrectClock: boolean
  /** The remote refused a write for its epoch. */
  readonly mustReseal: boolean
  /** Writes that wait stand on a state that has changed. */
  readonly isRebaseDue: boolean
  readonly hasPending: boolean
  /** What waits can be pushed only after a pull. */
  readonly awaitsPull: boolean
  /** Versions of other devices that came here by another way. */
  readonly hasForwards: boolean
  /** Checkpoints of other devices are to be judged. */
  readonly hasCheckpoints: boolean
  /** This device is to sign what it holds. */
  readonly isCheckpointDue: boolean
  readonly isSocketOpen: boolean
}

export type Step =
  | 'rest'
  | 'wait'
  | 'login'
  | 'reconcile'
  | 'push-sent'
  | 'pull'
  | 'apply-live'
  | 'correct-clock'
  | 'reseal'
  | 'rebase'
  | 'push'
  | 'forward'
  | 'checkpoint'
  | 'finish'
  | 'rest-between'
  | 'open-socket'
  | 'listen'

export function decide(facts: Facts): Step {
  const { wanted, mayPush, mayPull } = facts
  if (wanted === 'rest' || facts.isStopped) return 'rest'
  if (facts.isPaused) return 'wait'
  if (!facts.hasSession) return 'login'
  if (facts.mustReconcile) return 'reconcile'
  if (mayPush && facts.hasSentUnanswered) return 'push-sent'
  if (mayPull && facts.isBehind) return 'pull'
  if (mayPull && facts.hasFrames) return 'apply-live'
  return decideOutgoing(facts) ?? decideIdle(facts)
}

/** What waits here: put right first, then sent. */
function decideOutgoing(facts: Facts): Step | undefined {
  const { mayPush, awaitsPull, hasSentUnanswered } = facts
  if (!hasSentUnanswered && !awaitsPull) {
    if (facts.mustCorrectClock) return 'correct-clock'
    if (facts.mustReseal) return 'reseal'
    if (facts.isRebaseDue) return 'rebase'
  }
  if (mayPush && facts.hasPending && !awaitsPull) return 'push'
  if (mayPush && facts.hasForwards) return 'forward'
  const mustSign = mayPush && facts.isCheckpointDue
  return facts.mayPull && (facts.hasCheckpoints || mustSign) ? 'checkpoint' : undefined
}

function decideIdle({ wanted, mayPull, isSocketOpen }: Facts): Step {
  if (wanted === 'once') return 'finish'
  if (wanted === 'interval') return 'rest-between'
  // Who takes nothing needs no socket.
  return isSocketOpen || !mayPull ? 'listen' : 'open-socket'
}
