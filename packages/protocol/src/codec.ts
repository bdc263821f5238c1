/**
 * Codec: CBOR (RFC 8949) in and out, and the only import of cbor-x.
 *
 * cbor-x encodes; decoding is ours, because bytes from elsewhere are hostile and the library
 * recurses without a bound, takes duplicate keys and bytes that are not UTF-8, and differs between
 * its native and its portable half. Here one pass checks and decodes: only definite lengths that
 * the input can hold, text keys without repeats, known simple values and tags, bounded nesting.
 *
 * Never sign, hash or authenticate what was encoded again: the encoding is not canonical.
 */
import { Encoder, Tag } from 'cbor-x'
import { decodeUtf8, formatHex } from './bytes.ts'
import { ProtocolError } from './error.ts'
import { MESSAGE_ITEMS_MAX, NESTING_MAX } from './limits.ts'

export { Tag }

const encoder = new Encoder({
  useRecords: false,
  variableMapSize: true,
  tagUint8Array: false,
  // An object that carries a function called toJSON is refused by value.ts, never called.
  useToJSON: false,
})

/** Encodes plain data: a wire message, or fields that value.ts has prepared. */
export function encodeCbor(value: unknown): Uint8Array {
  const encoded = encoder.encode(value)
  return new Uint8Array(encoded.buffer, encoded.byteOffset, encoded.byteLength)
}

/** Tags that fields may carry (value.ts); a wire message carries none. */
export const TAG_DATE_TEXT = 0
export const TAG_BIGINT_POSITIVE = 2
export const TAG_BIGINT_NEGATIVE = 3
/** Ours, from the first-come range of the IANA registry: text "-0", which cbor-x writes as 0. */
export const TAG_NEGATIVE_ZERO = 45_341

/**
 * Decodes a wire message: no tags, and integers of 64 bits are numbers. Byte strings are views onto
 * `bytes`, which must not change afterwards.
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  return decode(bytes, false)
}

/** Decodes fields: integers of 64 bits are bigints, and nothing is shared with `bytes`. */
export function decodeFieldsCbor(bytes: Uint8Array): unknown {
  return decode(bytes, true)
}

/** The bytes being decoded, how far they have been read, and how many items may still come. */
type Source = {
  readonly bytes: Uint8Array
  readonly isFields: boolean
  offset: number
  itemsLeft: number
}

function decode(input: Uint8Array, isFields: boolean): unknown {
  // A plain view: parts of a Node Buffer would be Buffers again.
  const bytes = new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
  // What a message holds is little and comes from strangers; fields are as the app made them.
  const itemsLeft = isFields ? Number.POSITIVE_INFINITY : MESSAGE_ITEMS_MAX
  const source: Source = { bytes, isFields, offset: 0, itemsLeft }
  const value = readItem(source, 0)
  if (source.offset !== bytes.length) fail('bytes follow the end', source)
  return value
}

const MAJOR_UNSIGNED = 0
const MAJOR_NEGATIVE = 1
const MAJOR_BYTES = 2
const MAJOR_TEXT = 3
const MAJOR_ARRAY = 4
const MAJOR_MAP = 5
const MAJOR_TAG = 6
const INFO_64_BITS = 27

/** Recursion is safe here: `depth` is bounded by NESTING_MAX. */
function readItem(source: Source, depth: number): unknown {
  const first = source.bytes[source.offset]
  if (first === undefined) return fail('the end comes too early', source)
  if (--source.itemsLeft < 0) return fail('too many items', source)
  source.offset++
  const info = first & 31
  switch (first >> 5) {
    case MAJOR_UNSIGNED:
      return info === INFO_64_BITS ? readInteger64(source, false) : readArgument(source, info)
    case MAJOR_NEGATIVE:
      return info === INFO_64_BITS ? readInteger64(source, true) : -1 - readArgument(source, info)
    case MAJOR_BYTES:
      return readBytes(source, readArgument(source, info))
    case MAJOR_TEXT:
      return readText(source, readArgument(source, info))
    case MAJOR_ARRAY:
      return readArray(source, readArgument(source, info), depth)
    case MAJOR_MAP:
      return readMap(source, readArgument(source, info), depth)
    case MAJOR_TAG:
      return readTagged(source, readArgument(source, info))
    default:
      return readSimple(source, info)
  }
}

/** What follows the first byte: a length, a count, a tag or a small integer. */
function readArgument(source: Source, info: number): number {
  if (info < 24) return info
  if (info > INFO_64_BITS) fail('an indefinite or reserved length', source)
  const { bytes } = source
  const end = source.offset + (1 << (info - 24))
  if (end > bytes.length) fail('the end comes too early', source)
  let value = 0
  while (source.offset < end) value = value * 256 + (bytes[source.offset++] as number)
  return value
}

function readInteger64(source: Source, isNegative: boolean): number | bigint {
  const view = viewOf(source, 8)
  const positive = view.getBigUint64(0)
  const value = isNegative ? -1n - positive : positive
  if (source.isFields) return value
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : fail('a number is too great', source)
}

/** The next `sizeBytes` bytes, which are then behind. */
function viewOf(source: Source, sizeBytes: number): DataView {
  const { bytes, offset } = source
  if (sizeBytes > bytes.length - offset) fail('the end comes too early', source)
  source.offset += sizeBytes
  return new DataView(bytes.buffer, bytes.byteOffset + offset, sizeBytes)
}

