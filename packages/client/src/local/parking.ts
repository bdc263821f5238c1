/**
 * Parking: pulled transactions of which something is still missing. Their versions are stored and
 * confirmed at once, and shown when for every record of them that version or a newer one is held,
 * at the latest when the pull reaches the head (design 10). So readers never see half of one,
 * however wide the gap, and a device that is stopped in between goes on from its disk.
 *
 *   missing count (4) ‖ missing pairs (32 each)
 *   ‖ (record id (16) ‖ timestamp (16) ‖ tag (16) ‖ tombstone (1))…, the versions to show
 */
import {
  concat,
  decodeUint32,
  encodeUint32,
  equalBytes,
  PAIR_BYTES,
  RECORD_ID_BYTES,
  type RecordId,
  TIMESTAMP_BYTES,
  type Timestamp,
} from '@blindcopy/protocol'
import {
  COLLECTION_TAG_BYTES,
  numberedKey,
  numberedRange,
  parseNumberedKey,
  type Store,
  type StoreOp,
} from '@blindcopy/secondary'
import { idText } from './row-batch.ts'

export type ParkedOp = {
  readonly recordId: RecordId
  readonly timestamp: Timestamp
  readonly tag: Uint8Array
  readonly tombstone: boolean
}

export type ParkedTransaction = {
  readonly seq: number
  readonly ops: readonly ParkedOp[]
  /** Pairs that are not held, by the text of their record id. */
  readonly missing: Map<string, Uint8Array>
}

const OP_BYTES = RECORD_ID_BYTES + TIMESTAMP_BYTES + COLLECTION_TAG_BYTES + 1

/** All that is parked, by seq; read once when the local secondary is opened. */
export type Parking = Map<number, ParkedTransaction>

export function putParked({ seq, ops, missing }: ParkedTransaction): StoreOp {
  const value = concat(
    encodeUint32(missing.size),
    ...missing.values(),
    ...ops.flatMap(({ recordId, timestamp, tag, tombstone }) => [
      recordId,
      timestamp,
      tag,
      Uint8Array.of(tombstone ? 1 : 0),
    ]),
  )
  return { type: 'put', key: numberedKey('parked', seq), value }
}

export const deleteParked = (seq: number): StoreOp => ({
  type: 'delete',
  key: numberedKey('parked', seq),
})

export async function readParking(store: Store): Promise<Parking> {
  const parking: Parking = new Map()
  for await (const page of store.pages(numberedRange('parked'))) {
    for (const [key, value] of page) {
      const parked = parseParked(parseNumberedKey(key), value)
      parking.set(parked.seq, parked)
    }
  }
  return parking
}

/** Whether a version is held back until its transaction is whole. */
export function isParked(parking: Parking, recordId: RecordId, timestamp: Timestamp): boolean {
  for (const { ops } of parking.values()) {
    const isThere = ops.some(
      (op) => equalBytes(op.timestamp, timestamp) && equalBytes(op.recordId, recordId),
    )
    if (isThere) return true
  }
  return false
}

function parseParked(seq: number, value: Uint8Array): ParkedTransaction {
  const missing = new Map<string, Uint8Array>()
  const opsAt = 4 + decodeUint32(value) * PAIR_BYTES
  for (let offset = 4; offset < opsAt; offset += PAIR_BYTES) {
    const pair = value.slice(offset, offset + PAIR_BYTES)
    missing.set(idText(pair.subarray(0, RECORD_ID_BYTES)), pair)
  }
  const ops: ParkedOp[] = []
  for (let offset = opsAt; offset < value.length; offset += OP_BYTES) {
    const timestampAt = offset + RECORD_ID_BYTES
    const tagAt = timestampAt + TIMESTAMP_BYTES
    ops.push({
      recordId: value.slice(offset, timestampAt) as RecordId,
      timestamp: value.slice(timestampAt, tagAt) as Timestamp,
      tag: value.slice(tagAt, tagAt + COLLECTION_TAG_BYTES),
      tombstone: value[offset + OP_BYTES - 1] === 1,
    })
  }
  return { seq, ops, missing }
}
