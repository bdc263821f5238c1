/**
 * Query: which records of a collection, in which order, and how many. Runs on decrypted local data.
 */

import { ClientError } from '../error.ts'
import { type CompiledCondition, type Condition, compileCondition } from './condition.ts'
import { compareKeys, compareValues, fieldOf } from './value-order.ts'

export type { Condition } from './condition.ts'

export type Item<T> = { readonly key: string; readonly fields: T }

export type Where<T> =
  | { readonly [K in keyof T]?: Condition<T[K]> }
  | ((fields: T, key: string) => boolean)

export type Direction = 'asc' | 'desc'

/** A field, or several with their directions, the first one counting most. */
export type OrderBy<T> = (keyof T & string) | { readonly [K in keyof T & string]?: Direction }

export type Query<T> = {
  readonly where?: Where<T>
  /** A condition on the records' keys, beside those on their fields. */
  readonly key?: Condition<string>
  /** Without it, and between equals, records come in the order of their keys. */
  readonly orderBy?: OrderBy<T>
  readonly limit?: number
}

export type Order = readonly { readonly field: string; readonly direction: Direction }[]

export type CompiledQuery<T> = {
  readonly matches: (item: Item<T>) => boolean
  readonly compare: (a: Item<T>, b: Item<T>) => number
  readonly limit: number
  /** The same once more in its parts, for a plan: none of a `where` that is a function. */
  readonly conditions: ReadonlyMap<string, CompiledCondition>
  readonly key: CompiledCondition | undefined
  readonly order: Order
}

/** Throws `invalid-argument` for a query that makes no sense. */
export function compileQuery<T>(query: Query<T>): CompiledQuery<T> {
  const limit = query.limit ?? Number.POSITIVE_INFINITY
  if (query.limit !== undefined && (!Number.isInteger(limit) || limit < 0)) {
    throw new ClientError('invalid-argument', 'limit must be a whole number, 0 or more')
  }
  const { where } = query
  const conditions = compileWhere(where)
  const key = query.key === undefined ? undefined : compileCondition(query.key, 'key')
  const order = compileOrder(query.orderBy)
  const tests = [...conditions]
  return {
    matches: (item) =>
      (key === undefined || key.test(item.key)) &&
      (typeof where !== 'function' || where(item.fields, item.key)) &&
      tests.every(([field, { test }]) => test(fieldOf(item.fields as object, field))),
    compare: (a, b) => compareInOrder(order, a, b),
    limit,
    conditions,
    key,
    order,
  }
}

/** The records of a result, in its order and cut to its limit. */
export function arrange<T>(items: Iterable<Item<T>>, query: CompiledQuery<T>): Item<T>[] {
  const sorted = [...items].sort(query.compare)
  return sorted.length > query.limit ? sorted.slice(0, query.limit) : sorted
}

function compileWhere<T>(where: Where<T> | undefined): Map<string, CompiledCondition> {
  if (where === undefined || typeof where === 'function') return new Map()
  return new Map(
    Object.entries(where).map(([field, condition]) => [
      field,
      compileCondition(condition, `where.${field}`),
    ]),
  )
}

function compileOrder<T>(orderBy: OrderBy<T> | undefined): Order {
  if (orderBy === undefined) return []
  if (typeof orderBy === 'string') return [{ field: orderBy, direction: 'asc' }]
  return Object.entries<unknown>(orderBy).map(([field, direction]) => {
    if (direction === 'asc' || direction === 'desc') return { field, direction }
    throw new ClientError('invalid-argument', `orderBy.${field} must be 'asc' or 'desc'`)
  })
}

function compareInOrder<T>(order: Order, a: Item<T>, b: Item<T>): number {
  for (const { field, direction } of order) {
    const left = fieldOf(a.fields as object, field)
    const right = fieldOf(b.fields as object, field)
    const difference = compareValues(left, right)
    if (difference !== 0) return direction === 'asc' ? difference : -difference
  }
  return compareKeys(a.key, b.key)
}
