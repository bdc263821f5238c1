/**
 * RowBatch: the rows a batch of changes touches, read once, changed in memory in the order of the
 * changes, and written together with everything that goes with them.
 *
 * The set of confirmed versions is copied first and handed back: when the write fails, nothing in
 * memory has moved.
 */
import {
  assert,
  type Envelope,
  encodePair,
  equalBytes,
  Fingerprint,
  isAuthoredBy,
  type MemberId,
  type RecordId,
  TIMESTAMP_NONE,
  type Timestamp,
} from '@blindcopy/protocol'
import {
  collectionKey,
  quarantineKey,
  rowKey,
  type Store,
  type StoreOp,
  versionKey,
} from '@blindcopy/secondary'
import { type ConflictEvent, type LoggedConflict, putConflict } from './conflict-log.ts'
import type { ConfirmedSet } from './local-meta.ts'
import { type PutAside, putQuarantine, type QuarantineReason } from './quarantine.ts'
import { encodeRow, isNone, parseRow, type Row } from './row.ts'

/** A record that changed for readers. */
export type RecordChange = {
  readonly recordId: RecordId
  readonly tag: Uint8Array
  readonly timestamp: Timestamp
}

/** A record id as the key of a Map: one character a byte. */
export const idText = (recordId: Uint8Array): string =>
  String.fromCharCode.apply(null, recordId as unknown as number[])

/** One record of a batch: its row as the changes so far have left it. */
export type Slot = {
  readonly recordId: RecordId
  readonly key: Uint8Array
  row: Row
  isTouched: boolean
}

export type BatchContext = {
  readonly confirmedSet: ConfirmedSet
  readonly deviceId: MemberId
  /** What may still be put aside whole. */
  readonly quarantineRoomBytes: number
  /** Whether somebody follows what is confirmed, pair by pair. */
  readonly isFollowed: boolean
}

/** A version that is confirmed from now on, or no longer. */
export type ConfirmedPair = { readonly pair: Uint8Array; readonly isAdded: boolean }

export class RowBatch {
  /** In the order of the ids that were read; ids that come twice share one slot. */
  readonly slots: Slot[]
  readonly ops: StoreOp[] = []
  readonly changes: RecordChange[] = []
  readonly confirmedSet: ConfirmedSet
  /** Whether the set of confirmed versions differs from before. */
  isSetChanged = false
  /** What the batch writes to the conflict log, and what it merged. */
  readonly conflictEvents: ConflictEvent[] = []
  conflictCount = 0
  conflictBytes = 0
  /** Numbers of transactions that leave the outbox for the conflict log. */
  readonly takenBack: number[] = []
  /** Versions of other devices that were not known before. */
  receivedCount = 0
  /** What the batch puts aside. */
  quarantinedBytes = 0
  openConflictCount = 0
  /** What `confirm` changed, where somebody follows it (keyed-set.ts). */
  readonly confirmedPairs: ConfirmedPair[] | null

  readonly #store: Store
  readonly #deviceId: MemberId
  readonly #quarantineRoomBytes: number
  readonly #slotsById = new Map<string, Slot>()
  readonly #logged = new Set<string>()

  private constructor(store: Store, context: BatchContext) {
    const { confirmedSet, deviceId, quarantineRoomBytes } = context
    this.slots = []
    this.#store = store
    this.#deviceId = deviceId
    this.#quarantineRoomBytes = quarantineRoomBytes
    this.confirmedPairs = context.isFollowed ? [] : null
    this.confirmedSet = {
      count: confirmedSet.count,
      fingerprint: new Fingerprint(confirmedSet.fingerprint.toBytes()),
    }
  }

  static async read(
    store: Store,
    recordIds: readonly RecordId[],
    context: BatchContext,
  ): Promise<RowBatch> {
    const batch = new RowBatch(store, context)
    await batch.include(recordIds)
    return batch
  }

