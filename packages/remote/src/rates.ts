/**
 * Rates: how often one vault, or one address, may ask for something.
 *
 * A bucket fills at a steady pace up to what may come in one burst. What is taken is charged when
 * it is known, so that a bucket may fall below nothing: then whoever it belongs to waits until it
 * is above again, and is told how long (`too-many-requests`).
 *
 * Buckets are in memory and their number is bounded; one that nobody has used for as long as it
 * takes to fill is as good as none.
 */
import { ProtocolError } from '@blindcopy/protocol'

export type Rate = {
  /** Throws `too-many-requests` while the bucket of this key is below what it must hold. */
  check(key: string): void
  charge(key: string, amount: number): void
}

export type RateParts = {
  readonly nowMs: () => number
  readonly perSecond: number
  /** What may come at once after a pause. */
  readonly burst: number
  /** What is asked for too often, in the words of the refusal. */
  readonly what: string
  readonly keysMax?: number
}

type Bucket = { level: number; filledMs: number }

const KEYS_MAX = 20_000

export function createRate({ nowMs, perSecond, burst, what, keysMax = KEYS_MAX }: RateParts): Rate {
  // Those used longest ago first: a Map remembers the order in which keys were set.
  const bucketsByKey = new Map<string, Bucket>()

  function fill(key: string): Bucket {
    const now = nowMs()
    const bucket = bucketsByKey.get(key) ?? { level: burst, filledMs: now }
    // A clock that was set back fills nothing, and takes nothing.
    const passedMs = Math.max(0, now - bucket.filledMs)
    bucket.level = Math.min(burst, bucket.level + (passedMs / 1000) * perSecond)
    bucket.filledMs = now
    bucketsByKey.delete(key)
    bucketsByKey.set(key, bucket)
    for (const oldest of bucketsByKey.keys()) {
      if (bucketsByKey.size <= keysMax) break
      bucketsByKey.delete(oldest)
    }
    return bucket
  }

  return {
    check(key) {
      const { level } = fill(key)
      if (level >= 0) return
      throw tooMany(what, Math.ceil(-level / perSecond))
    },
    charge(key, amount) {
      fill(key).level -= amount
    },
  }
}

export function tooMany(what: string, retryAfterSeconds: number): ProtocolError {
  const seconds = Math.max(1, retryAfterSeconds)
  const wait = seconds === 1 ? '1 second' : `${seconds} seconds`
  return new ProtocolError('too-many-requests', `too many ${what}: wait ${wait}`, {
    details: { retryAfterSeconds: seconds },
  })
}
