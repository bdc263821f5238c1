/**
 * Backoff: how long to pause after a failure. Exponential with full jitter (Brooker, "Exponential
 * Backoff And Jitter", 2015), from 1 s to 60 s, and never shorter than the remote asked for, up to
 * a day: beyond some 24 days a timer of the platform would not wait at all.
 */
const FIRST_MS = 1_000
const LONGEST_MS = 60_000
const ASKED_MS_MAX = 24 * 60 * 60_000
/** In step for so long, a failure is a new one. */
const STEADY_MS = 60_000
const REFUSAL_FIRST_MS = 50
const REFUSAL_LONGEST_MS = 5_000

export function backoffMs(
  failureCount: number,
  options: { random: (size: number) => Uint8Array; retryAfterMs?: number | undefined },
): number {
  const ceilingMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failureCount - 1, 10))
  const jittered = jitter(ceilingMs, options.random)
  return Math.max(jittered, Math.min(options.retryAfterMs ?? 0, ASKED_MS_MAX))
}

/**
 * Failures in a row. One answer ends no row: a remote that takes a login, or a socket, and fails
 * then would be asked once a second for ever.
 */
export class FailureRow {
  #count = 0
  readonly #codes = new Set<string>()
  #inStepMs: number | null = null

  /** Whether a failure of the row had this code. */
  has(code: string): boolean {
    return this.#codes.has(code)
  }

  /** Nothing is left to do. */
  noteInStep(nowMs: number): void {
    this.#inStepMs ??= nowMs
  }

  /** Returns how many they are by now. */
  noteFailure(code: string, nowMs: number): number {
    const isSteady = this.#inStepMs !== null && Math.abs(nowMs - this.#inStepMs) >= STEADY_MS
    if (isSteady) this.end()
    this.#count++
    this.#codes.add(code)
    this.#inStepMs = null
    return this.#count
  }

  end(): void {
    this.#count = 0
    this.#codes.clear()
    this.#inStepMs = null
  }
}

/** Before writes that met a conflict `count` times in a row, at least twice, are pushed again. */
export function refusalPauseMs(count: number, random: (size: number) => Uint8Array): number {
  const ceilingMs = Math.min(REFUSAL_LONGEST_MS, REFUSAL_FIRST_MS * 2 ** Math.min(count - 2, 10))
  return jitter(ceilingMs, random)
}

/** From just above zero to the ceiling. */
function jitter(ceilingMs: number, random: (size: number) => Uint8Array): number {
  const [high = 0, low = 0] = random(2)
  return Math.ceil((ceilingMs * (high * 256 + low + 1)) / 65_536)
}
