/**
 * JSON form: a record's fields as text, and exactly back.
 *
 * JSON has fewer kinds of values than a record. The others are objects with one key that begins
 * with "$":
 *
 *   a date              {"$date":"2026-01-31T12:00:00.000Z"}
 *   bytes               {"$bytes":"aGVsbG8="}                     base64
 *   a big integer       {"$bigint":"12345678901234567890"}
 *   undefined           {"$undefined":true}
 *   NaN, ±Infinity, -0  {"$number":"NaN"}, "Infinity", "-Infinity", "-0"
 *   an object of the app whose only key begins with "$"          {"$plain":{"$date":"mine"}}
 *
 * What is read is read strictly: an object with one "$" key that is none of these is refused, and
 * so is an integer that JavaScript would round. Written text is the same on every device that holds
 * the same version, since the order of fields is kept. A law test holds both directions together.
 */
import type { Fields, Value } from '@blindcopy/protocol'
import { CliError } from './cli-error.ts'

/** One line of JSON, without spaces. */
export function formatJson(value: Value): string {
  switch (typeof value) {
    case 'undefined':
      return '{"$undefined":true}'
    case 'bigint':
      return `{"$bigint":"${value}"}`
    case 'number':
      return formatNumber(value)
    case 'object':
      return value === null ? 'null' : formatObject(value)
    default:
      return JSON.stringify(value)
  }
}

function formatNumber(value: number): string {
  if (Object.is(value, -0)) return '{"$number":"-0"}'
  return Number.isFinite(value) ? String(value) : `{"$number":"${value}"}`
}

function formatObject(value: Exclude<Value & object, null>): string {
  if (value instanceof Date) return `{"$date":"${value.toISOString()}"}`
  if (value instanceof Uint8Array) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.length)
    return `{"$bytes":"${bytes.toString('base64')}"}`
  }
  if (Array.isArray(value)) return `[${value.map(formatJson).join(',')}]`
  const entries = Object.entries(value as { readonly [key: string]: Value })
  const body = entries.map(([key, field]) => `${JSON.stringify(key)}:${formatJson(field)}`)
  const text = `{${body.join(',')}}`
  return entries.length === 1 && entries[0]?.[0].startsWith('$') ? `{"$plain":${text}}` : text
}

/** The fields that a text of JSON spells. Throws `invalid-json`. */
export function parseFields(text: string): Fields {
  return readFields(parseJson(text))
}

/** JSON in which no integer is silently rounded. Throws `invalid-json`. */
export function parseJson(text: string): unknown {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    // The parser's own sentence quotes the text, and that is the person's plaintext.
    throw new CliError('invalid-json', `the text is not JSON${placeOf(cause)}`)
  }
  checkIntegers(text)
  return parsed
}

/** What parsed JSON stands for, as the fields of a record. Throws `invalid-json`. */
export function readFields(parsed: unknown): Fields {
  const value = readValue(parsed, 'fields')
  if (isPlain(value)) return value
  throw new CliError('invalid-json', 'a record is a JSON object with fields')
}

function placeOf(cause: unknown): string {
  const place = cause instanceof Error ? /at position (\d+)/.exec(cause.message)?.[1] : undefined
  return place === undefined ? '' : ` (at character ${Number(place) + 1})`
}

const MANY_DIGITS = /\d{16}/
const TEXT_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

function checkIntegers(text: string): void {
  if (!MANY_DIGITS.test(text)) return
  for (const [literal] of text.matchAll(TEXT_OR_NUMBER)) {
    if (!/^-?\d{16,}$/.test(literal)) continue
    const value = Number(literal)
    if (String(value) === literal) continue
    if (Number.isFinite(value) && BigInt(value) === BigInt(literal)) continue
    throw new CliError(
      'invalid-json',
      `the integer ${literal} would be rounded: write {"$bigint":"${literal}"}`,
    )
  }
}

/** Works in place: JSON.parse made the objects, and their keys are all their own. */
function readValue(parsed: unknown, path: string): Value {
  if (typeof parsed !== 'object' || parsed === null) return parsed as Value
  if (Array.isArray(parsed)) {
    parsed.forEach((member, i) => {
      parsed[i] = readValue(member, `${path}[${i}]`)
    })
    return parsed as Value
  }
  const object = parsed as Record<string, unknown>
  const keys = Object.keys(object)
  const [only] = keys
  if (keys.length === 1 && only?.startsWith('$')) return readTagged(only, object[only], path)
  return readPlain(object, path)
}

function readPlain(object: Record<string, unknown>, path: string): Value {
  // Assigning is safe even for "__proto__": it is an own property already, and found first.
  for (const key of Object.keys(object)) object[key] = readValue(object[key], `${path}.${key}`)
  return object as Value
}

function readTagged(tag: string, content: unknown, path: string): Value {
  switch (tag) {
    case '$date':
      if (typeof content === 'string') return readDate(content, path)
      break
    case '$bytes':
      if (typeof content === 'string') return readBytes(content, path)
      break
    case '$bigint':
      if (typeof content === 'string' && /^-?\d+$/.test(content)) return BigInt(content)
      break
    case '$undefined':
      if (content === true) return undefined
      break
    case '$number':
      if (typeof content === 'string' && Object.hasOwn(NUMBERS, content)) return NUMBERS[content]
      break
    case '$plain':
      if (isPlain(content)) return readPlain(content as Record<string, unknown>, path)
      break
  }
  throw new CliError(
    'invalid-json',
    `${path} has one key, ${tag}, that stands for no value: write {"$plain":{"${tag}":…}}`,
  )
}

const NUMBERS: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
  '-0': -0,
}

const ISO_DATE = /^(\d{4}|[+-]\d{6})-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/

function readDate(text: string, path: string): Date {
  const date = new Date(text)
  if (ISO_DATE.test(text) && !Number.isNaN(date.getTime())) return date
  throw new CliError(
    'invalid-json',
    `${path}: a $date is written as 2026-01-31T12:00:00Z (ISO 8601 with its zone)`,
  )
}

function readBytes(text: string, path: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  // Node skips what it does not know; only what comes back as it was is base64.
  if (bytes.toString('base64') === text) return new Uint8Array(bytes)
  throw new CliError('invalid-json', `${path}: $bytes are written in base64, with padding`)
}

function isPlain(value: unknown): value is Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return !(value instanceof Date) && !(value instanceof Uint8Array)
}
