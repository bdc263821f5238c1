/**
 * Queries: conditions, order and limits, over every kind of value a record can hold.
 */
import { describe, expect, it } from 'vitest'
import { ClientError } from '../error.ts'
import { arrange, compileQuery, type Item, type Query } from './query.ts'

type Note = { title?: unknown; size?: unknown; tags?: unknown }

const items: Item<Note>[] = [
  { key: 'a', fields: { title: 'apple', size: 3, tags: ['x'] } },
  { key: 'b', fields: { title: 'Banana', size: 10n } },
  { key: 'c', fields: { title: 'avocado', size: 0, tags: [] } },
  { key: 'd', fields: { title: null, size: false } },
  { key: 'e', fields: {} },
]

function run(query: Query<Note>): string[] {
  const compiled = compileQuery(query)
  return arrange(items.filter(compiled.matches), compiled).map(({ key }) => key)
}

describe('where', () => {
  it('compares a plain value for equality, falsy ones included', () => {
    expect(run({ where: { title: 'apple' } })).toEqual(['a'])
    expect(run({ where: { size: 0 } })).toEqual(['c'])
    expect(run({ where: { size: false } })).toEqual(['d'])
    expect(run({ where: { title: null } })).toEqual(['d'])
    expect(run({ where: { title: undefined } })).toEqual(['e'])
    expect(run({ where: { tags: ['x'] } })).toEqual(['a'])
  })

  it('takes operators, which must all hold', () => {
    expect(run({ where: { size: { gte: 3 } } })).toEqual(['a', 'b'])
    expect(run({ where: { size: { gt: 0, lt: 10 } } })).toEqual(['a'])
    expect(run({ where: { title: { startsWith: 'a' } } })).toEqual(['a', 'c'])
    expect(run({ where: { title: { in: ['apple', null] } } })).toEqual(['a', 'd'])
    expect(run({ where: { title: { ne: 'apple' } } })).toEqual(['b', 'c', 'd', 'e'])
  })

  it('never orders values of different kinds', () => {
    expect(run({ where: { title: { gt: 0 } } })).toEqual([])
    expect(run({ where: { size: { lt: 'z' } } })).toEqual([])
    expect(run({ where: { size: { gte: Number.NaN } } })).toEqual([])
    expect(run({ where: { size: { lte: Number.NaN } } })).toEqual([])
  })

  it('takes a function', () => {
    expect(run({ where: (fields, key) => key > 'c' || fields.size === 3 })).toEqual(['a', 'd', 'e'])
  })

  it('takes the key beside the fields', () => {
    expect(run({ key: { gt: 'b' } })).toEqual(['c', 'd', 'e'])
    expect(run({ key: 'a', where: { size: 3 } })).toEqual(['a'])
    expect(run({ key: { in: ['a', 'b', 'z'] }, where: { size: 10n } })).toEqual(['b'])
    expect(() => run({ key: { in: 'a' } as never })).toThrow(/key\.in must be a list/)
  })

  it('finds no field in what every object has by birth', () => {
    expect(run({ where: { constructor: { ne: undefined } } as never })).toEqual([])
  })

  it('refuses operators mixed with fields, and a list that is none', () => {
    expect(() => run({ where: { tags: { gt: 1, other: 2 } as never } })).toThrow(ClientError)
    expect(() => run({ where: { tags: { in: 3 } as never } })).toThrow(ClientError)
  })
})

describe('orderBy and limit', () => {
  it('sorts kinds apart, then by value, then by key', () => {
    expect(run({ orderBy: 'size' })).toEqual(['e', 'd', 'c', 'a', 'b'])
    expect(run({ orderBy: { size: 'desc' } })).toEqual(['b', 'a', 'c', 'd', 'e'])
    expect(run({ orderBy: { tags: 'asc' } })).toEqual(['b', 'd', 'e', 'a', 'c'])
  })

  it('cuts to the limit after sorting', () => {
    expect(run({ orderBy: { size: 'desc' }, limit: 2 })).toEqual(['b', 'a'])
    expect(run({ limit: 0 })).toEqual([])
  })

  it('refuses a limit or a direction that makes no sense', () => {
    for (const limit of [-1, 1.5, Number.NaN]) expect(() => run({ limit })).toThrow(ClientError)
    expect(() => run({ orderBy: { size: 'up' as never } })).toThrow(ClientError)
  })
})
