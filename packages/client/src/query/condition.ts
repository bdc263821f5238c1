/**
 * Condition: what a field must hold, as a test for one value and as bounds that an index can use.
 */
import { ClientError } from '../error.ts'
import { compareValues, equalValues, isComparable } from './value-order.ts'

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

/**
 * Where in the order the values lie that can pass. Every value that passes lies there; not every
 * value there passes.
 */
export type Bounds =
  | { readonly type: 'anywhere' }
  /** At the place of one of these, which are in order and differ in place. */
  | { readonly type: 'places'; readonly values: readonly unknown[] }
  /** Within the kind of the bounds, of which one at least is given. */
  | { readonly type: 'range'; readonly lower?: Bound; readonly upper?: Bound }

export type Bound = { readonly value: unknown; readonly inclusive: boolean }

export type CompiledCondition = {
  readonly test: (value: unknown) => boolean
  readonly bounds: Bounds
}

type Operator = (value: unknown, operand: unknown) => boolean

const OPERATORS: Readonly<Record<string, Operator>> = {
  eq: equalValues,
  ne: (value, operand) => !equalValues(value, operand),
  lt: (value, operand) => isComparable(value, operand) && compareValues(value, operand) < 0,
  lte: (value, operand) => isComparable(value, operand) && compareValues(value, operand) <= 0,
  gt: (value, operand) => isComparable(value, operand) && compareValues(value, operand) > 0,
  gte: (value, operand) => isComparable(value, operand) && compareValues(value, operand) >= 0,
  in: (value, operand) => (operand as unknown[]).some((member) => equalValues(value, member)),
  startsWith: (value, operand) =>
    typeof value === 'string' && typeof operand === 'string' && value.startsWith(operand),
}

/** Throws `invalid-argument`, naming `path`, for a condition that makes no sense. */
export function compileCondition(condition: unknown, path: string): CompiledCondition {
  const operators = operatorsOf(condition, path)
  if (operators === undefined) {
    return { test: (value) => equalValues(value, condition), bounds: placesOf([condition]) }
  }
  if ('in' in operators && !Array.isArray(operators.in)) {
    throw new ClientError('invalid-argument', `${path}.in must be a list`)
  }
  const tests = Object.entries(operators).map(([name, operand]) => {
    const operator = OPERATORS[name] as Operator
    return (value: unknown): boolean => operator(value, operand)
  })
  return { test: (value) => tests.every((test) => test(value)), bounds: boundsOf(operators) }
}

/** The operators of a condition, or undefined when it is a value itself. */
function operatorsOf(condition: unknown, path: string): Record<string, unknown> | undefined {
  if (!isPlainObject(condition)) return undefined
  const names = Object.keys(condition)
  const known = names.filter((name) => Object.hasOwn(OPERATORS, name))
  if (known.length === 0) return undefined
  if (known.length < names.length) {
    throw new ClientError('invalid-argument', `${path} mixes operators with other fields`)
  }
  return condition
}

function boundsOf(operators: Record<string, unknown>): Bounds {
  if ('eq' in operators) return placesOf([operators.eq])
  if ('in' in operators) return placesOf(operators.in as unknown[])
  const prefix = operators.startsWith
  const lowers = [boundOf(operators, 'gt', false), boundOf(operators, 'gte', true)]
  const uppers = [boundOf(operators, 'lt', false), boundOf(operators, 'lte', true)]
  if (typeof prefix === 'string') {
    lowers.push({ value: prefix, inclusive: true })
    const end = endOfPrefix(prefix)
    if (end !== undefined) uppers.push({ value: end, inclusive: false })
  }
  const lower = tightest(lowers, 1)
  const upper = tightest(uppers, -1)
  if (lower === undefined && upper === undefined) return { type: 'anywhere' }
  return {
    type: 'range',
    ...(lower === undefined ? {} : { lower }),
    ...(upper === undefined ? {} : { upper }),
  }
}

function placesOf(operands: readonly unknown[]): Bounds {
  // In boxes, because sort itself moves undefined to the end.
  const sorted = operands
    .map((value) => ({ value }))
    .sort((a, b) => compareValues(a.value, b.value))
    .filter((box, i, boxes) => i === 0 || compareValues(box.value, boxes[i - 1]?.value) !== 0)
  return { type: 'places', values: sorted.map(({ value }) => value) }
}

function boundOf(
  operators: Record<string, unknown>,
  name: string,
  inclusive: boolean,
): Bound | undefined {
  return name in operators ? { value: operators[name], inclusive } : undefined
}

/** The greatest of several lower bounds (`sign` 1), the least of several upper ones (-1). */
function tightest(bounds: readonly (Bound | undefined)[], sign: 1 | -1): Bound | undefined {
  return bounds.reduce((best, bound) => {
    if (best === undefined || bound === undefined) return best ?? bound
    const difference = compareValues(bound.value, best.value) * sign
    return difference > 0 || (difference === 0 && !bound.inclusive) ? bound : best
  }, undefined)
}

/** The first text after all that begin with `prefix`, or undefined when there is none. */
function endOfPrefix(prefix: string): string | undefined {
  for (let end = prefix.length; end > 0; end--) {
    const unit = prefix.charCodeAt(end - 1)
    if (unit < 0xffff) return prefix.slice(0, end - 1) + String.fromCharCode(unit + 1)
  }
  return undefined
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return !(value instanceof Date) && !(value instanceof Uint8Array)
}
