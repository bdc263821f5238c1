/**
 * Index rows: what the rows of a vault's indexes lead to, and whether they are right to.
 */
import {
  type Envelope,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  parseEnvelope,
} from '@blindcopy/protocol'
import {
  type Entry,
  parseExpiry,
  parseHistory,
  type RecordVersion,
  type RemoteKeyspace,
  recordIdOfKey,
  recordVersionSize,
  recordVersionTimestamp,
  type Store,
} from '@blindcopy/secondary'
import { decodeLogEntry } from '../log-entry.ts'
import { tryUint64 } from './store-scan.ts'

const ROWS_AT_ONCE = 64

/** Rows of a range, some at a time, each with what stands under the key that it leads to. */
export async function* rowsWith(
  store: Store,
  range: Parameters<Store['pages']>[0],
  keyOf: (entry: Entry) => Uint8Array | undefined,
): AsyncGenerator<readonly [entry: Entry, target: Uint8Array | undefined]> {
  for await (const page of store.pages(range)) {
    for (let first = 0; first < page.length; first += ROWS_AT_ONCE) {
      const rows = page.slice(first, first + ROWS_AT_ONCE)
      const wanted = rows.map(keyOf)
      const targets = await store.getMany(wanted.map((key) => key ?? new Uint8Array(1)))
      for (const [i, entry] of rows.entries()) {
        yield [entry, wanted[i] === undefined ? undefined : targets[i]]
      }
    }
  }
}

const VERSION_BYTES = 30

export const envelopeKey =
  (keys: RemoteKeyspace) =>
  ([, row]: Entry): Uint8Array | undefined =>
    row.length === VERSION_BYTES ? keys.envelope(row as RecordVersion) : undefined

/** Whether a row of the index leads to an envelope of its record and time. */
export function leadsThere([key, row]: Entry, target: Uint8Array | undefined): boolean {
  if (target === undefined) return false
  try {
    const envelope: Envelope = parseEnvelope(target)
    const version = row as RecordVersion
    return (
      equalBytes(envelopeRecordId(envelope), recordIdOfKey(key)) &&
      equalBytes(envelopeTimestamp(envelope), recordVersionTimestamp(version)) &&
      recordVersionSize(version) === envelope.length
    )
  } catch {
    return false
  }
}

export const logKey =
  (keys: RemoteKeyspace) =>
  ([, value]: Entry): Uint8Array | undefined => {
    const seq = value.length === 8 ? tryUint64(value) : undefined
    return seq === undefined ? undefined : keys.logEntry(seq)
  }

export function isOfTransaction(
  [key]: Entry,
  target: Uint8Array | undefined,
  keys: RemoteKeyspace,
): boolean {
  try {
    const entry = target === undefined ? undefined : decodeLogEntry(target)
    if (entry?.type !== 'transaction' || entry.id === null) return false
    return equalBytes(keys.transaction(entry.id), key)
  } catch {
    return false
  }
}

export const EXPIRY_KEY_BYTES = 73

export const historyKey =
  (keys: RemoteKeyspace) =>
  (entry: Entry): Uint8Array | undefined => {
    if (entry[0].length !== EXPIRY_KEY_BYTES || entry[1].length !== 4) return undefined
    const { recordId, timestamp } = parseExpiry(entry)
    return keys.history(recordId, timestamp)
  }

export function isOfVersion(entry: Entry, target: Uint8Array | undefined): boolean {
  return target !== undefined && tryUint64(target) === parseExpiry(entry).supersededMs
}

/** Whether an entry of the history stands under its own name. */
export function isNamed(entry: Entry): boolean {
  try {
    const { recordId, timestamp, envelope: bytes } = parseHistory(entry)
    const envelope = parseEnvelope(bytes)
    const isOfRecord = equalBytes(envelopeRecordId(envelope), recordId)
    return isOfRecord && equalBytes(envelopeTimestamp(envelope), timestamp)
  } catch {
    return false
  }
}
