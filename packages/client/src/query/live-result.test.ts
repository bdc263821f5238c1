/**
 * A watched result: after any changes it is what a fresh query gives, at the cost of the changed
 * records.
 */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ReadingFixture, readingFixture } from '../records/collection.fixture.ts'
import type { Collection } from '../records/collection.ts'
import { LiveResult } from './live-result.ts'
import { arrange, compileQuery, type Item, type Query } from './query.ts'

type Note = { list?: string; due?: number | null }

let fixture: ReadingFixture
beforeEach(async () => {
  fixture = await readingFixture()
})
afterEach(() => fixture.close())

const keysOf = (items: readonly Item<unknown>[] | undefined): string[] =>
  (items ?? []).map(({ key }) => key)

const key = fc.nat(120).map((number) => `k${number}`)
const note = fc.record(
  { list: fc.constantFrom('a', 'b'), due: fc.option(fc.nat(9)) },
  { requiredKeys: [], noNullPrototype: true },
)
const writes = fc.array(fc.tuple(key, fc.option(note, { freq: 2 })), {
  minLength: 1,
  maxLength: 60,
})
const query = fc.record(
  {
    where: fc.constantFrom({ list: 'a' }, { due: { gte: 3 } }, { list: 'a', due: { ne: 4 } }, {}),
    orderBy: fc.constantFrom('due', { due: 'desc' }, { list: 'asc', due: 'desc' }),
    limit: fc.constantFrom(0, 1, 2, 5, 40),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Query<Note>>

describe('a live result', () => {
  it('shows what a query over all records would, whatever it held before', () => {
    let refills = 0
    const law = (asked: Query<Note>, steps: [string, Note | null][]): void => {
      const compiled = compileQuery(asked)
      const records = new Map<string, Item<Note>>()
      // Many more than are held at first, so that there is something beyond them.
      for (let i = 0; i <= 120; i++) {
        records.set(`k${i}`, { key: `k${i}`, fields: { list: 'a', due: (i * 7) % 10 } })
      }
      const ask = (limit: number): Item<Note>[] =>
        arrange([...records.values()].filter(compiled.matches), { ...compiled, limit })
      const result = new LiveResult(compiled)
      const fill = (): void => result.fill(ask(result.size).map((item) => ({ id: item.key, item })))
      fill()
      for (const [id, fields] of steps) {
        if (fields === null) records.delete(id)
        else records.set(id, { key: id, fields })
        const item = records.get(id)
        result.take(id, item === undefined ? undefined : { id, item })
        if (result.isShort) {
          refills++
          fill()
        }
        expect(result.shown()).toEqual(ask(compiled.limit))
      }
    }
    const mostlyGone = fc.oneof(
      { weight: 4, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: note },
    )
    const steps = fc.oneof(
      fc.array(fc.tuple(key, mostlyGone), { minLength: 300, maxLength: 600 }),
      fc.array(fc.tuple(key, fc.option(note, { freq: 9 })), { minLength: 300, maxLength: 600 }),
    )
    fc.assert(fc.property(query, steps, law), { numRuns: process.env.SLOW ? 2_000 : 80 })
    expect(refills).toBeGreaterThan(0)
  })

  it('asks again only when what it held beyond the limit is used up', () => {
    const compiled = compileQuery<Note>({ orderBy: 'due', limit: 2 })
    const result = new LiveResult(compiled)
    const all = Array.from({ length: 100 }, (_, due) => ({
      id: `k${due}`,
      item: { key: `k${due}`, fields: { due } },
    }))
    result.fill(all.slice(0, result.size))
    let taken = 0
    for (; !result.isShort; taken++) result.take(`k${taken}`, undefined)
    expect(taken).toBe(result.size - 1)
    expect(keysOf(result.shown())).toEqual([`k${taken}`])
    result.fill(all.slice(taken, taken + result.size))
    expect([result.isShort, keysOf(result.shown())]).toEqual([
      false,
      [`k${taken}`, `k${taken + 1}`],
    ])
  })

  it('lets go of what is far beyond the limit, and asks again before it is missed', () => {
    const result = new LiveResult(compileQuery<Note>({ orderBy: 'due', limit: 2 }))
    result.fill([])
    for (let due = 0; due < 200; due++) {
      const item = { key: `k${due}`, fields: { due } }
      result.take(item.key, { id: item.key, item })
    }
    let gone = 0
    for (; !result.isShort && gone < 200; gone++) {
      expect(keysOf(result.shown())).toEqual([`k${gone}`, `k${gone + 1}`])
      result.take(`k${gone}`, undefined)
    }
    expect(gone).toBeGreaterThanOrEqual(result.size - 1)
    expect(gone).toBeLessThan(3 * result.size)
  })

  it('keeps its order when a reader changes what it was given', () => {
    const result = new LiveResult(compileQuery<{ at: Date }>({ orderBy: 'at' }))
    for (const day of [1, 2, 3]) {
      const item = { key: `k${day}`, fields: { at: new Date(day) } }
      result.take(item.key, { id: item.key, item })
    }
    result.shown()[0]?.fields.at.setTime(9)
    result.take('k1', undefined)
    expect(keysOf(result.shown())).toEqual(['k2', 'k3'])
  })
})

describe('watch', () => {
  it('ends up with what a fresh query gives, after any transactions', async () => {
    let name = 0
    const law = async (asked: Query<Note>, transactions: [string, Note | null][][]) => {
      const indexes = ['due', ['list', 'due']] as const
      const target = fixture.collection<Note>(`c${name++}`, name % 2 === 0 ? indexes : undefined)
      const end = new AbortController()
      const watched = watchAll(target, asked, end.signal)
      await watched.until(() => true)
      for (const records of transactions) {
        await fixture.put(target, records)
        const expected = await target.query(asked)
        await watched.until((shown) => JSON.stringify(shown) === JSON.stringify(expected))
      }
      end.abort()
      await watched.ended
    }
    const transactions = fc.array(writes, { minLength: 1, maxLength: 6 })
    await fc.assert(fc.asyncProperty(query, transactions, law), {
      numRuns: process.env.SLOW ? 2_000 : 60,
    })
  })

  it('opens the changed record and no other, and tells nothing that is not shown', async () => {
    const target = fixture.collection<Note>('notes', ['due'])
    await fixture.put(
      target,
      Array.from({ length: 500 }, (_, i) => [`k${i}`, { due: i }]),
    )
    const results = target.watch({ orderBy: 'due', limit: 3 })
    const next = async (): Promise<string[]> => keysOf((await results.next()).value ?? [])
    expect(await next()).toEqual(['k0', 'k1', 'k2'])
    fixture.counts.opened = 0
    fixture.counts.scans = 0
    await target.put('k400', { due: -1 })
    expect(await next()).toEqual(['k400', 'k0', 'k1'])
    await fixture.put(target, [['k400', null]])
    expect(await next()).toEqual(['k0', 'k1', 'k2'])
    const pending = next()
    await target.put('k300', { due: 301 })
    await target.put('k1', { due: 77 })
    expect(await pending).toEqual(['k0', 'k2', 'k3'])
    // A put each, and a deletion, which reads the record and then its tombstone.
    expect(fixture.counts).toEqual({ opened: 5, scans: 0 })
    await results.return(undefined)
  })

  it('gives unchanged records as the same objects, in a list of the reader’s own', async () => {
    const target = fixture.collection<Note>('notes')
    await fixture.put(target, [
      ['a', { due: 1 }],
      ['b', { due: 2 }],
    ])
    const results = target.watch()
    const first: Item<Note>[] = (await results.next()).value ?? []
    const [a] = first
    first.length = 0
    await target.put('b', { due: 3 })
    const second: Item<Note>[] = (await results.next()).value ?? []
    expect(second[0]).toBe(a)
    expect(second[1]?.fields).toEqual({ due: 3 })
    await results.return(undefined)
  })

  it('gives a slow reader the latest only', async () => {
    const target = fixture.collection<Note>('notes')
    const results = target.watch({ orderBy: 'due' })
    expect(keysOf((await results.next()).value ?? [])).toEqual([])
    for (let i = 0; i < 20; i++) await target.put(`k${i % 3}`, { due: -i })
    expect(keysOf((await results.next()).value ?? [])).toEqual(['k1', 'k0', 'k2'])
    await results.return(undefined)
  })
})

type Watched = {
  /** Resolves when a result was shown, now or later, that passes. */
  until(passes: (shown: Item<Note>[]) => boolean): Promise<void>
  readonly ended: Promise<void>
}

function watchAll(target: Collection<Note>, asked: Query<Note>, signal: AbortSignal): Watched {
  let latest: Item<Note>[] | undefined
  let tell: () => void = () => undefined
  const run = async (): Promise<void> => {
    for await (const shown of target.watch(asked, signal)) {
      latest = shown
      tell()
    }
  }
  const ended = run()
  const until: Watched['until'] = async (passes) => {
    while (latest === undefined || !passes(latest)) {
      await new Promise<void>((resolve) => {
        tell = resolve
      })
    }
  }
  return { until, ended }
}
