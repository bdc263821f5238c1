/**
 * Unopened: the confirmed versions that this device holds and could not take, as its checkpoint
 * lists them, so that a device that could may write their content again.
 */
import {
  CHECKPOINT_PAIRS_MAX,
  encodePair,
  equalBytes,
  type RecordId,
  type Timestamp,
} from '@blindcopy/protocol'
import { rowKey, type Store } from '@blindcopy/secondary'
import { readQuarantine } from './local-reading.ts'
import type { QuarantineReason } from './quarantine.ts'
import { parseRow } from './row.ts'

export type Unopened = {
  readonly unopened: readonly Uint8Array[]
  /** Of a closed epoch: only the device that wrote one may write it again. */
  readonly late: readonly Uint8Array[]
}

export const NOTHING_UNOPENED: Unopened = { unopened: [], late: [] }

/** The first 100 of each. */
export async function readUnopened(store: Store): Promise<Unopened> {
  const unopened: Uint8Array[] = []
  const late: Uint8Array[] = []
  for await (const page of readQuarantine(store)) {
    const rows = await store.getMany(page.map(({ recordId }) => rowKey(recordId)))
    page.forEach(({ recordId, timestamp, reason }, i) => {
      // What came from no remote, or has a newer version since, is nobody's to repair.
      if (!equalBytes(parseRow(rows[i]).confirmed, timestamp)) return
      const list = listOf(reason) === 'late' ? late : unopened
      if (list.length < CHECKPOINT_PAIRS_MAX) list.push(pairOf(recordId, timestamp))
    })
    if (unopened.length === CHECKPOINT_PAIRS_MAX && late.length === CHECKPOINT_PAIRS_MAX) break
  }
  return { unopened, late }
}

const listOf = (reason: QuarantineReason): 'late' | 'unopened' =>
  reason === 'late-old-epoch' ? 'late' : 'unopened'

const pairOf = (recordId: RecordId, timestamp: Timestamp): Uint8Array =>
  encodePair(recordId, timestamp)
