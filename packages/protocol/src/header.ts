/**
 * The headers every data request carries: session token, SyncId and cursor. The vault and the
 * device are named by the token alone, so that no URL and no proxy log holds them.
 *
 *   Blindcopy-Sync-Id: <base64url, 16 bytes>
 *   Blindcopy-Cursor:  <seq>.<base64url chain, 32 bytes>
 *   Blindcopy-Time:    <milliseconds>            on every answer: the remote's clock
 *   Blindcopy-Protocol: <version>
 */
import { formatBase64Url, parseBase64Url } from './bytes.ts'
import { ProtocolError } from './error.ts'
import { parseHash, parseSyncIdText, type SyncId } from './ids.ts'
import type { LogPosition } from './log.ts'

export const HEADER_SYNC_ID = 'Blindcopy-Sync-Id'
export const HEADER_CURSOR = 'Blindcopy-Cursor'
export const HEADER_TIME = 'Blindcopy-Time'
export const HEADER_PROTOCOL = 'Blindcopy-Protocol'

export const CONTENT_TYPE_CBOR = 'application/cbor'
export const CONTENT_TYPE_PROBLEM = 'application/problem+json'

export function formatCursor(position: LogPosition): string {
  return `${position.seq}.${formatBase64Url(position.chain)}`
}

export function parseCursor(text: string): LogPosition {
  const match = /^(0|[1-9][0-9]{0,15})\.([A-Za-z0-9_-]{43})$/.exec(text)
  const [, seq, chain] = match ?? []
  if (seq === undefined || chain === undefined || !Number.isSafeInteger(Number(seq))) {
    throw new ProtocolError('malformed', `${HEADER_CURSOR} is not a cursor`)
  }
  return { seq: Number(seq), chain: parseHash(parseBase64Url(chain)) }
}

export function parseSyncIdHeader(text: string): SyncId {
  return parseSyncIdText(text)
}
