/**
 * Conflict log: the versions that lost, so that nobody's words vanish silently (design 12). Sealed
 * as they were written, and bounded: the oldest go first, but never one that waits for a person.
 *
 *   offset  size  field
 *        0     1  kind
 *        1     8  when it was noted, in milliseconds since 1970
 *        9    16  winner: the version it lost to; zeros when there is none
 *       25     4  length of the note
 *       29     …  note: a sealed record with the reason; empty without one
 *        …     …  envelope of the version that lost
 *
 * The key holds the version's timestamp and record: one that is noted twice stands there once.
 */
import {
  concat,
  decodeUint32,
  decodeUint64,
  type Envelope,
  encodeUint32,
  encodeUint64,
  type RecordId,
  TIMESTAMP_BYTES,
  type Timestamp,
} from '@blindcopy/protocol'
import {
  conflictKey,
  conflictRange,
  parseConflictKey,
  type Store,
  type StoreOp,
} from '@blindcopy/secondary'

export type ConflictKind =
  /** A newer version took its place, and its writer had not seen it. */
  | 'overwritten'
  /** Both are kept until the app or the person decides; what the remote holds is shown. */
  | 'open'
  /** A custom mutation or policy could not be applied to the newer state. */
  | 'rolled-back'

export type LoggedConflict = {
  readonly recordId: RecordId
  /** Of the version that lost; versions of one transaction share it. */
  readonly timestamp: Timestamp
  readonly kind: ConflictKind
  readonly notedMs: number
  readonly winner: Timestamp
  readonly note: Envelope | null
  readonly envelope: Envelope
}

/** What became of a conflict; `merged`: nothing was lost, so nothing is logged. */
export type ConflictEvent = {
  readonly kind: ConflictKind | 'merged'
  readonly recordId: RecordId
  readonly timestamp: Timestamp
}

/** Versions that are kept beside those that wait for a person. */
export const CONFLICTS_MAX = 1_000
/** All of these together: each may have a megabyte, and they are counted at every opening. */
export const CONFLICTS_BYTES_MAX: number = 16 * 1_048_576
/** Dropped at once, so that a full log is not read at each new entry: a tenth. */
const EVICTED_TO = 0.9

const KINDS: readonly ConflictKind[] = ['overwritten', 'open', 'rolled-back']
const OPEN = KINDS.indexOf('open')
const NOTE_AT = 29

export function putConflict(conflict: LoggedConflict): StoreOp & { readonly value: Uint8Array } {
  const note = conflict.note ?? new Uint8Array(0)
  const value = concat(
    Uint8Array.of(KINDS.indexOf(conflict.kind)),
    encodeUint64(conflict.notedMs),
    conflict.winner,
    encodeUint32(note.length),
    note,
    conflict.envelope,
  )
  return { type: 'put', key: conflictKey(conflict.recordId, conflict.timestamp), value }
}

export const deleteConflict = (recordId: RecordId, timestamp: Timestamp): StoreOp => ({
  type: 'delete',
  key: conflictKey(recordId, timestamp),
})

function parseConflict(key: Uint8Array, value: Uint8Array): LoggedConflict {
  const noteEnd = NOTE_AT + decodeUint32(value, NOTE_AT - 4)
  return {
    ...parseConflictKey(key),
    kind: KINDS[value[0] as number] ?? 'overwritten',
    notedMs: decodeUint64(value, 1),
    winner: value.subarray(9, 9 + TIMESTAMP_BYTES) as Timestamp,
    note: noteEnd > NOTE_AT ? (value.subarray(NOTE_AT, noteEnd) as Envelope) : null,
    envelope: value.subarray(noteEnd) as Envelope,
  }
}

export async function readConflict(
  store: Store,
  recordId: RecordId,
  timestamp: Timestamp,
): Promise<LoggedConflict | undefined> {
  const key = conflictKey(recordId, timestamp)
  const value = await store.get(key)
  return value === undefined ? undefined : parseConflict(key, value)
}

/** In the order of the versions that lost, a page at a time. */
export async function* readConflicts(store: Store): AsyncGenerator<readonly LoggedConflict[]> {
  for await (const page of store.pages(conflictRange(), { entriesMax: 100, bytesMax: 1_048_576 })) {
    yield page.map(([key, value]) => parseConflict(key, value))
  }
}

/** `bytes`: of those that are not open. */
export type ConflictCounts = {
  readonly all: number
  readonly open: number
  readonly bytes: number
}

export async function countConflicts(store: Store): Promise<ConflictCounts> {
  let all = 0
  let open = 0
  let bytes = 0
  for await (const page of store.pages(conflictRange(), { entriesMax: 100, bytesMax: 1_048_576 })) {
    all += page.length
    for (const [, value] of page) {
      if (value[0] === OPEN) open++
      else bytes += value.length
    }
  }
  return { all, open, bytes }
}

export const isLogFull = ({ all, open, bytes }: ConflictCounts): boolean =>
  all - open > CONFLICTS_MAX || bytes > CONFLICTS_BYTES_MAX

/** What to delete so that the log stays within its bound: the oldest, but none that is open. */
export async function findEvicted(store: Store): Promise<StoreOp[]> {
  const logged: { key: Uint8Array; sizeBytes: number }[] = []
  let bytes = 0
  for await (const page of store.pages(conflictRange(), { entriesMax: 100, bytesMax: 1_048_576 })) {
    for (const [key, value] of page) {
      if (value[0] === OPEN) continue
      logged.push({ key, sizeBytes: value.length })
      bytes += value.length
    }
  }
  if (!isLogFull({ all: logged.length, open: 0, bytes })) return []
  let count = 0
  const isOver = (): boolean =>
    logged.length - count > EVICTED_TO * CONFLICTS_MAX || bytes > EVICTED_TO * CONFLICTS_BYTES_MAX
  while (isOver()) bytes -= logged[count++]?.sizeBytes ?? 0
  return logged.slice(0, count).map(({ key }) => ({ type: 'delete', key }))
}
