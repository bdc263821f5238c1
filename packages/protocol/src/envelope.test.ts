/** The layout of an envelope, what is refused without a key, and how much a length may tell. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, encodeUtf8 } from './bytes.ts'
import {
  ENVELOPE_BOUND_BYTES,
  ENVELOPE_HEADER_BYTES,
  encodeBoundHeader,
  envelopeAssociatedData,
  envelopeCiphertext,
  envelopeEpoch,
  envelopeNonce,
  envelopePair,
  envelopeRecordId,
  envelopeTimestamp,
  isTombstone,
  PADDED_BYTES_MIN,
  paddedSize,
  parseEnvelope,
  TAG_BYTES,
} from './envelope.ts'
import { parseTimestamp } from './hlc.ts'
import { parseRecordId, parseVaultId } from './ids.ts'
import { ENVELOPE_BYTES_MAX } from './limits.ts'

const numRuns = process.env.SLOW === '1' ? 5_000 : 300
const BYTES_MIN = ENVELOPE_HEADER_BYTES + PADDED_BYTES_MIN + TAG_BYTES

const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
const header = fc.record({
  tombstone: fc.boolean(),
  epoch: fc.integer({ min: 1, max: 0xffff_ffff }),
  recordId: bytes(16).map(parseRecordId),
  timestamp: bytes(16).map(parseTimestamp),
})

/** Well-formed but for what `change` does to it. */
function envelopeBytes(size = BYTES_MIN, change: (bytes: Uint8Array) => void = () => {}) {
  const envelope = new Uint8Array(size)
  envelope[0] = 1
  envelope[5] = 1
  change(envelope)
  return envelope
}

describe('parseEnvelope', () => {
  it('finds each field where the layout has it', () => {
    fc.assert(
      fc.property(header, bytes(24), bytes(300), (parts, nonce, ciphertext) => {
        const envelope = parseEnvelope(concat(encodeBoundHeader(parts), nonce, ciphertext))
        expect(isTombstone(envelope)).toBe(parts.tombstone)
        expect(envelopeEpoch(envelope)).toBe(parts.epoch)
        expect(envelopeRecordId(envelope)).toEqual(parts.recordId)
        expect(envelopeTimestamp(envelope)).toEqual(parts.timestamp)
        expect(envelopePair(envelope)).toEqual(concat(parts.recordId, parts.timestamp))
        expect(envelopeNonce(envelope)).toEqual(nonce)
        expect(envelopeCiphertext(envelope)).toEqual(ciphertext)
      }),
      { numRuns },
    )
  })

  it('reads one that stands inside other bytes', () => {
    const inside = concat(new Uint8Array(5).fill(9), envelopeBytes(), Uint8Array.of(9)).subarray(5)
    expect(envelopeEpoch(parseEnvelope(inside.subarray(0, BYTES_MIN)))).toBe(1)
  })

  it('takes the least and the greatest size, and refuses one byte less and more', () => {
    expect(parseEnvelope(envelopeBytes(BYTES_MIN))).toHaveLength(BYTES_MIN)
    expect(parseEnvelope(envelopeBytes(ENVELOPE_BYTES_MAX))).toHaveLength(ENVELOPE_BYTES_MAX)
    expect(() => parseEnvelope(envelopeBytes(BYTES_MIN - 1))).toThrowError(
      expect.objectContaining({ code: 'malformed' }),
    )
    expect(() => parseEnvelope(envelopeBytes(ENVELOPE_BYTES_MAX + 1))).toThrowError(
      expect.objectContaining({
        code: 'too-large',
        details: { bytes: ENVELOPE_BYTES_MAX + 1, bytesMax: ENVELOPE_BYTES_MAX },
      }),
    )
    expect(() => parseEnvelope(new Uint8Array())).toThrowError(
      expect.objectContaining({ code: 'malformed' }),
    )
  })

  it('refuses every other version', () => {
    for (let version = 0; version < 256; version++) {
      if (version === 1) continue
      const other = envelopeBytes(BYTES_MIN, (envelope) => {
        envelope[0] = version
      })
      expect(() => parseEnvelope(other)).toThrowError(
        expect.objectContaining({ code: 'unsupported-version' }),
      )
    }
  })

  it('refuses every flag but the tombstone', () => {
    for (let flags = 0; flags < 256; flags++) {
      const flagged = envelopeBytes(BYTES_MIN, (envelope) => {
        envelope[1] = flags
      })
      if (flags < 2) expect(isTombstone(parseEnvelope(flagged))).toBe(flags === 1)
      else {
        expect(() => parseEnvelope(flagged)).toThrowError(
          expect.objectContaining({ code: 'malformed' }),
        )
      }
    }
  })

  it('refuses epoch 0', () => {
    const zero = envelopeBytes(BYTES_MIN, (envelope) => {
      envelope[5] = 0
    })
    expect(() => parseEnvelope(zero)).toThrowError(expect.objectContaining({ code: 'malformed' }))
  })
})

