/**
 * The two keyed hashes that stand for names where names must not be read.
 *
 *   record id       BLAKE2b-128(key = idKey, length ‖ collection ‖ length ‖ key)
 *   collection tag  BLAKE2b-128(key = subkey of idKey, length ‖ collection)
 *
 * Lengths have 4 bytes, big-endian, so that no two pairs of names spell the same message. Both are
 * the same on every device of a vault: two that create the same key meet. Frozen by
 * test/vectors/record.json.
 */
import {
  COLLECTION_NAME_BYTES_MAX,
  KEY_BYTES_MAX,
  ProtocolError,
  RECORD_ID_BYTES,
  type RecordId,
} from '@blindcopy/protocol'
import { VaultError } from './error.ts'
import { blake2b } from './raw-sodium.ts'
import type { CollectionTagKey, IdKey } from './secret.ts'

const LENGTH_BYTES = 4
const COLLECTION_TAG_BYTES = 16
const encoder = new TextEncoder()
/** Filled and emptied within one call: an allocation here costs as much as the hash. */
const scratch = new Uint8Array(2 * LENGTH_BYTES + COLLECTION_NAME_BYTES_MAX + KEY_BYTES_MAX)

/**
 * Throws `record-too-large` for a name beyond its limit, `not-carried` for half a surrogate pair.
 */
export function hashRecordId(idKey: IdKey, collection: string, key: string): RecordId {
  const middle = writeText(0, collection, COLLECTION_NAME_BYTES_MAX)
  const end = writeText(middle, key, KEY_BYTES_MAX)
  const recordId = blake2b(RECORD_ID_BYTES, scratch.subarray(0, end), idKey.bytes)
  scratch.fill(0, 0, end)
  return recordId as RecordId
}

export function hashCollectionTag(tagKey: CollectionTagKey, collection: string): Uint8Array {
  const end = writeText(0, collection, COLLECTION_NAME_BYTES_MAX)
  const tag = blake2b(COLLECTION_TAG_BYTES, scratch.subarray(0, end), tagKey.bytes)
  scratch.fill(0, 0, end)
  return tag
}

/** Returns where the text ends in the scratch. */
function writeText(offset: number, text: string, bytesMax: number): number {
  if (text.length > bytesMax) refuseLength(bytesMax)
  const start = offset + LENGTH_BYTES
  let end = start
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) {
      end = writeWideText(start, text, bytesMax)
      break
    }
    scratch[end++] = code
  }
  const length = end - start
  scratch[offset] = 0
  scratch[offset + 1] = 0
  scratch[offset + 2] = length >> 8
  scratch[offset + 3] = length
  return end
}

function writeWideText(start: number, text: string, bytesMax: number): number {
  // UTF-8 replaces half a pair by U+FFFD, and two different names would be one record.
  if (!text.isWellFormed()) {
    throw new ProtocolError('not-carried', 'a collection or key holds half a surrogate pair')
  }
  const { read, written } = encoder.encodeInto(text, scratch.subarray(start, start + bytesMax))
  if (read < text.length) refuseLength(bytesMax)
  return start + written
}

function refuseLength(bytesMax: number): never {
  throw new VaultError(
    'record-too-large',
    `a ${bytesMax === KEY_BYTES_MAX ? 'record key' : 'collection name'} has more than ${bytesMax} bytes`,
  )
}
