/**
 * Decoding hostile bytes. The goal is one law: whatever comes in, the outcome is a value or a
 * ProtocolError 'malformed', soon. Plain random bytes rarely get past the first one, so most inputs
 * here are good encodings, broken in a way that knows their structure.
 */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, encodeUint32, encodeUtf8 } from './bytes.ts'
import { decodeCbor, decodeFieldsCbor, encodeCbor } from './codec.ts'
import { ProtocolError } from './error.ts'
import { MESSAGE_ITEMS_MAX, NESTING_MAX } from './limits.ts'
import { encodeValue } from './value.ts'

const numRuns = process.env.SLOW === '1' ? 20_000 : 500
const malformed = expect.objectContaining({ code: 'malformed' })
const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))
const decoders = [decodeCbor, decodeFieldsCbor]

/**
 * Runs both decoders; returns what came out. Anything but a value or `malformed` fails the test.
 */
function outcomes(bytes: Uint8Array): unknown[] {
  return decoders.map((decode) => {
    try {
      return { value: decode(bytes) }
    } catch (error) {
      if (!(error instanceof ProtocolError) || error.code !== 'malformed') throw error
      return 'malformed'
    }
  })
}

const key = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', '0', '', 'toJSON'))
const { value } = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(null, undefined, true, false, -0, Number.NaN),
    fc.integer(),
    fc.double(),
    fc.bigInt(),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array({ maxLength: 40 }),
    fc.date({ noInvalidDate: true }),
  ),
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5 }),
  ),
}))
const encoding = value.map((fields) => encodeValue(fields).slice())

