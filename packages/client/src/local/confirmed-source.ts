/**
 * Confirmed source: the versions the remote is known to hold, as one end of a reconciliation.
 *
 * One scan of the rows makes the summaries; what is below them is read from the rows when asked
 * for. The summaries stay as they were scanned: a part of the set that was compared is not compared
 * again, so that what is worked off meanwhile changes no answer.
 */
import {
  boundsOf,
  createPairSource,
  encodePair,
  Fingerprint,
  type PairSource,
  RECORD_ID_BYTES,
  SetSummary,
  type Timestamp,
  timestampMilliseconds,
} from '@blindcopy/protocol'
import { parseRowKey, rowKey, type Store } from '@blindcopy/secondary'
import type { LocalState } from './local-state.ts'
import { isNone, parseRow } from './row.ts'

export type ConfirmedScan = {
  readonly summary: SetSummary
  readonly count: number
  readonly fingerprint: Fingerprint
  /** The greatest milliseconds of any version of the set; 0 without one. */
  readonly greatestMs: number
}

type Bounds = ReturnType<typeof boundsOf>

const EVERY_RECORD: Bounds = boundsOf('')
const SCAN_PAGE = { entriesMax: 1_000 } as const
/** A node below the summaries has a few dozen pairs. */
const NODE_PAGE = { entriesMax: 256 } as const

/** One pass over the rows. `expectedCount` need not be right. */
export async function scanConfirmed(store: Store, expectedCount: number): Promise<ConfirmedScan> {
  const summary = new SetSummary(expectedCount)
  const fingerprint = new Fingerprint()
  let greatestMs = 0
  for await (const pairs of readPairs(store, EVERY_RECORD, SCAN_PAGE)) {
    for (const pair of pairs) {
      summary.add(pair)
      fingerprint.add(pair)
      greatestMs = Math.max(
        greatestMs,
        timestampMilliseconds(pair.subarray(RECORD_ID_BYTES) as Timestamp),
      )
    }
  }
  return { summary, count: summary.count, fingerprint, greatestMs }
}

export function confirmedSource(state: LocalState, summary: SetSummary): PairSource {
  return createPairSource({
    summary,
    state: () => {
      const { count, fingerprint } = state.confirmedSet
      return { head: state.cursor.position, count, fingerprint: fingerprint.toBytes() }
    },
    readPairs: (range) => readPairs(state.store, range, NODE_PAGE),
  })
}

async function* readPairs(
  store: Store,
  { first, last }: Bounds,
  bounds: { readonly entriesMax: number },
): AsyncGenerator<readonly Uint8Array[]> {
  const range = { gte: rowKey(first), lte: rowKey(last) }
  for await (const page of store.pages(range, bounds)) {
    const pairs: Uint8Array[] = []
    for (const [key, value] of page) {
      const { confirmed } = parseRow(value)
      if (!isNone(confirmed)) pairs.push(encodePair(parseRowKey(key), confirmed))
    }
    if (pairs.length > 0) yield pairs
  }
}
