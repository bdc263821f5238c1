/**
 * Store scan: one range of a store, entry by entry, as it was when the scan was begun.
 *
 * LevelDB gives an iterator the view of the moment in which it is made, and that is when the first
 * page is asked for: so a scan is begun inside the vault's section, and read outside of it.
 */
import type { MemberId, RecordId, Timestamp } from '@blindcopy/protocol'
import { MEMBER_ID_BYTES, RECORD_ID_BYTES, TIMESTAMP_BYTES } from '@blindcopy/protocol'
import type { Entry, KeyRange, RemoteKeyspace, Store } from '@blindcopy/secondary'

const PAGE = { bytesMax: 512 * 1024 } as const
const SEQ_LAST = Number.MAX_SAFE_INTEGER - 1

/** The whole of each section of a vault. */
export const sections = {
  log: (keys: RemoteKeyspace): KeyRange => keys.logEntries({ first: 0, last: SEQ_LAST }),
  envelopes: (keys: RemoteKeyspace): KeyRange => keys.envelopes({ first: 0, last: SEQ_LAST }),
  records: (keys: RemoteKeyspace): KeyRange =>
    keys.records({ first: FIRST_RECORD, last: LAST_RECORD }),
  transactions: (keys: RemoteKeyspace): KeyRange => ({
    gte: keys.transaction(filled(TIMESTAMP_BYTES, 0) as Timestamp),
    lte: keys.transaction(LAST_TIMESTAMP),
  }),
  checkpoints: (keys: RemoteKeyspace): KeyRange => ({
    gte: keys.checkpoint(filled(MEMBER_ID_BYTES, 0) as MemberId),
    lte: keys.checkpoint(filled(MEMBER_ID_BYTES, 255) as MemberId),
  }),
  history: (keys: RemoteKeyspace): KeyRange => ({
    gte: keys.history(FIRST_RECORD, filled(TIMESTAMP_BYTES, 0) as Timestamp),
    lte: keys.history(LAST_RECORD, LAST_TIMESTAMP),
  }),
} as const

const filled = (size: number, value: number): Uint8Array => new Uint8Array(size).fill(value)
const FIRST_RECORD = filled(RECORD_ID_BYTES, 0) as RecordId
const LAST_RECORD = filled(RECORD_ID_BYTES, 255) as RecordId
const LAST_TIMESTAMP = filled(TIMESTAMP_BYTES, 255) as Timestamp

/** Eight bytes as a number; undefined when they are not that. */
export function tryUint64(bytes: Uint8Array | undefined): number | undefined {
  if (bytes === undefined || bytes.length < 8) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const value = view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4)
  return Number.isSafeInteger(value) ? value : undefined
}

export class StoreScan {
  readonly #pages: AsyncIterator<readonly Entry[]>
  #page: readonly Entry[] = []
  #next = 0
  #isOver = false

  constructor(store: Store, range: KeyRange) {
    this.#pages = store.pages(range, PAGE)[Symbol.asyncIterator]()
  }

  /** The entry that `take` gives next; undefined at the end. */
  async peek(): Promise<Entry | undefined> {
    while (this.#next >= this.#page.length && !this.#isOver) {
      const { done, value } = await this.#pages.next()
      this.#isOver = done === true
      this.#page = done === true ? [] : value
      this.#next = 0
    }
    return this.#page[this.#next]
  }

  async take(): Promise<Entry | undefined> {
    const entry = await this.peek()
    this.#next++
    return entry
  }

  async close(): Promise<void> {
    await this.#pages.return?.()
  }
}
