/**
 * Carried source: the versions that this device gives to another one, as one end of a
 * reconciliation and as the content of a bundle: of each record the newest that it shows or has
 * confirmed, tombstones and unsent ones included.
 *
 *   row                                              version
 *   shown is confirmed, waits, or is to be forwarded   the one that is shown
 *   else: local only, or refused by the remote         the one that is confirmed
 *
 * What did not open here is not given: nobody here knows what it is. Readable on any row without a
 * key, so that a device whose app has not declared its collections gives nothing that is local
 * only.
 */
import {
  boundsOf,
  createPairSource,
  type Envelope,
  encodePair,
  equalBytes,
  Fingerprint,
  type PairSource,
  type RecordId,
  SetSummary,
  TIMESTAMP_NONE,
  type Timestamp,
} from '@blindcopy/protocol'
import {
  forwardKey,
  numberedKey,
  parseRowKey,
  quarantineKey,
  rowKey,
  type Store,
  versionKey,
} from '@blindcopy/secondary'
import type { LocalState } from '../local/local-state.ts'
import { parseOutboxEntry } from '../local/outbox.ts'
import { isLater, isNone, parseRow, type Row } from '../local/row.ts'

/** A version that is held, by its name. */
export type HeldVersion = { readonly recordId: RecordId; readonly timestamp: Timestamp }

type Bounds = ReturnType<typeof boundsOf>

const EVERY_RECORD: Bounds = boundsOf('')
const SCAN_PAGE = { entriesMax: 1_000 } as const
const NODE_PAGE = { entriesMax: 256 } as const
/** A thousand envelopes may take 1 MiB each. */
const READ_AT_ONCE = 16

/** One pass over the rows; the summaries stay as they were scanned. */
export async function scanHeld(
  state: LocalState,
): Promise<{ readonly source: PairSource; readonly count: number }> {
  const { store } = state
  const summary = new SetSummary(state.confirmedSet.count)
  const fingerprint = new Fingerprint()
  for await (const versions of heldPages(store)) {
    for (const { recordId, timestamp } of versions) {
      const pair = encodePair(recordId, timestamp)
      summary.add(pair)
      fingerprint.add(pair)
    }
  }
  const { count } = summary
  const atScan = { head: state.cursor.position, count, fingerprint: fingerprint.toBytes() }
  const source = createPairSource({
    summary,
    state: () => atScan,
    readPairs: (range) => pairPages(store, range),
  })
  return { source, count }
}

async function* pairPages(store: Store, range: Bounds): AsyncGenerator<readonly Uint8Array[]> {
  for await (const versions of heldPages(store, range, NODE_PAGE)) {
    yield versions.map(({ recordId, timestamp }) => encodePair(recordId, timestamp))
  }
}

/** The versions that are held, in the order of their record ids, by pages. */
export async function* heldPages(
  store: Store,
  { first, last }: Bounds = EVERY_RECORD,
  bounds: { readonly entriesMax: number } = SCAN_PAGE,
): AsyncGenerator<readonly HeldVersion[]> {
  const lasts: OutboxTimes = new Map()
  for await (const page of store.pages({ gte: rowKey(first), lte: rowKey(last) }, bounds)) {
    const rows = page.map(([key, value]) => ({ recordId: parseRowKey(key), row: parseRow(value) }))
    const held = await heldOf(store, rows, lasts)
    if (held.length > 0) yield held
  }
}

/** Of these records, what is held now. */
export async function readHeld(
  store: Store,
  recordIds: readonly RecordId[],
): Promise<HeldVersion[]> {
  const rows = await store.getMany(recordIds.map(rowKey))
  return heldOf(
    store,
    recordIds.map((recordId, i) => ({ recordId, row: parseRow(rows[i]) })),
  )
}

type HeldRow = { readonly recordId: RecordId; readonly row: Row }

async function heldOf(
  store: Store,
  rows: readonly HeldRow[],
  lasts: OutboxTimes = new Map(),
): Promise<HeldVersion[]> {
  const given = await shownToGive(store, rows, lasts)
  const held = rows.map(({ recordId, row }, i) => ({
    recordId,
    timestamp: given[i] === true ? row.current : row.confirmed,
    isShown: given[i] === true,
  }))
  const unsure = held.filter(({ timestamp, isShown }) => !isShown && !isNone(timestamp))
  const keys = unsure.map(({ recordId, timestamp }) => quarantineKey(recordId, timestamp))
  const aside = unsure.length === 0 ? [] : await store.getMany(keys)
  const unopened = new Set(unsure.filter((_, i) => aside[i] !== undefined))
  return held.filter(
    (version) => !isNone(version.timestamp) && (version.isShown || !unopened.has(version)),
  )
}

