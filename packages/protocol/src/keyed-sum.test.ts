/** A sum of hashes: the same for one set in any order, and what is taken away leaves no trace. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatHex } from './bytes.ts'
import { KeyedSum } from './keyed-sum.ts'

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 })
const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${formatHex(bytes)}`)
const MODULUS = 2n ** 256n

describe('KeyedSum', () => {
  it('is the sum modulo 2^256, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(hash, { maxLength: 30 }), (hashes) => {
        const forward = new KeyedSum()
        const backward = new KeyedSum()
        for (const one of hashes) forward.add(one)
        for (const one of hashes.toReversed()) backward.add(one)
        const total = hashes.reduce((sum, one) => (sum + numberOf(one)) % MODULUS, 0n)
        expect(numberOf(forward.toBytes())).toBe(total)
        expect(backward.toBytes()).toEqual(forward.toBytes())
      }),
    )
  })

  it('is as it was once what was added is taken away', () => {
    fc.assert(
      fc.property(hash, fc.array(hash, { maxLength: 10 }), (start, hashes) => {
        const sum = new KeyedSum(start)
        for (const one of hashes) sum.add(one)
        for (const one of hashes) sum.remove(one)
        expect(sum.toBytes()).toEqual(start)
      }),
    )
  })

  it('refuses another number of bytes', () => {
    expect(() => new KeyedSum(new Uint8Array(16))).toThrowError(
      expect.objectContaining({ code: 'malformed' }),
    )
  })
})
