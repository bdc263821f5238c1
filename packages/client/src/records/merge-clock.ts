/**
 * How the clocks of a merge compare (merge.ts). Null stands for two things: in a record for its own
 * timestamp, in a state for never.
 */
import { compareTimestamps, equalBytes, type Timestamp } from '@blindcopy/protocol'

/** Of clocks in a record: null is its own timestamp, the newest. */
export function compareClocks(a: Timestamp | null, b: Timestamp | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null)
  return compareTimestamps(a, b)
}

/** Of moments: null is never. */
export function isLater(a: Timestamp | null, b: Timestamp | null): boolean {
  if (a === null) return false
  return b === null || compareTimestamps(a, b) > 0
}

export const laterOf = (a: Timestamp | null, b: Timestamp | null): Timestamp | null =>
  isLater(b, a) ? b : a

export function sameClock(
  a: Timestamp | null | undefined,
  b: Timestamp | null | undefined,
): boolean {
  return a && b ? equalBytes(a, b) : a === b
}

/** The greatest timestamp below this one; null below the least. */
export function justBefore(timestamp: Timestamp): Timestamp | null {
  const before = timestamp.slice()
  for (let i = before.length - 1; i >= 0; i--) {
    const byte = before[i] as number
    before[i] = byte === 0 ? 0xff : byte - 1
    if (byte > 0) return before as Uint8Array as Timestamp
  }
  return null
}
