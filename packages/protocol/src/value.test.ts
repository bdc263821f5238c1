/** What fields may hold comes back exactly; what they may not is refused with the path to it. */

import { deepStrictEqual } from 'node:assert'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeValue, encodeValue, type Value } from './value.ts'

const numRuns = process.env.SLOW === '1' ? 20_000 : 500

const key = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.nat({ max: 20 }).map(String),
  fc.constantFrom(
    '__proto__',
    'constructor',
    'prototype',
    'hasOwnProperty',
    'toString',
    'length',
    'size',
    'then',
    '',
  ),
)
const { value } = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(null, undefined, true, false, 0, -0, Number.NaN, 2 ** 53, -(2 ** 63)),
    fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MIN_VALUE),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.bigInt(),
    fc.bigInt({ min: -(2n ** 66n), max: 2n ** 66n }),
    fc.bigInt({ min: -(2n ** 2_000n), max: 2n ** 2_000n }),
    fc.string({ unit: 'grapheme', maxLength: 300 }),
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.date({ noInvalidDate: true }),
  ),
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    fc.array(tie('value'), { maxLength: 30 }),
    fc.dictionary(key, tie('value'), { maxKeys: 30 }),
  ),
}))

describe('decodeValue', () => {
  it('undoes encodeValue', () => {
    fc.assert(
      fc.property(value, (fields) => {
        deepStrictEqual(decodeValue(encodeValue(fields)), plain(fields))
      }),
      { numRuns },
    )
  })

  it.each<[string, unknown]>([
    ['minus zero', -0],
    ['minus zero among others', { a: [0, -0, { b: -0 }] }],
    ['not a number', { a: Number.NaN }],
    ['small bigints', [0n, 1n, -1n, 5n, 255n, -256n]],
    ['bigints around 64 bits', [2n ** 64n - 1n, 2n ** 64n, -(2n ** 64n), -(2n ** 64n) - 1n]],
    ['bigints around 53 bits', [2n ** 53n, -(2n ** 53n)]],
    ['a bigint of 20,000 bits', 2n ** 20_000n + 1n],
    ['integers around 32 bits', [2 ** 31, 2 ** 32 - 1, 2 ** 32, -(2 ** 31), -(2 ** 32)]],
    ['the first and the last date', [new Date(-8.64e15), new Date(8.64e15), new Date(0)]],
    ['a date before the year 0', new Date('-000001-01-01T00:00:00.000Z')],
    ['a key called __proto__', JSON.parse('{"__proto__":{"a":1},"b":2}')],
    ['a key called __proto__ beside a date', { ['__proto__']: new Date(5), a: -0 }],
    ['numeric keys', { 10: 'a', 9: 'b', 1: 'c' }],
    ['an empty key', { '': '', a: { '': null } }],
    ['undefined', { a: undefined, b: [undefined] }],
    ['nothing but undefined', undefined],
    ['empty containers', { a: [], b: {}, c: new Uint8Array(), d: '' }],
    ['a field called constructor', { constructor: null }],
    ['a field called toJSON', { toJSON: 'text' }],
    ['a lone U+FFFD', 'a \ufffd, honestly meant, and long enough'],
    ['a byte order mark', '\ufeffa'],
    ['text outside the first plane', { '\u{1f600}': '\u{1f600}'.repeat(100) }],
    ['300 fields', Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`f${i}`, i]))],
    ['70,000 characters of three bytes', '\u20ac'.repeat(70_000)],
  ])('gives back %s', (_name, fields) => {
    deepStrictEqual(decodeValue(encodeValue(fields)), fields)
  })

  it('gives an object without a prototype back as a plain one', () => {
    const fields = Object.assign(Object.create(null), { a: -0, b: [1] })
    deepStrictEqual(decodeValue(encodeValue(fields)), { a: -0, b: [1] })
  })

  it('gives what later decodes do not share', () => {
    const bytes = encodeValue({ list: [1], bytes: Uint8Array.of(1, 2), when: new Date(0), in: {} })
    const kept = bytes.slice()
    const first = decodeValue(bytes) as {
      list: number[]
      bytes: Uint8Array
      when: Date
      in: Record<string, Value>
    }
    first.list.push(2)
    first.bytes.fill(9)
    first.when.setTime(5)
    first.in.more = true
    expect(bytes).toEqual(kept)
    deepStrictEqual(decodeValue(bytes), {
      list: [1],
      bytes: Uint8Array.of(1, 2),
      when: new Date(0),
      in: {},
    })
  })

  it('gives arrays of a subclass and of another realm back as plain ones', () => {
    class Tags extends Array<string> {}
    const foreign = runInNewContext('["c", [-0], new Array()]')
    const bytes = encodeValue({ tags: Tags.of('a', 'b'), foreign })
    deepStrictEqual(decodeValue(bytes), { tags: ['a', 'b'], foreign: ['c', [-0], []] })
    expect(() => encodeValue({ tags: new Tags(2) })).toThrowError(/^fields\.tags\[0\]/)
  })

  it('gives what outlives the bytes it was read from', () => {
    const bytes = encodeValue({ text: 'kept', bytes: Uint8Array.of(1, 2) })
    const fields = decodeValue(bytes)
    bytes.fill(0)
    deepStrictEqual(fields, { text: 'kept', bytes: Uint8Array.of(1, 2) })
  })
})

