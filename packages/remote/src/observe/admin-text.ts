/**
 * Admin text: numbers, sizes and times as the admin page writes them. What is unknown is a dash.
 */
const UNKNOWN = '–'
/** No line ends between a number and its unit. */
const JOINT = '\u00a0'
const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

export const formatCount = (count: number | undefined): string =>
  count === undefined ? UNKNOWN : count.toLocaleString('en-US')

/** Three digits: 812 B, 3.41 MiB, 97.2 GiB. */
export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined) return UNKNOWN
  let value = bytes
  let unit = 0
  // What would be written as 1,000 of a unit or more is written in the next one.
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${value.toFixed(digits)}${JOINT}${UNITS[unit]}`
}

/** In UTC, to the minute: 2026-11-21 16:04 UTC. */
export const formatMoment = (ms: number): string =>
  `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`

/** The two largest units: 3 d 4 h. */
export function formatSpan(ms: number): string {
  if (ms < MINUTE_MS) return `${Math.max(0, Math.floor(ms / SECOND_MS))} s`
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min`
  if (ms < DAY_MS)
    return `${Math.floor(ms / HOUR_MS)} h ${Math.floor((ms % HOUR_MS) / MINUTE_MS)} min`
  return `${Math.floor(ms / DAY_MS)} d ${Math.floor((ms % DAY_MS) / HOUR_MS)} h`
}

/** One unit is enough for what lies behind: 4 min ago. */
export function formatAgo(thenMs: number, nowMs: number): string {
  const ms = nowMs - thenMs
  if (ms < SECOND_MS) return 'just now'
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)} s ago`
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min ago`
  if (ms < 2 * DAY_MS) return `${Math.floor(ms / HOUR_MS)} h ago`
  return `${Math.floor(ms / DAY_MS)} d ago`
}
