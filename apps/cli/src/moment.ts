/**
 * Moments as people give them: a day, a time, how long ago, or everything.
 */
import { CliError } from './cli-error.ts'

const UNIT_MS: Readonly<Record<string, number>> = {
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
}

/** `all`, `now`, `3d`, `12h`, `2026-11-20`, `2026-11-20T18:00Z`. Throws `usage`. */
export function parseMoment(text: string, nowMs: number): number {
  const given = text.trim()
  if (given === 'all') return 0
  if (given === 'now') return nowMs
  const [, amount, unit = ''] = /^(\d{1,6})([mhdw])$/.exec(given) ?? []
  if (amount !== undefined) return nowMs - Number(amount) * (UNIT_MS[unit] ?? 0)
  const isDate = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/.test(
    given,
  )
  const ms = isDate ? Date.parse(given.replace(' ', 'T')) : Number.NaN
  if (Number.isFinite(ms)) return ms
  throw new CliError(
    'usage',
    'a moment is a date or time such as 2026-11-20 or 2026-11-20T18:00Z, a span such as 3d or 12h, or "all"',
  )
}
