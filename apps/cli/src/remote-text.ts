/**
 * Remote text: how vaults, sizes and times of a remote are shown to people.
 */
import type { Defect, DefectName } from '@blindcopy/remote'
import { count, formatAgo } from './layout.ts'

/** What tells one vault from another: enough of an id that nobody meets it twice. */
export const shortId = (id: string): string => id.slice(0, SHORT_DIGITS)

export const SHORT_DIGITS = 8

/** The id of a vault as its devices show it, in the digits of a remote; anything else as it is. */
export const digitsOfId = (id: string): string =>
  /^[A-Za-z0-9_-]{43}$/.test(id) && !/^[0-9a-fA-F]+$/.test(id)
    ? Buffer.from(id, 'base64url').toString('hex')
    : id

/** What a remote has in digits, as its devices show it. */
export const asOnDevices = (digits: string): string =>
  Buffer.from(digits, 'hex').toString('base64url')

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

export function formatBytes(bytes: number): string {
  let [value, unit] = [bytes, 0]
  for (; value >= 1024 && unit < UNITS.length - 1; unit++) value /= 1024
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`
}

export const formatDay = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

export const formatPush = (ms: number, nowMs: number): string =>
  ms === 0 ? 'never' : formatAgo(ms, nowMs)

export function formatDefects(defects: readonly Defect[]): string {
  return defects
    .map(({ name, count: times }) => `${name}${times > 1 ? ` ×${times}` : ''}`)
    .join(', ')
}

/** Each with its first case, a line each. */
export function describeDefects(defects: readonly Defect[]): string[] {
  return defects.map(({ name, count: times, what }) => {
    const more = times > 1 ? ` (and ${count(times - 1, 'more case')})` : ''
    return `    ${name}: ${what}${more}`
  })
}

export type { Defect, DefectName }

export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
