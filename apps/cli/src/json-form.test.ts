/**
 * The JSON form: what is written is read back exactly, whatever a record holds.
 */
import type { Fields, Value } from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CliError } from './cli-error.ts'
import { formatJson, parseFields, readFields } from './json-form.ts'

const runs = { numRuns: process.env.SLOW ? 20_000 : 500 }

const leaf: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom<Value>(undefined, null, true, false, 0, -0, '', Number.NaN, 1e21, 2 ** 60),
  fc.constantFrom<Value>(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** 53, -(2 ** 63)),
  fc.double(),
  fc.bigInt(),
  fc.string({ unit: 'binary' }),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array({ maxLength: 40 }),
)
const name = fc.oneof(
  fc.constantFrom('$date', '$bytes', '$plain', '$number', '$undefined', '$', '__proto__', 'toJSON'),
  fc.string({ unit: 'binary', maxLength: 6 }),
)
const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    plainObject(tie('value')),
  ),
}))

function plainObject(of: fc.Arbitrary<Value>): fc.Arbitrary<Fields> {
  return fc.array(fc.tuple(name, of), { maxLength: 4 }).map((entries) => {
    // A definition: assigning to __proto__ would set the prototype.
    const object = {}
    for (const [key, field] of entries) {
      const own = { value: field, enumerable: true, configurable: true, writable: true }
      Object.defineProperty(object, key, own)
    }
    return object
  })
}

describe('the JSON form', () => {
  it('reads back what it wrote, for any fields', () => {
    fc.assert(
      fc.property(plainObject(value), (fields) => {
        const text = formatJson(fields)
        const back = parseFields(text)
        expect(back).toStrictEqual(fields)
        // Equality above takes 0 for -0 within some containers; the text does not.
        expect(formatJson(back)).toBe(text)
      }),
      runs,
    )
  })

  it('is one line of JSON', () => {
    fc.assert(
      fc.property(value, (any) => {
        const text = formatJson(any)
        expect(text).not.toContain('\n')
        JSON.parse(text)
      }),
      runs,
    )
  })

  it.each<[Value, string]>([
    [new Date(0), '{"$date":"1970-01-01T00:00:00.000Z"}'],
    [Uint8Array.of(104, 105), '{"$bytes":"aGk="}'],
    [12_345_678_901_234_567_890n, '{"$bigint":"12345678901234567890"}'],
    [undefined, '{"$undefined":true}'],
    [-0, '{"$number":"-0"}'],
    [{ $date: 'mine' }, '{"$plain":{"$date":"mine"}}'],
    [{ $date: 'mine', b: 1 }, '{"$date":"mine","b":1}'],
    [{ $plain: { $plain: 1 } }, '{"$plain":{"$plain":{"$plain":{"$plain":1}}}}'],
  ])('writes %o as %s', (any, text) => {
    expect(formatJson(any)).toBe(text)
    expect(readFields({ any: JSON.parse(text) })).toStrictEqual({ any })
  })
})

describe('parseFields', () => {
  it.each([
    ['', 'not JSON'],
    ['{"a":1', 'not JSON'],
    ['[1]', 'with fields'],
    ['null', 'with fields'],
    ['{"$date":"2026-01-01"}', 'with fields'],
    ['{"a":{"$date":"yesterday"}}', 'fields.a: a $date'],
    ['{"a":{"$date":"2026-01-01T10:00"}}', 'fields.a: a $date'],
    ['{"a":[{"$bytes":"a-_="}]}', 'fields.a[0]: $bytes'],
    ['{"a":{"$bigint":12}}', '$bigint'],
    ['{"a":{"$number":"12"}}', '$number'],
    ['{"a":{"$undefined":false}}', '$undefined'],
    ['{"a":{"$plain":[]}}', '$plain'],
    ['{"a":{"$other":1}}', 'write {"$plain":{"$other":…}}'],
    ['{"a":12345678901234567890}', 'write {"$bigint":"12345678901234567890"}'],
    ['{"a":9007199254740993}', 'would be rounded'],
  ])('refuses %s', (text, sentence) => {
    expect(() => parseFields(text)).toThrow(CliError)
    expect(() => parseFields(text)).toThrow(sentence)
  })

  it('takes numbers that are exact, and digits inside texts', () => {
    const text = '{"a":9007199254740992,"b":"12345678901234567890","c":1152921504606847000}'
    expect(parseFields(text)).toEqual({
      a: 2 ** 53,
      b: '12345678901234567890',
      c: 2 ** 60,
    })
    expect(parseFields('{"a":0.12345678901234567890}')).toEqual({ a: 0.12345678901234568 })
  })

  it('repeats nothing of a text that is not JSON', () => {
    expect(() => parseFields('{"secret": canary}')).toThrow(/^(?!.*(secret|canary))/s)
  })
})
