/**
 * Record history: earlier versions of one record, as an app reads them, and how one is brought
 * back. The remote keeps them for a time; a version is opened here, and comes back as a new write.
 */
import {
  type Envelope,
  equalBytes,
  formatBase64Url,
  parseBase64Url,
  type RecordId,
  TIMESTAMP_BYTES,
  type Timestamp,
  timestampAuthor,
  timestampMilliseconds,
} from '@blindcopy/protocol'
import type { VaultRecord } from '@blindcopy/vault'
import { ClientError } from '../error.ts'
import { fieldsAsKnown, writeAgain } from './overwrite.ts'
import type { RecordPlace } from './sealer.ts'
import { declarationOf, type WriteContext } from './transaction.ts'

/** Where superseded versions come from; the newest first. */
export type HistorySource = (
  recordId: RecordId,
  versionsMax: number,
  /** Where to begin; at the newest when absent. */
  newest?: Timestamp,
) => Promise<{
  readonly versions: readonly {
    readonly timestamp: Timestamp
    readonly envelope: Envelope
    readonly supersededMs: number
  }[]
  readonly isWhole: boolean
  readonly retentionMs: number
}>

export type RecordVersion<T> = {
  /** Names it: what `restore` takes. */
  readonly version: string
  /** When it was written, by the clock of the device that did. */
  readonly writtenMs: number
  /** What the id of the device that wrote it begins with: five characters. */
  readonly writtenBy: string
  /** Null: it deleted the record. */
  readonly fields: T | null
  /** By the clock of the remote; null for the one that is shown now. */
  readonly supersededMs: number | null
}

export type RecordHistory<T> = {
  /** The newest first; the one that is shown now before all others, if there is one. */
  readonly versions: readonly RecordVersion<T>[]
  /** What the remote served and this device cannot open. */
  readonly unreadable: number
  /** False when there are older ones than were asked for. */
  readonly isWhole: boolean
  /** How long the remote says that it keeps superseded versions. */
  readonly retentionMs: number
}

export type HistoryOptions = {
  /** Superseded versions at most; 100 when absent. */
  readonly limit?: number
}

const VERSIONS_MAX = 100

/** Of a collection that stays on this device. */
const NEVER_SENT = { versions: [], isWhole: true, retentionMs: 0 }

/** What four bytes fill; a sixth would hold bits that belong to the fifth byte of the id. */
const AUTHOR_CHARACTERS = 5

type Opened = { readonly record: VaultRecord; readonly timestamp: Timestamp }

/** Throws `invalid-argument`, `network`, `integrity`, and what stops sync. */
export async function readHistory<T>(
  context: WriteContext,
  place: RecordPlace,
  { limit = VERSIONS_MAX }: HistoryOptions = {},
): Promise<RecordHistory<T>> {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new ClientError('invalid-argument', 'the limit of a history is a whole number from 1 on')
  }
  const current = await context.local.read(place.recordId)
  const { isLocalOnly } = declarationOf(context, place.collection)
  const { versions: served, ...rest } = isLocalOnly
    ? NEVER_SENT
    : await context.history(place.recordId, limit)
  const versions: RecordVersion<T>[] = []
  if (current !== undefined) {
    const { timestamp } = current
    versions.push(describe(context, { record: context.sealer.open(current), timestamp }, null))
  }
  const shown = current === undefined ? undefined : formatBase64Url(current.timestamp)
  let unreadable = 0
  for (const one of served) {
    const record = opened(context, place, one.envelope)
    if (record === undefined) unreadable++
    // This device may not have fetched yet what superseded it.
    else if (formatBase64Url(one.timestamp) !== shown) {
      versions.push(describe(context, { record, timestamp: one.timestamp }, one.supersededMs))
    }
  }
  return { versions, unreadable, ...rest }
}

/** Throws `not-found` when the history of the record has no such version that opens. */
export async function restoreVersion<T>(
  context: WriteContext,
  place: RecordPlace,
  version: string,
): Promise<T | null> {
  const record = opened(context, place, await fetchVersion(context, place, version))
  if (record === undefined) {
    throw new ClientError(
      'not-found',
      'the remote has no such version of this record any more: list its history again',
    )
  }
  return (await writeAgain(context, record)) as T | null
}

/** That one alone: all of a history may be more than this device has memory for. */
async function fetchVersion(
  context: WriteContext,
  { recordId }: RecordPlace,
  version: string,
): Promise<Envelope | undefined> {
  const timestamp = parseVersion(version)
  if (timestamp === undefined) return undefined
  const { versions } = await context.history(recordId, 1, timestamp)
  const [found] = versions
  return found !== undefined && equalBytes(found.timestamp, timestamp) ? found.envelope : undefined
}

function parseVersion(text: string): Timestamp | undefined {
  try {
    const bytes = parseBase64Url(text)
    return bytes.length === TIMESTAMP_BYTES ? (bytes as Uint8Array as Timestamp) : undefined
  } catch {
    return undefined
  }
}

/** Undefined when it does not open, or is of another record than its header says. */
function opened(
  { sealer }: WriteContext,
  { collection, key }: RecordPlace,
  envelope: Envelope | undefined,
): VaultRecord | undefined {
  if (envelope === undefined) return undefined
  if (sealer.tagOfEnvelope(envelope) === undefined) return undefined
  const record = sealer.decode(envelope)
  return record.collection === collection && record.key === key ? record : undefined
}

function describe<T>(
  context: WriteContext,
  { record, timestamp }: Opened,
  supersededMs: number | null,
): RecordVersion<T> {
  return {
    version: formatBase64Url(timestamp),
    writtenMs: timestampMilliseconds(timestamp),
    writtenBy: formatBase64Url(timestampAuthor(timestamp)).slice(0, AUTHOR_CHARACTERS),
    fields: fieldsAsKnown(context, record) as T | null,
    supersededMs,
  }
}
