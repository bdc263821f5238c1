/** The codes of the policies, and what an app's own resolver may and may not do. */
import type { Fields } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { type CustomPolicy, parsePolicyCode, policyCode, resolveCustom } from './conflict-policy.ts'

const SIDES = { base: { n: 1 }, local: { n: 2, list: [1] }, remote: { n: 3 }, key: 'k' }

describe('policyCode', () => {
  it('is stored, and so never changes', () => {
    expect(policyCode('lww')).toBe(0)
    expect(policyCode('merge')).toBe(1)
    expect(policyCode({ custom: () => null })).toBe(2)
    expect(policyCode('manual')).toBe(3)
    expect([0, 1, 2, 3].map(parsePolicyCode)).toEqual(['lww', 'merge', 'custom', 'manual'])
  })

  it.each([undefined, null, 'custom', 'LWW', '', 1, {}, { custom: 'f' }, [], () => null])(
    'is undefined for %s',
    (wrong) => {
      expect(policyCode(wrong)).toBeUndefined()
    },
  )

  it.each([-1, 4, 0.5, Number.NaN])('names no policy for %d', (code) => {
    expect(parsePolicyCode(code)).toBeUndefined()
  })
})

describe('resolveCustom', () => {
  const resolve = (custom: unknown, sides = SIDES as Parameters<typeof resolveCustom>[1]) =>
    resolveCustom({ custom } as CustomPolicy<Fields>, sides)

  it('gives the function all sides, deleted and unknown ones included', () => {
    const seen: unknown[] = []
    const sides = [
      SIDES,
      { base: undefined, local: null, remote: {}, key: '' },
      { ...SIDES, base: null },
    ]
    const noting = (given: unknown): null => {
      seen.push(given)
      return null
    }
    for (const each of sides) resolve(noting, each)
    expect(seen).toStrictEqual(sides)
  })

  it('takes fields, and null for a deletion', () => {
    const result = { d: new Date(0), b: Uint8Array.of(1), z: -0, n: null }
    expect(resolve(() => result)).toStrictEqual({ type: 'resolved', fields: result })
    expect(resolve(() => ({}))).toEqual({ type: 'resolved', fields: {} })
    expect(resolve(() => null)).toEqual({ type: 'resolved', fields: null })
  })

  it('copies what goes in and what comes out', () => {
    let answer: { list?: number[] } = {}
    const resolution = resolve(({ local }: { local: { list: number[] } }) => {
      local.list.push(2)
      answer = local
      return local
    })
    answer.list?.push(3)
    expect(resolution).toEqual({ type: 'resolved', fields: { n: 2, list: [1, 2] } })
    expect(SIDES.local.list).toEqual([1])
  })

  it.each<[string, () => unknown, string]>([
    ['nothing', () => undefined, 'nothing'],
    ['a text', () => 'x', 'string'],
    ['a list', () => [], 'list'],
    ['bytes', () => new Uint8Array(1), 'bytes'],
    ['a date', () => new Date(), 'date'],
    ['a promise', async () => ({}), 'promise'],
    ['a promise that fails', () => Promise.reject(new Error('later')), 'promise'],
    ['a function among the fields', () => ({ f: () => 1 }), 'fields.f'],
    ['an instance of a class', () => new Map(), 'Map'],
  ])('fails with the reason for %s', (_, custom, reason) => {
    const resolution = resolve(custom)
    expect(resolution).toEqual({ type: 'failed', reason: expect.stringContaining(reason) })
  })

  it.each<[string, unknown, string]>([
    ['an error', new Error('no stock left'), 'no stock left'],
    ['an error without a message', new Error(''), 'without a message'],
    ['a text', 'no', 'no'],
    ['nothing', undefined, 'undefined'],
    ['what has no text', Object.create(null), 'no text'],
    ['a text without end', 'x'.repeat(10_000), 'x'.repeat(500)],
  ])('fails with the reason when %s is thrown', (_, thrown, reason) => {
    const resolution = resolve(() => {
      throw thrown
    })
    expect(resolution).toEqual({ type: 'failed', reason: expect.stringContaining(reason) })
    expect((resolution as { reason: string }).reason.length).toBeLessThanOrEqual(500)
  })
})
