/**
 * Outbox state: how many transactions wait, which numbers they have, and how far they may have been
 * sent. Counted once when the local secondary is opened; each method follows a batch that was
 * written.
 *
 * Verdicts come in the order of the numbers, so what has been sent and waits is always the
 * beginning.
 */
import type { Numbered } from './local-reading.ts'

export class OutboxState {
  /** The number of the next transaction, never used twice. */
  nextNumber: number
  /** Transactions numbered below may have been sent, and stay as they are until a verdict. */
  sentBelow: number
  pendingCount: number
  attentionCount: number
  #firstPending: number

  constructor(
    stored: { nextNumber: number; sentBelow: number },
    { pending, attention }: { pending: Numbered; attention: Numbered },
  ) {
    // A number that was used again would write over a transaction that waits.
    this.nextNumber = Math.max(stored.nextNumber, pending.last + 1, attention.last + 1)
    this.sentBelow = stored.sentBelow
    this.pendingCount = pending.count
    this.attentionCount = attention.count
    this.#firstPending = pending.first
  }

  /** True while a transaction may have been sent whose verdict is not known. */
  get hasSentUnanswered(): boolean {
    return this.pendingCount > 0 && this.#firstPending < this.sentBelow
  }

  added(number: number): void {
    this.nextNumber = number + 1
    if (this.pendingCount === 0) this.#firstPending = number
    this.pendingCount++
  }

  settled(numbers: readonly number[], refusedCount: number): void {
    this.pendingCount -= numbers.length
    this.attentionCount += refusedCount
    this.#firstPending = Math.max(0, ...numbers.map((number) => number + 1))
  }

  /** Transactions of the outbox went to attention. */
  setAside(count: number): void {
    this.pendingCount -= count
    this.attentionCount += count
  }

  /** Transactions of attention went back to the outbox. */
  takenBack(numbers: readonly number[]): void {
    const first = numbers.reduce((least, number) => Math.min(least, number), Number.MAX_VALUE)
    this.#firstPending = this.pendingCount === 0 ? first : Math.min(first, this.#firstPending)
    this.pendingCount += numbers.length
    this.attentionCount -= numbers.length
  }
}
