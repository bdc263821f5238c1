/**
 * Collection index: all indexes of one collection, in memory, built in one pass and kept up.
 *
 * It is built when a query first has use of it. A change only notes the record; the next query
 * reads the records that were noted, and nothing else. One per collection and vault, however many
 * objects an app makes of the collection, and gone with the vault.
 */
import { equalBytes } from '@blindcopy/protocol'
import type { LocalSecondary } from '../local/local-secondary.ts'
import { Mutex } from '../local/mutex.ts'
import { idText, type RecordChange } from '../local/row-batch.ts'
import type { WriteContext } from '../records/transaction.ts'
import { FieldIndex, type IndexedRecord } from './field-index.ts'
import type { IndexFields } from './index-plan.ts'
import type { Found, RecordReader } from './record-reader.ts'
import { compareValues, equalValues, fieldOf, isWhole, placeValueOf } from './value-order.ts'

/** From here on, when half of a collection has changed, one pass is faster than single reads. */
const CHANGED_MANY = 2_000

type VaultIndexes = Map<string, CollectionIndex>

const indexesByVault = new WeakMap<LocalSecondary, VaultIndexes>()

/** The one index of a collection, with these lists of fields added to it. */
export function collectionIndexOf(
  reader: RecordReader<unknown>,
  lists: readonly IndexFields[],
): CollectionIndex {
  const indexes = indexesOf(reader.context)
  const index = indexes.get(reader.name) ?? new CollectionIndex(reader)
  indexes.set(reader.name, index)
  index.declare(lists)
  return index
}

function indexesOf({ local, ended }: WriteContext): VaultIndexes {
  const known = indexesByVault.get(local)
  if (known !== undefined) return known
  const indexes: VaultIndexes = new Map()
  indexesByVault.set(local, indexes)
  const endListening = local.onChange((changes) => {
    for (const index of indexes.values()) index.noteChanges(changes)
  })
  const forget = (): void => {
    endListening()
    for (const index of indexes.values()) index.clear()
    indexes.clear()
    // A vault that is unlocked again begins with new ones.
    indexesByVault.delete(local)
  }
  ended.addEventListener('abort', forget, { once: true })
  return indexes
}

/** To be called when the records of a collection read differently than before: a new migration. */
export function forgetCollectionIndex({ local }: WriteContext, name: string): void {
  indexesByVault.get(local)?.get(name)?.clear()
}

export class CollectionIndex {
  readonly #reader: RecordReader<unknown>
  readonly #declared = new Map<string, IndexFields>()
  readonly #changed = new Set<string>()
  readonly #mutex = new Mutex()
  #built: Built | undefined
  #isBuilding = false
  /** Counts what was done to the indexes: a walk that began before must begin again. */
  #generation = 0

  constructor(reader: RecordReader<unknown>) {
    this.#reader = reader
  }

  get generation(): number {
    return this.#generation
  }

  /** Lists that are new make the next query build all of them again, in one pass. */
  declare(lists: readonly IndexFields[]): void {
    for (const fields of lists) {
      const name = nameOf(fields)
      if (this.#declared.has(name)) continue
      this.#declared.set(name, fields)
      this.clear()
    }
  }

  noteChanges(changes: readonly RecordChange[]): void {
    // What was never built reads every record anyway, later.
    if (this.#built === undefined && !this.#isBuilding) return
    for (const { recordId, tag } of changes) {
      if (equalBytes(tag, this.#reader.tag)) this.#changed.add(idText(recordId))
    }
  }

  clear(): void {
    this.#built = undefined
    this.#changed.clear()
    this.#generation++
  }

  /** The indexes with every change in them that was made before this call. */
  current(): Promise<Built> {
    return this.#mutex.run(async () => {
      const built = this.#built
      const ids = [...this.#changed]
      this.#changed.clear()
      const isMany = ids.length > CHANGED_MANY && ids.length > (built?.size ?? 0) / 2
      if (built === undefined || isMany) return this.#build()
      try {
        const found = await this.#reader.read(ids)
        for (const [i, id] of ids.entries()) built.replace(id, found[i])
      } catch (error) {
        for (const id of ids) this.#changed.add(id)
        throw error
      }
      if (ids.length > 0) this.#generation++
      return built
    })
  }

  async #build(): Promise<Built> {
    this.clear()
    const lists = [...this.#declared.values()]
    const built = new Built(lists)
    this.#isBuilding = true
    try {
      for await (const page of this.#reader.pages()) {
        for (const found of page) built.replace(found.id, found)
      }
    } finally {
      this.#isBuilding = false
    }
    // A list that was declared meanwhile is built with the next query.
    const isWanted = lists.length === this.#declared.size && !this.#reader.context.ended.aborted
    if (isWanted) this.#built = built
    return built
  }
}

/** The indexes as they were built: some lists of fields over the records of one collection. */
export class Built {
  readonly #slots: ReadonlyMap<string, number>
  readonly #indexes: ReadonlyMap<string, FieldIndex>
  readonly #records = new Map<string, IndexedRecord>()

  constructor(lists: readonly IndexFields[]) {
    const slots = new Map([...new Set(lists.flat())].map((field, slot) => [field, slot]))
    this.#slots = slots
    this.#indexes = new Map(
      lists.map((fields) => [
        nameOf(fields),
        new FieldIndex(fields.map((field) => slots.get(field) as number)),
      ]),
    )
  }

  get size(): number {
    return this.#records.size
  }

  index(fields: IndexFields): FieldIndex | undefined {
    return this.#indexes.get(nameOf(fields))
  }

  /** Where in a record's values a field stands. */
  slotOf(field: string): number | undefined {
    return this.#slots.get(field)
  }

  /** Takes what a record has become, or that it is gone. */
  replace(id: string, found: Found<unknown> | undefined): void {
    const before = this.#records.get(id)
    if (found === undefined) {
      if (before === undefined) return
      this.#records.delete(id)
    }
    const isSame = found !== undefined && before !== undefined && this.isPlaced(before, found)
    if (isSame) return
    for (const index of this.#indexes.values()) if (before !== undefined) index.remove(before)
    if (found === undefined) return
    const { key, fields } = found.item
    const names = [...this.#slots.keys()]
    const values = names.map((name) => placeValueOf(fieldOf(fields as object, name)))
    const record: IndexedRecord = { id, key, values }
    this.#records.set(id, record)
    for (const index of this.#indexes.values()) index.add(record)
  }

  /** Whether a record that was read still has the values that it is indexed with. */
  isPlaced(record: IndexedRecord, { item }: Found<unknown>): boolean {
    for (const [field, slot] of this.#slots) {
      const kept = record.values[slot]
      const value = fieldOf(item.fields as object, field)
      const isSame = isWhole(kept) ? equalValues(kept, value) : compareValues(kept, value) === 0
      if (!isSame) return false
    }
    return true
  }
}

const nameOf = (fields: IndexFields): string => JSON.stringify(fields)
