/**
 * Transaction: many records, all or nothing, here and on every device.
 *
 * The function runs without a lock. Its reads are remembered, and when something it had read was
 * changed before it commits, it runs again on the newer state; so it must do nothing but read and
 * write through what it is given.
 */
import {
  type Envelope,
  type Fields,
  type RecordId,
  TIMESTAMP_NONE,
  type Timestamp,
} from '@blindcopy/protocol'
import type { VaultRecord } from '@blindcopy/vault'
import { ClientError } from '../error.ts'
import type { ReadVersions } from '../local/draft.ts'
import type { StoredVersion } from '../local/local-reading.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import { idText } from '../local/row-batch.ts'
import type { Collection } from './collection.ts'
import { type Declaration, isNewerThan, migratedFields, NOT_DECLARED } from './declaration.ts'
import type { Mutation } from './mutation.ts'
import type { HistorySource } from './record-history.ts'
import { applySchema } from './schema.ts'
import type { RecordDraft, RecordPlace, Sealer } from './sealer.ts'

/** What writing needs of a vault. */
export type WriteContext = {
  readonly local: LocalSecondary
  readonly sealer: Sealer
  readonly newKey: () => string
  /** Aborts when the vault is locked or closed: what watches it ends. Another one afterwards. */
  readonly ended: AbortSignal
  /** Calls back once; returns how to call it off. */
  readonly setTimer: (callback: () => void, delayMs: number) => () => void
  /** What the app has declared of its collections, by name. */
  readonly declarations: Map<string, Declaration>
  readonly mutations: Map<string, Mutation<never>>
  /** Superseded versions, which only the remote has. */
  readonly history: HistorySource
  /** Told once of each stored version that no longer opens, where many are read without it. */
  readonly onDamaged?: (recordId: RecordId) => void
}

/** The version of a record that is shown, or that a mutation runs on. */
export type TransactionReads = (recordId: RecordId) => Promise<StoredVersion | undefined>

export type OpenedVersion = { readonly record: VaultRecord; readonly timestamp: Timestamp }

const ATTEMPTS_MAX = 50

/**
 * Runs `work` until it commits. Throws `transaction-conflict` when it is outrun again and again.
 */
export async function runTransaction<R>(
  context: WriteContext,
  work: (transaction: Transaction) => Promise<R>,
): Promise<R> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const transaction = new Transaction(context)
    const result = await work(transaction)
    if (await transaction.commit()) return result
  }
  throw new ClientError(
    'transaction-conflict',
    `what the transaction read was changed ${ATTEMPTS_MAX} times while it ran`,
  )
}

export class Transaction {
  readonly #context: WriteContext
  readonly #reads = new Map<string, { recordId: RecordPlace['recordId']; timestamp: Timestamp }>()
  readonly #writes = new Map<string, RecordDraft>()
  readonly #readVersion: TransactionReads
  #isOver = false

  /** `reads`: another state than the one that is shown. */
  constructor(
    context: WriteContext,
    reads: TransactionReads = (recordId) => context.local.read(recordId),
  ) {
    this.#context = context
    this.#readVersion = reads
  }

