/**
 * Sync traffic: how many transactions have gone to the remote, told from one status to the next.
 * That fewer wait is not enough: some lose to what arrived and are never sent, some are refused.
 */
import type { SyncStatus } from '@blindcopy/client'

export class SyncTraffic {
  readonly #pendingAtStart: number
  readonly #attentionAtStart: number
  /** Of pushes that are over, and of the one under way. */
  #settled = 0
  #settling = 0
  #latest: SyncStatus

  constructor(start: SyncStatus) {
    this.#pendingAtStart = start.pending
    this.#attentionAtStart = start.attention
    this.#latest = start
  }

  take(status: SyncStatus): void {
    this.#latest = status
    const { phase, progress } = status
    const isPush = phase === 'pushing' && progress?.direction === 'push'
    const done = isPush ? progress.done : 0
    if (done < this.#settling) this.#settled += this.#settling
    this.#settling = done
  }

  /** Transactions that the remote has taken since the start. */
  get sent(): number {
    const { pending, attention } = this.#latest
    const answered = this.#settled + this.#settling
    const left = this.#pendingAtStart - pending
    const refused = Math.max(0, attention - this.#attentionAtStart)
    return Math.max(0, Math.min(answered, left) - refused)
  }
}
