/**
 * Reading of a local secondary: what needs no lock, because a batch is atomic and a version that is
 * replaced in between is looked up again.
 */
import {
  type Envelope,
  encodePushedOps,
  encodePushHead,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  RECORD_ID_BYTES,
  type RecordId,
  type Timestamp,
} from '@blindcopy/protocol'
import {
  collectionRange,
  type Entry,
  everyCollectionRange,
  keychainRange,
  type NumberedSection,
  numberedKey,
  numberedRange,
  parseCollectionKey,
  parseNumberedKey,
  parseQuarantineKey,
  parseVersionKey,
  quarantineRange,
  rowKey,
  type Store,
  transactionVersionRange,
  versionKey,
} from '@blindcopy/secondary'
import { ClientError } from '../error.ts'
import { isCompared, type OutboxEntry, type OutboxTransaction, parseOutboxEntry } from './outbox.ts'
import { parseQuarantineValue, type QuarantineReason } from './quarantine.ts'
import { isLater, isNone, parseRow, type Row } from './row.ts'
import { idText } from './row-batch.ts'

export type StoredVersion = {
  readonly recordId: RecordId
  readonly timestamp: Timestamp
  readonly envelope: Envelope
}

export type QuarantinedVersion = StoredVersion & { readonly reason: QuarantineReason }

export type OutboxBounds = {
  /** Transactions with this number and above are left out. */
  readonly below?: number
  readonly from?: number
  readonly bytesMax: number
}

const LIST_PAGE = { entriesMax: 500, bytesMax: 256 * 1024 }
/** Small, so that the pieces of a page are gone before many of them are. */
const TRANSACTION_PAGE = { entriesMax: 128, bytesMax: 64 * 1024 }
const READ_ATTEMPTS = 10
const QUARANTINE_LISTED_MAX = 1_000
const QUARANTINE_PAGE = { entriesMax: 100, bytesMax: 1_048_576 }

/** Throws `vault-damaged` for a version that is listed and is not there. */
export async function readVersion(
  store: Store,
  recordId: RecordId,
): Promise<StoredVersion | undefined> {
  const version = await findVersion(store, recordId)
  if (version !== 'lost') return version
  throw new ClientError('vault-damaged', 'a record is listed and its version is not there')
}

async function findVersion(
  store: Store,
  recordId: RecordId,
): Promise<StoredVersion | undefined | 'lost'> {
  for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
    const row = parseRow(await store.get(rowKey(recordId)))
    if (isNone(row.current)) return undefined
    const envelope = await store.get(versionKey(recordId, row.current))
    if (envelope !== undefined) {
      return { recordId, timestamp: row.current, envelope: envelope as Envelope }
    }
  }
  return 'lost'
}

/** A version that moved between two reads is looked up again; one that is lost hides no other. */
async function findAgain(store: Store, recordId: RecordId): Promise<StoredVersion | undefined> {
  const version = await findVersion(store, recordId)
  return version === 'lost' ? undefined : version
}

/** The versions that are shown of many records, in their order. */
export async function readVersions(
  store: Store,
  recordIds: readonly RecordId[],
): Promise<(StoredVersion | undefined)[]> {
  const rows = (await store.getMany(recordIds.map(rowKey))).map(parseRow)
  const listed = recordIds.flatMap((recordId, i) => {
    const { current } = rows[i] as Row
    return isNone(current) ? [] : [{ recordId, timestamp: current, at: i }]
  })
  const keys = listed.map(({ recordId, timestamp }) => versionKey(recordId, timestamp))
  const envelopes = await store.getMany(keys)
  const versions = recordIds.map((): StoredVersion | undefined => undefined)
  for (const [i, { recordId, timestamp, at }] of listed.entries()) {
    const envelope = envelopes[i] as Envelope | undefined
    versions[at] =
      envelope === undefined ? await findAgain(store, recordId) : { recordId, timestamp, envelope }
  }
  return versions
}

