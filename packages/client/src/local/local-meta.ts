/**
 * The few values a local secondary keeps one of: where it stands in the remote's log, its clock,
 * the set the remote is known to hold, and how far the outbox may have been sent.
 */
import {
  CLOCK_START,
  type ClockState,
  chainStart,
  concat,
  decodeUint64,
  decodeUtf8,
  encodeClock,
  encodeUint64,
  encodeUtf8,
  Fingerprint,
  formatHex,
  type LogPosition,
  parseClock,
  parseHash,
  parseSyncId,
  type SyncId,
  TIMESTAMP_BYTES,
  type Timestamp,
  timestampAuthor,
  type VaultId,
} from '@blindcopy/protocol'
import { metaKey, type Store, type StoreOp } from '@blindcopy/secondary'

/** Up to where the remote's log is durably applied here; without a SyncId nothing was exchanged. */
export type Cursor = { readonly syncId: SyncId | null; readonly position: LogPosition }

/** The versions the remote served or acknowledged, one per record: compared with the remote's. */
export type ConfirmedSet = { count: number; readonly fingerprint: Fingerprint }

export type LocalMeta = {
  readonly cursor: Cursor
  /** The newest epoch whose entry the cursor has passed, under any SyncId. */
  readonly closedBelow: number
  readonly clock: ClockState
  /** The number of the next transaction, never used twice. */
  readonly nextNumber: number
  readonly confirmedSet: ConfirmedSet
  /** Outbox numbers below this may have been sent, and stay as they are until a verdict. */
  readonly sentBelow: number
  /** Whether the head of the remote was once reached. */
  readonly initialSyncComplete: boolean
  readonly lastSyncedMs: number | null
  /** What is added to this device's clock for new timestamps; learned from the remote. */
  readonly clockOffsetMs: number
  /** The offset that a person last agreed to. */
  readonly clockAgreedMs: number
  readonly notices: readonly Notice[]
  /** The greatest version seen of each author, by the hex of its four bytes. */
  readonly seen: ReadonlyMap<string, Timestamp>
  /** Whether a write that waits must be rewritten on top of what arrived. */
  readonly isRebaseDue: boolean
}

/** Something that happened by itself and that the person is told. Holds nothing readable. */
export type Notice = { readonly code: NoticeCode; readonly message: string; readonly atMs: number }

export type NoticeCode =
  /** The remote was reset, restored or replaced, and this device has healed with it. */
  | 'healed'
  /** Both ends held different sets though they should not, and were brought together. */
  | 'mismatch-healed'
  /** This folder was copied or put back from an older copy. */
  | 'folder-copied'
  /** The clock of this device is wrong; new writes follow the remote's. */
  | 'clock-corrected'
  /** A transaction arrived in parts only. */
  | 'transaction-torn'
  /** A record on this disk was spoiled and was fetched again. */
  | 'record-repaired'
  /** The root has put other entries of the keychain in the place of some that were pinned here. */
  | 'keychain-replaced'
  /** The remote has less than another device has seen of it. */
  | 'remote-rolled-back'
  /** A record that did not open on another device was written again from here. */
  | 'record-rewritten'
  /** A version that another device knows to be of a closed epoch is not shown any more. */
  | 'record-set-aside'

/** What was wrong with sync when it was last looked at. Holds nothing readable. */
export type KeptProblem = {
  readonly code: string
  readonly message: string
  readonly remedy: string
  readonly atMs: number
}

export const NOTICES_MAX = 20

const CURSOR = metaKey('cursor')
const CLOCK = metaKey('clock')
const CONFIRMED_SET = metaKey('confirmed-set')
const SENT = metaKey('sent')
const SYNCED = metaKey('synced')
const GENERATION = metaKey('generation')
const CLOCK_OFFSET = metaKey('clock-offset')
const NOTICES = metaKey('notices')
const SEEN = metaKey('seen')
const REBASE = metaKey('rebase')
const CLOSED = metaKey('closed-epoch')
const PROBLEM = metaKey('problem')
const SEEN_BYTES = 4 + TIMESTAMP_BYTES
/** The offset may be negative, and a stored number may not. */
const OFFSET_ZERO = 2 ** 48

const put = (key: Uint8Array, value: Uint8Array): StoreOp => ({ type: 'put', key, value })

export const putClock = (clock: ClockState, nextNumber: number): StoreOp =>
  put(CLOCK, concat(encodeClock(clock), encodeUint64(nextNumber)))

export const putConfirmedSet = (set: ConfirmedSet): StoreOp =>
  put(CONFIRMED_SET, concat(encodeUint64(set.count), set.fingerprint.toBytes()))

export const putSentBelow = (number: number): StoreOp => put(SENT, encodeUint64(number))

export const putClosedBelow = (epoch: number): StoreOp => put(CLOSED, encodeUint64(epoch))

export const putSynced = (nowMs: number): StoreOp => put(SYNCED, encodeUint64(nowMs))

export const putGeneration = (generation: number): StoreOp =>
  put(GENERATION, encodeUint64(generation))

