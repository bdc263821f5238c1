/**
 * Index plan: which index answers a query, from where to where it is read, and whether it gives the
 * order too. Pure: it looks at the query and the declared indexes, never at records.
 *
 * An index helps when conditions say where in it the matching records lie, or when it has the order
 * that a limit cuts. Whatever it yields is a candidate: every condition is tested again.
 */
import type { Bound, Bounds } from './condition.ts'
import type { Cut, Interval } from './field-index.ts'
import type { CompiledQuery, Direction, Order } from './query.ts'
import { kindOf } from './value-order.ts'

/** The fields of an index, the first one counting most. */
export type IndexFields = readonly string[]

export type IndexPlan = {
  readonly fields: IndexFields
  /** In the order of the index; they do not overlap. */
  readonly intervals: readonly Interval[]
  /** How to walk the intervals so that records come in order; undefined: they do not. */
  readonly walk: { readonly depth: number; readonly direction: Direction } | undefined
}

/** What `in` lists of several fields may multiply to. */
const INTERVALS_MAX = 1_000

type Shape = Pick<CompiledQuery<unknown>, 'conditions' | 'order' | 'limit'>

/** The best plan, or undefined when no index is of use. */
export function planQuery(query: Shape, indexes: readonly IndexFields[]): IndexPlan | undefined {
  let best: { plan: IndexPlan; worth: number } | undefined
  for (const fields of indexes) {
    const { plan, worth } = planIndex(query, fields)
    if (worth > 0 && (best === undefined || worth > best.worth)) best = { plan, worth }
  }
  return best?.plan
}

function planIndex(query: Shape, fields: IndexFields): { plan: IndexPlan; worth: number } {
  let prefixes: (readonly unknown[])[] = [[]]
  let placed = 0
  for (; placed < fields.length; placed++) {
    const bounds = boundsOf(query, fields[placed])
    if (bounds.type !== 'places') break
    if (prefixes.length * bounds.values.length > INTERVALS_MAX) break
    prefixes = prefixes.flatMap((prefix) => bounds.values.map((value) => [...prefix, value]))
  }
  const next = boundsOf(query, fields[placed])
  const range = next.type === 'range' ? next : undefined
  const intervals = prefixes.map((values) => intervalOf(values, range))
  const walk = walkOf(query, fields, placed)
  // One bound field more counts more than a range, and a range more than the order.
  const order = walk !== undefined && Number.isFinite(query.limit) && query.order.length > 0 ? 1 : 0
  const worth = placed * 4 + (range === undefined ? 0 : 2) + order
  return { plan: { fields, intervals, walk }, worth }
}

function boundsOf({ conditions }: Shape, field: string | undefined): Bounds {
  const condition = field === undefined ? undefined : conditions.get(field)
  return condition?.bounds ?? { type: 'anywhere' }
}

type Range = Extract<Bounds, { type: 'range' }>

function intervalOf(values: readonly unknown[], range: Range | undefined): Interval {
  if (range === undefined) return { lower: { values, side: -1 }, upper: { values, side: 1 } }
  const { lower, upper } = range
  return {
    lower: cutOf(values, { bound: lower, other: upper, side: -1 }),
    upper: cutOf(values, { bound: upper, other: lower, side: 1 }),
  }
}

/** Where a range begins (-1) or ends (1): at its bound, or else where the other's kind does. */
function cutOf(
  values: readonly unknown[],
  end: { bound: Bound | undefined; other: Bound | undefined; side: -1 | 1 },
): Cut {
  const { bound, other, side } = end
  if (bound === undefined) return { values, kind: kindOf(other?.value), side }
  const outside = bound.inclusive ? side : side === 1 ? -1 : 1
  return { values: [...values, bound.value], side: outside }
}

/**
 * Follows the order along the index's fields. A field that must have one place, by the query, makes
 * no difference to either.
 */
function walkOf(query: Shape, fields: IndexFields, placed: number): IndexPlan['walk'] {
  const isFixed = (field: string): boolean => {
    const bounds = boundsOf(query, field)
    return bounds.type === 'places' && bounds.values.length <= 1
  }
  const order = distinct(query.order).filter(({ field }) => !isFixed(field))
  const direction = order[0]?.direction ?? 'asc'
  if (order.some((step) => step.direction !== direction)) return undefined
  let depth = 0
  let followed = 0
  for (; depth < fields.length; depth++) {
    const field = fields[depth] as string
    if (isFixed(field)) continue
    if (followed === order.length || order[followed]?.field !== field) break
    followed++
  }
  if (followed < order.length) return undefined
  // Beyond the depth records are grouped by key: no group may reach over several intervals.
  const last = fields.slice(0, placed).findLastIndex((field) => !isFixed(field))
  return depth > last ? { depth, direction } : undefined
}

/** A field that is named again orders nothing more. */
function distinct(order: Order): Order {
  return order.filter(({ field }, i) => order.findIndex((step) => step.field === field) === i)
}
