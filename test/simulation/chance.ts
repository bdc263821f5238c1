/**
 * Chance: seeded randomness, the only one of the simulator. Small, fast and repeatable; never for
 * keys that matter.
 */

export type Chance = {
  /** A whole number from 0 to `below` - 1. */
  below(below: number): number
  /** True once in `times`. */
  oneIn(times: number): boolean
  /** True in `percent` of a hundred cases. */
  percent(percent: number): boolean
  pick<T>(items: readonly T[]): T
  bytes(size: number): Uint8Array
  /**
   * Another stream, which depends on the seed and the name alone: what one part of the simulation
   * draws does not move what the others draw.
   */
  fork(name: string): Chance
}

/** sfc32 (Chris Doty-Humphrey's small fast counting generator), with 128 bits of state. */
export function chanceOf(seed: number, name = ''): Chance {
  let [a, b, c, counter] = stateOf(`${seed >>> 0}/${name}`)
  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + sum) | 0
    return sum >>> 0
  }
  for (let i = 0; i < 12; i++) next()
  const below = (count: number): number => Math.floor((next() / 2 ** 32) * count)
  return {
    below,
    oneIn: (times) => below(times) === 0,
    percent: (percent) => next() / 2 ** 32 < percent / 100,
    pick: (items) => items[below(items.length)] as (typeof items)[number],
    bytes: (size) => Uint8Array.from({ length: size }, () => next() & 0xff),
    fork: (part) => chanceOf(seed, `${name}/${part}`),
  }
}

/** Four words from a text: xmur3, after MurmurHash3. */
function stateOf(text: string): [number, number, number, number] {
  let hash = 1779033703 ^ text.length
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 3432918353)
    hash = (hash << 13) | (hash >>> 19)
  }
  const word = (): number => {
    hash = Math.imul(hash ^ (hash >>> 16), 2246822507)
    hash = Math.imul(hash ^ (hash >>> 13), 3266489909)
    hash ^= hash >>> 16
    return hash | 0
  }
  return [word(), word(), word(), word()]
}