  /** The records of a collection, as this transaction sees and changes them. */
  collection<T extends object, Input extends object>(
    target: Collection<T, Input>,
  ): TransactionCollection<T, Input> {
    return new TransactionCollection(this, target, this.#context)
  }

  /** Internal: the fields that a read shows, its own writes included. */
  async read(place: RecordPlace): Promise<unknown> {
    const write = this.#writes.get(idText(place.recordId))
    if (write !== undefined) {
      this.#checkOpen()
      return write.fields()
    }
    const stored = await this.readStored(place)
    if (stored === undefined) return undefined
    const declaration = declarationOf(this.#context, place.collection)
    return readFields(stored.record, declaration) ?? undefined
  }

  /** Internal: what stands under its own writes. */
  async readStored(place: RecordPlace): Promise<OpenedVersion | undefined> {
    this.#checkOpen()
    const id = idText(place.recordId)
    const version = await this.#readVersion(place.recordId)
    const timestamp = version?.timestamp ?? TIMESTAMP_NONE
    // The first read counts: when a later one sees another version, the transaction is outrun.
    if (!this.#reads.has(id)) this.#reads.set(id, { recordId: place.recordId, timestamp })
    if (version === undefined) return undefined
    return { record: this.#context.sealer.open(version), timestamp }
  }

  /** Internal: the last write of a record counts. */
  async write(
    place: RecordPlace,
    fields: Fields,
    options: { readonly schemaVersion?: number | undefined } = {},
  ): Promise<void> {
    this.#checkOpen()
    const { sealer } = this.#context
    const declaration = declarationOf(this.#context, place.collection)
    // Encoded before anything is awaited, to be refused where it is handed over.
    const draft = sealer.draft(place, fields, { ...options, declaration })
    // Nothing is awaited, and nothing decoded again, for what replaces whatever is there.
    if (!this.#dependsOnPrevious(place, declaration)) return this.#file(draft)
    const previous = await this.#readPrevious(place, declaration)
    const kept = draft.fields() as Fields
    this.#file(sealer.draft(place, kept, { ...options, declaration, previous }))
  }

  /** Internal. */
  async erase(place: RecordPlace): Promise<void> {
    this.#checkOpen()
    const declaration = declarationOf(this.#context, place.collection)
    const previous = await this.#readPrevious(place, declaration)
    this.#file(this.#context.sealer.deletion(place, { declaration, previous }))
  }

  /**
   * What a write must know of the version it replaces: null when there is none, undefined when it
   * need not know. Throws `schema-newer`.
   */
  async #readPrevious(
    place: RecordPlace,
    declaration: Declaration,
  ): Promise<OpenedVersion | null | undefined> {
    if (!this.#dependsOnPrevious(place, declaration)) return undefined
    const previous = await this.readStored(place)
    if (previous === undefined) return null
    checkVersion(previous.record, declaration)
    return previous
  }

  #dependsOnPrevious({ tag }: RecordPlace, { policyCode, version }: Declaration): boolean {
    return policyCode === 1 || version !== undefined || this.#context.local.isVersioned(tag)
  }

  #file(draft: RecordDraft): void {
    this.#checkOpen()
    this.#writes.set(idText(draft.recordId), draft)
  }

  /** Internal: false when it was outrun and must run again. */
  async commit(intent: Envelope | null = null): Promise<boolean> {
    const drafts = this.end()
    const readVersions: ReadVersions = this.#reads
    // Reads of several records are of one moment too, or they are done again.
    if (drafts.length === 0) {
      return readVersions.size < 2 || this.#context.local.isUnchanged(readVersions)
    }
    const { type } = await this.#context.local.commit(drafts, { readVersions, intent })
    return type === 'committed'
  }

  /** Internal: what it has written. Nothing more can be. */
  end(): readonly RecordDraft[] {
    this.#isOver = true
    return [...this.#writes.values()]
  }

  #checkOpen(): void {
    if (!this.#isOver) return
    throw new ClientError(
      'closed',
      'the transaction is over: await all it does inside its function',
    )
  }
}

export class TransactionCollection<T extends object, Input extends object = T> {
  readonly #transaction: Transaction
  readonly #target: Collection<T, Input>
  readonly #context: WriteContext

  constructor(transaction: Transaction, target: Collection<T, Input>, context: WriteContext) {
    this.#transaction = transaction
    this.#target = target
    this.#context = context
  }

  async get(key: string): Promise<T | undefined> {
    return (await this.#transaction.read(this.#place(key))) as T | undefined
  }

  async put(key: string, fields: Input): Promise<void> {
    const place = this.#place(key)
    const { schema } = this.#target
    const checked = schema === undefined ? fields : await applySchema(schema, fields)
    await this.#transaction.write(place, checked as Fields)
  }

  /** Changes some fields of a record. Throws `not-found` when there is none. */
  async update(key: string, changes: Partial<T>): Promise<T> {
    const fields = await this.get(key)
    if (fields === undefined) throw missing()
    const changed = mergeFields(fields, changes)
    const checked = await applySchema(this.#target.schema, changed)
    await this.#transaction.write(this.#place(key), checked as Fields)
    return checked
  }

  async delete(key: string): Promise<boolean> {
    if ((await this.get(key)) === undefined) return false
    await this.#transaction.erase(this.#place(key))
    return true
  }

  /** Puts a new record under a key that is made for it, and returns the key. */
  async add(fields: Input): Promise<string> {
    const key = this.#context.newKey()
    await this.put(key, fields)
    return key
  }

  #place(key: string): RecordPlace {
    return this.#context.sealer.placeOf(this.#target.name, key)
  }
}

/** A copy with changes; a definition, because assigning to `__proto__` would set the prototype. */
function mergeFields<T extends object>(fields: T, changes: Partial<T>): T {
  const merged = {}
  for (const source of [fields, changes]) {
    for (const [key, value] of Object.entries(source)) {
      Object.defineProperty(merged, key, {
        value,
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
  }
  return merged as T
}

export const declarationOf = (context: WriteContext, collection: string): Declaration =>
  context.declarations.get(collection) ?? NOT_DECLARED

/** The fields as the app knows them. Throws `schema-newer`. */
export function readFields(record: VaultRecord, declaration: Declaration): Fields | null {
  checkVersion(record, declaration)
  return migratedFields(record, declaration)
}

/** Throws `schema-newer`. */
export function checkVersion(record: VaultRecord, declaration: Declaration): void {
  if (!isNewerThan(record, declaration)) return
  const { schemaVersion } = record
  const { version } = declaration
  throw new ClientError(
    'schema-newer',
    `the record was written by a later version of the app (${schemaVersion}, this one knows ${version}): it is kept as it is; update the app`,
    { details: { schemaVersion, version } },
  )
}

function missing(): ClientError {
  return new ClientError('not-found', 'there is no record under this key')
}
