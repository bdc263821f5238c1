/**
 * Chain, digests and fingerprint: one history, one chain; one set, one fingerprint, in any order.
 */

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, encodeUtf8 } from './bytes.ts'
import { parseTimestamp } from './hlc.ts'
import { type Hash, parseHash, parseRecordId, parseVaultId } from './ids.ts'
import {
  chainNext,
  chainStart,
  encodePair,
  Fingerprint,
  keychainDigest,
  transactionDigest,
} from './log.ts'

const numRuns = process.env.SLOW === '1' ? 5_000 : 200
const nodeSha256 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest())

const pair = fc.uint8Array({ minLength: 32, maxLength: 32 })
const hash = pair.map(parseHash)
const pairs = fc.array(pair, { maxLength: 20 })
const shuffled = pairs.chain((list) =>
  fc.tuple(
    fc.constant(list),
    fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length }),
  ),
)

describe('chainStart and chainNext', () => {
  it('are what log.ts says, reckoned with another SHA-256', () => {
    fc.assert(
      fc.property(hash, hash, (id, digest) => {
        const vaultId = parseVaultId(id)
        const start = nodeSha256(concat(encodeUtf8('blindcopy.chain.v1'), vaultId))
        expect(chainStart(vaultId)).toEqual(start)
        expect(chainNext(chainStart(vaultId), digest)).toEqual(nodeSha256(concat(start, digest)))
      }),
      { numRuns },
    )
  })

  it('tell apart two orders of the same digests', () => {
    fc.assert(
      fc.property(hash, hash, hash, (start, a, b) => {
        fc.pre(Buffer.compare(a, b) !== 0)
        const ab = chainNext(chainNext(start, a), b)
        expect(chainNext(chainNext(start, b), a)).not.toEqual(ab)
      }),
      { numRuns },
    )
  })
})

describe('transactionDigest', () => {
  it('does not depend on the order of the pairs, and leaves their list alone', () => {
    fc.assert(
      fc.property(shuffled, ([list, other]) => {
        const before = [...list]
        expect(transactionDigest(list)).toEqual(transactionDigest(other))
        expect(list).toEqual(before)
      }),
      { numRuns },
    )
  })

  it('is SHA-256 of the kind and the sorted pairs', () => {
    fc.assert(
      fc.property(pairs, (list) => {
        const sorted = [...list].sort(Buffer.compare)
        expect(transactionDigest(list)).toEqual(nodeSha256(concat(Uint8Array.of(1), ...sorted)))
      }),
      { numRuns },
    )
  })

  it('changes with every pair', () => {
    fc.assert(
      fc.property(pairs, pair, (list, more) => {
        expect(transactionDigest([...list, more])).not.toEqual(transactionDigest(list))
      }),
      { numRuns },
    )
  })

  it('is never the digest of a keychain append of the same bytes', () => {
    fc.assert(
      fc.property(pairs, (list) => {
        expect(transactionDigest(list)).not.toEqual(keychainDigest(list as Hash[]))
      }),
      { numRuns },
    )
  })
})

describe('keychainDigest', () => {
  it('is SHA-256 of the kind and the entry hashes in their order', () => {
    fc.assert(
      fc.property(fc.array(hash, { maxLength: 5 }), (hashes) => {
        expect(keychainDigest(hashes)).toEqual(nodeSha256(concat(Uint8Array.of(2), ...hashes)))
      }),
      { numRuns },
    )
  })
})

function fingerprintOf(list: readonly Uint8Array[]): Uint8Array {
  const fingerprint = new Fingerprint()
  for (const one of list) fingerprint.add(one)
  return fingerprint.toBytes()
}

describe('Fingerprint', () => {
  it('is the sum modulo 2^128 of the first halves of the hashes', () => {
    fc.assert(
      fc.property(pairs, (list) => {
        let sum = 0n
        for (const one of list) {
          sum += BigInt(`0x${Buffer.from(nodeSha256(one).subarray(0, 16)).toString('hex')}`)
        }
        const hex = (sum % 2n ** 128n).toString(16).padStart(32, '0')
        expect(Buffer.from(fingerprintOf(list)).toString('hex')).toBe(hex)
      }),
      { numRuns },
    )
  })

  it('does not depend on the order', () => {
    fc.assert(
      fc.property(shuffled, ([list, other]) => {
        expect(fingerprintOf(list)).toEqual(fingerprintOf(other))
      }),
      { numRuns },
    )
  })

  it('forgets by remove what add told it, also below zero', () => {
    const start = fc.uint8Array({ minLength: 16, maxLength: 16 })
    fc.assert(
      fc.property(start, shuffled, ([...bytes], [list, other]) => {
        const fingerprint = new Fingerprint(Uint8Array.from(bytes))
        for (const one of list) fingerprint.remove(one)
        for (const one of other) fingerprint.add(one)
        expect(fingerprint.toBytes()).toEqual(Uint8Array.from(bytes))
        for (const one of list) fingerprint.add(one)
        for (const one of other) fingerprint.remove(one)
        expect(fingerprint.toBytes()).toEqual(Uint8Array.from(bytes))
      }),
      { numRuns },
    )
  })

  it('carries and borrows through every lane', () => {
    for (const fill of [0x00, 0xff]) {
      const start = new Uint8Array(16).fill(fill)
      const fingerprint = new Fingerprint(start)
      const one = encodePair(parseRecordId(new Uint8Array(16)), parseTimestamp(new Uint8Array(16)))
      for (let i = 0; i < 1_000; i++) fingerprint.add(one)
      for (let i = 0; i < 1_000; i++) fingerprint.remove(one)
      expect(fingerprint.toBytes()).toEqual(start)
    }
  })

  it('goes on from its bytes, and keeps none of them', () => {
    fc.assert(
      fc.property(pairs, pairs, (first, second) => {
        const bytes = fingerprintOf(first)
        const resumed = new Fingerprint(bytes)
        bytes.fill(0)
        for (const one of second) resumed.add(one)
        expect(resumed.toBytes()).toEqual(fingerprintOf([...first, ...second]))
      }),
      { numRuns },
    )
  })

  it('refuses bytes of another size', () => {
    for (const size of [0, 15, 17, 32]) {
      expect(() => new Fingerprint(new Uint8Array(size))).toThrowError(
        expect.objectContaining({ code: 'malformed' }),
      )
    }
  })
})
