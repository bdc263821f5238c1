/**
 * Level store: the durable store, LevelDB on Node and IndexedDB in the browser with the same code.
 * The only file that imports `level`.
 *
 * Writes are made one after the other, and those that wait together are made as one (group commit):
 * they share a disk sync, and no write is acknowledged behind one that failed. That order matters.
 * A record that LevelDB could not append whole leaves its log torn, later records land behind the
 * tear, and the next opening drops them, acknowledged or not. So after a failed write the database
 * is opened again before anything more is written, which keeps what was acknowledged and begins a
 * new log. If it does not open (the disk is still full), every call tries again.
 *
 *   open ──a write fails──▶ suspect ──next write: close, open──▶ open
 *                                      └─ fails ─▶ not open ──next call: open──▶ open
 *
 * Values are ciphertext and do not shrink, so compression is off.
 */

import { Level } from 'level'
import { StoreError } from './error.ts'
import { closedError, toStoreError } from './level-error.ts'
import { lowerBound, type PageLimits, pageLimits, upperBound } from './range.ts'
import type { Durability, Entry, KeyRange, PageBounds, Store, StoreOp } from './store.ts'

/** The database below the store, named so that a test can hand in one that fails. */
export type LevelDatabase = Level<Uint8Array, Uint8Array>

export type LevelOptions = {
  /** A folder on Node, the name of a database in the browser. Created when it is not there. */
  readonly path: string
  readonly writeBufferBytes?: number
  readonly cacheBytes?: number
  /**
   * Up to how many keys are read at once without leaving the thread: faster, but nothing else runs
   * meanwhile. Little for a server with many vaults; a device has one.
   */
  readonly syncKeysMax?: number
  /**
   * Lets others come between the parts of a long write: for a server, which has more to do
   * meanwhile. `setImmediate` as a promise, on Node.
   */
  readonly nextTurn?: () => Promise<void>
  /** Makes the database from its path, for tests; the real one otherwise. */
  readonly create?: (path: string) => LevelDatabase
}

/**
 * Measured with 100,000 records: 4 MiB write as fast as 8, and there are up to two at a time.
 * Tables are mapped into memory and not compressed, so they bypass the cache; it holds next to
 * nothing.
 */
const WRITE_BUFFER_BYTES = 4 * 1024 * 1024
const CACHE_BYTES = 1024 * 1024

/**
 * Reads of more keys than this go through a worker thread, so that they do not hold up the loop.
 */
const SYNC_KEYS_MAX = 64

/** A group that holds more than this takes no further writes: it would make the first ones wait. */
const GROUP_BYTES_MAX = 1024 * 1024

/** Handing a batch over takes about 2 µs an op: what is longer lets others come between. */
const OPS_A_TURN = 1_000

/**
 * Opens the store of a folder, and creates it if it is not there.
 *
 * Throws `StoreError`: `store-in-use` if anything else has it open, `store-read-only`,
 * `store-full` or `store-corrupt` if the disk does not play along.
 */
export async function openLevelStore(options: LevelOptions): Promise<Store> {
  const database = options.create?.(options.path) ?? createLevel(options)
  try {
    await database.open()
  } catch (error) {
    throw toStoreError(error, options.path)
  }
  return new LevelStore(database, options)
}

/** The real database of a path, not yet open. */
export function createLevel(options: Omit<LevelOptions, 'create'>): LevelDatabase {
  return new Level<Uint8Array, Uint8Array>(options.path, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    compression: false,
    writeBufferSize: options.writeBufferBytes ?? WRITE_BUFFER_BYTES,
    cacheSize: options.cacheBytes ?? CACHE_BYTES,
  })
}

/** Writes that are made together. */
type Group = {
  readonly ops: StoreOp[]
  readonly done: Promise<void>
  opsBytes: number
  sync: boolean
}

/** What iterators over entries and over keys have in common. */
type Cursor<T> = {
  nextv(size: number): Promise<T[]>
  close(): Promise<void>
}

