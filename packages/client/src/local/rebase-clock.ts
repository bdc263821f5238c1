/**
 * Rebase clock: the timestamps of transactions that are rewritten. One that was moved by what
 * arrived is written now; one that is re-stamped, because the clock was wrong, keeps its place in
 * time.
 */
import {
  type ClockState,
  encodeTimestamp,
  TIMESTAMP_NONE,
  type Timestamp,
  timestampCounter,
  timestampMilliseconds,
} from '@blindcopy/protocol'
import type { LocalClock } from './local-clock.ts'
import type { OutboxEntry } from './outbox.ts'
import { isLater } from './row.ts'

export class RebaseClock {
  /** The clock once everything is written that was given a timestamp. */
  state: ClockState
  readonly #clock: LocalClock
  readonly #shiftMs: number | undefined
  /** Of re-stamped transactions, which keep their order and not the present. */
  #shiftedState: ClockState = { milliseconds: 0, counter: 0 }

  constructor(clock: LocalClock, shiftMs: number | undefined) {
    this.#clock = clock
    this.#shiftMs = shiftMs
    this.state = clock.state
  }

  /** When a transaction was written, by the clock that is right. */
  writtenAt({ timestamp }: OutboxEntry): Timestamp {
    if (this.#shiftMs === undefined) return timestamp
    const milliseconds = this.#shifted(timestamp)
    const state = { milliseconds, counter: timestampCounter(timestamp) }
    return encodeTimestamp(state, this.#clock.identity)
  }

  /** The new timestamp of a transaction, above the versions that it replaces. */
  next(entry: OutboxEntry, replaced: readonly Timestamp[]): Timestamp {
    if (this.#shiftMs === undefined) {
      const next = this.#clock.next(greatestOf([...replaced, entry.timestamp]), this.state)
      this.state = next.state
      return next.timestamp
    }
    const atMs = this.#shifted(entry.timestamp)
    const next = this.#clock.next(greatestOf(replaced), this.#shiftedState, atMs)
    this.#shiftedState = next.state
    this.state = laterClock(this.state, next.state)
    return next.timestamp
  }

  #shifted(timestamp: Timestamp): number {
    const shiftedMs = timestampMilliseconds(timestamp) + (this.#shiftMs ?? 0)
    return Math.max(0, Math.min(Math.floor(this.#clock.nowMs()), shiftedMs))
  }
}

const greatestOf = (timestamps: readonly Timestamp[]): Timestamp =>
  timestamps.reduce((a, b) => (isLater(b, a) ? b : a), TIMESTAMP_NONE)

const laterClock = (a: ClockState, b: ClockState): ClockState =>
  a.milliseconds > b.milliseconds || (a.milliseconds === b.milliseconds && a.counter >= b.counter)
    ? a
    : b
