/**
 * Mutate: changes to bytes that know what CBOR is. An encoding is cut into its items, at every
 * level and into byte strings that hold CBOR themselves, and one of them is changed: its head says
 * another type, another length in another width, none at all; it goes, comes twice, changes places,
 * is wrapped, or gives way to an item of another kind.
 */
import { concat } from '@blindcopy/protocol'
import type { Chance } from '../simulation/chance.ts'

type Item = { readonly start: number; readonly head: number; readonly end: number }

const ITEMS_MAX = 4_000

/** Every item, outer before inner. Undefined for bytes that are no CBOR with definite lengths. */
export function itemsOf(bytes: Uint8Array): Item[] | undefined {
  const items: Item[] = []
  const end = walk(bytes, 0, items, 0)
  return end === bytes.length ? items : undefined
}

/** Where the item ends; undefined for what is none. */
function walk(bytes: Uint8Array, start: number, items: Item[], depth: number): number | undefined {
  const first = bytes[start]
  if (first === undefined || depth > 40 || items.length > ITEMS_MAX) return undefined
  const [major, info] = [first >> 5, first & 31]
  if (info > 27) return undefined
  const head = start + 1 + (info < 24 ? 0 : 1 << (info - 24))
  if (head > bytes.length) return undefined
  let value = info < 24 ? info : 0
  for (let i = start + 1; i < head && info >= 24; i++) value = value * 256 + (bytes[i] as number)
  const at = items.push({ start, head, end: head }) - 1
  let end: number | undefined = head
  if (major === 2 || major === 3) end = head + value
  const count = major === 4 ? value : major === 5 ? 2 * value : major === 6 ? 1 : 0
  for (let i = 0; i < count && end !== undefined; i++) end = walk(bytes, end, items, depth + 1)
  if (end === undefined || end > bytes.length) return undefined
  items[at] = { start, head, end }
  return end
}

type Change = (bytes: Uint8Array, item: Item, chance: Chance, others: Uint8Array) => Uint8Array

const replace = (bytes: Uint8Array, start: number, end: number, ...by: Uint8Array[]): Uint8Array =>
  concat(bytes.subarray(0, start), ...by, bytes.subarray(end))

const of = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes)

/** A head of a major type and a width (0 to 3: 1 to 8 bytes), whatever is shortest. */
function wideHead(major: number, width: number, value: bigint): Uint8Array {
  const bytes = new Uint8Array(1 + (1 << width))
  bytes[0] = (major << 5) | (24 + width)
  for (let i = bytes.length - 1, rest = value; i > 0; i--, rest >>= 8n)
    bytes[i] = Number(rest & 255n)
  return bytes
}

const LENGTHS = [0n, 1n, 23n, 24n, 255n, 256n, 65_535n, 65_536n, 1n << 20n, (1n << 31n) - 1n]
const GIGANTIC = [(1n << 32n) - 1n, (1n << 53n) - 1n, 1n << 53n, (1n << 63n) - 1n, (1n << 64n) - 1n]
const NUMBERS = ['f97e00', 'f97c00', 'f9fc00', 'f98000', 'fa7f800000', 'fb7ff8000000000000']
const NUMBERS_ODD = ['fb3ff0000000000000', 'fb433fffffffffffff', 'fb4340000000000000', 'f93c00']
const ODD = [
  'f6',
  'f7',
  'f4',
  'f5',
  'e0',
  'f800',
  'f820',
  'f8ff',
  'ff',
  '1c',
  '5f',
  '7f',
  '9f',
  'bf',
]
const TAGS = ['c0', 'c1', 'c2', 'c3', 'd82a', 'd9b11d', 'd9d9f7', 'db0000000100000000']

const majorOf = (bytes: Uint8Array, { start }: Item): number => (bytes[start] as number) >> 5
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

