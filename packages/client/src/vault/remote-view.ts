/**
 * Remote view: exactly what the host can see of a vault, read from the remote as a device that
 * holds nothing yet would be served it, and taken apart with the knowledge of a host: no key is
 * used.
 */
import {
  type ChangesFrame,
  chainStart,
  type Envelope,
  envelopeEpoch,
  envelopeRecordId,
  envelopeTimestamp,
  formatBase64Url,
  formatHex,
  formatSyncId,
  formatVaultId,
  isTombstone,
  PAIR_BYTES,
  parseKeychainEntry,
  type Timestamp,
  timestampAuthor,
  timestampCounter,
  timestampMilliseconds,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import { type LoginIdentity, logIn } from '../sync/session.ts'
import type { Transport } from '../sync/transport.ts'

export type SeenRecord = {
  readonly recordId: string
  readonly writtenMs: number
  readonly counter: number
  /** The first four bytes of the id of the device that wrote it. */
  readonly device: string
  readonly epoch: number
  readonly deleted: boolean
  /** Of the envelope: the record's padded size and 78 bytes. */
  readonly sizeBytes: number
  /** The beginning of what is sealed, as it stands on the host's disk. */
  readonly ciphertext: string
}

export type RemoteView =
  | {
      readonly type: 'vault'
      readonly vaultId: string
      readonly syncId: string
      readonly seq: number
    }
  | {
      readonly type: 'keychain'
      readonly seq: number
      readonly entry: string
      readonly signedBy: string
      readonly timeMs: number
      readonly sizeBytes: number
    }
  | {
      readonly type: 'transaction'
      readonly seq: number
      readonly records: readonly SeenRecord[]
      /** How many records of the transaction have newer versions since. */
      readonly superseded: number
    }
  | { readonly type: 'total'; readonly records: number; readonly fingerprint: string }

const CIPHERTEXT_SHOWN_BYTES = 16
const HEADER_BYTES = 62

export async function* viewRemote(
  transport: Transport,
  identity: LoginIdentity,
): AsyncGenerator<RemoteView> {
  const { token, syncId, head } = await logIn(transport, identity)
  const vaultId = formatVaultId(identity.vaultId)
  yield { type: 'vault', vaultId, syncId: formatSyncId(syncId), seq: head[0] }
  let position = { seq: 0, chain: chainStart(identity.vaultId) }
  for (;;) {
    const before = position.seq
    let end: Extract<ChangesFrame, [2, ...unknown[]]> | undefined
    for await (const frame of transport.changes({ token, syncId, position })) {
      if (frame[0] === 2) {
        end = frame
        continue
      }
      position = { seq: frame[1], chain: frame[2] }
      yield* viewFrame(frame)
    }
    if (end === undefined || position.seq >= end[1] || position.seq === before) {
      if (end !== undefined) {
        yield { type: 'total', records: end[3], fingerprint: formatHex(end[4]) }
      }
      return
    }
  }
}

function* viewFrame(frame: Exclude<ChangesFrame, [2, ...unknown[]]>): Generator<RemoteView> {
  if (frame[0] === 1) {
    for (const bytes of frame[3]) {
      const { payload, signer, timeMs } = parseKeychainEntry(bytes)
      yield {
        type: 'keychain',
        seq: frame[1],
        entry: payload.type,
        signedBy: formatBase64Url(signer),
        timeMs,
        sizeBytes: bytes.length,
      }
    }
    return
  }
  const records = frame[4].map((bytes) => viewEnvelope(bytes as Envelope))
  yield {
    type: 'transaction',
    seq: frame[1],
    records,
    superseded: frame[5].length / PAIR_BYTES,
  }
}

function viewEnvelope(envelope: Envelope): SeenRecord {
  if (envelope.length < HEADER_BYTES) {
    throw new ClientError('integrity', 'the remote served an envelope that is cut')
  }
  const timestamp: Timestamp = envelopeTimestamp(envelope)
  const shown = envelope.subarray(HEADER_BYTES, HEADER_BYTES + CIPHERTEXT_SHOWN_BYTES)
  return {
    recordId: formatHex(envelopeRecordId(envelope)),
    writtenMs: timestampMilliseconds(timestamp),
    counter: timestampCounter(timestamp),
    device: formatHex(timestampAuthor(timestamp)),
    epoch: envelopeEpoch(envelope),
    deleted: isTombstone(envelope),
    sizeBytes: envelope.length,
    ciphertext: formatHex(shown),
  }
}
