/**
 * What every imported record must keep to, checked before anything is written.
 */
import {
  ENVELOPE_BYTES_MAX,
  ENVELOPE_HEADER_BYTES,
  encodeUtf8,
  encodeValue,
  type Fields,
  KEY_BYTES_MAX,
  paddedSize,
  TAG_BYTES,
} from '@blindcopy/protocol'

/** The name of the collection, its base and the heads of CBOR, at most. */
const AROUND_BYTES = 200

/** The size of the sealed record, or why it cannot be stored. */
export function checkRecord(
  key: string | undefined,
  fields: Fields,
): { readonly sizeBytes: number } | { readonly refusal: string } {
  const keyBytes = key === undefined ? 36 : encodeUtf8(key).length
  if (keyBytes === 0) return { refusal: 'its key is empty' }
  if (keyBytes > KEY_BYTES_MAX) return { refusal: `its key exceeds ${KEY_BYTES_MAX} bytes` }
  if (key?.isWellFormed() === false) return { refusal: 'its key is not well-formed text' }
  let encodedBytes: number
  try {
    encodedBytes = encodeValue(fields).length
  } catch (error) {
    return { refusal: error instanceof Error ? error.message : 'it holds what cannot be stored' }
  }
  const padded = paddedSize(encodedBytes + keyBytes + AROUND_BYTES)
  const sizeBytes = ENVELOPE_HEADER_BYTES + padded + TAG_BYTES
  return sizeBytes > ENVELOPE_BYTES_MAX ? { refusal: 'it is larger than a record' } : { sizeBytes }
}