/** fast-check makes objects without a prototype too; those come back as plain ones. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array || value instanceof Date) return value
  const fields: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(value)) {
    Object.defineProperty(fields, name, {
      value: plain(field),
      enumerable: true,
      configurable: true,
      writable: true,
    })
  }
  return fields
}

describe('encodeValue', () => {
  class Point {
    x = 1
  }
  const cycle: unknown[] = []
  cycle.push(cycle)

  it.each<[string, unknown, string]>([
    ['a function', { a: () => 1 }, 'fields.a'],
    ['a symbol', { a: [Symbol('s')] }, 'fields.a[0]'],
    ['half a surrogate pair', { a: { b: '\ud800' } }, 'fields.a.b'],
    ['half a surrogate pair in a list', ['ok', 'x\udc00'], 'fields[1]'],
    ['half a surrogate pair in a key', { a: { '\ud800': 1 } }, 'fields.a'],
    ['an invalid date', { when: new Date(Number.NaN) }, 'fields.when'],
    ['a hole in an array', { tags: Object.assign(new Array(3), { 0: 1, 2: 3 }) }, 'fields.tags[1]'],
    ['a hole at the end', { tags: new Array(2) }, 'fields.tags[0]'],
    ['a symbol as a key', { a: { [Symbol('s')]: 1 } }, 'fields.a'],
    ['an instance of a class', { at: new Point() }, 'fields.at'],
    ['a Map', { a: new Map() }, 'fields.a'],
    ['a Set', [new Set()], 'fields[0]'],
    ['a RegExp', { a: /x/ }, 'fields.a'],
    ['an Error', { a: new Error('x') }, 'fields.a'],
    ['a promise', { a: Promise.resolve() }, 'fields.a'],
    ['a boxed string', { a: new String('x') }, 'fields.a'],
    ['another typed array', { a: new Uint16Array(2) }, 'fields.a'],
    ['an ArrayBuffer', { a: new ArrayBuffer(2) }, 'fields.a'],
    ['a DataView', { a: new DataView(new ArrayBuffer(2)) }, 'fields.a'],
    ['a method called toJSON', { a: { toJSON: () => 'x' } }, 'fields.a.toJSON'],
  ])('refuses %s and says where', (_name, fields, path) => {
    expect(() => encodeValue(fields)).toThrowError(
      expect.objectContaining({ code: 'not-carried', details: { path } }),
    )
  })

  it('refuses a cycle, and names a path inside it', () => {
    expect(() => encodeValue(cycle)).toThrowError(expect.objectContaining({ code: 'not-carried' }))
    const self: Record<string, unknown> = {}
    self.a = { b: self }
    expect(() => encodeValue(self)).toThrowError(/^fields\.a\.b\.a\.b/)
  })

  it('takes what decodeValue takes, even inside the list that a record is', () => {
    const nested = (levels: number) => {
      let fields: Value = 1
      for (let i = 0; i < levels; i++) fields = i % 2 === 0 ? [fields] : { a: fields }
      return fields
    }
    const deepest = nested(62)
    deepStrictEqual(decodeValue(encodeValue(deepest)), deepest)
    expect(() => encodeValue(nested(63))).toThrowError(
      expect.objectContaining({ code: 'not-carried' }),
    )
  })

  it('does not change what it is given', () => {
    const fields = Object.freeze({ a: -0, list: Object.freeze([new Date(0), -0]) })
    encodeValue(fields)
    deepStrictEqual(fields, { a: -0, list: [new Date(0), -0] })
  })

  it('names the place by the path it is given', () => {
    expect(() => encodeValue([() => 1], 'record')).toThrowError(/^record\[0\] holds a function/)
  })
})
