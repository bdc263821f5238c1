/**
 * Local clock: the hybrid clock of one device (design 4), which a wrong clock elsewhere cannot
 * move.
 *
 * It advances with this device's writes and with opened versions at most five minutes ahead of it.
 * A write that replaces a version further ahead stands just above that version, and leaves the
 * clock where it is. Two such writes may stand above versions of the same time: no timestamp is
 * given twice, because a timestamp names its transaction.
 */
import {
  CLOCK_DRIFT_MS_MAX,
  type ClockIdentity,
  type ClockState,
  compareTimestamps,
  encodeTimestamp,
  receive,
  type Timestamp,
  tick,
  timestampMilliseconds,
} from '@blindcopy/protocol'

export class LocalClock {
  readonly identity: ClockIdentity
  readonly #nowMs: () => number
  /** What was given out above the clock, since it was opened: its random tail is its own. */
  readonly #givenAhead = new Set<string>()
  state: ClockState

  constructor(state: ClockState, identity: ClockIdentity, nowMs: () => number) {
    this.state = state
    this.identity = identity
    this.#nowMs = nowMs
  }

  /** A timestamp above `replaced`, and the clock once it is used. */
  next(replaced: Timestamp): { timestamp: Timestamp; state: ClockState } {
    const own = this.#unused(tick(this.state, this.#nowMs()))
    const timestamp = encodeTimestamp(own, this.identity)
    if (compareTimestamps(timestamp, replaced) > 0) return { timestamp, state: own }
    const above = this.#unused(tick(own, this.#nowMs(), [replaced]))
    if (!this.isAhead(replaced)) {
      return { timestamp: encodeTimestamp(above, this.identity), state: above }
    }
    this.#givenAhead.add(textOf(above))
    return { timestamp: encodeTimestamp(above, this.identity), state: own }
  }

  /** The clock after an opened version. */
  received(state: ClockState, timestamp: Timestamp): ClockState {
    return this.isAhead(timestamp) ? state : receive(state, timestamp)
  }

  /** Further ahead than a clock may be. */
  isAhead(timestamp: Timestamp): boolean {
    return timestampMilliseconds(timestamp) > this.#nowMs() + CLOCK_DRIFT_MS_MAX
  }

  #unused(state: ClockState): ClockState {
    let unused = state
    while (this.#givenAhead.has(textOf(unused))) unused = tick(unused, 0)
    return unused
  }
}

const textOf = ({ milliseconds, counter }: ClockState): string => `${milliseconds}.${counter}`
