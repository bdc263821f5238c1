/**
 * Value: what the fields of a record may hold, and how each survives the way through CBOR exactly.
 *
 * Carried: undefined, null, booleans, numbers (every double, -0 and NaN included), bigints,
 * well-formed strings, Date, Uint8Array, arrays without holes, and plain objects with any text
 * keys. Anything else is refused at the door with the path to it, so that nothing is lost in
 * silence later.
 *
 * Most fields need no preparation and are encoded as they stand; only dates and minus zero are
 * replaced by tags first (codec.ts says which), in a copy.
 */
import { decodeFieldsCbor, encodeCbor, TAG_DATE_TEXT, TAG_NEGATIVE_ZERO, Tag } from './codec.ts'
import { ProtocolError } from './error.ts'
import { NESTING_MAX } from './limits.ts'

export type Value =
  | undefined
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Uint8Array
  | readonly Value[]
  | { readonly [key: string]: Value }

export type Fields = { readonly [key: string]: Value }

/** Throws `not-carried` with the path, such as `fields.tags[3]`, of the first thing it refuses. */
export function encodeValue(value: unknown, path = 'fields'): Uint8Array {
  return encodeCbor(prepareValue(value, path, 0))
}

/** The same value, or a copy in which what cbor-x would change is tagged. */
function prepareValue(value: unknown, path: string, depth: number): unknown {
  switch (typeof value) {
    case 'undefined':
    case 'boolean':
    case 'bigint':
      return value
    case 'number':
      return Object.is(value, -0) ? new Tag('-0', TAG_NEGATIVE_ZERO) : value
    case 'string':
      if (!isWellFormed(value)) refuse(path, 'a string with half a surrogate pair')
      return value
    case 'object':
      return value === null ? null : prepareObject(value, path, depth)
    default:
      return refuse(path, `a ${typeof value}`)
  }
}

function prepareObject(value: object, path: string, depth: number): unknown {
  if (depth >= NESTING_MAX - 2) refuse(path, 'nested too deep, or a cycle')
  if (Array.isArray(value)) return prepareArray(value, path, depth)
  if (value instanceof Uint8Array) return value
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) refuse(path, 'an invalid date')
    return new Tag(value.toISOString(), TAG_DATE_TEXT)
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    refuse(path, `an instance of ${prototype.constructor?.name || 'a class'}`)
  }
  if (Object.getOwnPropertySymbols(value).length > 0) refuse(path, 'a symbol as a key')
  return preparePlain(value as Record<string, unknown>, path, depth)
}

function preparePlain(value: Record<string, unknown>, path: string, depth: number): unknown {
  let copy: Record<string, unknown> | undefined
  for (const key of Object.keys(value)) {
    if (!isWellFormed(key)) refuse(path, 'a key with half a surrogate pair')
    const field = value[key]
    if (passes(field)) continue
    const prepared = prepareValue(field, `${path}.${key}`, depth + 1)
    if (Object.is(prepared, field)) continue
    // A null prototype, so that a key called __proto__ is a key like any other.
    copy ??= Object.assign(Object.create(null) as Record<string, unknown>, value)
    copy[key] = prepared
  }
  return copy ?? value
}

function prepareArray(value: readonly unknown[], path: string, depth: number): unknown {
  // The library writes an array of a subclass or of another realm in a form that is not read.
  let copy: unknown[] | undefined = value.constructor === Array ? undefined : Array.from(value)
  for (let i = 0; i < value.length; i++) {
    if (passes(value[i])) continue
    if (!(i in value)) refuse(`${path}[${i}]`, 'a hole in an array')
    const prepared = prepareValue(value[i], `${path}[${i}]`, depth + 1)
    if (Object.is(prepared, value[i])) continue
    copy ??= [...value]
    copy[i] = prepared
  }
  return copy ?? value
}

/** Most fields are encoded as they stand: known before a path to them is spelled out. */
function passes(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
      return isWellFormed(value)
    case 'number':
      return !Object.is(value, -0)
    default:
      return value === null || typeof value === 'boolean'
  }
}

/** The inverse of `encodeValue`: the same value, in objects of the caller's own. */
export function decodeValue(bytes: Uint8Array): Value {
  return decodeFieldsCbor(bytes) as Value
}

function isWellFormed(text: string): boolean {
  return text.isWellFormed()
}

function refuse(path: string, what: string): never {
  throw new ProtocolError('not-carried', `${path} holds ${what}, which a record cannot carry`, {
    details: { path },
  })
}
