/** Frames: however a stream is cut into chunks, the same items come out; a cut stream shows. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, encodeUint32 } from './bytes.ts'
import { encodeFrame, FrameReader } from './frame.ts'

const numRuns = process.env.SLOW === '1' ? 5_000 : 300
const LIMIT = 1_000
const items = fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 })

/** Cuts at the places given; equal places make empty chunks. */
function chunksOf(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b)
  return [...places, bytes.length].map((end, i) => bytes.slice(places[i - 1] ?? 0, end))
}

function read(chunks: readonly Uint8Array[], limit = LIMIT) {
  const reader = new FrameReader(limit)
  return { items: chunks.flatMap((chunk) => reader.push(chunk)), reader }
}

describe('FrameReader', () => {
  it('gives the same items for any chunking', () => {
    fc.assert(
      fc.property(items, fc.array(fc.nat(), { maxLength: 20 }), (list, cuts) => {
        const stream = concat(...list.map(encodeFrame))
        const { items: seen, reader } = read(chunksOf(stream, cuts))
        expect(seen).toEqual(list)
        expect(reader.isEmpty).toBe(true)
      }),
      { numRuns },
    )
  })

  it('gives the same items byte by byte', () => {
    fc.assert(
      fc.property(items, (list) => {
        const stream = concat(...list.map(encodeFrame))
        const { items: seen } = read(Array.from(stream, (byte) => Uint8Array.of(byte)))
        expect(seen).toEqual(list)
      }),
      { numRuns },
    )
  })

  it('gives every whole item before a cut, and shows the cut', () => {
    fc.assert(
      fc.property(items, fc.nat(), fc.array(fc.nat(), { maxLength: 5 }), (list, cut, cuts) => {
        const frames = list.map(encodeFrame)
        const stream = concat(...frames)
        const end = cut % (stream.length + 1)
        const { items: seen, reader } = read(chunksOf(stream.subarray(0, end), cuts))
        let whole = 0
        let size = 0
        for (const frame of frames) {
          if (size + frame.length > end) break
          size += frame.length
          whole++
        }
        expect(seen).toEqual(list.slice(0, whole))
        expect(reader.isEmpty).toBe(size === end)
      }),
      { numRuns },
    )
  })

  it('takes an item at the limit, and refuses one byte more before it arrives', () => {
    const item = new Uint8Array(LIMIT).fill(7)
    expect(read([encodeFrame(item)]).items).toEqual([item])
    for (const length of [LIMIT + 1, 2 ** 31, 2 ** 32 - 1]) {
      const head = encodeUint32(length)
      const tooLarge = expect.objectContaining({ code: 'too-large' })
      expect(() => read([head])).toThrowError(tooLarge)
      expect(() => read([head.subarray(0, 3), head.subarray(3)])).toThrowError(tooLarge)
      expect(() => read([encodeFrame(item), head])).toThrowError(tooLarge)
    }
  })

  it('goes on refusing after it has refused once', () => {
    const reader = new FrameReader(LIMIT)
    expect(() => reader.push(encodeUint32(LIMIT + 1))).toThrow()
    expect(() => reader.push(encodeFrame(Uint8Array.of(1)))).toThrow()
  })

  it('reads a large item from small chunks without copying it again for each', () => {
    const item = new Uint8Array(4_000_000)
    const stream = encodeFrame(item)
    const chunks = chunksOf(
      stream,
      Array.from({ length: 4_000 }, (_, i) => i * 1_000),
    )
    const start = performance.now()
    expect(read(chunks, item.length).items[0]).toHaveLength(item.length)
    // Copying the held part at each chunk would move eight gigabytes.
    expect(performance.now() - start).toBeLessThan(1_500)
  })
})
