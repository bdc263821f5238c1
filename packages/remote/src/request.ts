/**
 * Request: reads the headers and numbers of a request, and answers in CBOR.
 */
import {
  CONTENT_TYPE_CBOR,
  encodeMessage,
  HEADER_CURSOR,
  HEADER_PROTOCOL,
  HEADER_SYNC_ID,
  PROTOCOL_VERSION,
  PROTOCOL_VERSION_MIN,
  ProtocolError,
  parseCursor,
  parseSyncIdHeader,
} from '@blindcopy/protocol'

import type { Position } from './position.ts'

export function parsePosition(headers: Headers): Position {
  const syncId = headers.get(HEADER_SYNC_ID)
  const cursor = headers.get(HEADER_CURSOR)
  if (syncId === null || cursor === null) {
    throw new ProtocolError('malformed', `${HEADER_SYNC_ID} and ${HEADER_CURSOR} are missing`)
  }
  return { syncId: parseSyncIdHeader(syncId), cursor: parseCursor(cursor) }
}

/** A whole number in the query; `fallback` when it is absent. */
export function parseCount(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  const count = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(count)) return count
  throw new ProtocolError('malformed', 'a number in the query is none')
}

/** Throws `unsupported-protocol` when the request says a version that is not spoken here. */
export function checkProtocol(version: number): void {
  if (version >= PROTOCOL_VERSION_MIN && version <= PROTOCOL_VERSION) return
  throw new ProtocolError(
    'unsupported-protocol',
    'this remote does not speak that version of the protocol: update the older of the two',
    { details: { min: PROTOCOL_VERSION_MIN, max: PROTOCOL_VERSION } },
  )
}

export function checkProtocolHeader(headers: Headers): void {
  const text = headers.get(HEADER_PROTOCOL)
  if (text !== null) checkProtocol(/^[0-9]{1,6}$/.test(text) ? Number(text) : -1)
}

export function cborResponse<T>(
  schema: Parameters<typeof encodeMessage<T>>[0],
  message: T,
): Response {
  return new Response(encodeMessage(schema, message) as Uint8Array<ArrayBuffer>, {
    headers: { 'Content-Type': CONTENT_TYPE_CBOR },
  })
}
