/**
 * Collection: the records of one name, as an app reads and writes them.
 *
 * Every write is a transaction of its own, durable and sealed when its promise resolves, whether or
 * not a remote can be reached. What is read is the caller's own copy.
 */
import type { Fields } from '@blindcopy/protocol'
import type { Item, Query } from './query.ts'
import { arrange, compileQuery } from './query.ts'
import type { Schema } from './schema.ts'
import { runTransaction, type Transaction, type WriteContext } from './transaction.ts'
import { watchQuery } from './watch.ts'

export type CollectionOptions<S> = {
  /** Checks what is written. Without it any fields are taken. */
  readonly schema?: S
}

/** `T` is what is read; `Input` what is written, before the schema has seen it. */
export class Collection<T extends object = Fields, Input extends object = T> {
  readonly name: string
  readonly schema: Schema<T> | undefined
  readonly #context: WriteContext
  readonly #tag: Uint8Array

  /** Internal: `vault.collection` makes them. */
  constructor(name: string, context: WriteContext, options: CollectionOptions<Schema<T>>) {
    this.name = name
    this.schema = options.schema
    this.#context = context
    this.#tag = context.sealer.tagOf(name)
  }

  /** The fields of a record, or undefined when there is none. */
  async get(key: string): Promise<T | undefined> {
    const { recordId } = this.#context.sealer.placeOf(this.name, key)
    const version = await this.#context.local.read(recordId)
    if (version === undefined) return undefined
    return (this.#context.sealer.open(version).fields ?? undefined) as T | undefined
  }

  /** Stores a record under a key, in place of what was there. */
  async put(key: string, fields: Input): Promise<void> {
    if (this.schema !== undefined) {
      await this.#run((transaction) => transaction.collection(this).put(key, fields))
      return
    }
    // Encoded before anything is awaited: the record is what the fields are now.
    const { local, sealer } = this.#context
    const draft = sealer.draft(sealer.placeOf(this.name, key), fields as Fields)
    await local.commit([draft])
  }

  /** Changes some fields of a record and returns all of them. Throws `not-found`. */
  update(key: string, changes: Partial<T>): Promise<T> {
    return this.#run((transaction) => transaction.collection(this).update(key, changes))
  }

  /** Deletes a record. Resolves to whether there was one. */
  delete(key: string): Promise<boolean> {
    return this.#run((transaction) => transaction.collection(this).delete(key))
  }

  /** Stores a record under a new key (a UUID of version 7) and returns the key. */
  add(fields: Input): Promise<string> {
    return this.#run((transaction) => transaction.collection(this).add(fields))
  }

  /** All records, by key. For very many, `for await (… of collection)` holds a page at a time. */
  list(): Promise<Item<T>[]> {
    return this.query({})
  }

  async query(query: Query<T>): Promise<Item<T>[]> {
    const compiled = compileQuery(query)
    const found: Item<T>[] = []
    for await (const item of this) if (compiled.matches(item)) found.push(item)
    return arrange(found, compiled)
  }

  /**
   * The result of a query now, and again after every change to it, wherever the change was made. A
   * slow reader gets the latest result only. Ends with its signal, or when the vault is closed.
   */
  watch(query: Query<T> = {}, signal?: AbortSignal): AsyncGenerator<Item<T>[]> {
    const { local, sealer, ended } = this.#context
    return watchQuery({ local, sealer, tag: this.#tag, query, signal: endWith(signal, ended) })
  }

  /** Every record, in no particular order, a page of the disk at a time. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Item<T>> {
    const { local, sealer } = this.#context
    for await (const page of local.pages(this.#tag)) {
      for (const version of page) {
        const { key, fields } = sealer.open(version)
        if (fields !== null) yield { key, fields: fields as T }
      }
    }
  }

  #run<R>(work: (transaction: Transaction) => Promise<R>): Promise<R> {
    return runTransaction(this.#context, work)
  }
}

/** A watch ends with the signal of whoever watches, or with the vault. */
export function endWith(signal: AbortSignal | undefined, ended: AbortSignal): AbortSignal {
  return signal === undefined ? ended : AbortSignal.any([signal, ended])
}
