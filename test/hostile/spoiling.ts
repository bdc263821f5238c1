/**
 * Spoiling: every way in which one message can be wrong, made from a good one.
 *
 *   at each place   another type, another size, a lie about a length, deep nesting, a tag
 *   in each map     a field left out, doubled, of an unknown name, of a name that is no text
 *   in each list    an item too few, too many, twice, none
 *   in the bytes    cut anywhere, bits turned, bytes in front of it and behind it
 *
 * A spoiling is kept apart from the message, so that one with a fresh nonce or signature can be
 * spoiled each time in the same way. What comes out may still be well formed: the schema says.
 */
import { concat, decodeCbor, encodeCbor, ProtocolError } from '@blindcopy/protocol'
import type { Chance } from '../simulation/chance.ts'

export type Spoiling = {
  readonly what: string
  spoil(message: unknown): Uint8Array
}

/** Bytes that stand for an item as they are. */
class Raw {
  readonly bytes: Uint8Array
  constructor(...bytes: number[]) {
    this.bytes = Uint8Array.from(bytes)
  }
}

/** A map of which the keys may be anything, and come twice. */
class Pairs {
  readonly pairs: readonly (readonly [unknown, unknown])[]
  constructor(pairs: readonly (readonly [unknown, unknown])[]) {
    this.pairs = pairs
  }
}

const FF8 = [255, 255, 255, 255, 255, 255, 255, 255]
const NESTING_TOO_DEEP = 70

/** What may stand in the place of any item. */
export const JUNK: Readonly<Record<string, unknown>> = {
  undefined: undefined,
  null: null,
  true: true,
  zero: 0,
  'minus one': -1,
  'a fraction': 1.5,
  'no number': Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  'beyond what is exact': 2 ** 53,
  'the greatest integer': new Raw(0x1b, ...FF8),
  'the least integer': new Raw(0x3b, ...FF8),
  'empty text': '',
  text: 'text',
  'long text': 'x'.repeat(3_000),
  'no UTF-8': new Raw(0x62, 0xc3, 0x28),
  'no bytes': new Uint8Array(0),
  'a byte': new Uint8Array(1),
  '15 bytes': new Uint8Array(15),
  '33 bytes': new Uint8Array(33),
  'many bytes': new Uint8Array(3_000),
  'an empty list': [],
  'a list': [0, null, 'text'],
  'an empty map': {},
  'a map': { type: 'applied', code: 'internal', length: 3 },
  'a tag': new Raw(0xc1, 0x00),
  'a tag on bytes': new Raw(0xd8, 0x40, 0x41, 0x00),
  'bytes without end': new Raw(0x5f, 0x41, 0x00, 0xff),
  'a list without end': new Raw(0x9f, 0xff),
  'a map without end': new Raw(0xbf, 0xff),
  'more bytes than there are': new Raw(0x5b, ...FF8),
  'more text than there is': new Raw(0x7a, 255, 255, 255, 255),
  'more items than there are': new Raw(0x9b, ...FF8),
  'more fields than there are': new Raw(0xba, 255, 255, 255, 255),
  'a reserved head': new Raw(0x1c),
  'a break': new Raw(0xff),
  'an unknown simple value': new Raw(0xf8, 0x20),
  'a deep list': new Raw(...new Array<number>(NESTING_TOO_DEEP).fill(0x81), 0),
  'a deep map': new Raw(
    ...Array.from({ length: NESTING_TOO_DEEP }, () => [0xa1, 0x61, 0x61]).flat(),
    0,
  ),
}

type Path = readonly (string | number)[]

/** Every spoiling of messages that have the shape of `message`. */
export function spoilingsOf(message: unknown, chance: Chance): Spoiling[] {
  return [...itemSpoilings(message), ...byteSpoilings(encodeLoose(message).length, chance)]
}

/** A few at once, drawn: what one check lets through alone, another may not expect. */
export function drawSpoiling(message: unknown, chance: Chance): Spoiling {
  const all = itemSpoilings(message)
  const changes = Array.from({ length: 1 + chance.below(3) }, () => chance.pick(all))
  const what = changes.map((change) => change.what).join(', and ')
  return {
    what,
    spoil: (fresh) => {
      const spoiled = changes.reduce((value, { change }) => change(value), fresh)
      return encodeLoose(spoiled)
    },
  }
}

type ItemSpoiling = Spoiling & { change(message: unknown): unknown }

function itemSpoilings(message: unknown): ItemSpoiling[] {
  return placesOf(message).flatMap((path) => {
    const at = path.join('.') || 'the message'
    const make = (what: string, junk: (found: unknown) => unknown): ItemSpoiling => {
      const change = (fresh: unknown): unknown => replaceAt(fresh, path, junk)
      return { what: `${at}: ${what}`, change, spoil: (fresh) => encodeLoose(change(fresh)) }
    }
    const others = Object.entries(JUNK).map(([what, junk]) => make(what, () => junk))
    return [...others, ...shapeSpoilings(itemAt(message, path), make)]
  })
}

