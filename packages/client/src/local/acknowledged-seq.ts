/**
 * Up to which number of the remote's log writes of this device stand: another device that has
 * applied the log up to there has seen them all (tier `device`, durability.ts).
 */
import {
  concat,
  decodeUint64,
  encodeUint64,
  equalBytes,
  parseSyncId,
  type SyncId,
} from '@blindcopy/protocol'
import { metaKey, type Store, type StoreOp } from '@blindcopy/secondary'

export type Acknowledged = { readonly syncId: SyncId; readonly seq: number }

const KEY = metaKey('acknowledged')
const SYNC_ID_BYTES = 16

export const putAcknowledged = ({ syncId, seq }: Acknowledged): StoreOp => ({
  type: 'put',
  key: KEY,
  value: concat(syncId, encodeUint64(seq)),
})

export async function readAcknowledged(store: Store): Promise<Acknowledged | null> {
  const value = await store.get(KEY)
  if (value === undefined || value.length !== SYNC_ID_BYTES + 8) return null
  return {
    syncId: parseSyncId(value.slice(0, SYNC_ID_BYTES)),
    seq: decodeUint64(value, SYNC_ID_BYTES),
  }
}

/** With a write that stands at `seq`; the same when that is not further. */
export function furthestOf(
  known: Acknowledged | null,
  { syncId, seq }: Acknowledged,
): Acknowledged {
  const isFurther = known === null || !equalBytes(known.syncId, syncId) || seq > known.seq
  return isFurther ? { syncId, seq } : known
}
