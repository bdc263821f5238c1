/**
 * Signed fields: reads the items of what was decoded from signed bytes, each of the type it must
 * have. What reads says how it refuses.
 */
import { TIME_MS_MAX } from './limits.ts'

export type FieldReaders = {
  list(value: unknown): unknown[]
  /** Without a size a list of any. */
  tuple(value: unknown, size?: number): unknown[]
  byteString(value: unknown, size?: number): Uint8Array
  /** Whole, and not below zero. */
  integer(value: unknown): number
  /** One that no date can hold would be an error wherever it is shown. */
  moment(value: unknown): number
}

export function createFieldReaders(refuse: (why: string) => never): FieldReaders {
  const list = (value: unknown): unknown[] =>
    Array.isArray(value) ? value : refuse('a list is missing')
  const integer = (value: unknown): number =>
    Number.isSafeInteger(value) && (value as number) >= 0
      ? (value as number)
      : refuse('a number is missing')
  return {
    list,
    tuple(value, size) {
      const items = list(value)
      if (size === undefined || items.length === size) return items
      return refuse(`a list has ${items.length} items, not ${size}`)
    },
    byteString(value, size) {
      if (!(value instanceof Uint8Array)) return refuse('bytes are missing')
      if (size !== undefined && value.length !== size) return refuse('bytes have a wrong length')
      return value
    },
    integer,
    moment(value) {
      const ms = integer(value)
      return ms <= TIME_MS_MAX ? ms : refuse('a time is beyond what a timestamp holds')
    },
  }
}
