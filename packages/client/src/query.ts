/**
 * Query: which records of a collection, in which order, and how many. Runs on decrypted local data.
 */
import { compareBytes, equalBytes } from '@blindcopy/protocol'
import { ClientError } from './error.ts'

export type Item<T> = { readonly key: string; readonly fields: T }

/** A value the field must equal, or conditions that must all hold. */
export type Condition<V> =
  | V
  | {
      readonly eq?: V
      readonly ne?: V
      readonly lt?: V
      readonly lte?: V
      readonly gt?: V
      readonly gte?: V
      readonly in?: readonly V[]
      readonly startsWith?: string
    }

export type Where<T> =
  | { readonly [K in keyof T]?: Condition<T[K]> }
  | ((fields: T, key: string) => boolean)

export type Direction = 'asc' | 'desc'

/** A field, or several with their directions, the first one counting most. */
export type OrderBy<T> = (keyof T & string) | { readonly [K in keyof T & string]?: Direction }

export type Query<T> = {
  readonly where?: Where<T>
  /** Without it, and between equals, records come in the order of their keys. */
  readonly orderBy?: OrderBy<T>
  readonly limit?: number
}

type Predicate<T> = (item: Item<T>) => boolean

export type CompiledQuery<T> = {
  readonly matches: Predicate<T>
  readonly compare: (a: Item<T>, b: Item<T>) => number
  readonly limit: number
}

/** Throws `invalid-argument` for a query that makes no sense. */
export function compileQuery<T>(query: Query<T>): CompiledQuery<T> {
  const limit = query.limit ?? Number.POSITIVE_INFINITY
  if (query.limit !== undefined && (!Number.isInteger(limit) || limit < 0)) {
    throw new ClientError('invalid-argument', 'limit must be a whole number, 0 or more')
  }
  return { matches: compileWhere(query.where), compare: compileOrder(query.orderBy), limit }
}

/** The records of a result, in its order and cut to its limit. */
export function arrange<T>(items: Iterable<Item<T>>, query: CompiledQuery<T>): Item<T>[] {
  const sorted = [...items].sort(query.compare)
  return sorted.length > query.limit ? sorted.slice(0, query.limit) : sorted
}

function compileWhere<T>(where: Where<T> | undefined): Predicate<T> {
  if (where === undefined) return () => true
  if (typeof where === 'function') return ({ fields, key }) => where(fields, key)
  const tests = Object.entries(where).map(
    ([field, condition]) => [field, compileCondition(condition, field)] as const,
  )
  return ({ fields }) =>
    tests.every(([field, test]) => test((fields as Record<string, unknown>)[field]))
}

type Test = (value: unknown) => boolean

const OPERATORS: Readonly<Record<string, (value: unknown, operand: unknown) => boolean>> = {
  eq: equalValues,
  ne: (value, operand) => !equalValues(value, operand),
  lt: (value, operand) => isComparable(value, operand) && compareValues(value, operand) < 0,
  lte: (value, operand) => isComparable(value, operand) && compareValues(value, operand) <= 0,
  gt: (value, operand) => isComparable(value, operand) && compareValues(value, operand) > 0,
  gte: (value, operand) => isComparable(value, operand) && compareValues(value, operand) >= 0,
  in: (value, operand) =>
    Array.isArray(operand) && operand.some((member) => equalValues(value, member)),
  startsWith: (value, operand) =>
    typeof value === 'string' && typeof operand === 'string' && value.startsWith(operand),
}

function compileCondition(condition: unknown, field: string): Test {
  if (!isPlainObject(condition)) return (value) => equalValues(value, condition)
  const names = Object.keys(condition)
  const known = names.filter((name) => Object.hasOwn(OPERATORS, name))
  if (known.length === 0) return (value) => equalValues(value, condition)
  if (known.length < names.length) {
    throw new ClientError('invalid-argument', `where.${field} mixes operators with other fields`)
  }
  if ('in' in condition && !Array.isArray(condition.in)) {
    throw new ClientError('invalid-argument', `where.${field}.in must be a list`)
  }
  const tests = names.map((name) => {
    const operand = condition[name]
    const operator = OPERATORS[name]
    return (value: unknown): boolean => operator?.(value, operand) ?? false
  })
  return (value) => tests.every((test) => test(value))
}

function compileOrder<T>(orderBy: OrderBy<T> | undefined): CompiledQuery<T>['compare'] {
  const byKey = (a: Item<T>, b: Item<T>): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
  if (orderBy === undefined) return byKey
  const order: [string, Direction][] =
    typeof orderBy === 'string' ? [[orderBy, 'asc']] : Object.entries<Direction>(orderBy as never)
  for (const [field, direction] of order) {
    if (direction === 'asc' || direction === 'desc') continue
    throw new ClientError('invalid-argument', `orderBy.${field} must be 'asc' or 'desc'`)
  }
  return (a, b) => {
    for (const [field, direction] of order) {
      const left = (a.fields as Record<string, unknown>)[field]
      const right = (b.fields as Record<string, unknown>)[field]
      const difference = compareValues(left, right)
      if (difference !== 0) return direction === 'asc' ? difference : -difference
    }
    return byKey(a, b)
  }
}

/** Kinds sort apart, in this order; numbers and bigints are one kind. */
function kindOf(value: unknown): number {
  if (value === undefined) return 0
  if (value === null) return 1
  if (typeof value === 'boolean') return 2
  if (typeof value === 'number' || typeof value === 'bigint') return 3
  if (typeof value === 'string') return 4
  if (value instanceof Date) return 5
  return value instanceof Uint8Array ? 6 : 7
}

const isComparable = (a: unknown, b: unknown): boolean => kindOf(a) === kindOf(b) && kindOf(a) < 7

export function compareValues(a: unknown, b: unknown): number {
  const kind = kindOf(a)
  const difference = kind - kindOf(b)
  if (difference !== 0) return difference
  if (kind === 5) return (a as Date).getTime() - (b as Date).getTime()
  if (kind === 6) return compareBytes(a as Uint8Array, b as Uint8Array)
  if (kind < 2 || kind === 7) return 0
  const [left, right] = [a as number, b as number]
  return left < right ? -1 : left > right ? 1 : 0
}

export function equalValues(a: unknown, b: unknown): boolean {
  if (Object.is(a, b) || a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Date || b instanceof Date) {
    return a instanceof Date && b instanceof Date && a.getTime() === b.getTime()
  }
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && equalBytes(a, b)
  }
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const [left, right] = [Object.entries(a), Object.entries(b)]
  if (left.length !== right.length) return false
  return left.every(
    ([key, value]) =>
      Object.hasOwn(b, key) && equalValues(value, (b as Record<string, unknown>)[key]),
  )
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return !(value instanceof Date) && !(value instanceof Uint8Array)
}
