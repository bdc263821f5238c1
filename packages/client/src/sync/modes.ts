/**
 * Modes: how an app may ask for sync.
 */
import { ClientError } from '../error.ts'
import type { Direction } from './requests.ts'

export type StartOptions = {
  /** `live`, the default: changes arrive as they are made; `interval`: every so often. */
  readonly mode?: 'live' | 'interval'
  /** Between two exchanges of the mode `interval`; 15 minutes if it is not said. */
  readonly everyMs?: number
  /** Both ways by default. */
  readonly direction?: Direction
}

export type OnceOptions = { readonly direction?: Direction }

/** Where none is said. */
export const INTERVAL_MS: number = 15 * 60_000
/** More often would only keep a remote busy; a timer of the platform does not wait much longer. */
const INTERVAL_MS_MIN = 1_000
const INTERVAL_MS_MAX = 24 * 60 * 60_000

/** Throws `invalid-argument`. */
export function checkStartOptions({ mode, everyMs, direction }: StartOptions = {}): void {
  const isOne = (value: unknown, ...known: unknown[]) =>
    value === undefined || known.includes(value)
  if (!isOne(mode, 'live', 'interval') || !isOne(direction, 'both', 'push', 'pull')) {
    throw new ClientError('invalid-argument', 'sync is live or interval; both, push or pull')
  }
  if (everyMs !== undefined && !(everyMs >= INTERVAL_MS_MIN && everyMs <= INTERVAL_MS_MAX)) {
    const text = `everyMs must be between ${INTERVAL_MS_MIN} and ${INTERVAL_MS_MAX} milliseconds`
    throw new ClientError('invalid-argument', text)
  }
}