export async function* readPages(
  store: Store,
  tag?: Uint8Array,
): AsyncGenerator<readonly StoredVersion[]> {
  const range = tag === undefined ? everyCollectionRange() : collectionRange(tag)
  for await (const entries of store.pages(range, LIST_PAGE)) yield await versionsOf(store, entries)
}

async function versionsOf(
  store: Store,
  entries: readonly Entry[],
): Promise<readonly StoredVersion[]> {
  const listed = entries.map(([key, value]) => ({
    recordId: parseCollectionKey(key),
    timestamp: value as Timestamp,
  }))
  const keys = listed.map(({ recordId, timestamp }) => versionKey(recordId, timestamp))
  const envelopes = await store.getMany(keys)
  const versions: StoredVersion[] = []
  for (const [i, { recordId, timestamp }] of listed.entries()) {
    const envelope = envelopes[i] as Envelope | undefined
    const version =
      envelope === undefined ? await findAgain(store, recordId) : { recordId, timestamp, envelope }
    if (version !== undefined) versions.push(version)
  }
  return versions
}

export async function readOutbox(store: Store, bounds: OutboxBounds): Promise<OutboxTransaction[]> {
  const transactions: OutboxTransaction[] = []
  let sizeBytes = 0
  const range = numberedRange('outbox', bounds.from)
  for await (const page of store.pages(range, { entriesMax: 8, bytesMax: 512 * 1024 })) {
    for (const [key, value] of page) {
      const number = parseNumberedKey(key)
      if (bounds.below !== undefined && number >= bounds.below) return transactions
      const transaction = await readTransaction(store, number, value)
      sizeBytes += transaction.sizeBytes
      if (transactions.length > 0 && sizeBytes > bounds.bytesMax) return transactions
      transactions.push(transaction)
    }
  }
  return transactions
}

/** Whether transactions that were read without the lock still wait as they were. */
export async function isAsRead(
  store: Store,
  transactions: readonly OutboxTransaction[],
): Promise<boolean> {
  const keys = transactions.map(({ number }) => numberedKey('outbox', number))
  const entries = await store.getMany(keys)
  return transactions.every(({ entry }, i) => {
    const stored = entries[i]
    return stored !== undefined && equalBytes(stored, entry)
  })
}

async function readTransaction(
  store: Store,
  number: number,
  entry: Uint8Array,
): Promise<OutboxTransaction> {
  const { timestamp, ops } = parseOutboxEntry(entry)
  const pushed = [encodePushHead(timestamp, ops.length)]
  let read = 0
  // Both are in the order of the record ids, so the envelope of each op is the next one.
  for await (const page of store.pages(transactionVersionRange(timestamp), TRANSACTION_PAGE)) {
    const paired = page.map(([key, envelope]) => {
      const op = ops[read++]
      const isNext = op !== undefined && equalBytes(op.recordId, parseVersionKey(key).recordId)
      if (!isNext) throw missingVersion()
      return { envelope, base: op.compareAndSet ? op.replaced : null }
    })
    pushed.push(encodePushedOps(paired))
  }
  if (read !== ops.length) throw missingVersion()
  const sizeBytes = pushed.reduce((sum, piece) => sum + piece.length, 0)
  return { number, timestamp, opCount: ops.length, entry, pushed, sizeBytes }
}

function missingVersion(): ClientError {
  return new ClientError('vault-damaged', 'a version that waits to be sent is not there')
}

/** A page at a time: a hostile remote fills them with envelopes of 1 MiB. */
export async function* readQuarantine(store: Store): AsyncGenerator<readonly QuarantinedVersion[]> {
  const range = { ...quarantineRange(), limit: QUARANTINE_LISTED_MAX }
  for await (const page of store.pages(range, QUARANTINE_PAGE)) {
    yield page.map(([key, value]) => {
      const { reason, envelope } = parseQuarantineValue(value)
      return { ...parseQuarantineKey(key), reason, envelope: envelope as Envelope }
    })
  }
}

