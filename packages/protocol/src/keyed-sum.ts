/**
 * Keyed sum: the fingerprint of a set in a checkpoint (design 16).
 *
 *   sum = Σ hash(pair) modulo 2^256, each hash of 32 bytes, under a key that the remote lacks
 *
 * A sum can be kept in step by adding and taking away, in any order. Unkeyed, who may choose pairs
 * could find another set of the same sum (Wagner, "A Generalized Birthday Problem", 2002); here
 * nobody outside the vault knows one summand, and each is as good as random. The hash is given from
 * outside: no key is in this package.
 */
import { decodeUint32 } from './bytes.ts'
import { ProtocolError } from './error.ts'

export const KEYED_SUM_BYTES = 32
const LANES = KEYED_SUM_BYTES / 4

export class KeyedSum {
  readonly #lanes: Uint32Array

  constructor(bytes: Uint8Array = new Uint8Array(KEYED_SUM_BYTES)) {
    if (bytes.length !== KEYED_SUM_BYTES) {
      throw new ProtocolError('malformed', `keyed sum has ${bytes.length} bytes instead of 32`)
    }
    this.#lanes = Uint32Array.from({ length: LANES }, (_, i) => decodeUint32(bytes, i * 4))
  }

  /** The hash of a pair that is not in the set. */
  add(hash: Uint8Array): void {
    let carry = 0
    for (let i = LANES - 1; i >= 0; i--) {
      const sum = (this.#lanes[i] as number) + decodeUint32(hash, i * 4) + carry
      this.#lanes[i] = sum
      carry = sum > 0xffff_ffff ? 1 : 0
    }
  }

  /** The hash of a pair that is in the set. */
  remove(hash: Uint8Array): void {
    let borrow = 0
    for (let i = LANES - 1; i >= 0; i--) {
      const difference = (this.#lanes[i] as number) - decodeUint32(hash, i * 4) - borrow
      this.#lanes[i] = difference
      borrow = difference < 0 ? 1 : 0
    }
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(KEYED_SUM_BYTES)
    const view = new DataView(bytes.buffer)
    this.#lanes.forEach((lane, i) => {
      view.setUint32(i * 4, lane)
    })
    return bytes
  }
}