describe('decodeFieldsCbor and decodeCbor', () => {
  it('give a value or malformed for arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        outcomes(bytes)
      }),
      { numRuns: numRuns * 4 },
    )
  })

  it('refuse every truncation of an encoding', () => {
    fc.assert(
      fc.property(encoding, (bytes) => {
        for (let size = 0; size < bytes.length; size++) {
          expect(outcomes(bytes.subarray(0, size))).toEqual(['malformed', 'malformed'])
        }
      }),
      { numRuns: numRuns / 5 },
    )
  })

  it('refuse anything behind the end', () => {
    fc.assert(
      fc.property(encoding, fc.uint8Array({ minLength: 1, maxLength: 3 }), (bytes, more) => {
        expect(outcomes(concat(bytes, more))).toEqual(['malformed', 'malformed'])
      }),
      { numRuns },
    )
  })

  it('give a value or malformed for bit flips and overwritten bytes', () => {
    const change = fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }), isFlip: fc.boolean() })
    const changes = fc.array(change, { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(encoding, changes, (bytes, list) => {
        for (const { at, byte, isFlip } of list) {
          const place = at % bytes.length
          bytes[place] = isFlip ? (bytes[place] ?? 0) ^ (1 << (byte & 7)) : byte
        }
        outcomes(bytes)
      }),
      { numRuns: numRuns * 4 },
    )
  })

  it('give a value or malformed for pieces of encodings joined at random', () => {
    const piece = fc.oneof(
      encoding,
      fc
        .constantFrom('9f', 'bf', 'ff', '5f', '7f', 'c0', 'c2', 'd9b11d', '61', '9a', 'bb')
        .map(fromHex),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
        outcomes(concat(...pieces))
      }),
      { numRuns: numRuns * 2 },
    )
  })

  it.each([
    ['bytes', '5a'],
    ['text', '7a'],
    ['an array', '9a'],
    ['a map', 'ba'],
  ])('refuse %s of a huge declared length without reserving room for it', (_name, head) => {
    for (const size of [2 ** 32 - 1, 2 ** 31, 2 ** 24]) {
      const bytes = concat(fromHex(head), encodeUint32(size), new Uint8Array(64))
      const before = process.memoryUsage().heapUsed
      expect(outcomes(bytes)).toEqual(['malformed', 'malformed'])
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(4_000_000)
    }
    const wide = (Number.parseInt(head, 16) + 1).toString(16)
    for (const size of ['ffffffffffffffff', '8000000000000000', '0000000100000000']) {
      expect(outcomes(fromHex(wide + size))).toEqual(['malformed', 'malformed'])
    }
  })

  it(`take ${NESTING_MAX} levels and refuse one more`, () => {
    const arrays = (levels: number) =>
      new Uint8Array(levels).fill(0x81, 0, levels - 1).fill(0x80, levels - 1)
    const maps = (levels: number) =>
      concat(...Array.from({ length: levels - 1 }, () => fromHex('a16161')), fromHex('a0'))
    for (const nested of [arrays, maps]) {
      for (const levels of [NESTING_MAX - 1, NESTING_MAX]) {
        for (const decode of decoders) expect(() => decode(nested(levels))).not.toThrow()
      }
      for (const levels of [NESTING_MAX + 1, 10_000]) {
        expect(outcomes(nested(levels))).toEqual(['malformed', 'malformed'])
      }
    }
  })

  it.each([
    ['nothing at all', ''],
    ['a key that comes twice', 'a2616101616102'],
    ['a key that comes twice as __proto__', 'a2695f5f70726f746f5f5f01695f5f70726f746f5f5f02'],
    ['a key that comes twice, once with a longer head', 'a261610178016102'],
    ['a key that is a number', 'a10102'],
    ['a key that is bytes', 'a1416102'],
    ['a key that is an array', 'a1800a'],
    ['a tagged key', 'a1c0616101'],
    ['indefinite bytes', '5f4101ff'],
    ['indefinite text', '7f6161ff'],
    ['an indefinite array', '9f01ff'],
    ['an indefinite map', 'bf616101ff'],
    ['a break alone', 'ff'],
    ['a reserved length', '1c'],
    ['another reserved length', '7e'],
    ['an unassigned simple value', 'f3'],
    ['a simple value in two bytes', 'f820'],
    ['a simple value that has a shorter form', 'f814'],
    ['text that is not UTF-8', '61ff'],
    ['text with an overlong character', '62c1a1'],
    ['long text with an overlong character', '6c6162636465666768696ac1a1'],
    ['text with half a surrogate pair', '63eda080'],
    ['text cut inside a character', '62e282'],
    ['a key that is not UTF-8', 'a161ff01'],
    ['__proto__ in an overlong spelling', 'a16ac19f5f70726f746f5f5f01'],
    ['tag 1, a time in seconds', 'c11a514b67b0'],
    ['tag 4, a decimal fraction', 'c48221196ab3'],
    ['tag 24, CBOR inside bytes', 'd818456449455446'],
    ['tag 28, shared values', 'd81c80'],
    ['tag 259, a map', 'd90103a0'],
    ['tag 51, packed values', 'd83383808080'],
    ['tag 57337, bundled text', 'd9dff982'],
    ['tag 55799, self-described', 'd9d9f700'],
    ['a tag of 64 bits', 'dbffffffffffffffff00'],
    ['a date of the wrong kind', 'c001'],
    ['a date that is none', 'c0617a'],
    ['a date without a time', 'c06a323032362d31312d3230'],
    ['a date with an offset', `c0${text('2026-11-20T10:00:00.000+01:00')}`],
    ['a date that does not exist', `c0${text('2026-02-30T10:00:00.000Z')}`],
    ['a date beyond the range', `c0${text('+275760-09-13T00:00:00.001Z')}`],
    ['a bigint of the wrong kind', 'c26161'],
    ['a tag on a tag', 'c2c24101'],
    ['a bigint cut short', 'c24201'],
    ['minus zero with another text', 'd9b11d6130'],
    ['minus zero of the wrong kind', 'd9b11d00'],
    ['a tag at the end', 'c2'],
  ])('refuse %s', (_name, hex) => {
    expect(outcomes(fromHex(hex))).toEqual(['malformed', 'malformed'])
  })

  it('leave Object.prototype alone', () => {
    const bytes = fromHex('a1695f5f70726f746f5f5fa1676865785f6b657901')
    for (const decode of decoders) {
      const decoded = decode(bytes)
      expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype)
      expect(Object.keys(decoded as object)).toEqual(['__proto__'])
    }
    expect('hex_key' in {}).toBe(false)
  })

  it('read every width of number that another encoder may choose', () => {
    const cases: readonly (readonly [string, number])[] = [
      ['1800', 0],
      ['190001', 1],
      ['1a00000001', 1],
      ['3863', -100],
      ['3affffffff', -(2 ** 32)],
      ['f90000', 0],
      ['f98000', -0],
      ['f93c00', 1],
      ['f97bff', 65_504],
      ['f90001', 2 ** -24],
      ['f9c400', -4],
      ['f97c00', Number.POSITIVE_INFINITY],
      ['f9fc00', Number.NEGATIVE_INFINITY],
      ['f97e00', Number.NaN],
      ['fa47c35000', 100_000],
      ['fb3ff199999999999a', 1.1],
    ]
    for (const [hex, number] of cases) {
      for (const decode of decoders) expect(decode(fromHex(hex))).toBe(number)
    }
  })
})

