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
  /** What is compared is on the disk as it was sent, up to here. */
  durableBelow = 0
  pendingCount: number
  attentionCount: number
  /** Somebody waits for these to arrive: none of them is dropped for a later one. */
  awaitedBelow = 0
  /** What waits was looked through for this epoch; before the second there is nothing to find. */
  resealedFor = 1
  #firstPending: number
  /** The least number of those that were answered and wait again. */
  #firstAgain: number | null = null

  constructor(
    stored: { nextNumber: number; sentBelow: number },
    { pending, attention }: { pending: Numbered & { lastCompared?: number }; attention: Numbered },
  ) {
    // A number that was used again would write over a transaction that waits.
    this.nextNumber = Math.max(stored.nextNumber, pending.last + 1, attention.last + 1)
    // A power cut, or a folder that was put back, may have lost that it was sent; and what is
    // compared must not run again on a state that has it. The remote knows a repeat.
    this.sentBelow = Math.max(stored.sentBelow, (pending.lastCompared ?? -1) + 1)
    this.pendingCount = pending.count
    this.attentionCount = attention.count
    this.#firstPending = pending.first
  }

  /** True while a transaction may have been sent whose verdict is not known. */
  get hasSentUnanswered(): boolean {
    return this.pendingCount > 0 && this.#firstPending < this.sentBelow
  }

  /** Whether a transaction may still be changed. */
  isUnsent(number: number): boolean {
    return number >= this.sentBelow
  }

  /** Whether a later transaction may take its place. */
  mayReplace(number: number): boolean {
    return this.isUnsent(number) && number >= this.awaitedBelow
  }

  /** Up to where nothing counts as sent once all that was sent is answered; null: as it is. */
  get thawedBelow(): number | null {
    return this.#firstAgain
  }

  /** `replacedCount` transactions that waited were dropped for it. */
  added(number: number, replacedCount = 0): void {
    if (this.pendingCount === 0) this.#firstPending = number
    this.pendingCount += 1 - replacedCount
  }

  /** The batch that was to add it failed. */
  notAdded(replacedCount: number): void {
    this.pendingCount -= 1 - replacedCount
  }

  /** Verdicts came in: `gone` left the outbox, `again` wait in it as if they were new. */
  settled(verdicts: {
    readonly gone: readonly number[]
    readonly again: readonly number[]
    readonly refusedCount: number
  }): void {
    const { gone, again, refusedCount } = verdicts
    this.pendingCount -= gone.length
    this.attentionCount += refusedCount
    for (const number of again) this.#firstAgain = Math.min(number, this.#firstAgain ?? number)
    const next = Math.max(0, ...gone.map((number) => number + 1))
    this.#firstPending = this.#firstAgain ?? Math.max(next, this.#firstPending)
  }

  thawed(sentBelow: number): void {
    this.sentBelow = sentBelow
    this.durableBelow = Math.min(this.durableBelow, sentBelow)
    this.#firstAgain = null
  }

  /** Transactions left the outbox, `movedCount` of them for attention. */
  dropped(count: number, movedCount: number): void {
    this.pendingCount -= count
    this.attentionCount += movedCount
  }

  /** Transactions of attention were discarded. */
  discarded(count: number): void {
    this.attentionCount -= count
  }

  /** One of attention went back to the outbox, with a new number. */
  takenBack(number: number): void {
    this.added(number)
    this.attentionCount--
    // It was sealed when it was written, perhaps long ago.
    this.resealedFor = 1
  }
}
