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
import type { ConfirmedSet } from './local-meta.ts'
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

export type BatchContext = { readonly confirmedSet: ConfirmedSet; readonly deviceId: MemberId }

export class RowBatch {
  /** In the order of the ids that were read; ids that come twice share one slot. */
  readonly slots: readonly Slot[]
  readonly ops: StoreOp[] = []
  readonly changes: RecordChange[] = []
  readonly confirmedSet: ConfirmedSet

  readonly #deviceId: MemberId

  private constructor(slots: readonly Slot[], { confirmedSet, deviceId }: BatchContext) {
    this.slots = slots
    this.#deviceId = deviceId
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
    const keys = recordIds.map(rowKey)
    const values = await store.getMany(keys)
    const slotsById = new Map<string, Slot>()
    const slots = recordIds.map((recordId, i) => {
      const id = idText(recordId)
      const known = slotsById.get(id)
      if (known !== undefined) return known
      const key = keys[i] as Uint8Array
      const slot = { recordId, key, row: parseRow(values[i]), isTouched: false }
      slotsById.set(id, slot)
      return slot
    })
    return new RowBatch(slots, context)
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
      if (!isKept) this.#deleteVersion(recordId, timestamp)
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

  putVersion(recordId: RecordId, timestamp: Timestamp, envelope: Envelope): void {
    this.ops.push({ type: 'put', key: versionKey(recordId, timestamp), value: envelope })
  }

  #deleteVersion(recordId: RecordId, timestamp: Timestamp): void {
    if (isNone(timestamp)) return
    this.ops.push({ type: 'delete', key: versionKey(recordId, timestamp) })
  }

  deleteQuarantined(recordId: RecordId, timestamp: Timestamp): void {
    this.ops.push({ type: 'delete', key: quarantineKey(recordId, timestamp) })
  }

  /** Counts a newer confirmed version of a record in place of the one before. */
  confirm(recordId: RecordId, before: Timestamp, after: Timestamp): void {
    const { fingerprint } = this.confirmedSet
    if (isNone(before)) this.confirmedSet.count++
    else fingerprint.remove(encodePair(recordId, before))
    fingerprint.add(encodePair(recordId, after))
  }

  /** Everything to write, rows included. */
  finish(): StoreOp[] {
    for (const slot of this.slots) {
      if (!slot.isTouched) continue
      slot.isTouched = false
      this.ops.push({ type: 'put', key: slot.key, value: encodeRow(slot.row) })
    }
    return this.ops
  }
}
