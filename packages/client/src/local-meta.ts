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
  encodeClock,
  encodeUint64,
  Fingerprint,
  type LogPosition,
  parseClock,
  parseHash,
  parseSyncId,
  type SyncId,
  type VaultId,
} from '@blindcopy/protocol'
import { metaKey, type Store, type StoreOp } from '@blindcopy/secondary'

/** Up to where the remote's log is durably applied here; without a SyncId nothing was exchanged. */
export type Cursor = { readonly syncId: SyncId | null; readonly position: LogPosition }

/** The versions the remote served or acknowledged, one per record: compared with the remote's. */
export type ConfirmedSet = { count: number; readonly fingerprint: Fingerprint }

export type LocalMeta = {
  readonly cursor: Cursor
  readonly clock: ClockState
  /** The number of the next transaction, never used twice. */
  readonly nextNumber: number
  readonly confirmedSet: ConfirmedSet
  /** Outbox numbers below this may have been sent, and stay as they are until a verdict. */
  readonly sentBelow: number
  /** Whether the head of the remote was once reached. */
  readonly initialSyncComplete: boolean
  readonly lastSyncedMs: number | null
}

const CURSOR = metaKey('cursor')
const CLOCK = metaKey('clock')
const CONFIRMED_SET = metaKey('confirmed-set')
const SENT = metaKey('sent')
const SYNCED = metaKey('synced')

const put = (key: Uint8Array, value: Uint8Array): StoreOp => ({ type: 'put', key, value })

export const putClock = (clock: ClockState, nextNumber: number): StoreOp =>
  put(CLOCK, concat(encodeClock(clock), encodeUint64(nextNumber)))

export const putConfirmedSet = (set: ConfirmedSet): StoreOp =>
  put(CONFIRMED_SET, concat(encodeUint64(set.count), set.fingerprint.toBytes()))

export const putSentBelow = (number: number): StoreOp => put(SENT, encodeUint64(number))

export const putSynced = (nowMs: number): StoreOp => put(SYNCED, encodeUint64(nowMs))

export function putCursor(cursor: { syncId: SyncId; position: LogPosition }): StoreOp {
  const { seq, chain } = cursor.position
  return put(CURSOR, concat(cursor.syncId, encodeUint64(seq), chain))
}

export async function readMeta(store: Store, vaultId: VaultId): Promise<LocalMeta> {
  const keys = [CURSOR, CLOCK, CONFIRMED_SET, SENT, SYNCED]
  const [cursor, clock, set, sent, synced] = await store.getMany(keys)
  return {
    cursor: parseCursorValue(cursor, vaultId),
    clock: clock === undefined ? CLOCK_START : parseClock(clock.subarray(0, 8)),
    nextNumber: clock === undefined ? 1 : decodeUint64(clock, 8),
    confirmedSet: {
      count: set === undefined ? 0 : decodeUint64(set),
      fingerprint: new Fingerprint(set?.subarray(8)),
    },
    sentBelow: sent === undefined ? 0 : decodeUint64(sent),
    initialSyncComplete: synced !== undefined,
    lastSyncedMs: synced === undefined ? null : decodeUint64(synced),
  }
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
