/**
 * The records of a vault in IndexedDB: the level store, and what only a browser does to it.
 *
 * A browser may delete a site's databases whenever it is short of space, or when the person clears
 * them, also under an open tab. LevelDB's twin would then begin an empty database, and the vault
 * would look like one without records. So a store is opened only where there is one, and one that
 * has gone stays gone: every later call says so.
 */
import {
  type Durability,
  type Entry,
  type KeyRange,
  openLevelStore,
  type PageBounds,
  type Store,
  StoreError,
  type StoreOp,
} from '@blindcopy/secondary'
import { ClientError } from '../error.ts'
import { deleteDatabase, hasDatabase } from './browser-database.ts'

/** What the level store calls the database of a path. */
const databaseName = (path: string): string => `level-js-${storePath(path)}`

const storePath = (path: string): string => `blindcopy:${path}`

export const hasRecords = (path: string): Promise<boolean> => hasDatabase(databaseName(path))

export const deleteRecords = (path: string): Promise<void> => deleteDatabase(databaseName(path))

export function lostRecords(cause?: unknown): ClientError {
  return new ClientError(
    'vault-damaged',
    'the browser has deleted the records of the vault: restore it from its recovery phrase',
    { cause },
  )
}

/** Opens the records; makes them only with `mayCreate`. `released` follows the closing. */
export async function openRecords(
  path: string,
  options: { readonly mayCreate: boolean; readonly released: () => Promise<void> },
): Promise<Store> {
  if (!options.mayCreate && !(await hasRecords(path))) throw lostRecords()
  const store = await openLevelStore({ path: storePath(path) })
  return new BrowserStore(path, store, options.released)
}

class BrowserStore implements Store {
  readonly #path: string
  readonly #released: () => Promise<void>
  #store: Store
  /** Why it is known to be gone. */
  #lostBy: unknown
  #reopening: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(path: string, store: Store, released: () => Promise<void>) {
    this.#path = path
    this.#store = store
    this.#released = released
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#store.get(key))
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#read(() => this.#store.getMany(keys))
  }

  pages(range: KeyRange, bounds?: PageBounds): AsyncIterable<readonly Entry[]> {
    return this.#scan(() => this.#store.pages(range, bounds))
  }

  keyPages(range: KeyRange, bounds?: PageBounds): AsyncIterable<readonly Uint8Array[]> {
    return this.#scan(() => this.#store.keyPages(range, bounds))
  }

  async write(batch: readonly StoreOp[], durability: Durability): Promise<void> {
    if (this.#lostBy !== undefined) throw lostRecords(this.#lostBy)
    try {
      await this.#store.write(batch, durability)
    } catch (error) {
      await this.#checkPresent(error)
      throw error
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    await this.#reopening?.catch(() => undefined)
    try {
      await this.#store.close()
    } finally {
      await this.#released()
    }
  }

  /** A connection that the browser cut is opened again, once for a call. */
  async #read<T>(job: () => Promise<T>): Promise<T> {
    if (this.#lostBy !== undefined) throw lostRecords(this.#lostBy)
    try {
      return await job()
    } catch (error) {
      if (!(await this.#checkPresent(error))) throw error
      await this.#reopen()
      return job()
    }
  }

  async *#scan<T>(job: () => AsyncIterable<T>): AsyncGenerator<T> {
    if (this.#lostBy !== undefined) throw lostRecords(this.#lostBy)
    try {
      yield* job()
    } catch (error) {
      await this.#checkPresent(error)
      throw error
    }
  }

  /**
   * After a failure: throws when the database is gone. True when it is there and may be tried
   * again.
   */
  async #checkPresent(error: unknown): Promise<boolean> {
    if (!(error instanceof StoreError) || error.code !== 'store-failed') return false
    if (this.#closing !== undefined) return false
    if (this.#lostBy === undefined && !(await hasRecords(this.#path))) this.#lostBy = error
    if (this.#lostBy !== undefined) throw lostRecords(this.#lostBy)
    return true
  }

  #reopen(): Promise<void> {
    this.#reopening ??= this.#closeAndOpen().finally(() => {
      this.#reopening = undefined
    })
    return this.#reopening
  }

  async #closeAndOpen(): Promise<void> {
    await this.#store.close().catch(() => undefined)
    this.#store = await openLevelStore({ path: storePath(this.#path) })
  }
}
