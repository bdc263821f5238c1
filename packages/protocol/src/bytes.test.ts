/** Byte strings: their order, and text forms of which each byte string has exactly one. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compareBytes,
  concat,
  decodeUint32,
  decodeUint64,
  decodeUtf8,
  encodeUint32,
  encodeUint64,
  encodeUtf8,
  equalBytes,
  equalBytesConstantTime,
  formatBase64Url,
  formatHex,
  parseBase64Url,
} from './bytes.ts'

const numRuns = process.env.SLOW === '1' ? 5_000 : 300
const bytes = fc.uint8Array({ maxLength: 40 })
const malformed = expect.objectContaining({ code: 'malformed' })

describe('concat', () => {
  it('joins what Buffer.concat joins, into bytes of its own', () => {
    fc.assert(
      fc.property(fc.array(bytes), (parts) => {
        expect(concat(...parts)).toEqual(new Uint8Array(Buffer.concat(parts)))
      }),
      { numRuns },
    )
    const only = Uint8Array.of(1)
    expect(concat(only)).not.toBe(only)
  })
})

describe('compareBytes', () => {
  it('orders as Buffer.compare does, a prefix first', () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b))
        expect(equalBytes(a, b)).toBe(Buffer.compare(a, b) === 0)
        expect(equalBytesConstantTime(a, b)).toBe(equalBytes(a, b))
        expect(equalBytesConstantTime(a, a.slice())).toBe(true)
      }),
      { numRuns },
    )
    expect(compareBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBeLessThan(0)
  })
})

describe('formatHex', () => {
  it('spells as Buffer does', () => {
    fc.assert(
      fc.property(bytes, (a) => {
        expect(formatHex(a)).toBe(Buffer.from(a).toString('hex'))
      }),
      { numRuns },
    )
  })
})

describe('parseBase64Url', () => {
  it('undoes formatBase64Url, which spells as Buffer does', () => {
    fc.assert(
      fc.property(bytes, (a) => {
        expect(formatBase64Url(a)).toBe(Buffer.from(a).toString('base64url'))
        expect(parseBase64Url(formatBase64Url(a))).toEqual(a)
      }),
      { numRuns },
    )
  })

  it('takes only the one spelling of each byte string', () => {
    const text = fc.string({
      unit: fc.constantFrom(...'ABab09-_+/= \n'),
      maxLength: 12,
    })
    fc.assert(
      fc.property(text, (spelling) => {
        const outcome = attempt(() => parseBase64Url(spelling))
        if (outcome !== undefined) expect(formatBase64Url(outcome)).toBe(spelling)
      }),
      { numRuns: numRuns * 4 },
    )
  })

  it.each([
    ['one character too many', 'AAAAA'],
    ['padding', 'AA=='],
    ['stray bits after one byte', 'AB'],
    ['stray bits after two bytes', 'AAB'],
    ['the other alphabet', '+/+/'],
    ['a space', 'AA A'],
    ['a character outside the plane', 'AA\u{1f600}A'],
  ])('refuses %s', (_name, text) => {
    expect(() => parseBase64Url(text)).toThrowError(malformed)
  })
})

function attempt<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}

describe('decodeUtf8', () => {
  it('undoes encodeUtf8, a byte order mark included', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(decodeUtf8(encodeUtf8(text))).toBe(text)
      }),
      { numRuns },
    )
    expect(decodeUtf8(encodeUtf8('\ufeffa'))).toBe('\ufeffa')
  })

  it.each([
    ['overlong', 'c080'],
    ['half a surrogate pair', 'eda080'],
    ['cut short', 'e282'],
    ['a lone continuation', '80'],
    ['beyond Unicode', 'f4908080'],
  ])('refuses what is %s', (_name, hex) => {
    expect(() => decodeUtf8(Buffer.from(hex, 'hex'))).toThrowError(malformed)
  })
})

describe('encodeUint64', () => {
  it('is big-endian and undone by decodeUint64, anywhere in other bytes', () => {
    const values = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1))
    fc.assert(
      fc.property(values, bytes, (value, before) => {
        const encoded = encodeUint64(value)
        expect(Buffer.from(encoded).readBigUInt64BE()).toBe(BigInt(value))
        expect(decodeUint64(encoded)).toBe(value)
        expect(decodeUint64(concat(before, encoded), before.length)).toBe(value)
      }),
      { numRuns },
    )
  })

  it('refuses to read what a number cannot hold', () => {
    expect(() => decodeUint64(Buffer.from('0020000000000000', 'hex'))).toThrowError(malformed)
    expect(() => decodeUint64(new Uint8Array(8).fill(0xff))).toThrowError(malformed)
    expect(() => decodeUint64(new Uint8Array(7))).toThrowError(malformed)
    expect(() => decodeUint64(new Uint8Array(9), 2)).toThrowError(malformed)
  })
})

describe('encodeUint32', () => {
  it('is big-endian and undone by decodeUint32', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 32 - 1 }), (value) => {
        expect(Buffer.from(encodeUint32(value)).readUInt32BE()).toBe(value)
        expect(decodeUint32(concat(Uint8Array.of(9), encodeUint32(value)), 1)).toBe(value)
      }),
      { numRuns },
    )
  })
})