function text(content: string): string {
  return Buffer.concat([Uint8Array.of(0x78, content.length), encodeUtf8(content)]).toString('hex')
}

describe('decodeCbor', () => {
  it('undoes encodeCbor for what messages hold', () => {
    const plain = fc.oneof(
      fc.constantFrom(null, undefined, true, false),
      fc.maxSafeInteger(),
      fc.string({ unit: 'binary' }),
      fc.uint8Array(),
    )
    const message = fc.dictionary(fc.string(), fc.oneof(plain, fc.array(plain)))
    fc.assert(
      fc.property(message, (content) => {
        const decoded = decodeCbor(encodeCbor(content))
        expect(decoded).toEqual({ ...content })
      }),
      { numRuns },
    )
  })

  it('takes an integer of 64 bits as a number while a number can hold it', () => {
    expect(decodeCbor(fromHex('1b001fffffffffffff'))).toBe(Number.MAX_SAFE_INTEGER)
    expect(decodeCbor(fromHex('3b001ffffffffffffe'))).toBe(Number.MIN_SAFE_INTEGER)
    expect(() => decodeCbor(fromHex('1b0020000000000000'))).toThrowError(malformed)
    expect(() => decodeCbor(fromHex('3bffffffffffffffff'))).toThrowError(malformed)
  })

  it('takes as many items as a message may have and not one more, however short each is', () => {
    const listOf = (items: number) =>
      concat(Uint8Array.of(0x9a), encodeUint32(items), new Uint8Array(items).fill(0x80))
    expect(decodeCbor(listOf(MESSAGE_ITEMS_MAX - 1))).toHaveLength(MESSAGE_ITEMS_MAX - 1)
    expect(() => decodeCbor(listOf(MESSAGE_ITEMS_MAX))).toThrowError(malformed)
    expect(decodeFieldsCbor(listOf(MESSAGE_ITEMS_MAX))).toHaveLength(MESSAGE_ITEMS_MAX)
  })

  it('takes no tag at all', () => {
    for (const hex of [
      'c24101',
      'c34101',
      'd9b11d622d30',
      `c0${text('2026-11-20T10:00:00.000Z')}`,
    ]) {
      expect(() => decodeCbor(fromHex(hex))).toThrowError(malformed)
      expect(() => decodeFieldsCbor(fromHex(hex))).not.toThrow()
    }
  })

  it('gives byte strings as plain views, also onto a Buffer', () => {
    const bytes = Buffer.from('83410142020340', 'hex')
    const decoded = decodeCbor(bytes) as Uint8Array[]
    for (const part of decoded) expect(Object.getPrototypeOf(part)).toBe(Uint8Array.prototype)
    bytes[2] = 9
    expect(decoded[0]).toEqual(Uint8Array.of(9))
  })
})

describe('decodeFieldsCbor', () => {
  it('takes an integer of 64 bits as a bigint, however small', () => {
    expect(decodeFieldsCbor(fromHex('1b0000000000000005'))).toBe(5n)
    expect(decodeFieldsCbor(fromHex('3bffffffffffffffff'))).toBe(-(2n ** 64n))
  })

  it('reads a bigint of a megabyte at once', () => {
    const size = 1 << 20
    const bytes = concat(fromHex('c25a'), encodeUint32(size), new Uint8Array(size).fill(0xff))
    const start = performance.now()
    expect(decodeFieldsCbor(bytes)).toBe(2n ** BigInt(8 * size) - 1n)
    expect(performance.now() - start).toBeLessThan(5_000)
  })

  it('reads a bigint of no bytes, and one with leading zeros', () => {
    expect(decodeFieldsCbor(fromHex('c240'))).toBe(0n)
    expect(decodeFieldsCbor(fromHex('c340'))).toBe(-1n)
    expect(decodeFieldsCbor(fromHex('c2420001'))).toBe(1n)
  })
})