function shapeSpoilings(
  item: unknown,
  make: (what: string, junk: (found: unknown) => unknown) => ItemSpoiling,
): ItemSpoiling[] {
  if (Array.isArray(item)) {
    const list = (found: unknown): unknown[] => (Array.isArray(found) ? found : [])
    return [
      make('an item too few', (found) => list(found).slice(0, -1)),
      make('an item too many', (found) => [...list(found), null]),
      make('all items twice', (found) => list(found).flatMap((one) => [one, one])),
      make('the first item last', (found) => [...list(found).slice(1), list(found)[0]]),
    ].slice(0, item.length < 2 ? -1 : undefined)
  }
  if (!isMap(item)) return []
  const pairs = (found: unknown) => (isMap(found) ? Object.entries(found) : [])
  const without = (name: string) => (found: unknown) =>
    new Pairs(pairs(found).filter(([key]) => key !== name))
  const doubled = (name: string) => (found: unknown) =>
    new Pairs(pairs(found).flatMap((pair) => (pair[0] === name ? [pair, pair] : [pair])))
  const also = (key: unknown) => (found: unknown) => new Pairs([...pairs(found), [key, 1]])
  return [
    ...Object.keys(item).map((name) => make(`without ${name}`, without(name))),
    ...Object.keys(item).map((name) => make(`${name} twice`, doubled(name))),
    make('a field nobody knows', also('more')),
    make('a field called __proto__', also('__proto__')),
    make('a field called constructor', also('constructor')),
    make('a field without name', also('')),
    make('a field that a number names', also(1)),
  ]
}

const CUTS = 60
const FLIPS = 120

function byteSpoilings(sizeBytes: number, chance: Chance): Spoiling[] {
  const offsets = (count: number): number[] => {
    if (sizeBytes <= count) return Array.from({ length: sizeBytes }, (_, i) => i)
    const first = Array.from({ length: count / 2 }, (_, i) => i)
    const drawn = first.map(() => chance.below(sizeBytes))
    return [...first, ...drawn]
  }
  const make = (what: string, spoil: (bytes: Uint8Array) => Uint8Array): Spoiling => ({
    what,
    spoil: (fresh) => spoil(encodeLoose(fresh)),
  })
  const cuts = [...offsets(CUTS), sizeBytes - 1].map((end) =>
    make(`cut after ${end} bytes`, (bytes) => bytes.subarray(0, end)),
  )
  const flips = offsets(FLIPS).map((at) => {
    const bit = 1 << chance.below(8)
    return make(`bit ${bit} of byte ${at} turned`, (bytes) =>
      bytes.map((byte, i) => (i === at ? byte ^ bit : byte)),
    )
  })
  return [
    ...cuts,
    ...flips,
    make('a byte behind it', (bytes) => concat(bytes, Uint8Array.of(0))),
    make('itself behind it', (bytes) => concat(bytes, bytes)),
    make('a byte in front of it', (bytes) => concat(Uint8Array.of(0), bytes)),
    make('in a list', (bytes) => concat(Uint8Array.of(0x81), bytes)),
    make('JSON', () => new TextEncoder().encode('{"vaultId":"AAAA"}')),
  ]
}

/** The paths of a message and of all that is in it. Of a long list the first and the last. */
function placesOf(message: unknown, path: Path = []): Path[] {
  const ofList = (items: readonly unknown[]): (string | number)[] =>
    items.length > 2 && path.length > 0 && !isTuple(items)
      ? [0, items.length - 1]
      : items.map((_, i) => i)
  const keys = Array.isArray(message) ? ofList(message) : isMap(message) ? Object.keys(message) : []
  const inside = keys.flatMap((key) => placesOf(itemAt(message, [key]), [...path, key]))
  return [path, ...inside]
}

/** Items of several kinds stand for themselves; items of one kind stand for each other. */
const isTuple = (items: readonly unknown[]): boolean =>
  new Set(items.map((item) => Object.prototype.toString.call(item))).size > 1

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && value.constructor === Object
}

function itemAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<string | number, unknown>)?.[key], value)
}

function replaceAt(value: unknown, path: Path, junk: (found: unknown) => unknown): unknown {
  const [key, ...rest] = path
  if (key === undefined) return junk(value)
  if (Array.isArray(value)) {
    return value.map((item, i) => (i === key ? replaceAt(item, rest, junk) : item))
  }
  if (!isMap(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      name === key ? replaceAt(item, rest, junk) : item,
    ]),
  )
}

/** The codec's own bytes for all that it can write, and ours around what it cannot. */
export function encodeLoose(value: unknown): Uint8Array {
  if (value instanceof Raw) return value.bytes
  if (value instanceof Pairs) {
    const items = value.pairs.flatMap(([key, item]) => [encodeLoose(key), encodeLoose(item)])
    return concat(headOf(0xa0, value.pairs.length), ...items)
  }
  if (Array.isArray(value)) return concat(headOf(0x80, value.length), ...value.map(encodeLoose))
  return isMap(value) ? encodeLoose(new Pairs(Object.entries(value))) : encodeCbor(value)
}

function headOf(major: number, count: number): Uint8Array {
  if (count < 24) return Uint8Array.of(major | count)
  return Uint8Array.of(major | 25, count >> 8, count & 255)
}

/** Whether it is a message of that schema, by the schema and the codec alone. */
export function isWellFormed(
  schema: { safeParse(value: unknown): { success: boolean } },
  body: Uint8Array,
): boolean {
  try {
    return schema.safeParse(decodeCbor(body)).success
  } catch (error) {
    if (error instanceof ProtocolError && error.code === 'malformed') return false
    throw error
  }
}
