/**
 * Penalties: whoever guesses waits longer after each wrong guess.
 *
 *   failures of one address    1 to 5    6     7     8    …   from the 16th on
 *   then it waits              nothing   1 s   2 s   4 s  …   15 minutes
 *
 * Guessing is hopeless by the size of what would be guessed (a signature, a token of 144 bits, a
 * mailbox id of 128); this bounds the load, and makes guesses at a weak token of somebody's own
 * slow. It is by address, never by vault: nobody can lock out a device by failing in its name.
 *
 * The same guess again is no guess: a device that was left with an old token tries it for ever, and
 * others share its address. Times are of a clock that nobody sets.
 */
import { tooMany } from './rates.ts'

export type Penalties = {
  /** Throws `too-many-requests` while this key waits. */
  check(key: string): void
  /** `guess`: what was tried, where that can be told; one of the last few is not counted again. */
  fail(key: string, guess?: string): void
}

type Failures = {
  readonly count: number
  readonly untilMs: number
  readonly failedMs: number
  readonly guesses: readonly string[]
}

const FREE = 5
const FIRST_MS = 1_000
const LONGEST_MS = 15 * 60_000
/** After so long without another failure all is forgotten. */
const FORGOTTEN_MS = 60 * 60_000
const KEYS_MAX = 20_000
/** As many as one household may have left over. */
const GUESSES_MAX = 8

export type PenaltiesParts = {
  /** Monotonic: a clock that is set back would make somebody wait for as long. */
  readonly uptimeMs: () => number
}

export function createPenalties({ uptimeMs }: PenaltiesParts): Penalties {
  // Those that failed longest ago first.
  const failuresByKey = new Map<string, Failures>()
  const failuresOf = (key: string) => {
    const failures = failuresByKey.get(key)
    return failures !== undefined && uptimeMs() - failures.failedMs < FORGOTTEN_MS
      ? failures
      : undefined
  }
  return {
    check(key) {
      const waitMs = (failuresOf(key)?.untilMs ?? 0) - uptimeMs()
      if (waitMs > 0) throw tooMany('failed attempts', Math.ceil(waitMs / 1000))
    },
    fail(key, guess) {
      const { count: before = 0, guesses: known = [] } = failuresOf(key) ?? {}
      if (guess !== undefined && known.includes(guess)) return
      const failedMs = uptimeMs()
      const count = before + 1
      const guesses = guess === undefined ? known : [...known, guess].slice(-GUESSES_MAX)
      const delayMs = count <= FREE ? 0 : Math.min(FIRST_MS * 2 ** (count - FREE - 1), LONGEST_MS)
      failuresByKey.delete(key)
      failuresByKey.set(key, { count, untilMs: failedMs + delayMs, failedMs, guesses })
      for (const oldest of failuresByKey.keys()) {
        if (failuresByKey.size <= KEYS_MAX) break
        failuresByKey.delete(oldest)
      }
    },
  }
}
