/**
 * Penalties: whoever guesses waits longer after each wrong guess.
 *
 *   failures of one address    1 to 5    6     7     8    …   from the 16th on
 *   then it waits              nothing   1 s   2 s   4 s  …   15 minutes
 *
 * Guessing is hopeless by the size of what would be guessed (a signature, a token of 144 bits, a
 * mailbox id of 128); this bounds the load, and makes guesses at a weak token of somebody's own
 * slow. It is by address, never by vault: nobody can lock out a device by failing in its name.
 */
import { tooMany } from './rates.ts'

export type Penalties = {
  /** Throws `too-many-requests` while this key waits. */
  check(key: string): void
  fail(key: string): void
}

type Failures = { readonly count: number; readonly untilMs: number; readonly failedMs: number }

const FREE = 5
const FIRST_MS = 1_000
const LONGEST_MS = 15 * 60_000
/** After so long without another failure all is forgotten. */
const FORGOTTEN_MS = 60 * 60_000
const KEYS_MAX = 20_000

export function createPenalties({ nowMs }: { readonly nowMs: () => number }): Penalties {
  // Those that failed longest ago first.
  const failuresByKey = new Map<string, Failures>()
  const failuresOf = (key: string) => {
    const failures = failuresByKey.get(key)
    return failures !== undefined && nowMs() - failures.failedMs < FORGOTTEN_MS
      ? failures
      : undefined
  }
  return {
    check(key) {
      const waitMs = (failuresOf(key)?.untilMs ?? 0) - nowMs()
      if (waitMs > 0) throw tooMany('failed attempts', Math.ceil(waitMs / 1000))
    },
    fail(key) {
      const failedMs = nowMs()
      const count = (failuresOf(key)?.count ?? 0) + 1
      const delayMs = count <= FREE ? 0 : Math.min(FIRST_MS * 2 ** (count - FREE - 1), LONGEST_MS)
      failuresByKey.delete(key)
      failuresByKey.set(key, { count, untilMs: failedMs + delayMs, failedMs })
      for (const oldest of failuresByKey.keys()) {
        if (failuresByKey.size <= KEYS_MAX) break
        failuresByKey.delete(oldest)
      }
    },
  }
}
