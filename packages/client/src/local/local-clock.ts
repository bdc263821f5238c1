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
  readonly #deviceMs: () => number
  /** What was given out above the clock, since it was opened: its random tail is its own. */
  readonly #givenAhead = new Set<string>()
  #identity: ClockIdentity
  state: ClockState
  /** Added to the time of the device: what a remote has shown it to be wrong by. */
  offsetMs: number
  /** Of that, what a person last agreed to; 0 while nobody had to. */
  agreedMs: number

  constructor(
    stored: { clock: ClockState; clockOffsetMs: number; clockAgreedMs: number },
    identity: ClockIdentity,
    deviceMs: () => number,
  ) {
    this.state = stored.clock
    this.offsetMs = stored.clockOffsetMs
    this.agreedMs = stored.clockAgreedMs
    this.#identity = identity
    this.#deviceMs = deviceMs
  }

  get identity(): ClockIdentity {
    return this.#identity
  }

  /** The corrected time. */
  nowMs(): number {
    return this.#deviceMs() + this.offsetMs
  }

  /**
   * The clock with another offset: one that stands too far ahead is set back. `tail` is new and
   * random, so that what is given out from then on repeats nothing. Call `adopt` once it is stored.
   */
  corrected(offsetMs: number): ClockState {
    const nowMs = Math.floor(this.#deviceMs() + offsetMs)
    if (this.state.milliseconds <= nowMs + CLOCK_DRIFT_MS_MAX) return this.state
    return { milliseconds: nowMs, counter: 0 }
  }

  adopt(correction: { offsetMs: number; agreedMs: number; tail: Uint8Array }): void {
    this.offsetMs = correction.offsetMs
    this.agreedMs = correction.agreedMs
    this.#identity = { deviceId: this.#identity.deviceId, tail: correction.tail }
  }

  /**
   * A timestamp above `replaced`, and the clock once it is used. `after` is where it stands; `atMs`
   * another time than the present, of what is re-stamped.
   */
  next(
    replaced: Timestamp,
    after: ClockState = this.state,
    atMs: number = this.nowMs(),
  ): { timestamp: Timestamp; state: ClockState } {
    const own = this.#unused(tick(after, atMs))
    const timestamp = encodeTimestamp(own, this.#identity)
    if (compareTimestamps(timestamp, replaced) > 0) return { timestamp, state: own }
    const above = this.#unused(tick(own, atMs, [replaced]))
    if (!this.isAhead(replaced)) {
      return { timestamp: encodeTimestamp(above, this.#identity), state: above }
    }
    this.#givenAhead.add(textOf(above))
    return { timestamp: encodeTimestamp(above, this.#identity), state: own }
  }

  /** The clock after an opened version. */
  received(state: ClockState, timestamp: Timestamp): ClockState {
    return this.isAhead(timestamp) ? state : receive(state, timestamp)
  }

  /** Further ahead than a clock may be. */
  isAhead(timestamp: Timestamp): boolean {
    return timestampMilliseconds(timestamp) > this.nowMs() + CLOCK_DRIFT_MS_MAX
  }

  #unused(state: ClockState): ClockState {
    let unused = state
    while (this.#givenAhead.has(textOf(unused))) unused = tick(unused, 0)
    return unused
  }
}

const textOf = ({ milliseconds, counter }: ClockState): string => `${milliseconds}.${counter}`