  /** Reads further rows. Returns their slots, in the order of the ids. */
  async include(recordIds: readonly RecordId[]): Promise<readonly Slot[]> {
    // Each id becomes a text once: this runs for every record that is written or comes.
    const texts = recordIds.map(idText)
    const fresh: number[] = []
    for (const [i, text] of texts.entries()) if (!this.#slotsById.has(text)) fresh.push(i)
    const keys = fresh.map((i) => rowKey(recordIds[i] as RecordId))
    const values = fresh.length === 0 ? [] : await this.#store.getMany(keys)
    for (const [n, i] of fresh.entries()) {
      const text = texts[i] as string
      if (this.#slotsById.has(text)) continue
      const recordId = recordIds[i] as RecordId
      const key = keys[n] as Uint8Array
      this.#slotsById.set(text, { recordId, key, row: parseRow(values[n]), isTouched: false })
    }
    const slots = texts.map((text) => this.#slotsById.get(text) as Slot)
    for (const slot of slots) this.slots.push(slot)
    return slots
  }

  /** The slot of a record, if it was read. */
  findSlot(recordId: RecordId): Slot | undefined {
    return this.#slotsById.get(idText(recordId))
  }

  /** The slot of a record that was read. */
  slotOf(recordId: RecordId): Slot {
    const slot = this.#slotsById.get(idText(recordId))
    assert(slot !== undefined, 'a batch is used with the ids it was read with')
    return slot
  }

  /** The slot of the id that was read as number `index`. */
  slot(index: number): Slot {
    const slot = this.slots[index]
    assert(slot !== undefined, 'a batch is used with the ids it was read with')
    return slot
  }

  /** Whether this device wrote a version: while writes of a record wait, it may be one of them. */
  isOwn(timestamp: Timestamp): boolean {
    return isAuthoredBy(timestamp, this.#deviceId)
  }

  /** Lets versions go that nothing in the row refers to. */
  releaseVersions({ recordId, row }: Slot, versions: readonly Timestamp[]): void {
    for (const timestamp of versions) {
      const isKept =
        equalBytes(timestamp, row.current) ||
        equalBytes(timestamp, row.confirmed) ||
        equalBytes(timestamp, row.base)
      if (!isKept) this.deleteVersion(recordId, timestamp)
    }
  }

  setRow(slot: Slot, row: Row): void {
    slot.row = row
    slot.isTouched = true
  }

  /** Makes a version the one that reads show, and keeps the collection's list true. */
  show(
    recordId: RecordId,
    version: { tag: Uint8Array; timestamp: Timestamp; tombstone: boolean },
  ): void {
    const key = collectionKey(version.tag, recordId)
    if (version.tombstone) this.ops.push({ type: 'delete', key })
    else this.ops.push({ type: 'put', key, value: version.timestamp })
    this.changes.push({ recordId, tag: version.tag, timestamp: version.timestamp })
  }

  /** Keeps a version that lost, and tells of it. */
  logConflict(conflict: LoggedConflict): void {
    const version = idText(conflict.recordId) + idText(conflict.timestamp)
    if (this.#logged.has(version)) return
    this.#logged.add(version)
    const put = putConflict(conflict)
    this.ops.push(put)
    this.conflictCount++
    if (conflict.kind === 'open') this.openConflictCount++
    else this.conflictBytes += put.value.length
    const { kind, recordId, timestamp } = conflict
    this.conflictEvents.push({ kind, recordId, timestamp })
  }

  /** The record is gone for readers, as if it had never been. */
  hide(recordId: RecordId, tag: Uint8Array): void {
    this.ops.push({ type: 'delete', key: collectionKey(tag, recordId) })
    this.changes.push({ recordId, tag, timestamp: TIMESTAMP_NONE })
  }

  putVersion(recordId: RecordId, timestamp: Timestamp, envelope: Envelope): void {
    this.ops.push({ type: 'put', key: versionKey(recordId, timestamp), value: envelope })
  }

  deleteVersion(recordId: RecordId, timestamp: Timestamp): void {
    if (isNone(timestamp)) return
    this.ops.push({ type: 'delete', key: versionKey(recordId, timestamp) })
  }

  /** Puts a version aside that does not open; whole, as long as there is room. */
  putAside(version: PutAside, reason: QuarantineReason): void {
    const op = putQuarantine(version, reason, this.#quarantineRoomBytes - this.quarantinedBytes)
    this.quarantinedBytes += op.value.length
    this.ops.push(op)
  }

  deleteQuarantined(recordId: RecordId, timestamp: Timestamp): void {
    this.ops.push({ type: 'delete', key: quarantineKey(recordId, timestamp) })
  }

  /**
   * Counts another confirmed version of a record in place of the one before; zeros stand for none.
   */
  confirm(recordId: RecordId, before: Timestamp, after: Timestamp): void {
    const { fingerprint } = this.confirmedSet
    this.isSetChanged = true
    if (isNone(before)) {
      this.confirmedSet.count++
    } else {
      const pair = encodePair(recordId, before)
      fingerprint.remove(pair)
      this.confirmedPairs?.push({ pair, isAdded: false })
    }
    if (isNone(after)) {
      this.confirmedSet.count--
    } else {
      const pair = encodePair(recordId, after)
      fingerprint.add(pair)
      this.confirmedPairs?.push({ pair, isAdded: true })
    }
  }

  /** Everything to write, rows included. */
  finish(): StoreOp[] {
    for (const slot of this.#slotsById.values()) {
      if (!slot.isTouched) continue
      slot.isTouched = false
      this.ops.push({ type: 'put', key: slot.key, value: encodeRow(slot.row) })
    }
    return this.ops
  }
}
