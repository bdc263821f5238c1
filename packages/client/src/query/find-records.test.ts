/**
 * Queries over records on a store: the same answer by keys, by an index and by a scan, whatever the
 * values, and after any writes; and what each way costs.
 */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ReadingFixture, readingFixture } from '../records/collection.fixture.ts'
import { arrange, compileQuery, type Item, type Query } from './query.ts'

type Loose = { a?: unknown; b?: unknown; c?: unknown }
type Note = { list: string; due: number; body?: string }

let fixture: ReadingFixture
beforeEach(async () => {
  fixture = await readingFixture()
})
afterEach(() => fixture.close())

const keysOf = (items: readonly Item<unknown>[]): string[] => items.map(({ key }) => key)

// Few values, so that many of them meet; of every kind, and near each other.
const value = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, false, Number.NaN, 0, -0, 0n, 1, 1n, 1.5),
  fc.constantFrom<unknown>('', 'a', 'ab', 'abc', 'b', '\uffff', '\uffffa', '記録', '0'),
  fc.constantFrom<unknown>(new Date(0), new Date(1), new Uint8Array(), new Uint8Array([1])),
  fc.constantFrom<unknown>([], [1], {}, { x: 1 }, 2 ** 53, 2n ** 53n + 1n, -1),
)
const conditionOf = (value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> => {
  const operators = fc.record(
    {
      eq: value,
      ne: value,
      lt: value,
      lte: value,
      gt: value,
      gte: value,
      in: fc.array(value, { maxLength: 4 }),
      startsWith: fc.constantFrom('', 'a', 'ab', '\uffff'),
    },
    { requiredKeys: [] },
  )
  const isOneOrTwo = (held: object): boolean => [1, 2].includes(Object.keys(held).length)
  return fc.oneof(value, operators.filter(isOneOrTwo))
}
const direction = fc.constantFrom('asc', 'desc')
const field = fc.constantFrom('a', 'b', 'c')
const key = fc.constantFrom(...'0123456789', 'long-key', 'long-kez')

const queryOf = (value: fc.Arbitrary<unknown>): fc.Arbitrary<Query<Loose>> =>
  fc.record(
    {
      where: fc.oneof(
        { weight: 5, arbitrary: fc.dictionary(field, conditionOf(value), { maxKeys: 3 }) },
        { weight: 1, arbitrary: fc.constant((fields: Loose) => fields.a !== undefined) },
      ),
      key: fc.oneof(
        fc.record({ in: fc.array(fc.oneof(key, fc.constantFrom('', 'absent')), { maxLength: 4 }) }),
        fc.record({ gte: key }),
        fc.record({ startsWith: fc.constantFrom('long', '1') }),
        key,
      ),
      orderBy: fc.oneof(field, fc.dictionary(field, direction, { maxKeys: 3 })),
      limit: fc.constantFrom(0, 1, 2, 3, 5, 100),
    },
    { requiredKeys: ['where'] },
  ) as fc.Arbitrary<Query<Loose>>

const indexLists = fc.uniqueArray(
  fc.oneof(
    field,
    fc.uniqueArray(field, { minLength: 1, maxLength: 3 }) as fc.Arbitrary<['a' | 'b' | 'c']>,
  ) as fc.Arbitrary<'a' | ['a' | 'b' | 'c']>,
  { minLength: 1, maxLength: 4, selector: (list) => JSON.stringify(list) },
)

/** Rounds of writes and queries, whose values are few, so that they meet. */
const rounds = fc.uniqueArray(value, { minLength: 2, maxLength: 6 }).chain((values) => {
  const held = fc.constantFrom(...values)
  const fields = fc.record(
    { a: held, b: held, c: held },
    { requiredKeys: [], noNullPrototype: true },
  )
  const writes = fc.array(fc.tuple(key, fc.option(fields, { freq: 4 })), { maxLength: 20 })
  const queries = fc.array(queryOf(held), { minLength: 1, maxLength: 5 })
  return fc.array(fc.record({ writes, queries }), { minLength: 1, maxLength: 4 })
})

describe('every way to answer a query', () => {
  it('finds what a plain filter and a sort find, before and after any writes', async () => {
    const ways = { keys: 0, index: 0, scan: 0 }
    let name = 0
    const law = async (rounds: { writes: Write[]; queries: Query<Loose>[] }[], lists: Lists) => {
      // Few collections at a time: what earlier runs left behind makes each reading slower.
      if (name++ % 10 === 0) fixture = await renewed(fixture)
      const plain = fixture.collection<Loose>(`c${name}`)
      const indexed = fixture.collection<Loose>(`c${name}`, lists)
      const model = new Map<string, Loose>()
      for (const { writes, queries } of rounds) {
        await fixture.put(plain, writes)
        for (const [key, written] of writes) {
          if (written === null) model.delete(key)
          else model.set(key, written)
        }
        for (const asked of queries) {
          const compiled = compileQuery(asked)
          const items = [...model].map(([key, held]) => ({ key, fields: held }))
          const expected = arrange(items.filter(compiled.matches), compiled)
          expect(await plain.query(asked)).toStrictEqual(expected)
          expect(await indexed.query(asked)).toStrictEqual(expected)
          ways[(await indexed.explain(asked)).way]++
        }
      }
    }
    type Write = [string, Loose | null]
    type Lists = ('a' | ['a' | 'b' | 'c'])[]
    await fc.assert(fc.asyncProperty(rounds, indexLists, law), {
      numRuns: process.env.SLOW ? 5_000 : 100,
    })
    // The law means something only where each way was gone.
    for (const count of Object.values(ways)) expect(count).toBeGreaterThan(20)
  })
})

async function renewed(before: ReadingFixture): Promise<ReadingFixture> {
  await before.close()
  return readingFixture()
}

const noteOf = (i: number): Note => ({ list: `l${i % 10}`, due: (i * 7) % 1_000 })
const notes = (count: number): [string, Note][] =>
  Array.from({ length: count }, (_, i) => [`n${String(i).padStart(4, '0')}`, noteOf(i)])

describe('a query with an index', () => {
  const lists = ['due', ['list', 'due']] as const

  it('opens what it returns, and no more', async () => {
    const target = fixture.collection<Note>('notes', lists)
    await fixture.put(target, notes(1_000))
    const costOf = async (asked: Query<Note>): Promise<[string, number, number]> => {
      const { way, opened } = await target.explain(asked)
      return [way, opened, (await target.query(asked)).length]
    }
    expect(await costOf({ where: { list: 'l3', due: { lt: 100 } } })).toEqual(['index', 10, 10])
    expect(await costOf({ where: { due: 7 } })).toEqual(['index', 1, 1])
    expect(await costOf({ where: { due: { in: [7, 14, -1] } } })).toEqual(['index', 2, 2])
    const newest = { orderBy: { due: 'desc' }, limit: 5 } as const
    expect(await costOf(newest)).toEqual(['index', 5, 5])
    expect(await costOf({ where: { list: 'l3' }, ...newest })).toEqual(['index', 5, 5])
    // The order of the result is not the index's, but its values tell it.
    const across = { where: { list: { in: ['l3', 'l4'] } }, orderBy: 'due', limit: 5 } as const
    expect(await costOf(across)).toEqual(['index', 5, 5])
    expect(await costOf({ where: { due: { gte: 990 } }, key: { lt: 'n0300' } })).toEqual([
      'index',
      2,
      2,
    ])
  })

  it('opens the named records when keys are named, and scans when most are wanted', async () => {
    const target = fixture.collection<Note>('notes', lists)
    await fixture.put(target, notes(1_000))
    await fixture.put(fixture.collection('others'), [['n0001', { due: 7 }]])
    const named = { key: { in: ['n0001', 'n0002', 'no', ''] }, where: { due: 7 } }
    expect(await target.explain(named)).toMatchObject({ way: 'keys', opened: 2 })
    expect(keysOf(await target.query(named))).toEqual(['n0001'])
    expect((await target.explain({ where: { due: { gte: 0 } } })).way).not.toBe('keys')
    await fixture.put(target, notes(2_000).slice(1_000))
    expect(await target.explain({ where: { due: { gte: 0 } } })).toMatchObject({ way: 'scan' })
    expect(await target.explain({ orderBy: 'list' })).toMatchObject({ way: 'scan' })
    expect(await target.query({ where: { due: 7 }, limit: 0 })).toEqual([])
  })

  it('goes on past candidates that fail on the opened record, a batch at a time', async () => {
    const target = fixture.collection<Note>('notes', lists)
    await fixture.put(target, notes(1_000))
    await fixture.put(target, [['n0500', { list: 'l0', due: 499, body: 'found' }]])
    const rare = { where: { body: 'found' }, orderBy: 'due', limit: 1 } as const
    expect(keysOf(await target.query(rare))).toEqual(['n0500'])
    expect((await target.explain(rare)).way).toBe('index')
    expect(await target.query({ where: { body: 'no' }, orderBy: 'due', limit: 1 })).toEqual([])
  })

  it('is right about records that change while it reads them', async () => {
    const target = fixture.collection<Note>('notes', lists)
    await fixture.put(target, notes(50))
    const first = { orderBy: 'due', limit: 1 } as const
    expect(keysOf(await target.query(first))).toEqual(['n0000'])
    let moves = 0
    fixture.beforeRead = async () => {
      fixture.beforeRead = async () => undefined
      moves++
      await target.put('n0000', { list: 'l0', due: 999 })
    }
    expect(keysOf(await target.query(first))).toEqual(['n0001'])
    expect(moves).toBe(1)
    fixture.beforeRead = async () => {
      fixture.beforeRead = async () => undefined
      await target.delete('n0001')
    }
    expect(keysOf(await target.query(first))).toEqual(['n0002'])
  })

  it('begins again when another query has moved the index under it', async () => {
    const target = fixture.collection<Note>('notes', lists)
    await fixture.put(target, notes(50))
    await fixture.put(target, [['n0001', { list: 'l1', due: 7, body: 'found' }]])
    const rare = { where: { body: 'found' }, orderBy: 'due', limit: 1 } as const
    expect(keysOf(await target.query(rare))).toEqual(['n0001'])
    fixture.beforeRead = async () => {
      fixture.beforeRead = async () => undefined
      await target.delete('n0000')
      await target.query({ where: { due: 0 } })
    }
    expect(keysOf(await target.query(rare))).toEqual(['n0001'])
  })

  it('tells a number from a bigint, and one list from another, also after a change', async () => {
    type Held = { v: unknown }
    const target = fixture.collection<Held>('values', ['v'])
    await fixture.put<Held>(target, [
      ['a', { v: 3 }],
      ['b', { v: [1] }],
    ])
    expect(keysOf(await target.query({ where: { v: 3 } }))).toEqual(['a'])
    expect(keysOf(await target.query({ where: { v: [1] } }))).toEqual(['b'])
    await fixture.put<Held>(target, [
      ['a', { v: 3n }],
      ['b', { v: [2] }],
    ])
    expect(keysOf(await target.query({ where: { v: 3n } }))).toEqual(['a'])
    expect(keysOf(await target.query({ where: { v: [2] } }))).toEqual(['b'])
    expect(await target.query({ where: { v: { in: [3, [1]] } } })).toEqual([])
  })

  it('answers when what it reads never rests', async () => {
    const target = fixture.collection<Note>('notes', lists)
    await fixture.put(target, notes(50))
    await target.query({ where: { due: 0 } })
    let due = 0
    let isWriting = false
    fixture.beforeRead = async () => {
      if (isWriting) return
      isWriting = true
      await fixture.put(target, [['n0000', { list: 'l0', due: --due }]])
      isWriting = false
    }
    expect(keysOf(await target.query({ orderBy: 'due', limit: 1 }))).toEqual(['n0000'])
    expect(due).toBeLessThan(-3)
  })
})

describe('the indexes of a collection', () => {
  it('are built by the first query that has use of them, in one pass for all objects', async () => {
    const target = fixture.collection<Note>('notes', ['due', ['list', 'due']])
    const again = fixture.collection<Note>('notes', ['due', ['list', 'due']])
    await fixture.put(target, notes(300))
    fixture.counts.scans = 0
    fixture.counts.opened = 0
    await target.query({ key: 'n0001' })
    expect(fixture.counts).toEqual({ scans: 0, opened: 1 })
    const asked = { where: { list: 'l1', due: 7 } }
    const answers = [target, again, target].map((one) => one.query(asked))
    for (const items of await Promise.all(answers)) expect(keysOf(items)).toEqual(['n0001'])
    await again.query({ where: { due: 14 } })
    expect(fixture.counts).toEqual({ scans: 1, opened: 1 + 300 + 4 })
  })

  it('open only the records that changed, however often they did', async () => {
    const target = fixture.collection<Note>('notes', ['due'])
    await fixture.put(target, notes(300))
    await target.query({ where: { due: 7 } })
    for (let i = 0; i < 5; i++) await target.put('n0001', { list: 'x', due: 5_000 + i })
    await fixture.put(target, [['n0002', null]])
    await fixture.put(fixture.collection('others'), [['n0003', { due: 7 }]])
    fixture.counts.opened = 0
    expect(await target.query({ where: { due: { in: [7, 14] } } })).toEqual([])
    // The changed one and the tombstone.
    expect(fixture.counts.opened).toBe(2)
    expect(keysOf(await target.query({ where: { due: 5_004 } }))).toEqual(['n0001'])
  })

  it('know what changed while they were built', async () => {
    const target = fixture.collection<Note>('notes', ['due'])
    await fixture.put(target, notes(600))
    const changes = fixture.context.local.pages.bind(fixture.context.local)
    fixture.context.local.pages = async function* (tag) {
      for await (const page of changes(tag)) {
        yield page
        await target.put('n0001', { list: 'x', due: 5_000 })
        await fixture.put(target, [['n0002', null]])
        await target.put('late', { list: 'x', due: 5_001 })
      }
    }
    await target.query({ where: { due: 7 } })
    fixture.context.local.pages = changes
    expect(
      await target.query({ where: { due: { in: [7, 14] }, list: { in: ['l1', 'l2'] } } }),
    ).toEqual([])
    expect(keysOf(await target.query({ where: { due: { gte: 5_000 } } }))).toEqual([
      'late',
      'n0001',
    ])
  })

  it('are built again when most has changed, and after a pass that failed', async () => {
    const target = fixture.collection<Note>('notes', ['due'])
    for (let first = 0; first < 3_000; first += 1_000) {
      await fixture.put(target, notes(3_000).slice(first, first + 1_000))
    }
    fixture.counts.scans = 0
    fixture.beforeRead = () => Promise.reject(new Error('the disk failed'))
    await expect(target.query({ where: { due: 7 } })).rejects.toThrow('the disk failed')
    fixture.beforeRead = async () => undefined
    expect(await target.query({ where: { due: 7 } })).toHaveLength(3)
    expect(fixture.counts.scans).toBe(2)
  })

  it('keep a change that could not be read for the next query', async () => {
    const target = fixture.collection<Note>('notes', ['due'])
    await fixture.put(target, notes(10))
    await target.query({ where: { due: 7 } })
    await target.put('n0001', { list: 'x', due: 8 })
    fixture.beforeRead = () => Promise.reject(new Error('the disk failed'))
    await expect(target.query({ where: { due: 8 } })).rejects.toThrow('the disk failed')
    fixture.beforeRead = async () => undefined
    expect(keysOf(await target.query({ where: { due: 8 } }))).toEqual(['n0001'])
  })

  it('are refused when they name nothing, or a field twice', () => {
    for (const indexes of ['due', [[]], [3], [['due', 'due']], [['due', null]]]) {
      expect(() => fixture.collection('notes', indexes as never)).toThrow(/indexes must be/)
    }
  })
})

describe('records that the disk has spoiled', () => {
  it('are left out of every reading of many, told once, and refused by name', async () => {
    const target = fixture.collection<Note>('notes', ['due'])
    await fixture.put(target, [['bad', { list: 'x', due: 7 }]])
    await fixture.spoilAll()
    await fixture.put(target, notes(3))
    const whole = ['n0000', 'n0001', 'n0002']
    expect(keysOf(await target.list())).toEqual(whole)
    expect(keysOf(await target.query({ where: { due: 7 } }))).toEqual(['n0001'])
    expect(await target.query({ key: 'bad' })).toEqual([])
    expect(keysOf((await target.watch().next()).value ?? [])).toEqual(whole)
    const listed: string[] = []
    for await (const item of target) listed.push(item.key)
    expect(listed.sort()).toEqual(whole)
    await expect(target.get('bad')).rejects.toMatchObject({ code: 'tampered' })
    expect(fixture.damaged).toHaveLength(1)
  })

  it('leave the index, and come back to it with a new version', async () => {
    const target = fixture.collection<Note>('notes', ['due'])
    await fixture.put(target, notes(3))
    const asked = { where: { due: { lte: 14 } } }
    expect(await target.query(asked)).toHaveLength(3)
    await fixture.spoilAll()
    expect(await target.query(asked)).toEqual([])
    expect(fixture.damaged).toHaveLength(3)
    await target.put('n0001', { list: 'x', due: 7 })
    expect(keysOf(await target.query(asked))).toEqual(['n0001'])
    expect(fixture.damaged).toHaveLength(3)
  })
})

describe('a closed vault', () => {
  it('forgets its indexes and answers no query', async () => {
    const target = fixture.collection<Note>('notes', ['due'])
    await fixture.put(target, notes(3))
    await target.query({ where: { due: 7 } })
    await fixture.close()
    await expect(target.query({ where: { due: 7 } })).rejects.toMatchObject({ code: 'closed' })
    expect(fixture.damaged).toEqual([])
  })
})
