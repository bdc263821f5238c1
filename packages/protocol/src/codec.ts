/**
 * Codec: CBOR (RFC 8949) in and out, and the only import of cbor-x.
 *
 * The library recurses without a bound and takes duplicate keys, so `checkCbor` walks the bytes
 * first, without recursion and without believing any declared length: only definite lengths, text
 * keys without repeats, known simple values and tags, bounded nesting. What it lets through, the
 * library decodes. Never sign, hash or authenticate what was encoded again: cbor-x is not canonical.
 */
import { Encoder, Tag } from 'cbor-x'
import { ProtocolError } from './error.ts'
import { NESTING_MAX } from './limits.ts'

export { Tag }

const options = {
  useRecords: false,
  variableMapSize: true,
  tagUint8Array: false,
  // An object that carries a function called toJSON is refused by value.ts, never called.
  useToJSON: false,
} as const

const objects = new Encoder({ ...options, mapsAsObjects: true })
const maps = new Encoder({ ...options, mapsAsObjects: false })

/** Encodes plain data: a wire message, or fields that value.ts has prepared. */
export function encodeCbor(value: unknown): Uint8Array {
  const encoded = objects.encode(value)
  return new Uint8Array(encoded.buffer, encoded.byteOffset, encoded.byteLength)
}

/** Tags that fields may carry (value.ts); a wire message carries none. */
export const TAG_DATE_TEXT = 0
export const TAG_BIGINT_POSITIVE = 2
export const TAG_BIGINT_NEGATIVE = 3
/** Ours, from the first-come range of the IANA registry: text "-0", which cbor-x writes as 0. */
export const TAG_NEGATIVE_ZERO = 45_341

const FIELD_TAGS: ReadonlySet<number> = new Set([
  TAG_DATE_TEXT,
  TAG_BIGINT_POSITIVE,
  TAG_BIGINT_NEGATIVE,
  TAG_NEGATIVE_ZERO,
])
const NO_TAGS: ReadonlySet<number> = new Set()

/** Decodes a wire message. Byte strings are views onto `bytes`, which must not change afterwards. */
export function decodeCbor(bytes: Uint8Array): unknown {
  checkCbor(bytes, NO_TAGS)
  return decodeChecked(objects, bytes)
}

/**
 * Decodes fields. `care` tells that maps came as `Map` and tags as `Tag`, because something in there
 * has no plain decoding (a date, minus zero, a key called `__proto__`): value.ts restores them.
 */
export function decodeFieldsCbor(bytes: Uint8Array): { value: unknown; care: boolean } {
  const { care } = checkCbor(bytes, FIELD_TAGS)
  return { value: decodeChecked(care ? maps : objects, bytes), care }
}

function decodeChecked(decoder: Encoder, bytes: Uint8Array): unknown {
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    return decoder.decode(plain)
  } catch (cause) {
    throw new ProtocolError('malformed', 'CBOR does not decode', { cause })
  }
}

const MAJOR_BYTES = 2
const MAJOR_TEXT = 3
const MAJOR_ARRAY = 4
const MAJOR_MAP = 5
const MAJOR_TAG = 6
const MAJOR_SIMPLE = 7
/** false, true, null, undefined, and floats of 16, 32 and 64 bits. */
const SIMPLE_ALLOWED: ReadonlySet<number> = new Set([20, 21, 22, 23, 25, 26, 27])

/** An array or map whose items are still being read; `keys` is null for an array. */
type Open = { itemsLeft: number; readonly keys: Set<string> | null; isKey: boolean }

type CborCheck = { readonly care: boolean }

/** Throws `malformed` unless `bytes` is exactly one well-formed item of the kind described above. */
export function checkCbor(bytes: Uint8Array, tags: ReadonlySet<number>): CborCheck {
  const open: Open[] = []
  let offset = 0
  let care = false
  for (;;) {
    const head = readHead(bytes, offset)
    const parent = open[open.length - 1]
    if (parent?.isKey && head.major !== MAJOR_TEXT) fail('a key is not text', offset)
    offset = head.next
    let opens = false
    switch (head.major) {
      case MAJOR_BYTES:
      case MAJOR_TEXT: {
        if (head.value > bytes.length - offset) fail('a string runs past the end', offset)
        if (parent?.isKey && parent.keys !== null) {
          care = readKey(bytes, offset, head.value, parent.keys) || care
        }
        offset += head.value
        break
      }
      case MAJOR_ARRAY:
      case MAJOR_MAP: {
        if (open.length >= NESTING_MAX) fail('nested too deep', offset)
        const items = head.major === MAJOR_MAP ? head.value * 2 : head.value
        if (items > bytes.length - offset) fail('a list runs past the end', offset)
        if (items > 0) {
          const isMap = head.major === MAJOR_MAP
          open.push({ itemsLeft: items, keys: isMap ? new Set() : null, isKey: isMap })
          opens = true
        }
        break
      }
      case MAJOR_TAG: {
        if (!tags.has(head.value)) fail(`tag ${head.value} is not allowed`, offset)
        if (head.value !== TAG_BIGINT_POSITIVE && head.value !== TAG_BIGINT_NEGATIVE) care = true
        checkTagged(bytes, offset, head.value)
        continue
      }
      case MAJOR_SIMPLE: {
        if (!SIMPLE_ALLOWED.has(head.info)) fail('an unknown simple value', offset)
        break
      }
    }
    if (opens) continue
    closeFinished(open)
    if (open.length === 0) break
  }
  if (offset !== bytes.length) fail('bytes follow the end', offset)
  return { care }
}

/** Counts the item just read in its parent, and every parent that ends with it in its own. */
function closeFinished(open: Open[]): void {
  for (let last = open[open.length - 1]; last !== undefined; last = open[open.length - 1]) {
    last.itemsLeft--
    if (last.itemsLeft > 0) {
      if (last.keys !== null) last.isKey = !last.isKey
      return
    }
    open.pop()
  }
}

type Head = { major: number; info: number; value: number; next: number }

function readHead(bytes: Uint8Array, offset: number): Head {
  const first = bytes[offset]
  if (first === undefined) fail('the end comes too early', offset)
  const major = (first as number) >> 5
  const info = (first as number) & 31
  if (info < 24) return { major, info, value: info, next: offset + 1 }
  if (info > 27) fail('an indefinite or reserved length', offset)
  const size = 1 << (info - 24)
  if (offset + 1 + size > bytes.length) fail('the end comes too early', offset)
  let value = 0
  for (let i = 1; i <= size; i++) value = value * 256 + (bytes[offset + i] as number)
  return { major, info, value, next: offset + 1 + size }
}

/** The spellings of a key are compared as bytes. Returns whether the key needs care to decode. */
function readKey(bytes: Uint8Array, offset: number, size: number, keys: Set<string>): boolean {
  let key = ''
  for (let i = offset; i < offset + size; i++) key += String.fromCharCode(bytes[i] as number)
  if (keys.has(key)) fail('a key comes twice', offset)
  keys.add(key)
  return key === '__proto__'
}

/** A tag is followed by the one kind of string that it describes. */
function checkTagged(bytes: Uint8Array, offset: number, tag: number): void {
  const { major } = readHead(bytes, offset)
  const isBigint = tag === TAG_BIGINT_POSITIVE || tag === TAG_BIGINT_NEGATIVE
  if (major !== (isBigint ? MAJOR_BYTES : MAJOR_TEXT)) fail('a tag on the wrong value', offset)
}

function fail(what: string, offset: number): never {
  throw new ProtocolError('malformed', `CBOR: ${what} (at byte ${offset})`)
}
