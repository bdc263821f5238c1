/**
 * Live result: the records of a query in their order, kept up one changed record at a time.
 *
 * With a limit it holds some more than are shown, so that a record that leaves is replaced from
 * memory. Only when those are used up is the query asked again. What lies beyond the last one held
 * is not known; what lies before it is all there.
 */
import type { CompiledQuery, Item } from './query.ts'
import type { Found } from './record-reader.ts'
import { SortedList } from './sorted-list.ts'
import { fieldOf, placeValueOf } from './value-order.ts'

const SPARE_MIN = 32

/** The item, and beside it what orders it: a reader that changes the item moves nothing. */
type Held<T> = { readonly item: Item<T>; readonly place: Item<Record<string, unknown>> }

export class LiveResult<T> {
  readonly #query: CompiledQuery<T>
  readonly #list: SortedList<Held<T>>
  readonly #heldById = new Map<string, Held<T>>()
  readonly #idsByHeld = new Map<Held<T>, string>()
  /** Beyond it there may be more; undefined: there is nothing that is not held. */
  #horizon: Held<T> | undefined

  constructor(query: CompiledQuery<T>) {
    this.#query = query
    this.#list = new SortedList((a, b) => this.#compare(a, b))
  }

  /** How many records to ask for when it is filled. */
  get size(): number {
    const { limit } = this.#query
    return limit === 0 ? 0 : limit + Math.max(limit, SPARE_MIN)
  }

  /** Whether fewer are held than there may be to show. */
  get isShort(): boolean {
    return this.#horizon !== undefined && this.#list.size < this.#query.limit
  }

  /** Begins again with the first `size` records of the query, or all when there are fewer. */
  fill(found: readonly Found<T>[]): void {
    for (const held of [...this.#heldById.values()]) this.#drop(held)
    for (const record of found) this.#hold(record)
    this.#horizon = found.length < this.size ? undefined : this.#list.before(this.#list.end)
  }

  /** Takes what a record has become, or that it is gone. */
  take(id: string, found: Found<T> | undefined): void {
    const before = this.#heldById.get(id)
    if (before !== undefined) this.#drop(before)
    if (found === undefined || !this.#query.matches(found.item)) return
    const held = this.#hold(found)
    if (this.#horizon !== undefined && this.#compare(held, this.#horizon) > 0) this.#drop(held)
    if (this.#list.size > 2 * this.size) this.#trim()
  }

  /** The records to show. One that did not change is the same object as before. */
  shown(): Item<T>[] {
    return this.#list.first(this.#query.limit).map(({ item }) => item)
  }

  #trim(): void {
    while (this.#list.size > this.size) {
      const last = this.#list.before(this.#list.end)
      if (last === undefined) return
      this.#drop(last)
    }
    this.#horizon = this.#list.before(this.#list.end)
  }

  #hold({ id, item }: Found<T>): Held<T> {
    const fields = Object.fromEntries(
      this.#query.order.map(({ field }) => [
        field,
        placeValueOf(fieldOf(item.fields as object, field)),
      ]),
    )
    const held = { item, place: { key: item.key, fields } }
    this.#list.add(held)
    this.#heldById.set(id, held)
    this.#idsByHeld.set(held, id)
    return held
  }

  #drop(held: Held<T>): void {
    this.#list.remove(held)
    this.#heldById.delete(this.#idsByHeld.get(held) ?? '')
    this.#idsByHeld.delete(held)
  }

  #compare(a: Held<T>, b: Held<T>): number {
    return this.#query.compare(a.place as Item<T>, b.place as Item<T>)
  }
}
