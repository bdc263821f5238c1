/**
 * Kinds of settings: how a value is read from a flag, a variable or a file, what is allowed, and
 * how it is written back into a file. A flag or variable is always text; a file has types.
 */
import { parseTrusted, type Trust } from '@blindcopy/remote/node'
import { DAY_MS, formatSize, formatTime, parseSize, parseTime } from './units.ts'

export type Kind<T> = {
  /** Ends the sentence "it takes …". */
  readonly allowed: string
  /** In the place of the value, in help. */
  readonly placeholder: string
  /** Undefined when it is not allowed. */
  read(value: unknown): T | undefined
  /** As a file has it. */
  write(value: T): string
  /** Whether a flag may be repeated. */
  readonly isList?: boolean
  /** Whether it is one of a few words, which help must name. */
  readonly isChoice?: boolean
}

type Range = { readonly min: number; readonly max: number }

/** Below it, groups of digits help nobody, and a port has none. */
const GROUPED_MIN = 100_000

const grouped = (number: number, mark: string): string =>
  String(number).replace(/\B(?=(\d{3})+$)/g, mark)

const quoted = (text: string): string => JSON.stringify(text)

export function text(options: {
  readonly allowed: string
  readonly placeholder: string
  readonly pattern: RegExp
}): Kind<string> {
  const { allowed, placeholder, pattern } = options
  return {
    allowed,
    placeholder,
    read: (value) => (typeof value === 'string' && pattern.test(value) ? value : undefined),
    write: quoted,
  }
}

export function choice<const T extends string>(values: readonly T[]): Kind<T> {
  const [last = '', ...others] = [...values].reverse()
  return {
    allowed: `${others.reverse().join(', ')} or ${last}`,
    placeholder: 'WHICH',
    read: (value) => values.find((one) => one === value),
    write: quoted,
    isChoice: true,
  }
}

/** `on` and `off`; in a file also true and false. */
export function onOff(): Kind<boolean> {
  const meanings = new Map<unknown, boolean>([
    [true, true],
    [false, false],
    ['on', true],
    ['true', true],
    ['off', false],
    ['false', false],
  ])
  return {
    allowed: 'on or off',
    placeholder: 'ON|OFF',
    read: (value) => meanings.get(value),
    write: (value) => quoted(value ? 'on' : 'off'),
  }
}

/** Whole numbers; 1_000 and 1,000 are 1000. */
export function count({ min, max }: Range): Kind<number> {
  return {
    allowed: `a whole number from ${min} to ${max < GROUPED_MIN ? max : grouped(max, ',')}`,
    placeholder: 'N',
    read(value) {
      const number = readCount(value)
      return number !== undefined && number >= min && number <= max ? number : undefined
    },
    write: (value) => (value < GROUPED_MIN ? String(value) : grouped(value, '_')),
  }
}

export function size({ min, max }: Range): Kind<number> {
  return {
    allowed: `a size such as 10 GiB, from ${formatSize(min)} to ${formatSize(max)}`,
    placeholder: 'SIZE',
    read: (value) => within(measured(value, parseSize, 1), { min, max }),
    write: (value) => quoted(formatSize(value)),
  }
}

export function time({ min, max }: Range): Kind<number> {
  return {
    allowed: `a time such as 10 s or 5 min, from ${formatTime(min)} to ${formatTime(max)}`,
    placeholder: 'TIME',
    // A number without a unit would be guessed at.
    read: (value) => within(typeof value === 'string' ? parseTime(value) : undefined, { min, max }),
    write: (value) => quoted(formatTime(value)),
  }
}

/** Milliseconds, said in days. */
export function days(max: number): Kind<number> {
  return {
    allowed: `a number of days from 0 to ${max}, such as 30`,
    placeholder: 'DAYS',
    read(value) {
      const number = readCount(value)
      if (number !== undefined) return within(number * DAY_MS, { min: 0, max: max * DAY_MS })
      return within(measured(value, parseTime, DAY_MS), { min: 0, max: max * DAY_MS })
    },
    write: (value) => (value % DAY_MS === 0 ? String(value / DAY_MS) : quoted(formatTime(value))),
  }
}

/** Scheme, host and port, as browsers spell them. */
export function origins(): Kind<readonly string[]> {
  return list('addresses such as https://sync.example.org, without a path', 'URL', (item) => {
    const url = URL.canParse(item) ? new URL(item) : undefined
    const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:'
    return isWeb && url.href === `${url.origin}/` ? url.origin : undefined
  })
}

/** Kept as texts; `trustOf` makes ranges of them. */
export function proxies(): Kind<readonly string[]> {
  return list('addresses or ranges such as 127.0.0.1 or 10.0.0.0/8', 'ADDRESS', (item) =>
    parseTrusted(item) === undefined ? undefined : item,
  )
}

export function trustOf(texts: readonly string[]): Trust {
  return texts.flatMap((item) => {
    const range = parseTrusted(item)
    return range === undefined ? [] : [range]
  })
}

function list(
  allowed: string,
  placeholder: string,
  readItem: (item: string) => string | undefined,
): Kind<readonly string[]> {
  return {
    allowed,
    placeholder,
    isList: true,
    read(value) {
      const items = itemsOf(value)?.map(readItem)
      return items?.every((item) => item !== undefined) ? items : undefined
    },
    write: (value) => `[${value.map(quoted).join(', ')}]`,
  }
}

/** A flag that is repeated, the list of a file, or a text with spaces or commas between. */
function itemsOf(value: unknown): string[] | undefined {
  const texts = Array.isArray(value) ? value : [value]
  if (!texts.every((item) => typeof item === 'string')) return undefined
  const items = texts.flatMap((item) => item.split(/[\s,]+/)).filter((item) => item !== '')
  return items.length > 0 || Array.isArray(value) ? items : undefined
}

function readCount(value: unknown): number | undefined {
  const isText = typeof value === 'string' && /^\d{1,15}$|^\d{1,3}([_,]\d{3})+$/.test(value)
  const number = isText ? Number(value.replace(/[_,]/g, '')) : value
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined
}

function measured(
  value: unknown,
  parse: (value: string) => number | undefined,
  unit: number,
): number | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value * unit
  return typeof value === 'string' ? parse(value) : undefined
}

const within = (number: number | undefined, { min, max }: Range): number | undefined =>
  number !== undefined && number >= min && number <= max ? number : undefined
