/**
 * Collection: the records of one name, as an app reads and writes them.
 *
 * Every write is a transaction of its own, durable and sealed when its promise resolves, whether or
 * not a remote can be reached. What is read is the caller's own copy.
 */
import type { Fields } from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import { forgetCollectionIndex } from '../query/collection-index.ts'
import { type FoundRecords, findRecords, type QueryTrace } from '../query/find-records.ts'
import type { IndexFields } from '../query/index-plan.ts'
import { compileQuery, type Item, type Query } from '../query/query.ts'
import { RecordReader } from '../query/record-reader.ts'
import { watchQuery } from '../query/watch.ts'
import type { ConflictPolicy } from './conflict-policy.ts'
import { type DeclarationOptions, type Migrate, readDeclaration } from './declaration.ts'
import {
  type HistoryOptions,
  type RecordHistory,
  readHistory,
  restoreVersion,
} from './record-history.ts'
import type { Schema } from './schema.ts'
import {
  declarationOf,
  readFields,
  runTransaction,
  type Transaction,
  type WriteContext,
} from './transaction.ts'

/** A field, or several, the first one counting most. */
export type IndexOf<T> =
  | (keyof T & string)
  | readonly [keyof T & string, ...(readonly (keyof T & string)[])]

/** `S` is the schema, `T` what it gives back. */
export type CollectionOptions<S, T = S extends Schema<infer Output> ? Output : never> = {
  /** Checks what is written. Without it any fields are taken. */
  readonly schema?: S
  /**
   * Fields by which queries find records without opening the others. Built in memory when a query
   * first has use of one: two of them take about 350 bytes a record.
   */
  readonly indexes?: readonly IndexOf<NoInfer<T>>[]
  /** What becomes of a record that two devices wrote without knowing of each other. */
  readonly conflict?: ConflictPolicy<NoInfer<T>>
  /**
   * Sealed and stored like any other, and never sent anywhere. Once this is taken back, a record is
   * sent when it is written next.
   */
  readonly localOnly?: boolean
  /** Of the app's data: written into each record. Records of a newer one are left as they are. */
  readonly version?: number
  /** Makes fields of an older version into those of this one, whenever they are read. */
  readonly migrate?: Migrate
}

/** `T` is what is read; `Input` what is written, before the schema has seen it. */
export class Collection<T extends object = Fields, Input extends object = T> {
  readonly name: string
  readonly schema: Schema<T> | undefined
  readonly #context: WriteContext
  readonly #reader: RecordReader<T>
  readonly #indexes: readonly IndexFields[]

  /** Internal: `vault.collection` makes them. */
  constructor(name: string, context: WriteContext, options: CollectionOptions<Schema<T>>) {
    this.name = name
    this.schema = options.schema
    this.#context = context
    this.#reader = new RecordReader(name, context)
    this.#indexes = readIndexes(options.indexes)
    this.#declare(options)
  }

