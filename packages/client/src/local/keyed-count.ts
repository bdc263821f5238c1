/**
 * Keyed count: makes the keyed set (keyed-set.ts) by one scan of the rows.
 */
import {
  encodePair,
  equalBytes,
  Fingerprint,
  KeyedSum,
  RECORD_ID_BYTES,
  type RecordId,
} from '@blindcopy/protocol'
import { parseRowKey, rowRange, type Store } from '@blindcopy/secondary'
import { recountConfirmed } from './healing.ts'
import { type KeyedSet, putKeyedSet } from './keyed-set.ts'
import type { LocalState } from './local-state.ts'
import { isNone, parseRow } from './row.ts'

const FIRST_ID = new Uint8Array(RECORD_ID_BYTES) as RecordId
const SCAN_PAGE = { entriesMax: 1_000 } as const
const SCANS_MAX = 3

/**
 * The set under the newest epoch, counted if it must be; `isAnew` counts it in any case. Null while
 * what is confirmed changes under the count, or was miscounted: the next head check puts it right.
 */
export async function keyedSetOf(
  state: LocalState,
  options: { readonly isAnew?: boolean } = {},
): Promise<KeyedSet | null> {
  const { pairHash } = state
  if (pairHash === undefined) return null
  const hashing = pairHash()
  if (hashing === null) return null
  const { epoch, hash } = hashing
  if (options.isAnew !== true && state.keyedSet?.epoch === epoch) return state.keyedSet
  for (let attempt = 0; attempt < SCANS_MAX; attempt++) {
    const before = state.confirmedSet.fingerprint.toBytes()
    const { sum, plain } = await scan(state.store, hash)
    const outcome = await state.run(async () => {
      if (!equalBytes(before, state.confirmedSet.fingerprint.toBytes())) return 'outrun'
      if (!equalBytes(before, plain)) return 'miscounted'
      const set: KeyedSet = { epoch, sum }
      await state.writeOps([putKeyedSet(set)])
      state.keyedSet = set
      return set
    })
    if (outcome === 'outrun') continue
    if (outcome !== 'miscounted') return outcome
    await recountConfirmed(state)
    return null
  }
  return null
}

async function scan(
  store: Store,
  hash: (pair: Uint8Array) => Uint8Array,
): Promise<{ sum: Uint8Array; plain: Uint8Array }> {
  const sum = new KeyedSum()
  const plain = new Fingerprint()
  for await (const page of store.pages(rowRange(FIRST_ID), SCAN_PAGE)) {
    for (const [key, value] of page) {
      const { confirmed } = parseRow(value)
      if (isNone(confirmed)) continue
      const pair = encodePair(parseRowKey(key), confirmed)
      sum.add(hash(pair))
      plain.add(pair)
    }
  }
  return { sum: sum.toBytes(), plain: plain.toBytes() }
}
