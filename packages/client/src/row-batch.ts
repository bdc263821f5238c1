/**
 * RowBatch: the rows a batch of changes touches, read once, changed in memory in the order of the
 * changes, and written together with everything that goes with them.
 *
 * The set of confirmed versions is copied first and handed back: when the write fails, nothing in
 * memory has moved.
 */
import {
  type Envelope,
  encodePair,
  Fingerprint,
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
import { encodeRow, isNone, parseRow, ROW_NONE, type Row } from './row.ts'

/** A record that changed for readers. */
export type RecordChange = {
  readonly recordId: RecordId
  readonly tag: Uint8Array
  readonly timestamp: Timestamp
}

/** A record id as the key of a Map: one character a byte. */
export const idText = (recordId: Uint8Array): string =>
  String.fromCharCode.apply(null, recordId as unknown as number[])

export class RowBatch {
  readonly ops: StoreOp[] = []
  readonly changes: RecordChange[] = []
  readonly confirmedSet: ConfirmedSet
  readonly #rows: Map<string, Row>
  readonly #touched = new Map<string, RecordId>()

  private constructor(rows: Map<string, Row>, confirmedSet: ConfirmedSet) {
    this.#rows = rows
    this.confirmedSet = {
      count: confirmedSet.count,
      fingerprint: new Fingerprint(confirmedSet.fingerprint.toBytes()),
    }
  }

  static async read(
    store: Store,
    recordIds: readonly RecordId[],
    confirmedSet: ConfirmedSet,
  ): Promise<RowBatch> {
    const values = await store.getMany(recordIds.map(rowKey))
    const rows = new Map<string, Row>()
    recordIds.forEach((recordId, i) => {
      rows.set(idText(recordId), parseRow(values[i]))
    })
    return new RowBatch(rows, confirmedSet)
  }

  row(recordId: RecordId): Row {
    return this.#rows.get(idText(recordId)) ?? ROW_NONE
  }

  setRow(recordId: RecordId, row: Row): void {
    const text = idText(recordId)
    this.#rows.set(text, row)
    this.#touched.set(text, recordId)
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

  deleteVersion(recordId: RecordId, timestamp: Timestamp): void {
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
    for (const [text, recordId] of this.#touched) {
      const row = this.#rows.get(text) ?? ROW_NONE
      this.ops.push({ type: 'put', key: rowKey(recordId), value: encodeRow(row) })
    }
    return this.ops
  }
}