  /** What is said of a collection holds until something else is: for sync too. */
  #declare({ conflict, localOnly, version, migrate }: DeclarationOptions): void {
    const declaration = readDeclaration({ conflict, localOnly, version, migrate })
    const said = [conflict, localOnly, version, migrate]
    if (said.every((value) => value === undefined)) return
    const before = declarationOf(this.#context, this.name)
    this.#context.declarations.set(this.name, declaration)
    const readsAlike = before.version === version && before.migrate === migrate
    if (!readsAlike) forgetCollectionIndex(this.#context, this.name)
  }

  /** The fields of a record, or undefined when there is none. */
  async get(key: string): Promise<T | undefined> {
    const { recordId } = this.#context.sealer.placeOf(this.name, key)
    const version = await this.#context.local.read(recordId)
    if (version === undefined) return undefined
    const record = this.#context.sealer.open(version)
    const declaration = declarationOf(this.#context, this.name)
    return (readFields(record, declaration) ?? undefined) as T | undefined
  }

  /** Stores a record under a key, in place of what was there. */
  async put(key: string, fields: Input): Promise<void> {
    const { local, sealer } = this.#context
    const declaration = declarationOf(this.#context, this.name)
    const { policyCode, version } = declaration
    const place = sealer.placeOf(this.name, key)
    const isPlain = this.schema === undefined && policyCode !== 1 && version === undefined
    if (!isPlain || local.isVersioned(place.tag)) {
      await this.#run((transaction) => transaction.collection(this).put(key, fields))
      return
    }
    // Encoded before anything is awaited: the record is what the fields are now.
    const draft = sealer.draft(place, fields as Fields, { declaration })
    const { type } = await local.commit([draft])
    if (type === 'committed') return
    // Records with a schema version have come meanwhile: this one may have to keep its own.
    await this.#run((transaction) => transaction.write(place, draft.fields() as Fields))
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

  /** The keys of records that a later version of the app has written: they are left as they are. */
  async deferred(): Promise<string[]> {
    const keys: string[] = []
    for await (const page of this.#reader.deferredPages()) keys.push(...page)
    return keys.sort()
  }

  /**
   * Earlier versions of a record, the newest first, as the remote keeps them for a time. Throws
   * `network` and what stops sync. Nothing proves that the remote shows all it has.
   */
  async history(key: string, options?: HistoryOptions): Promise<RecordHistory<T>> {
    return readHistory(this.#context, this.#context.sealer.placeOf(this.name, key), options)
  }

  /**
   * Brings a version of the history back, as a new write: undoes a delete too. Returns what the
   * record holds then, null for nothing. Throws `not-found`, and as `history`.
   */
  async restore(key: string, version: string): Promise<T | null> {
    return restoreVersion(this.#context, this.#context.sealer.placeOf(this.name, key), version)
  }

  /** All records, by key. For very many, `for await (… of collection)` holds a page at a time. */
  list(): Promise<Item<T>[]> {
    return this.query({})
  }

  /** Throws `invalid-argument` for a query that makes no sense. */
  async query(query: Query<T>): Promise<Item<T>[]> {
    const { found } = await this.#find(query)
    return found.map(({ item }) => item)
  }

  /** Answers a query to tell how: by which index, and how many records had to be opened. */
  async explain(query: Query<T>): Promise<QueryTrace> {
    const { trace } = await this.#find(query)
    return trace
  }

  /**
   * The result of a query now, and again after every change to it, wherever the change was made. A
   * record that did not change is the same object in each result. A slow reader gets the latest
   * result only. Ends with its signal, or when the vault is closed.
   */
  watch(query: Query<T> = {}, signal?: AbortSignal): AsyncGenerator<Item<T>[]> {
    const end = endWith(signal, this.#context.ended)
    return watchQuery({ reader: this.#reader, indexes: this.#indexes, query, signal: end })
  }

  /** Every record, in no particular order, a page of the disk at a time. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Item<T>> {
    for await (const page of this.#reader.pages()) {
      for (const { item } of page) yield item
    }
  }

  async #find(query: Query<T>): Promise<FoundRecords<T>> {
    return findRecords(this.#reader, this.#indexes, compileQuery(query))
  }

  #run<R>(work: (transaction: Transaction) => Promise<R>): Promise<R> {
    return runTransaction(this.#context, work)
  }
}

/** A watch ends with the signal of whoever watches, or with the vault. */
export function endWith(signal: AbortSignal | undefined, ended: AbortSignal): AbortSignal {
  // A signal of its own, also when there is one only: listeners come and go on that one.
  return AbortSignal.any(signal === undefined ? [ended] : [signal, ended])
}

/** Throws `invalid-argument` for an index of no fields, or of what is no field's name. */
function readIndexes(indexes: unknown): readonly IndexFields[] {
  if (indexes === undefined) return []
  if (!Array.isArray(indexes)) throw refusedIndexes()
  return indexes.map((index: unknown) => {
    const fields: unknown[] = Array.isArray(index) ? [...index] : [index]
    const isSound = fields.length > 0 && new Set(fields).size === fields.length
    if (!isSound || !fields.every((field) => typeof field === 'string')) throw refusedIndexes()
    return fields
  })
}

function refusedIndexes(): ClientError {
  return new ClientError(
    'invalid-argument',
    'indexes must be a list of names of fields, or of lists of different ones',
  )
}
