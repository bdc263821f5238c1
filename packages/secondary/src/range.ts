/**
 * Range: what the two stores share about ranges and pages, so that they cannot differ in it.
 *
 * Several bounds on one side all hold: the narrower one counts, and of two equal ones the
 * exclusive. LevelDB would silently ignore one of them.
 */

import { compareBytes } from '@blindcopy/protocol'
import type { KeyRange, PageBounds } from './store.ts'

/** One end of a range. */
export type Bound = { readonly key: Uint8Array; readonly inclusive: boolean }

export type PageLimits = { readonly entriesMax: number; readonly bytesMax: number }

const PAGE_ENTRIES_MAX = 1000
const PAGE_BYTES_MAX = 1024 * 1024

export function lowerBound(range: KeyRange): Bound | undefined {
  return narrower(range.gte, range.gt, 1)
}

export function upperBound(range: KeyRange): Bound | undefined {
  return narrower(range.lte, range.lt, -1)
}

function narrower(
  inclusive: Uint8Array | undefined,
  exclusive: Uint8Array | undefined,
  inward: 1 | -1,
): Bound | undefined {
  if (exclusive === undefined) {
    return inclusive === undefined ? undefined : { key: inclusive, inclusive: true }
  }
  if (inclusive !== undefined && compareBytes(inclusive, exclusive) * inward > 0) {
    return { key: inclusive, inclusive: true }
  }
  return { key: exclusive, inclusive: false }
}

export function pageLimits(bounds: PageBounds | undefined): PageLimits {
  return {
    // A page holds at least one entry, or a scan would never come forward.
    entriesMax: Math.max(1, bounds?.entriesMax ?? PAGE_ENTRIES_MAX),
    bytesMax: Math.max(1, bounds?.bytesMax ?? PAGE_BYTES_MAX),
  }
}
