/**
 * Which index is chosen, where it is read, and whether its order serves.
 */
import { describe, expect, it } from 'vitest'
import { type IndexPlan, planQuery } from './index-plan.ts'
import { compileQuery, type Query } from './query.ts'

type Note = { list: string; due: number; title: string; tags: string[] }

const plan = (query: Query<Note>, ...indexes: string[][]): IndexPlan | undefined =>
  planQuery(compileQuery(query), indexes)

describe('planQuery', () => {
  it('takes the index with most leading fields bound, then the one with a range', () => {
    const indexes = [['due'], ['list'], ['list', 'due'], ['list', 'title', 'due']]
    const where = { list: 'a', due: { gt: 1 } }
    expect(plan({ where }, ...indexes)?.fields).toEqual(['list', 'due'])
    expect(plan({ where: { ...where, title: 'x' } }, ...indexes)?.fields).toEqual(indexes[3])
    expect(plan({ where: { due: { lt: 3 } } }, ...indexes)?.fields).toEqual(['due'])
  })

  it('has none for what no index leads with, for a function, and for all in any order', () => {
    expect(plan({ where: { due: 1 } }, ['list', 'due'])).toBeUndefined()
    expect(plan({ where: () => true }, ['list'])).toBeUndefined()
    expect(plan({ where: { list: { ne: 'a' } } }, ['list'])).toBeUndefined()
    expect(plan({ orderBy: 'list' }, ['list'])).toBeUndefined()
    expect(plan({ limit: 3 }, ['list'])).toBeUndefined()
  })

  it('serves an order with a limit, past fields that can have one value only', () => {
    expect(plan({ orderBy: 'due', limit: 3 }, ['due'])?.walk).toEqual({
      depth: 1,
      direction: 'asc',
    })
    const where = { list: 'a' }
    expect(plan({ where, orderBy: { due: 'desc' } }, ['list', 'due'])?.walk).toEqual({
      depth: 2,
      direction: 'desc',
    })
    expect(plan({ where, orderBy: 'due' }, ['list', 'due', 'title'])?.walk?.depth).toBe(2)
    expect(plan({ where, orderBy: { list: 'desc', due: 'asc' } }, ['list', 'due'])?.walk).toEqual({
      depth: 2,
      direction: 'asc',
    })
    expect(plan({ where }, ['list', 'due'])?.walk).toEqual({ depth: 1, direction: 'asc' })
  })

  it('serves no order of two directions, nor one that runs across its intervals', () => {
    const where = { list: { in: ['a', 'b'] } }
    const mixed = { list: 'asc', due: 'desc' } as const
    expect(plan({ where, orderBy: mixed }, ['list', 'due'])?.walk).toBeUndefined()
    expect(plan({ where, orderBy: 'due' }, ['list', 'due'])?.walk).toBeUndefined()
    expect(plan({ where }, ['list'])?.walk).toBeUndefined()
    const along = plan({ where, orderBy: { list: 'asc', due: 'asc' } }, ['list', 'due'])
    expect(along?.walk).toEqual({ depth: 2, direction: 'asc' })
  })

  it('makes an interval of every combination, in order, up to a bound', () => {
    const where = { list: { in: ['b', 'a', 'b'] }, due: { in: [2, 1] } }
    const { intervals = [] } = plan({ where }, ['list', 'due']) ?? {}
    expect(intervals.map(({ lower }) => lower.values)).toEqual([
      ['a', 1],
      ['a', 2],
      ['b', 1],
      ['b', 2],
    ])
    const many = { in: Array.from({ length: 40 }, (_, i) => i) }
    const wide = { list: { in: many.in.map(String) }, due: many }
    expect(plan({ where: wide }, ['list', 'due'])?.intervals).toHaveLength(40)
    expect(plan({ where: { list: { in: [] } } }, ['list'])?.intervals).toEqual([])
  })

  it('ends a range of one bound where its kind does, and a prefix where its texts do', () => {
    expect(plan({ where: { due: { gte: 3 } } }, ['due'])?.intervals).toEqual([
      { lower: { values: [3], side: -1 }, upper: { values: [], kind: 4, side: 1 } },
    ])
    const twice = { gt: 1, gte: 3, lte: 9, lt: 9 }
    expect(plan({ where: { due: twice } }, ['due'])?.intervals).toEqual([
      { lower: { values: [3], side: -1 }, upper: { values: [9], side: -1 } },
    ])
    expect(plan({ where: { title: { startsWith: 'ab' } } }, ['title'])?.intervals).toEqual([
      { lower: { values: ['ab'], side: -1 }, upper: { values: ['ac'], side: -1 } },
    ])
    expect(plan({ where: { title: { startsWith: '\uffff' } } }, ['title'])?.intervals).toEqual([
      { lower: { values: ['\uffff'], side: -1 }, upper: { values: [], kind: 5, side: 1 } },
    ])
  })
})