class LevelStore implements Store {
  readonly #database: LevelDatabase
  readonly #path: string
  readonly #syncKeysMax: number
  readonly #nextTurn: (() => Promise<void>) | undefined
  /** IndexedDB has no synchronous reads; where they exist they are ten times as fast. */
  readonly #readsSync: boolean
  /** The group that still takes writes. */
  #gathering: Group | undefined
  /** Settles, and never fails, when the last group was made. */
  #tail: Promise<void> = Promise.resolve()
  #isWriting = false
  #isSuspect = false
  #reopening: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(database: LevelDatabase, options: LevelOptions) {
    const { path, syncKeysMax = SYNC_KEYS_MAX } = options
    this.#nextTurn = options.nextTurn
    this.#database = database
    this.#path = path
    this.#syncKeysMax = syncKeysMax
    this.#readsSync = Reflect.get(database.supports, 'getSync') === true
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    if (!this.#isReadable()) await this.#ready()
    try {
      const database = this.#database
      const value = this.#readsSync ? database.getSync(key) : await database.get(key)
      return plainOrNone(value)
    } catch (error) {
      throw this.#translate(error)
    }
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    if (!this.#isReadable()) await this.#ready()
    const database = this.#database
    try {
      // A batch under way on another thread could become visible between two single reads, and
      // `getMany` reads from a snapshot. One key alone is one moment anyway.
      const isOneMoment = keys.length < 2 || !this.#isWriting
      if (this.#readsSync && keys.length <= this.#syncKeysMax && isOneMoment) {
        return keys.map((key) => plainOrNone(database.getSync(key)))
      }
      return (await database.getMany([...keys])).map(plainOrNone)
    } catch (error) {
      throw this.#translate(error)
    }
  }

  async *pages(range: KeyRange, bounds?: PageBounds): AsyncGenerator<readonly Entry[]> {
    if (!this.#isReadable()) await this.#ready()
    const limits = pageLimits(bounds)
    const cursor: Cursor<Entry> = this.#database.iterator(toLevelRange(range, limits))
    yield* this.#fetch(cursor, limits, plainEntry, entryBytes)
  }

  async *keyPages(range: KeyRange, bounds?: PageBounds): AsyncGenerator<readonly Uint8Array[]> {
    if (!this.#isReadable()) await this.#ready()
    const limits = pageLimits(bounds)
    const cursor: Cursor<Uint8Array> = this.#database.keys(toLevelRange(range, limits))
    yield* this.#fetch(cursor, limits, plain, (key) => key.length)
  }

  async write(batch: readonly StoreOp[], durability: Durability): Promise<void> {
    if (this.#closing !== undefined) throw closedError(this.#path)
    if (batch.length === 0) return
    const group = this.#gathering ?? this.#gather()
    for (const op of batch) {
      group.ops.push(op)
      group.opsBytes += op.key.length + (op.type === 'put' ? op.value.length : 0)
    }
    group.sync ||= durability.sync
    if (group.opsBytes > GROUP_BYTES_MAX) this.#gathering = undefined
    await group.done
  }

  /** IndexedDB sees to it by itself. */
  async compact(first: Uint8Array, last: Uint8Array): Promise<void> {
    if (!this.#isReadable()) await this.#ready()
    const compactRange: unknown = Reflect.get(this.#database, 'compactRange')
    if (typeof compactRange !== 'function') return
    try {
      await compactRange.call(this.#database, first, last)
    } catch (error) {
      throw this.#translate(error)
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #isReadable(): boolean {
    return this.#closing === undefined && this.#database.status === 'open'
  }

  async #ready(): Promise<void> {
    if (this.#closing !== undefined) throw closedError(this.#path)
    await this.#reopen()
  }

  /** Native pages may be one entry too large, and those of the browser are not bounded in bytes. */
  async *#fetch<T>(
    cursor: Cursor<T>,
    limits: PageLimits,
    toPlain: (item: T) => T,
    bytesOf: (item: T) => number,
  ): AsyncGenerator<readonly T[]> {
    try {
      let page: T[] = []
      let pageBytes = 0
      for (;;) {
        const items = await this.#next(cursor, limits.entriesMax)
        if (items.length === 0) break
        for (const item of items) {
          const itemBytes = bytesOf(item)
          const isFull = page.length >= limits.entriesMax || pageBytes + itemBytes > limits.bytesMax
          if (isFull && page.length > 0) {
            yield page
            page = []
            pageBytes = 0
          }
          page.push(toPlain(item))
          pageBytes += itemBytes
        }
      }
      if (page.length > 0) yield page
    } finally {
      await cursor.close()
    }
  }

  async #next<T>(cursor: Cursor<T>, size: number): Promise<T[]> {
    try {
      return await cursor.nextv(size)
    } catch (error) {
      throw this.#translate(error)
    }
  }

  #gather(): Group {
    const done = this.#tail.then(() => {
      if (this.#gathering === group) this.#gathering = undefined
      return this.#commit(group)
    })
    const group: Group = { ops: [], done, opsBytes: 0, sync: false }
    this.#gathering = group
    this.#tail = done.catch(() => {})
    return group
  }

  async #commit(group: Group): Promise<void> {
    if (this.#isSuspect || this.#database.status !== 'open') await this.#reopen()
    this.#isWriting = true
    try {
      const batch = this.#database.batch()
      let ops = 0
      for (const op of group.ops) {
        if (op.type === 'put') batch.put(op.key, this.#alone(op.value))
        else batch.del(op.key)
        if (++ops % OPS_A_TURN === 0) await this.#nextTurn?.()
      }
      await batch.write({ sync: group.sync })
    } catch (error) {
      this.#isSuspect = true
      throw this.#translate(error)
    } finally {
      this.#isWriting = false
    }
  }

  /** IndexedDB would store all the memory that a view stands in, and what else is there. */
  #alone(value: Uint8Array): Uint8Array {
    return this.#readsSync ? value : plain(value)
  }

  #reopen(): Promise<void> {
    this.#reopening ??= this.#closeAndOpen().finally(() => {
      this.#reopening = undefined
    })
    return this.#reopening
  }

  async #closeAndOpen(): Promise<void> {
    try {
      await this.#database.close()
      await this.#database.open()
      this.#isSuspect = false
    } catch (error) {
      throw this.#translate(error)
    }
  }