export const putClockOffset = (offsetMs: number, agreedMs: number): StoreOp =>
  put(CLOCK_OFFSET, concat(encodeOffset(offsetMs), encodeOffset(agreedMs)))

const encodeOffset = (ms: number): Uint8Array => encodeUint64(OFFSET_ZERO + Math.trunc(ms))
const decodeOffset = (bytes: Uint8Array | undefined, at: number): number =>
  bytes === undefined ? 0 : decodeUint64(bytes, at) - OFFSET_ZERO

export const putNotices = (notices: readonly Notice[]): StoreOp =>
  put(NOTICES, encodeUtf8(JSON.stringify(notices)))

export const putRebaseDue = (isDue: boolean): StoreOp =>
  isDue ? put(REBASE, new Uint8Array(1)) : { type: 'delete', key: REBASE }

export function putSeen(seen: ReadonlyMap<string, Timestamp>): StoreOp {
  const bytes = new Uint8Array(seen.size * SEEN_BYTES)
  let offset = 0
  for (const timestamp of seen.values()) {
    bytes.set(timestampAuthor(timestamp), offset)
    bytes.set(timestamp, offset + 4)
    offset += SEEN_BYTES
  }
  return put(SEEN, bytes)
}

/** Why sync last failed or stopped, as the person was told; null once it went well. */
export const putProblem = (problem: KeptProblem | null): StoreOp =>
  problem === null
    ? { type: 'delete', key: PROBLEM }
    : put(PROBLEM, encodeUtf8(JSON.stringify(problem)))

export async function readProblem(store: Store): Promise<KeptProblem | null> {
  const value = await store.get(PROBLEM)
  const problem = parseTold(value) as Partial<KeptProblem> | null | undefined
  const isProblem = typeof problem?.code === 'string' && typeof problem.message === 'string'
  return isProblem ? (problem as KeptProblem) : null
}

export async function readGeneration(store: Store): Promise<number> {
  const value = await store.get(GENERATION)
  return value === undefined ? 0 : decodeUint64(value)
}

export function putCursor(cursor: { syncId: SyncId; position: LogPosition }): StoreOp {
  const { seq, chain } = cursor.position
  return put(CURSOR, concat(cursor.syncId, encodeUint64(seq), chain))
}

export async function readMeta(store: Store, vaultId: VaultId): Promise<LocalMeta> {
  const keys = [CURSOR, CLOCK, CONFIRMED_SET, SENT, SYNCED, CLOCK_OFFSET, NOTICES, SEEN, REBASE]
  const closed = await store.get(CLOSED)
  const values = await store.getMany(keys)
  const [cursor, clock, set, sent, synced, offset, notices, seen, rebase] = values
  return {
    cursor: parseCursorValue(cursor, vaultId),
    closedBelow: closed === undefined ? 0 : decodeUint64(closed),
    clock: clock === undefined ? CLOCK_START : parseClock(clock.subarray(0, 8)),
    nextNumber: clock === undefined ? 1 : decodeUint64(clock, 8),
    confirmedSet: {
      count: set === undefined ? 0 : decodeUint64(set),
      fingerprint: new Fingerprint(set?.subarray(8)),
    },
    sentBelow: sent === undefined ? 0 : decodeUint64(sent),
    initialSyncComplete: synced !== undefined,
    lastSyncedMs: synced === undefined ? null : decodeUint64(synced),
    clockOffsetMs: decodeOffset(offset, 0),
    clockAgreedMs: decodeOffset(offset, 8),
    notices: parseNotices(notices),
    seen: parseSeen(seen),
    isRebaseDue: rebase !== undefined,
  }
}

function parseSeen(value: Uint8Array | undefined): Map<string, Timestamp> {
  const seen = new Map<string, Timestamp>()
  for (let at = 0; value !== undefined && at < value.length; at += SEEN_BYTES) {
    const timestamp = value.slice(at + 4, at + SEEN_BYTES) as Timestamp
    seen.set(formatHex(value.subarray(at, at + 4)), timestamp)
  }
  return seen
}

function parseCursorValue(value: Uint8Array | undefined, vaultId: VaultId): Cursor {
  if (value === undefined) {
    return { syncId: null, position: { seq: 0, chain: chainStart(vaultId) } }
  }
  return {
    syncId: parseSyncId(value.subarray(0, 16)),
    position: { seq: decodeUint64(value, 16), chain: parseHash(value.subarray(24)) },
  }
}

/** What was told, and only that: where the disk has spoiled it, nothing was. */
function parseTold(value: Uint8Array | undefined): unknown {
  try {
    return value === undefined ? undefined : JSON.parse(decodeUtf8(value))
  } catch {
    return undefined
  }
}

function parseNotices(value: Uint8Array | undefined): Notice[] {
  const notices = parseTold(value)
  if (!Array.isArray(notices)) return []
  return notices.filter(
    (notice) => typeof notice?.code === 'string' && typeof notice.message === 'string',
  )
}
