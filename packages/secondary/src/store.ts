/**
 * Store: the port under both secondaries, an ordered and durable map of bytes to bytes.
 *
 * Keys are compared byte by byte (a prefix sorts first). One `write` is atomic: after a crash all
 * of it is there or none of it. Whatever is layered above (which keys exist and what they mean) is
 * `local-keyspace.ts` and `remote-keyspace.ts`; nothing else builds a key.
 *
 * Keys and values that are handed in must not be changed afterwards; what is handed out is the
 * caller's own copy. Every failure is a `StoreError` with a stable code.
 */

/** One change of a batch. Deleting a key that is not there is no error. */
export type StoreOp =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly key: Uint8Array }

/** Bounds are optional; without any the range is the whole store. `limit` counts entries. */
export type KeyRange = {
  readonly gte?: Uint8Array
  readonly gt?: Uint8Array
  readonly lt?: Uint8Array
  readonly lte?: Uint8Array
  readonly reverse?: boolean
  readonly limit?: number
}

export type Entry = readonly [key: Uint8Array, value: Uint8Array]

/** How much one page of a scan may hold; a page always holds at least one entry. */
export type PageBounds = { readonly entriesMax?: number; readonly bytesMax?: number }

export type Durability = {
  /**
   * True: on the disk before the write returns. False: it survives a killed process, not a power
   * cut.
   */
  readonly sync: boolean
}

export interface Store extends AsyncDisposable {
  /** The value, or undefined when there is none. */
  get(key: Uint8Array): Promise<Uint8Array | undefined>

  /** The values in the order of the keys; undefined where there is none. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>

  /**
   * The entries of a range in key order, a page at a time, so that memory stays bounded. Pages are
   * never empty. The iterator is released when the loop ends, however it ends.
   */
  pages(range: KeyRange, bounds?: PageBounds): AsyncIterable<readonly Entry[]>

  /** Only the keys of a range, a page at a time. */
  keyPages(range: KeyRange, bounds?: PageBounds): AsyncIterable<readonly Uint8Array[]>

  /** Applies the whole batch, in order, or nothing of it. */
  write(batch: readonly StoreOp[], durability: Durability): Promise<void>

  /**
   * Gives the room of what was deleted between two keys back to the disk now, where a store can.
   * Without it that comes with later writes, perhaps never, and scans go over what is left there.
   */
  compact?(first: Uint8Array, last: Uint8Array): Promise<void>

  /** Waits for writes under way and releases the folder. Closing twice is no error. */
  close(): Promise<void>
}
