/**
 * The protocol's version and its history. Both ends say which versions they speak; a request
 * carries the one it is written in (`Blindcopy-Protocol`).
 *
 *   1  the first: envelopes, keychain, push, changes, records, live
 *
 * The floor rises only with a new major release. message.test.ts pins a hash of every message's
 * schema next to this number: when it fails, either undo the change or begin a version here.
 */
import { ProtocolError } from './error.ts'

export const PROTOCOL_VERSION = 1
export const PROTOCOL_VERSION_MIN = 1

export type ProtocolRange = { readonly min: number; readonly max: number }

/** The greatest version both ends speak. Throws `unsupported-protocol` when there is none. */
export function negotiateProtocol(remote: ProtocolRange): number {
  const version = Math.min(remote.max, PROTOCOL_VERSION)
  if (version < Math.max(remote.min, PROTOCOL_VERSION_MIN)) {
    throw new ProtocolError(
      'unsupported-protocol',
      `the remote speaks protocol ${remote.min} to ${remote.max}, this program ` +
        `${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION}: update the older of the two`,
      { details: { remote, local: { min: PROTOCOL_VERSION_MIN, max: PROTOCOL_VERSION } } },
    )
  }
  return version
}