describe('envelopeAssociatedData', () => {
  it('is the label, the vault id and the bound bytes, and no more', () => {
    fc.assert(
      fc.property(header, bytes(32).map(parseVaultId), bytes(20), (parts, vaultId, rest) => {
        const bound = encodeBoundHeader(parts)
        expect(bound).toHaveLength(ENVELOPE_BOUND_BYTES)
        const expected = concat(encodeUtf8('blindcopy.envelope.v1'), vaultId, bound)
        expect(envelopeAssociatedData(vaultId, bound)).toEqual(expected)
        expect(envelopeAssociatedData(vaultId, concat(bound, rest))).toEqual(expected)
      }),
      { numRuns },
    )
  })
})

describe('paddedSize', () => {
  const size = fc.oneof(fc.nat({ max: 2_000 }), fc.nat({ max: 2 * ENVELOPE_BYTES_MAX }))

  it('is never less than the size, never below the floor, and pads no padded size again', () => {
    fc.assert(
      fc.property(size, (sizeBytes) => {
        const padded = paddedSize(sizeBytes)
        expect(padded).toBeGreaterThanOrEqual(sizeBytes)
        expect(padded).toBeGreaterThanOrEqual(PADDED_BYTES_MIN)
        expect(paddedSize(padded)).toBe(padded)
      }),
      { numRuns },
    )
  })

  it('never falls as the size grows', () => {
    let last = 0
    for (let sizeBytes = 0; sizeBytes <= 70_000; sizeBytes++) {
      const padded = paddedSize(sizeBytes)
      if (padded < last) throw new Error(`paddedSize falls at ${sizeBytes}`)
      last = padded
    }
  })

  it('costs at most 12 % above the floor', () => {
    let worst = 0
    for (let sizeBytes = PADDED_BYTES_MIN + 1; sizeBytes <= 70_000; sizeBytes++) {
      worst = Math.max(worst, paddedSize(sizeBytes) / sizeBytes)
    }
    expect(worst).toBeLessThanOrEqual(1.12)
    fc.assert(
      fc.property(size, (sizeBytes) => {
        fc.pre(sizeBytes > PADDED_BYTES_MIN)
        expect(paddedSize(sizeBytes) / sizeBytes).toBeLessThanOrEqual(1.12)
      }),
      { numRuns },
    )
  })

  /** Worked by hand from the paper: E = floor(log2 L), S = floor(log2 E) + 1, E - S zero bits. */
  it.each([
    [0, 256],
    [1, 256],
    [255, 256],
    [256, 256],
    [257, 272],
    [272, 272],
    [273, 288],
    [511, 512],
    [512, 512],
    [513, 544],
    [1_000, 1_024],
    [1_025, 1_088],
    [65_536, 65_536],
    [65_537, 67_584],
    [1_000_000, 1_015_808],
    [1_048_577, 1_081_344],
  ])('pads %i to %i', (sizeBytes, padded) => {
    expect(paddedSize(sizeBytes)).toBe(padded)
  })
})
