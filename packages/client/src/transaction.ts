/**
 * Transaction: many records, all or nothing, here and on every device.
 *
 * The function runs without a lock. Its reads are remembered, and when something it had read was
 * changed before it commits, it runs again on the newer state; so it must do nothing but read and
 * write through what it is given.
 */
import type { Fields } from '@blindcopy/protocol'
import { type RecordId, TIMESTAMP_NONE, type Timestamp } from '@blindcopy/protocol'
import type { Collection } from './collection.ts'
import type { ReadVersions } from './draft.ts'
import { ClientError } from './error.ts'
import type { LocalSecondary } from './local-secondary.ts'
import { idText } from './row-batch.ts'
import { applySchema } from './schema.ts'
import type { RecordDraft, RecordPlace, Sealer } from './sealer.ts'

/** What writing needs of a vault. */
export type WriteContext = {
  readonly local: LocalSecondary
  readonly sealer: Sealer
  readonly newKey: () => string
  /** Aborts when the vault is closed: what watches it ends then. */
  readonly ended: AbortSignal
  /** Told once of each stored version that no longer opens, when a reading of many leaves it out. */
  readonly onDamaged?: (recordId: RecordId) => void
}

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
  #isOver = false

  constructor(context: WriteContext) {
    this.#context = context
  }

  /** The records of a collection, as this transaction sees and changes them. */
  collection<T extends object, Input extends object>(
    target: Collection<T, Input>,
  ): TransactionCollection<T, Input> {
    return new TransactionCollection(this, target, this.#context)
  }

  /** Internal: the fields that a read shows, its own writes included. */
  async read(place: RecordPlace): Promise<unknown> {
    this.#checkOpen()
    const id = idText(place.recordId)
    const write = this.#writes.get(id)
    if (write !== undefined) return write.fields()
    const version = await this.#context.local.read(place.recordId)
    const timestamp = version?.timestamp ?? TIMESTAMP_NONE
    // The first read counts: when a later one sees another version, the transaction is outrun.
    if (!this.#reads.has(id)) this.#reads.set(id, { recordId: place.recordId, timestamp })
    return version === undefined
      ? undefined
      : (this.#context.sealer.open(version).fields ?? undefined)
  }

  /** Internal: the last write of a record counts. */
  write(place: RecordPlace, fields: Fields): void {
    this.#checkOpen()
    const draft = this.#context.sealer.draft(place, fields)
    this.#writes.set(idText(place.recordId), draft)
  }

  /** Internal. */
  erase(place: RecordPlace): void {
    this.#checkOpen()
    this.#writes.set(idText(place.recordId), this.#context.sealer.deletion(place))
  }

  /** Internal: false when it was outrun and must run again. */
  async commit(): Promise<boolean> {
    this.#isOver = true
    const drafts = [...this.#writes.values()]
    const reads: ReadVersions = this.#reads
    // Reads of several records are of one moment too, or they are done again.
    if (drafts.length === 0) return reads.size < 2 || this.#context.local.isUnchanged(reads)
    const { type } = await this.#context.local.commit(drafts, { readVersions: reads })
    return type === 'committed'
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
    this.#transaction.write(place, checked as Fields)
  }

  /** Changes some fields of a record. Throws `not-found` when there is none. */
  async update(key: string, changes: Partial<T>): Promise<T> {
    const fields = await this.get(key)
    if (fields === undefined) throw missing()
    const changed = mergeFields(fields, changes)
    const checked = await applySchema(this.#target.schema, changed)
    this.#transaction.write(this.#place(key), checked as Fields)
    return checked
  }

  async delete(key: string): Promise<boolean> {
    if ((await this.get(key)) === undefined) return false
    this.#transaction.erase(this.#place(key))
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

function missing(): ClientError {
  return new ClientError('not-found', 'there is no record under this key')
}
