/**
 * Frames: how a sequence of CBOR items travels in one body, so that both ends can stream it.
 *
 *   frame = length (4 bytes, big-endian) ‖ CBOR item
 *
 * A stream that is cut ends in the middle of a frame or without its end frame; every whole frame
 * before the cut is good.
 */
import { concat, decodeUint32, encodeUint32 } from './bytes.ts'
import { ProtocolError } from './error.ts'

const LENGTH_BYTES = 4
const JOINED_BYTES = 64 * 1024

export function encodeFrame(item: Uint8Array): Uint8Array {
  return concat(encodeUint32(item.length), item)
}

/** Cuts chunks of any size back into items. Holds at most one unfinished frame. */
export class FrameReader {
  readonly #itemBytesMax: number
  #held: Uint8Array[] = []
  #heldBytes = 0

  constructor(itemBytesMax: number) {
    this.#itemBytesMax = itemBytesMax
  }

  /** The items that `chunk` completes; views onto bytes that nobody changes any more. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#hold(chunk)
    this.#heldBytes += chunk.length
    if (this.#heldBytes < this.#neededBytes()) return []
    const bytes = this.#held.length === 1 ? (this.#held[0] as Uint8Array) : concat(...this.#held)
    const items: Uint8Array[] = []
    let offset = 0
    while (bytes.length - offset >= LENGTH_BYTES) {
      const end = offset + LENGTH_BYTES + this.#itemLength(bytes, offset)
      if (end > bytes.length) break
      items.push(bytes.subarray(offset + LENGTH_BYTES, end))
      offset = end
    }
    const rest = bytes.subarray(offset)
    this.#held = rest.length === 0 ? [] : [rest]
    this.#heldBytes = rest.length
    return items
  }

  /** True between frames: a stream that ends here was not cut. */
  get isEmpty(): boolean {
    return this.#heldBytes === 0
  }

  /** Small pieces are joined on the way: a stream may come a byte at a time. */
  #hold(chunk: Uint8Array): void {
    let piece = chunk
    while (piece.length < JOINED_BYTES) {
      const last = this.#held[this.#held.length - 1]
      if (last === undefined || last.length > 2 * piece.length) break
      this.#held.pop()
      piece = concat(last, piece)
    }
    this.#held.push(piece)
  }

  #neededBytes(): number {
    const first = this.#held[0]
    if (first === undefined || this.#heldBytes < LENGTH_BYTES) return LENGTH_BYTES
    if (first.length < LENGTH_BYTES) return this.#heldBytes
    return LENGTH_BYTES + this.#itemLength(first, 0)
  }

  #itemLength(bytes: Uint8Array, offset: number): number {
    const length = decodeUint32(bytes, offset)
    if (length > this.#itemBytesMax) {
      throw new ProtocolError('too-large', `a frame of ${length} bytes exceeds the limit`)
    }
    return length
  }
}
