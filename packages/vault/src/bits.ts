/**
 * Bits: numbers of any width up to 24 bits, packed one after another, the highest bit first; zeros
 * fill the last byte. Words of a list have 11.
 */

export type BitField = readonly [value: number, bits: number]

export function packBits(fields: Iterable<BitField>): Uint8Array {
  const bytes: number[] = []
  let held = 0
  let heldBits = 0
  for (const [value, bits] of fields) {
    held = (held << bits) | value
    heldBits += bits
    while (heldBits >= 8) {
      heldBits -= 8
      bytes.push(held >>> heldBits)
      held &= (1 << heldBits) - 1
    }
  }
  if (heldBits > 0) bytes.push(held << (8 - heldBits))
  return Uint8Array.from(bytes)
}

/** Bits past the end are zeros. */
export function bitsAt(bytes: Uint8Array, offset: number, bits: number): number {
  let value = 0
  for (let i = offset; i < offset + bits; i++) {
    value = (value << 1) | (((bytes[i >> 3] ?? 0) >> (7 - (i & 7))) & 1)
  }
  return value
}
