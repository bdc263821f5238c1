/**
 * Units: sizes such as 10 GiB and times such as 30 days, as people write them in settings.
 */

const BYTES_BY_UNIT: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS: number = 24 * HOUR_MS

const MS_BY_UNIT: Readonly<Record<string, number>> = {
  ms: 1,
  s: SECOND_MS,
  second: SECOND_MS,
  seconds: SECOND_MS,
  min: MINUTE_MS,
  minute: MINUTE_MS,
  minutes: MINUTE_MS,
  h: HOUR_MS,
  hour: HOUR_MS,
  hours: HOUR_MS,
  d: DAY_MS,
  day: DAY_MS,
  days: DAY_MS,
}

/** Whole bytes; a number alone is bytes. Undefined when it is no size. */
export function parseSize(text: string): number | undefined {
  return measure(text, BYTES_BY_UNIT, 'b')
}

/** Whole milliseconds. Undefined when it is no time, or has no unit, but for 0. */
export function parseTime(text: string): number | undefined {
  return text.trim() === '0' ? 0 : measure(text, MS_BY_UNIT, undefined)
}

/** In the largest unit in which it is a whole number. */
export function formatSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const unitBytes = BYTES_BY_UNIT[unit.toLowerCase()] ?? 1
    if (bytes >= unitBytes && bytes % unitBytes === 0) return `${bytes / unitBytes} ${unit}`
  }
  return `${bytes} B`
}

export function formatTime(ms: number): string {
  if (ms >= DAY_MS && ms % DAY_MS === 0) return `${ms / DAY_MS} ${ms === DAY_MS ? 'day' : 'days'}`
  for (const unit of ['h', 'min', 's']) {
    const unitMs = MS_BY_UNIT[unit] ?? 1
    if (ms >= unitMs && ms % unitMs === 0) return `${ms / unitMs} ${unit}`
  }
  return `${ms} ms`
}

function measure(
  text: string,
  units: Readonly<Record<string, number>>,
  unitAlone: string | undefined,
): number | undefined {
  const match = /^\s*(\d{1,16}(?:\.\d{1,6})?)\s*([a-z]{0,7})\s*$/i.exec(text)
  if (match === null) return undefined
  const [, number = '', written = ''] = match
  const unit = written === '' ? unitAlone : written.toLowerCase()
  const size = unit === undefined || !Object.hasOwn(units, unit) ? undefined : units[unit]
  if (size === undefined) return undefined
  const whole = Math.round(Number(number) * size)
  return Number.isSafeInteger(whole) ? whole : undefined
}