export async function readKeychainEntries(store: Store): Promise<Uint8Array[]> {
  const entries: Uint8Array[] = []
  for await (const page of store.pages(keychainRange())) {
    for (const [, value] of page) entries.push(value)
  }
  return entries
}

export type Numbered = { readonly count: number; readonly first: number; readonly last: number }

/** How many there are, and their least and greatest number (0 when there is none). */
export async function countNumbered(store: Store, section: NumberedSection): Promise<Numbered> {
  let count = 0
  let first = 0
  let last = 0
  for await (const page of store.keyPages(numberedRange(section))) {
    const numbers = page.map(parseNumberedKey)
    if (count === 0) first = numbers[0] ?? 0
    last = numbers[numbers.length - 1] ?? last
    count += page.length
  }
  return { count, first, last }
}

/**
 * The same of the outbox, and the number of the last transaction that is pushed compare-and-set, 0
 * for none.
 */
export async function countOutbox(store: Store): Promise<Numbered & { lastCompared: number }> {
  let lastCompared = 0
  let count = 0
  let first = 0
  let last = 0
  for await (const page of store.pages(numberedRange('outbox'))) {
    for (const [key, value] of page) {
      last = parseNumberedKey(key)
      if (count++ === 0) first = last
      if (isCompared(value)) lastCompared = last
    }
  }
  return { count, first, last, lastCompared }
}

/** The oldest transactions whose versions `isWhole` refuses, of those that wait to be sent. */
export async function findDamaged(
  store: Store,
  isWhole: (envelope: Envelope) => boolean,
): Promise<{ number: number; entry: Uint8Array }[]> {
  const damaged: { number: number; entry: Uint8Array }[] = []
  for await (const page of store.pages(numberedRange('outbox'), { entriesMax: 8 })) {
    for (const [key, entry] of page) {
      if (await holdsWhole(store, entry, isWhole)) continue
      damaged.push({ number: parseNumberedKey(key), entry })
    }
  }
  return damaged
}

async function holdsWhole(
  store: Store,
  entry: Uint8Array,
  isWhole: (envelope: Envelope) => boolean,
): Promise<boolean> {
  let parsed: OutboxEntry
  try {
    parsed = parseOutboxEntry(entry)
  } catch {
    return false
  }
  const { timestamp, ops } = parsed
  let count = 0
  for await (const page of store.pages(transactionVersionRange(timestamp), TRANSACTION_PAGE)) {
    for (const [, envelope] of page) if (isWhole(envelope as Envelope)) count++
  }
  return count === ops.length
}

/** Whether each pair's record is held in that version or a newer one, here or among `served`. */
export async function holdsAll(
  store: Store,
  pairs: readonly Uint8Array[],
  served: readonly Uint8Array[],
): Promise<boolean> {
  const servedById = new Map<string, Timestamp>()
  for (const envelope of served as readonly Envelope[]) {
    const id = idText(envelopeRecordId(envelope))
    const known = servedById.get(id)
    const timestamp = envelopeTimestamp(envelope)
    if (known === undefined || isLater(timestamp, known)) servedById.set(id, timestamp)
  }
  const open = pairs.filter((pair) => {
    const known = servedById.get(idText(pair.subarray(0, RECORD_ID_BYTES)))
    return known === undefined || isLater(timestampOf(pair), known)
  })
  const keys = open.map((pair) => rowKey(pair.subarray(0, RECORD_ID_BYTES) as RecordId))
  const rows = await store.getMany(keys)
  return open.every((pair, i) => {
    const { current, confirmed } = parseRow(rows[i])
    const timestamp = timestampOf(pair)
    return !isLater(timestamp, current) || !isLater(timestamp, confirmed)
  })
}

const timestampOf = (pair: Uint8Array): Timestamp => pair.subarray(RECORD_ID_BYTES) as Timestamp
