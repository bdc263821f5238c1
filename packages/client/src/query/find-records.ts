/**
 * Find records: the answer to a query, by the shortest way there is. By keys when the query names
 * them, by an index when one is of use, or else by a scan of the collection.
 *
 * Each way yields candidates and tests every condition on the opened record, so the result is the
 * same by all of them.
 */

import { idText } from '../local/row-batch.ts'
import { type Built, type CollectionIndex, collectionIndexOf } from './collection-index.ts'
import type { IndexedRecord } from './field-index.ts'
import { type IndexFields, type IndexPlan, planQuery } from './index-plan.ts'
import type { CompiledQuery } from './query.ts'
import type { Found, RecordReader } from './record-reader.ts'
import { compareKeys, compareValues, isWhole } from './value-order.ts'

/** How a query was answered. */
export type QueryTrace = {
  readonly way: 'keys' | 'index' | 'scan'
  /** The fields of the index that was used. */
  readonly index: readonly string[] | undefined
  /** How many records were read and opened. */
  readonly opened: number
}

export type FoundRecords<T> = { readonly found: Found<T>[]; readonly trace: QueryTrace }

const ATTEMPTS_MAX = 5
const BATCH_MAX = 500
/** A scan keeps this many more than the limit before it lets the rest go. */
const SCAN_SPARE = 1_000

export async function findRecords<T>(
  reader: RecordReader<T>,
  indexes: readonly IndexFields[],
  query: CompiledQuery<T>,
): Promise<FoundRecords<T>> {
  reader.checkOpen()
  const keys = query.key?.bounds
  if (keys?.type === 'places') return findByKeys(reader, keys.values, query)
  const plan = planQuery(query, indexes)
  if (plan === undefined || query.limit === 0) return scan(reader, query)
  const index = collectionIndexOf(reader, indexes)
  // Records that change while they are read can be in the wrong place: then it is done again.
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const result = await findByIndex({ reader, index, plan, query })
    if (result === 'scan') break
    if (result !== 'again') return result
  }
  return scan(reader, query)
}

async function findByKeys<T>(
  reader: RecordReader<T>,
  keys: readonly unknown[],
  query: CompiledQuery<T>,
): Promise<FoundRecords<T>> {
  const places = keys.map((key) => reader.placeOf(key)).filter((place) => place !== undefined)
  const read = await reader.read(places.map(({ recordId }) => idText(recordId)))
  const opened = read.filter((found) => found !== undefined)
  const found = arrangeFound(
    opened.filter(({ item }) => query.matches(item)),
    query,
  )
  return { found, trace: { way: 'keys', index: undefined, opened: opened.length } }
}

async function scan<T>(reader: RecordReader<T>, query: CompiledQuery<T>): Promise<FoundRecords<T>> {
  let found: Found<T>[] = []
  let opened = 0
  if (query.limit > 0) {
    for await (const page of reader.pages()) {
      opened += page.length
      for (const record of page) if (query.matches(record.item)) found.push(record)
      if (found.length > query.limit + SCAN_SPARE) found = arrangeFound(found, query)
    }
  }
  return {
    found: arrangeFound(found, query),
    trace: { way: 'scan', index: undefined, opened },
  }
}

function arrangeFound<T>(found: Found<T>[], query: CompiledQuery<T>): Found<T>[] {
  found.sort((a, b) => query.compare(a.item, b.item))
  return found.length > query.limit ? found.slice(0, query.limit) : found
}

type Search<T> = {
  readonly reader: RecordReader<T>
  readonly index: CollectionIndex
  readonly plan: IndexPlan
  readonly query: CompiledQuery<T>
}

/** `again` when records moved meanwhile; `scan` when the index would read most of them singly. */
async function findByIndex<T>(search: Search<T>): Promise<FoundRecords<T> | 'again' | 'scan'> {
  const { reader, index, plan, query } = search
  const built = await index.current()
  const { generation } = index
  const candidates = candidatesOf(built, plan, query)
  if (candidates === undefined) return 'scan'
  const next = candidates.records[Symbol.iterator]()
  const found: Found<T>[] = []
  let opened = 0
  const missing = candidates.inOrder ? query.limit : Number.POSITIVE_INFINITY
  for (let size = Math.min(missing, BATCH_MAX); found.length < missing; size *= 2) {
    if (index.generation !== generation) return 'again'
    const batch = take(next, Math.min(size, BATCH_MAX))
    if (batch.length === 0) break
    const read = await reader.read(batch.map(({ id }) => id))
    for (const [i, record] of batch.entries()) {
      const current = read[i]
      if (current === undefined) continue
      opened++
      if (!built.isPlaced(record, current)) return 'again'
      if (query.matches(current.item)) found.push(current)
    }
  }
  const trace: QueryTrace = { way: 'index', index: plan.fields, opened }
  const isDone = candidates.inOrder && found.length <= query.limit
  return { found: isDone ? found : arrangeFound(found, query), trace }
}

type Candidates = { readonly records: Iterable<IndexedRecord>; readonly inOrder: boolean }

/**
 * What the index alone says: records whose kept values pass, in the order of the query when they
 * tell that too. Undefined when that is most of the collection, and all of it is wanted.
 */
function candidatesOf<T>(
  built: Built,
  plan: IndexPlan,
  query: CompiledQuery<T>,
): Candidates | undefined {
  const index = built.index(plan.fields)
  if (index === undefined) return undefined
  const passes = testOf(built, query)
  const { intervals, walk } = plan
  if (walk !== undefined && Number.isFinite(query.limit)) {
    return { records: filter(index.walk({ ...walk, intervals }), passes), inOrder: true }
  }
  const records = [...filter(index.within(intervals), passes)]
  if (!Number.isFinite(query.limit)) {
    return records.length > built.size / 2 + BATCH_MAX ? undefined : { records, inOrder: false }
  }
  const order = orderOf(built, query)
  if (order === undefined) return { records, inOrder: false }
  return { records: records.sort(order), inOrder: true }
}

/** The conditions on fields that the index keeps, and on the key. */
function testOf<T>(built: Built, query: CompiledQuery<T>): (record: IndexedRecord) => boolean {
  const tests = [...query.conditions].flatMap(([field, { test }]) => {
    const slot = built.slotOf(field)
    return slot === undefined ? [] : [{ slot, test }]
  })
  return ({ key, values }) =>
    (query.key === undefined || query.key.test(key)) &&
    tests.every(({ slot, test }) => !isWhole(values[slot]) || test(values[slot]))
}

/** The order of the query on kept values, or undefined when they do not tell it. */
function orderOf<T>(
  built: Built,
  query: CompiledQuery<T>,
): ((a: IndexedRecord, b: IndexedRecord) => number) | undefined {
  const steps: { slot: number; sign: number }[] = []
  for (const { field, direction } of query.order) {
    const slot = built.slotOf(field)
    if (slot === undefined) return undefined
    steps.push({ slot, sign: direction === 'asc' ? 1 : -1 })
  }
  return (a, b) => {
    for (const { slot, sign } of steps) {
      const difference = compareValues(a.values[slot], b.values[slot])
      if (difference !== 0) return difference * sign
    }
    return compareKeys(a.key, b.key)
  }
}

function* filter<M>(members: Iterable<M>, passes: (member: M) => boolean): Generator<M, void> {
  for (const member of members) if (passes(member)) yield member
}

function take<M>(members: Iterator<M>, count: number): M[] {
  const taken: M[] = []
  while (taken.length < count) {
    const { done, value } = members.next()
    if (done) break
    taken.push(value)
  }
  return taken
}