/** Whether the version that a row shows may leave this device. */
async function shownToGive(
  store: Store,
  rows: readonly HeldRow[],
  lasts: OutboxTimes,
): Promise<boolean[]> {
  const given = rows.map(({ row }) => !isNone(row.current) && !isLater(row.current, row.confirmed))
  const doubtful = rows.flatMap(({ recordId, row }, i) =>
    isLater(row.current, row.confirmed) ? [{ recordId, row, at: i }] : [],
  )
  if (doubtful.length === 0) return given
  const marks = await store.getMany(doubtful.map(({ recordId }) => forwardKey(recordId)))
  const waiting = doubtful.map(({ row }) => row).filter(({ pending }) => pending > 0)
  await learnTimes(store, waiting, lasts)
  doubtful.forEach(({ row, at }, i) => {
    const last = row.pending > 0 ? (lasts.get(row.last) ?? TIMESTAMP_NONE) : TIMESTAMP_NONE
    const isOver = row.pending > 0 && equalBytes(row.current, row.base)
    const isMarked = isMarkOf(marks[i], row.current)
    given[at] = (isMarked && (row.pending === 0 || isOver)) || equalBytes(last, row.current)
  })
  return given
}

/** What unsent transactions are stamped with, by their number, for as long as one pass takes. */
type OutboxTimes = Map<number, Timestamp>

const OUTBOX_TIMES_MAX = 10_000

/**
 * A transaction of a thousand records is met on every page: it is read once, and again only where a
 * row says that it was stamped anew meanwhile.
 */
async function learnTimes(store: Store, rows: readonly Row[], lasts: OutboxTimes): Promise<void> {
  if (lasts.size > OUTBOX_TIMES_MAX) lasts.clear()
  const stale = rows.filter(({ last, current }) => {
    const known = lasts.get(last)
    return known === undefined || !equalBytes(known, current)
  })
  const numbers = [...new Set(stale.map(({ last }) => last))]
  if (numbers.length === 0) return
  const entries = await store.getMany(numbers.map((number) => numberedKey('outbox', number)))
  entries.forEach((entry, i) => {
    const number = numbers[i] as number
    if (entry === undefined) lasts.delete(number)
    else lasts.set(number, parseOutboxEntry(entry).timestamp)
  })
}

/** A mark names the version it was set for: one that is local only may be written above it. */
function isMarkOf(mark: Uint8Array | undefined, current: Timestamp): boolean {
  return mark !== undefined && (mark.length === 0 || equalBytes(mark, current))
}

/** The envelopes of versions, a few at a time; those that have moved meanwhile are left out. */
export async function* readEnvelopes(
  store: Store,
  versions: readonly HeldVersion[],
): AsyncGenerator<Envelope> {
  for (let first = 0; first < versions.length; first += READ_AT_ONCE) {
    const some = versions.slice(first, first + READ_AT_ONCE)
    for (const envelope of await store.getMany(some.map(keyOf))) {
      if (envelope !== undefined) yield envelope as Envelope
    }
  }
}

/** Enough for a record that is written again and again while it is read. */
const READS_MAX = 8

/** Of every record the version that is held, in the order of their ids, each as it is when read. */
export async function* heldEnvelopes(store: Store): AsyncGenerator<Envelope> {
  for await (const versions of heldPages(store)) {
    for (let first = 0; first < versions.length; first += READ_AT_ONCE) {
      yield* await readNow(store, versions.slice(first, first + READ_AT_ONCE))
    }
  }
}

/** A record that is written meanwhile is looked up again: no file may leave it out. */
async function readNow(store: Store, versions: readonly HeldVersion[]): Promise<Envelope[]> {
  const found = await store.getMany(versions.map(keyOf))
  for (const [i, { recordId }] of versions.entries()) {
    for (let read = 1; found[i] === undefined && read < READS_MAX; read++) {
      const [held] = await readHeld(store, [recordId])
      if (held === undefined) break
      found[i] = await store.get(keyOf(held))
    }
  }
  return found.filter((envelope) => envelope !== undefined) as Envelope[]
}

const keyOf = ({ recordId, timestamp }: HeldVersion): Uint8Array => versionKey(recordId, timestamp)
