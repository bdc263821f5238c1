/**
 * Memory store: the twin of the LevelDB store, for tests, simulation and vaults that need no disk.
 *
 * The entries are in order in chunks of at most 512, so that a write moves a few hundred references
 * and not the whole store: a hundred thousand random keys take well under a second.
 *
 *   chunks   [a c d] [f g k m] [p q]     never an empty chunk; every chunk before the next
 *
 * A scan remembers the last key it gave, not a position: it survives whatever is written meanwhile.
 */

import { compareBytes } from '@blindcopy/protocol'
import { StoreError } from './error.ts'
import { type Bound, lowerBound, type PageLimits, pageLimits, upperBound } from './range.ts'
import type { Entry, KeyRange, PageBounds, Store, StoreOp } from './store.ts'

const CHUNK_ENTRIES_MAX = 512

/** Opens an empty store that lives until it is closed. */
export function createMemoryStore(): Store {
  return new MemoryStore()
}

/** Where an entry stands, or where it would be inserted. */
type Place = { readonly chunk: number; readonly index: number; readonly found: boolean }

class MemoryStore implements Store {
  readonly #chunks: Entry[][] = []
  #closed = false

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#assertOpen()
    return this.#read(key)
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.#assertOpen()
    return keys.map((key) => this.#read(key))
  }

  async *pages(range: KeyRange, bounds?: PageBounds): AsyncGenerator<readonly Entry[]> {
    for await (const page of this.#scan(range, pageLimits(bounds), entryBytes)) {
      yield page.map(([key, value]): Entry => [copy(key), copy(value)])
    }
  }

  async *keyPages(range: KeyRange, bounds?: PageBounds): AsyncGenerator<readonly Uint8Array[]> {
    for await (const page of this.#scan(range, pageLimits(bounds), ([key]) => key.length)) {
      yield page.map(([key]) => copy(key))
    }
  }

  async write(batch: readonly StoreOp[]): Promise<void> {
    this.#assertOpen()
    for (const op of batch) {
      if (op.type === 'put') this.#put([op.key, op.value])
      else this.#delete(op.key)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#chunks.length = 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #assertOpen(): void {
    if (this.#closed) {
      throw new StoreError('store-closed', 'The store was closed. Open it again to use it.')
    }
  }

  #read(key: Uint8Array): Uint8Array | undefined {
    const place = this.#locate(key)
    const entry = this.#chunks[place.chunk]?.[place.index]
    return place.found && entry !== undefined ? copy(entry[1]) : undefined
  }

  async *#scan(
    range: KeyRange,
    limits: PageLimits,
    bytesOf: (entry: Entry) => number,
  ): AsyncGenerator<readonly Entry[]> {
    let lower = lowerBound(range)
    let upper = upperBound(range)
    let left = range.limit ?? Number.POSITIVE_INFINITY
    while (left > 0) {
      this.#assertOpen()
      const entriesMax = Math.min(left, limits.entriesMax)
      const entries = range.reverse === true ? this.#backward(upper) : this.#forward(lower)
      const inside =
        range.reverse === true
          ? (key: Uint8Array) =>
              lower === undefined || isInside(lower, compareBytes(key, lower.key))
          : (key: Uint8Array) =>
              upper === undefined || isInside(upper, compareBytes(upper.key, key))
      const page = fillPage(entries, inside, { entriesMax, bytesMax: limits.bytesMax }, bytesOf)
      const final = page.at(-1)
      if (final === undefined) return
      left -= page.length
      const past: Bound = { key: final[0], inclusive: false }
      if (range.reverse === true) upper = past
      else lower = past
      yield page
    }
  }

  *#forward(lower: Bound | undefined): Generator<Entry> {
    let { chunk, index, found } =
      lower === undefined ? { chunk: 0, index: 0, found: false } : this.#locate(lower.key)
    if (found && lower?.inclusive === false) index += 1
    for (; chunk < this.#chunks.length; chunk++, index = 0) {
      const entries = this.#chunks[chunk] ?? []
      for (; index < entries.length; index++) {
        const entry = entries[index]
        if (entry !== undefined) yield entry
      }
    }
  }

  *#backward(upper: Bound | undefined): Generator<Entry> {
    const place = upper === undefined ? undefined : this.#locate(upper.key)
    let chunk = place?.chunk ?? this.#chunks.length - 1
    let index = place?.index ?? Number.POSITIVE_INFINITY
    if (place !== undefined && !(place.found && upper?.inclusive === true)) index -= 1
    for (; chunk >= 0; chunk--, index = Number.POSITIVE_INFINITY) {
      const entries = this.#chunks[chunk] ?? []
      for (index = Math.min(index, entries.length - 1); index >= 0; index--) {
        const entry = entries[index]
        if (entry !== undefined) yield entry
      }
    }
  }

  #put(entry: Entry): void {
    const place = this.#locate(entry[0])
    const entries = this.#chunks[place.chunk]
    if (entries === undefined) {
      this.#chunks.push([entry])
      return
    }
    entries.splice(place.index, place.found ? 1 : 0, entry)
    if (entries.length > CHUNK_ENTRIES_MAX) {
      this.#chunks.splice(place.chunk + 1, 0, entries.splice(CHUNK_ENTRIES_MAX / 2))
    }
  }

  #delete(key: Uint8Array): void {
    const place = this.#locate(key)
    const entries = this.#chunks[place.chunk]
    if (!place.found || entries === undefined) return
    entries.splice(place.index, 1)
    if (entries.length === 0) this.#chunks.splice(place.chunk, 1)
  }

  /** The last chunk also takes what is behind its end, so a place outside means an empty store. */
  #locate(key: Uint8Array): Place {
    const final = Math.max(0, this.#chunks.length - 1)
    const chunk = Math.min(
      final,
      search(this.#chunks, (entries) => compareBytes(entries.at(-1)?.[0] ?? key, key) < 0),
    )
    const entries = this.#chunks[chunk] ?? []
    const index = search(entries, (entry) => compareBytes(entry[0], key) < 0)
    const entry = entries[index]
    return { chunk, index, found: entry !== undefined && compareBytes(entry[0], key) === 0 }
  }
}

function fillPage(
  entries: Iterable<Entry>,
  inside: (key: Uint8Array) => boolean,
  limits: PageLimits,
  bytesOf: (entry: Entry) => number,
): Entry[] {
  const page: Entry[] = []
  let pageBytes = 0
  for (const entry of entries) {
    pageBytes += bytesOf(entry)
    const isFull = page.length >= limits.entriesMax || pageBytes > limits.bytesMax
    if (!inside(entry[0]) || (isFull && page.length > 0)) break
    page.push(entry)
  }
  return page
}

/** How many leading items hold the condition; the items that hold it come first. */
function search<T>(items: readonly T[], holds: (item: T) => boolean): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const item = items[middle]
    if (item !== undefined && holds(item)) low = middle + 1
    else high = middle
  }
  return low
}

function isInside(bound: Bound, inward: number): boolean {
  return bound.inclusive ? inward >= 0 : inward > 0
}

function entryBytes([key, value]: Entry): number {
  return key.length + value.length
}

// Not `slice`: on a Buffer that gives a view of the same memory.
function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
