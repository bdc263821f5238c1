/** The hash of whichever platform this runs on is the portable one, at any length. */
import { sha256 as portable } from '@noble/hashes/sha2.js'
import { describe, expect, it } from 'vitest'
import { formatHex } from './bytes.ts'
import { sha256 } from './hash.ts'

describe('sha256', () => {
  it('gives the digest of FIPS 180-4', () => {
    expect(formatHex(sha256(Uint8Array.of(0x61, 0x62, 0x63)))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    )
  })

  it('equals the portable one at any length, on a view too', () => {
    const bytes = Uint8Array.from({ length: 40_000 }, (_, i) => (i * 2_654_435_761) >>> 13)
    for (const length of [0, 1, 31, 32, 63, 64, 65, 255, 256, 1000, 32_768]) {
      const view = bytes.subarray(7, 7 + length)
      expect(sha256(view)).toEqual(portable(view))
    }
  })
})