const CHANGES: Readonly<Record<string, Change>> = {
  'another major type': (bytes, item, chance) =>
    replace(bytes, item.start, item.start + 1, of((chance.below(8) << 5) | chance.below(32))),
  'a lie about its length': (bytes, item, chance) =>
    replace(
      bytes,
      item.start,
      item.head,
      wideHead(majorOf(bytes, item), chance.below(4), chance.pick(LENGTHS)),
    ),
  'a gigantic length': (bytes, item, chance) =>
    replace(bytes, item.start, item.head, wideHead(2 + chance.below(4), 3, chance.pick(GIGANTIC))),
  'a longer spelling': (bytes, item, chance) => {
    const info = (bytes[item.start] as number) & 31
    if (info > 23) return replace(bytes, item.start, item.start, of(0xc1))
    return replace(
      bytes,
      item.start,
      item.head,
      wideHead(majorOf(bytes, item), chance.below(4), BigInt(info)),
    )
  },
  'no end': (bytes, item, chance) =>
    replace(bytes, item.start, item.head, of((2 + chance.below(4)) * 32 + 31)),
  'no end, and a break': (bytes, item) =>
    concat(
      bytes.subarray(0, item.start),
      of(majorOf(bytes, item) * 32 + 31),
      bytes.subarray(item.head, item.end),
      of(0xff),
      bytes.subarray(item.end),
    ),
  'a number of floating point': (bytes, item, chance) =>
    replace(bytes, item.start, item.end, hex(chance.pick([...NUMBERS, ...NUMBERS_ODD]))),
  'an odd simple value': (bytes, item, chance) =>
    replace(bytes, item.start, item.end, hex(chance.pick(ODD))),
  'a great number': (bytes, item, chance) =>
    replace(bytes, item.start, item.end, wideHead(chance.below(2), 3, chance.pick(GIGANTIC))),
  'a tag': (bytes, item, chance) => replace(bytes, item.start, item.start, hex(chance.pick(TAGS))),
  'deep nesting': (bytes, item, chance) => {
    const depth = chance.pick([10, 62, 63, 64, 65, 200, 5_000])
    return replace(bytes, item.start, item.start, new Uint8Array(depth).fill(0x81))
  },
  'nothing in its place': (bytes, item) => replace(bytes, item.start, item.end),
  'itself again': (bytes, item) =>
    replace(bytes, item.end, item.end, bytes.subarray(item.start, item.end)),
  'an item of another message': (bytes, item, chance, others) => {
    const other = chance.pick(itemsOf(others) ?? [{ start: 0, head: 1, end: others.length }])
    return replace(bytes, item.start, item.end, others.subarray(other.start, other.end))
  },
  'other bytes in it': (bytes, item, chance) => {
    const changed = bytes.slice()
    const size = Math.max(1, item.end - item.head)
    const at = Math.min(item.head + chance.below(size), bytes.length - 1)
    changed[at] = chance.pick([0, 1, 0x7f, 0x80, 0xff, chance.below(256)])
    return changed
  },
  'a byte string of many bytes': (bytes, item, chance) => {
    const size = chance.pick([10, 33, 300, 70_000, 1_100_000])
    return replace(bytes, item.start, item.end, wideHead(2, 2, BigInt(size)), new Uint8Array(size))
  },
  'a list of many items': (bytes, item, chance) => {
    const count = chance.pick([100, 1_001, 10_001, 600_000])
    const junk = new Uint8Array(count).fill(chance.pick([0x00, 0x40, 0x80, 0xa0, 0xf6]))
    return replace(bytes, item.start, item.end, wideHead(4, 2, BigInt(count)), junk)
  },
  'a map of many fields': (bytes, item, chance) => {
    const count = chance.pick([2, 50, 20_000])
    const fields = Array.from({ length: count }, (_, i) => [0x63, ...textOf(i), 0x00]).flat()
    return replace(bytes, item.start, item.end, wideHead(5, 2, BigInt(count)), of(...fields))
  },
}

/** Three letters, another three for each number below 17576. */
const textOf = (n: number): number[] => [n / 676, n / 26, n].map((d) => 97 + (Math.floor(d) % 26))

export type Mutation = { readonly what: string; readonly bytes: Uint8Array }

/** One to three changes. `others` lends items. */
export function mutate(original: Uint8Array, chance: Chance, others: Uint8Array): Mutation {
  const said: string[] = []
  let bytes = original
  for (let left = 1 + chance.below(3); left > 0; left--) {
    const change = mutateOnce(bytes, chance, others)
    bytes = change.bytes
    said.push(change.what)
  }
  return { what: said.join(', and '), bytes }
}

function mutateOnce(bytes: Uint8Array, chance: Chance, others: Uint8Array): Mutation {
  const items = bytes.length > 100_000 ? undefined : itemsOf(bytes)
  if (items === undefined || chance.oneIn(12)) return mutateBytes(bytes, chance)
  const item = chance.pick(items)
  const inner = innerOf(bytes, item)
  if (inner !== undefined && chance.percent(60)) {
    const { what, bytes: changed } = mutateOnce(inner, chance, others)
    const head = wideHead(2, 2, BigInt(changed.length))
    return {
      what: `in ${item.start}: ${what}`,
      bytes: replace(bytes, item.start, item.end, head, changed),
    }
  }
  const [name, change] = chance.pick(Object.entries(CHANGES))
  return { what: `${name} at ${item.start}`, bytes: change(bytes, item, chance, others) }
}

/** The CBOR within a byte string, if it is some. */
function innerOf(bytes: Uint8Array, item: Item): Uint8Array | undefined {
  if (majorOf(bytes, item) !== 2 || item.end - item.head < 8) return undefined
  const inner = bytes.subarray(item.head, item.end)
  const items = itemsOf(inner)
  return items === undefined || items.length < 3 ? undefined : inner
}

function mutateBytes(bytes: Uint8Array, chance: Chance): Mutation {
  const at = chance.below(bytes.length + 1)
  switch (chance.below(5)) {
    case 0:
      return { what: `cut after ${at} bytes`, bytes: bytes.slice(0, at) }
    case 1:
      return { what: 'bytes behind it', bytes: concat(bytes, chance.bytes(1 + chance.below(40))) }
    case 2:
      return {
        what: 'bytes in front of it',
        bytes: concat(chance.bytes(1 + chance.below(4)), bytes),
      }
    case 3:
      return { what: 'other bytes altogether', bytes: chance.bytes(chance.below(300)) }
    default: {
      const changed = bytes.slice()
      for (let i = 0; i < 3 && bytes.length > 0; i++) {
        changed[chance.below(bytes.length)] = chance.below(256)
      }
      return { what: 'three bytes changed', bytes: changed }
    }
  }
}