function readBytes(source: Source, sizeBytes: number): Uint8Array {
  const { bytes, offset } = source
  if (sizeBytes > bytes.length - offset) fail('a string runs past the end', source)
  source.offset += sizeBytes
  // Fields outlive the plaintext they are read from, which is wiped and used again.
  return source.isFields
    ? bytes.slice(offset, offset + sizeBytes)
    : bytes.subarray(offset, offset + sizeBytes)
}

type MaybeNode = {
  Buffer?: { prototype: { utf8Slice?(this: Uint8Array, start: number, end: number): string } }
}
/** Node's own decoder: faster than TextDecoder, but it writes U+FFFD for what is not UTF-8. */
const utf8Slice = (globalThis as MaybeNode).Buffer?.prototype.utf8Slice
const TEXT_BYTES_SHORT = 8

function readText(source: Source, sizeBytes: number): string {
  const { bytes, offset } = source
  const end = offset + sizeBytes
  if (end > bytes.length) fail('a string runs past the end', source)
  source.offset = end
  if (sizeBytes <= TEXT_BYTES_SHORT) {
    const short = readShortAscii(bytes, offset, end)
    if (short !== undefined) return short
  }
  const text = utf8Slice?.call(bytes, offset, end)
  if (text === undefined || text.includes('\ufffd')) return decodeUtf8(bytes.subarray(offset, end))
  return text
}

function readShortAscii(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = ''
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number
    if (byte > 0x7f) return undefined
    text += String.fromCharCode(byte)
  }
  return text
}

function readArray(source: Source, length: number, depth: number): unknown[] {
  checkContainer(source, length, depth)
  const items: unknown[] = []
  for (let i = 0; i < length; i++) items.push(readItem(source, depth + 1))
  return items
}

const FIELD = { enumerable: true, configurable: true, writable: true } as const

function readMap(source: Source, size: number, depth: number): Record<string, unknown> {
  checkContainer(source, size * 2, depth)
  const fields: Record<string, unknown> = {}
  for (let i = 0; i < size; i++) {
    const key = readTextItem(source, 'a key is not text')
    if (Object.hasOwn(fields, key)) fail('a key comes twice', source)
    const value = readItem(source, depth + 1)
    // An assignment to this key would set the prototype; a definition makes a field.
    if (key === '__proto__') Object.defineProperty(fields, key, { ...FIELD, value })
    else fields[key] = value
  }
  return fields
}

/** Every item takes at least one byte, so a count beyond the bytes left is a lie. */
function checkContainer(source: Source, items: number, depth: number): void {
  if (depth >= NESTING_MAX) fail('nested too deep', source)
  if (items > source.bytes.length - source.offset) fail('a list runs past the end', source)
}

/** One item that must be text: `what` is the sentence when it is not. */
function readTextItem(source: Source, what: string): string {
  const first = source.bytes[source.offset]
  if (first === undefined || first >> 5 !== MAJOR_TEXT) return fail(what, source)
  source.offset++
  return readText(source, readArgument(source, first & 31))
}

const WRONG_TAG = 'a tag on the wrong value'

function readTagged(source: Source, tag: number): unknown {
  if (!source.isFields) fail(`tag ${tag} is not allowed`, source)
  switch (tag) {
    case TAG_DATE_TEXT:
      return readDate(source)
    case TAG_BIGINT_POSITIVE:
      return readBigint(source)
    case TAG_BIGINT_NEGATIVE:
      return -1n - readBigint(source)
    case TAG_NEGATIVE_ZERO:
      return readTextItem(source, WRONG_TAG) === '-0' ? -0 : fail(WRONG_TAG, source)
    default:
      return fail(`tag ${tag} is not allowed`, source)
  }
}

/**
 * Only the spelling that `toISOString` writes: other texts mean different times on other platforms.
 */
function readDate(source: Source): Date {
  const text = readTextItem(source, WRONG_TAG)
  const date = new Date(text)
  if (Number.isNaN(date.getTime()) || date.toISOString() !== text) fail('not a date', source)
  return date
}

function readBigint(source: Source): bigint {
  const first = source.bytes[source.offset]
  if (first === undefined || first >> 5 !== MAJOR_BYTES) return fail(WRONG_TAG, source)
  source.offset++
  const bytes = readBytes(source, readArgument(source, first & 31))
  return bytes.length === 0 ? 0n : BigInt(`0x${formatHex(bytes)}`)
}

function readSimple(source: Source, info: number): unknown {
  switch (info) {
    case 20:
      return false
    case 21:
      return true
    case 22:
      return null
    case 23:
      return undefined
    case 25:
      return float16Of(viewOf(source, 2).getUint16(0))
    case 26:
      return viewOf(source, 4).getFloat32(0)
    case 27:
      return viewOf(source, 8).getFloat64(0)
    default:
      return fail('an unknown simple value', source)
  }
}

/** RFC 8949, appendix D: our encoder writes none, other encoders may. */
function float16Of(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const mantissa = bits & 0x3ff
  if (exponent === 0) return sign * mantissa * 2 ** -24
  if (exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (mantissa + 1024) * 2 ** (exponent - 25)
}

function fail(what: string, source: Source): never {
  throw new ProtocolError('malformed', `CBOR: ${what} (at byte ${source.offset})`)
}
