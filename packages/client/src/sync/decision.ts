/**
 * Decision: what the sync engine does next, as one pure function over what it knows.
 *
 *              ┌──────────────────────── failure ────────────────────────┐
 *              ▼                                                         │
 *   rest ──▶ wait ──▶ login ──▶ push-sent ──▶ pull ──▶ apply-live ──▶ push ──▶ open-socket ──▶
 * listen
 *    ▲                                          ▲                                │               │
 *    └── finish (once) ◀─────────────────────────┴── behind ◀────────────────────┴─── write ◀────┘
 *
 * Triggers (a local write, a frame, a closed socket, a timer, a request of the app) only change
 * facts.
 *
 *  1. Nothing is asked of a remote that nobody wants asked, nor while a pause is on.
 *  2. What was sent and not answered is repeated first, so that no arrival is judged against it.
 *  3. A pull comes before live frames, and both before a push.
 *  4. The socket is opened last: its first frame states the head, so nothing falls between.
 */
export type Facts = {
  readonly wanted: 'rest' | 'once' | 'live'
  /** A problem that only the person can end. */
  readonly isStopped: boolean
  /** Offline, or pausing after a failure. */
  readonly isPaused: boolean
  readonly hasSession: boolean
  readonly hasSentUnanswered: boolean
  /** The remote is ahead of the cursor, or may be. */
  readonly isBehind: boolean
  readonly hasFrames: boolean
  readonly hasPending: boolean
  readonly isSocketOpen: boolean
}

export type Step =
  | 'rest'
  | 'wait'
  | 'login'
  | 'push-sent'
  | 'pull'
  | 'apply-live'
  | 'push'
  | 'finish'
  | 'open-socket'
  | 'listen'

export function decide(facts: Facts): Step {
  if (facts.wanted === 'rest' || facts.isStopped) return 'rest'
  if (facts.isPaused) return 'wait'
  if (!facts.hasSession) return 'login'
  if (facts.hasSentUnanswered) return 'push-sent'
  if (facts.isBehind) return 'pull'
  if (facts.hasFrames) return 'apply-live'
  if (facts.hasPending) return 'push'
  if (facts.wanted === 'once') return 'finish'
  return facts.isSocketOpen ? 'listen' : 'open-socket'
}
