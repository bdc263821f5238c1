/**
 * Field index: the records of a collection in the order of some fields, and of their keys last.
 *
 * It holds places, not records: of each record the values that order it, its key and its id.
 */
import type { Direction } from './query.ts'
import { isBefore, type Place, SortedList } from './sorted-list.ts'
import { compareKeys, compareValues, kindOf } from './value-order.ts'

/** What all indexes of a collection share of one record. It is replaced, never changed. */
export type IndexedRecord = {
  readonly id: string
  readonly key: string
  /** As `placeValueOf` keeps them, by slot: each field that any index of the collection names. */
  readonly values: readonly unknown[]
}

/**
 * A place given by values: before (-1) or after (1) all records whose first fields have these
 * values, and whose next field is of this kind, when one is given.
 */
export type Cut = {
  readonly values: readonly unknown[]
  readonly kind?: number
  readonly side: -1 | 1
}

/** From one cut to another. The other may lie before the one: then there is nothing in between. */
export type Interval = { readonly lower: Cut; readonly upper: Cut }

/** How an index is walked so that records come in the order that is asked for. */
export type Walk = {
  readonly intervals: readonly Interval[]
  /** Records that agree in this many first fields come in the order of their keys. */
  readonly depth: number
  readonly direction: Direction
}

export class FieldIndex {
  /** The slots of its fields. */
  readonly #slots: readonly number[]
  readonly #list: SortedList<IndexedRecord>

  constructor(slots: readonly number[]) {
    this.#slots = slots
    this.#list = new SortedList((a, b) => {
      for (const slot of slots) {
        const difference = compareValues(a.values[slot], b.values[slot])
        if (difference !== 0) return difference
      }
      return compareKeys(a.key, b.key)
    })
  }

  add(record: IndexedRecord): void {
    this.#list.add(record)
  }

  remove(record: IndexedRecord): void {
    this.#list.remove(record)
  }

  /** The records of the intervals, in the index's own order. */
  *within(intervals: readonly Interval[]): Generator<IndexedRecord, void> {
    for (const { lower, upper } of intervals) {
      yield* this.#list.between(this.#seek(lower), this.#seek(upper))
    }
  }

  /** The index must not change while it is walked. */
  *walk({ intervals, depth, direction }: Walk): Generator<IndexedRecord, void> {
    if (direction === 'asc' && depth === this.#slots.length) {
      yield* this.within(intervals)
      return
    }
    for (const { lower, upper } of direction === 'asc' ? intervals : intervals.toReversed()) {
      const bounds = { from: this.#seek(lower), to: this.#seek(upper) }
      const groups =
        direction === 'asc' ? this.#rising(bounds, depth) : this.#falling(bounds, depth)
      for (const [from, to] of groups) yield* this.#inKeyOrder(from, to, depth)
    }
  }

  *#rising({ from, to }: Bounds, depth: number): Generator<[Place, Place], void> {
    let place = from
    while (isBefore(place, to)) {
      const values = this.#valuesOf(this.#list.after(place), depth)
      const end = least(this.#seek({ values, side: 1 }), to)
      yield [place, end]
      place = end
    }
  }

  *#falling({ from, to }: Bounds, depth: number): Generator<[Place, Place], void> {
    let place = to
    while (isBefore(from, place)) {
      const values = this.#valuesOf(this.#list.before(place), depth)
      const start = this.#seek({ values, side: -1 })
      const first = isBefore(start, from) ? from : start
      yield [first, place]
      place = first
    }
  }

  #inKeyOrder(from: Place, to: Place, depth: number): Iterable<IndexedRecord> {
    const group = this.#list.between(from, to)
    // With all fields equal the index has them in this order already.
    return depth === this.#slots.length
      ? group
      : [...group].sort((a, b) => compareKeys(a.key, b.key))
  }

  #valuesOf(record: IndexedRecord | undefined, depth: number): unknown[] {
    return this.#slots.slice(0, depth).map((slot) => record?.values[slot])
  }

  #seek({ values, kind, side }: Cut): Place {
    return this.#list.seek((record) => {
      for (const [i, value] of values.entries()) {
        const difference = compareValues(record.values[this.#slots[i] as number], value)
        if (difference !== 0) return difference
      }
      if (kind !== undefined) {
        const next = record.values[this.#slots[values.length] as number]
        const difference = kindOf(next) - kind
        if (difference !== 0) return difference
      }
      return -side
    })
  }
}

type Bounds = { readonly from: Place; readonly to: Place }

const least = (a: Place, b: Place): Place => (isBefore(a, b) ? a : b)