  async #close(): Promise<void> {
    await this.#tail
    await this.#reopening?.catch(() => {})
    try {
      await this.#database.close()
    } catch (error) {
      throw this.#translate(error)
    }
  }

  #translate(error: unknown): StoreError {
    const translated = toStoreError(error, this.#path)
    if (translated.code !== 'store-closed' || this.#closing !== undefined) return translated
    const message = `The store at ${this.#path} was opened again after a failed write. Try again.`
    return new StoreError('store-failed', message, { cause: error })
  }
}

type LevelRange = {
  gte?: Uint8Array
  gt?: Uint8Array
  lte?: Uint8Array
  lt?: Uint8Array
  reverse: boolean
  limit: number
  highWaterMarkBytes: number
}

function toLevelRange(range: KeyRange, limits: PageLimits): LevelRange {
  const lower = lowerBound(range)
  const upper = upperBound(range)
  return {
    ...(lower === undefined ? {} : lower.inclusive ? { gte: lower.key } : { gt: lower.key }),
    ...(upper === undefined ? {} : upper.inclusive ? { lte: upper.key } : { lt: upper.key }),
    reverse: range.reverse ?? false,
    limit: range.limit ?? Number.POSITIVE_INFINITY,
    highWaterMarkBytes: limits.bytesMax,
  }
}

/**
 * LevelDB gives a Buffer that owns its memory: it becomes a plain array without a copy. Anything
 * that shares memory, as a pooled Buffer does, is copied.
 */
function plain(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength !== bytes.buffer.byteLength) return new Uint8Array(bytes)
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer)
}

function plainOrNone(bytes: Uint8Array | undefined): Uint8Array | undefined {
  return bytes === undefined ? undefined : plain(bytes)
}

function plainEntry([key, value]: Entry): Entry {
  return [plain(key), plain(value)]
}

function entryBytes([key, value]: Entry): number {
  return key.length + value.length
}
