/**
 * The one order of all values that a field can hold, and when two of them are equal.
 *
 * It is total: a sort, an index and a range agree on the place of every value, NaN and dates that
 * are none included. Kinds sort apart; within a kind that has no order (lists, objects) all values
 * share one place.
 */
import { compareBytes, equalBytes } from '@blindcopy/protocol'

/** Numbers and bigints are one kind; what is not a number (NaN) is a kind of its own. */
const KIND = {
  missing: 0,
  null: 1,
  boolean: 2,
  notANumber: 3,
  number: 4,
  text: 5,
  invalidDate: 6,
  date: 7,
  bytes: 8,
  unordered: 9,
} as const

/** The place of a value's kind among the others, 0 to 9. */
export function kindOf(value: unknown): number {
  if (value === undefined) return KIND.missing
  if (value === null) return KIND.null
  if (typeof value === 'boolean') return KIND.boolean
  if (typeof value === 'number') return Number.isNaN(value) ? KIND.notANumber : KIND.number
  if (typeof value === 'bigint') return KIND.number
  if (typeof value === 'string') return KIND.text
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? KIND.invalidDate : KIND.date
  }
  return value instanceof Uint8Array ? KIND.bytes : KIND.unordered
}

/** Whether one can be said to be less than, equal to or greater than the other. */
export function isComparable(a: unknown, b: unknown): boolean {
  const kind = kindOf(a)
  return kind === kindOf(b) && kind !== KIND.unordered
}

/** Negative, 0 or positive. 0 for values that share a place, which need not be equal: 3 and 3n. */
export function compareValues(a: unknown, b: unknown): number {
  const kind = kindOf(a)
  const difference = kind - kindOf(b)
  if (difference !== 0) return difference
  if (kind === KIND.date) return (a as Date).getTime() - (b as Date).getTime()
  if (kind === KIND.bytes) return compareBytes(a as Uint8Array, b as Uint8Array)
  if (kind !== KIND.number && kind !== KIND.text && kind !== KIND.boolean) return 0
  const [left, right] = [a as number, b as number]
  return left < right ? -1 : left > right ? 1 : 0
}

export const compareKeys = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Equal in kind and content, however deep; a number is not equal to a bigint. */
export function equalValues(a: unknown, b: unknown): boolean {
  if (Object.is(a, b) || a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Date || b instanceof Date) {
    return a instanceof Date && b instanceof Date && Object.is(a.getTime(), b.getTime())
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

/** Stands for every value of the kind that has no order: its place is all that is kept of one. */
const UNORDERED: unknown = Object.freeze({})

/**
 * What is kept of a value in order to place a record: a copy, so that whoever changes the value
 * changes no order, and nothing of what has none.
 */
export function placeValueOf(value: unknown): unknown {
  const kind = kindOf(value)
  if (kind === KIND.unordered) return UNORDERED
  if (kind === KIND.bytes) return (value as Uint8Array).slice()
  return kind === KIND.date || kind === KIND.invalidDate ? new Date(value as Date) : value
}

/** Whether a kept value is all of the value, so that a condition can be tested on it. */
export const isWhole = (kept: unknown): boolean => kept !== UNORDERED

/** The field of a record; what an object has by birth is no field of it. */
export function fieldOf(fields: object, name: string): unknown {
  return Object.hasOwn(fields, name) ? (fields as Record<string, unknown>)[name] : undefined
}
