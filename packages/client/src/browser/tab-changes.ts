/**
 * Tab changes: changed records in the one form that is cheap to send to another tab. A message is
 * cloned with all the memory that its views stand in, so they are copied together first.
 *
 *   48·n  recordId (16) ‖ collection tag (16) ‖ timestamp (16)
 */
import {
  RECORD_ID_BYTES,
  type RecordId,
  TIMESTAMP_BYTES,
  type Timestamp,
} from '@blindcopy/protocol'
import { COLLECTION_TAG_BYTES } from '@blindcopy/secondary'
import type { RecordChange } from '../local/row-batch.ts'

const TIMESTAMP_OFFSET = RECORD_ID_BYTES + COLLECTION_TAG_BYTES
const CHANGE_BYTES = TIMESTAMP_OFFSET + TIMESTAMP_BYTES

export function encodeChanges(changes: readonly RecordChange[]): Uint8Array {
  const bytes = new Uint8Array(changes.length * CHANGE_BYTES)
  for (const [i, { recordId, tag, timestamp }] of changes.entries()) {
    bytes.set(recordId, i * CHANGE_BYTES)
    bytes.set(tag, i * CHANGE_BYTES + RECORD_ID_BYTES)
    bytes.set(timestamp, i * CHANGE_BYTES + TIMESTAMP_OFFSET)
  }
  return bytes
}

/** A piece that is cut off is left out. */
export function decodeChanges(bytes: Uint8Array): RecordChange[] {
  const changes: RecordChange[] = []
  for (let at = 0; at + CHANGE_BYTES <= bytes.length; at += CHANGE_BYTES) {
    changes.push({
      recordId: bytes.slice(at, at + RECORD_ID_BYTES) as RecordId,
      tag: bytes.slice(at + RECORD_ID_BYTES, at + TIMESTAMP_OFFSET),
      timestamp: bytes.slice(at + TIMESTAMP_OFFSET, at + CHANGE_BYTES) as Timestamp,
    })
  }
  return changes
}
