/**
 * Field clocks: when each field of a record was written, the sixth place of a record (record.ts).
 * A collection that merges writes them, and no other; what they mean is told by client's merge.ts.
 *
 *   [editedAt | null, deletedAt | null, group…]      group: [clock | null, name, name…]
 *
 * A null clock is the record's own timestamp, which therefore nobody needs before sealing. A field
 * that no group names has the record's own timestamp; a name that is no field is one that was
 * removed then. Groups come by clock, the own one last; names by their UTF-16 code units; each name
 * once. Every clock that is written out is older than the record (checked by `fitClocks`, because
 * only the envelope says the timestamp).
 */
import {
  assert,
  compareTimestamps,
  type Fields,
  TIMESTAMP_BYTES,
  type Timestamp,
} from '@blindcopy/protocol'

/** Names that were written, or removed, at one moment; null for the record's own timestamp. */
export type ClockGroup = readonly [clock: Timestamp | null, names: readonly string[]]

export type FieldClocks = {
  /**
   * The newest write by a person; null for the record's own timestamp. It is older when the record
   * is the outcome of a merge, which is no edit. Always null for a deletion.
   */
  readonly editedAt: Timestamp | null
  /**
   * For a deletion, when it was made, null for the record's own timestamp. For any other record the
   * newest deletion that it has overcome, null for none.
   */
  readonly deletedAt: Timestamp | null
  readonly groups: readonly ClockGroup[]
}

/** What a plain record and its deletion say: everything was written with the record. */
export const CLOCKS_OWN: FieldClocks = { editedAt: null, deletedAt: null, groups: [] }

const PLACES_BEFORE_GROUPS = 2

/** The value to encode. Asserts the form that `parseClocks` demands, but for the fields. */
export function placeOfClocks(clocks: FieldClocks, isDeletion: boolean): unknown {
  const { editedAt, deletedAt, groups } = clocks
  const place = [editedAt, deletedAt, ...groups.map(([clock, names]) => [clock, ...names])]
  assert(parseClocks(place, isDeletion ? null : {}) !== undefined, 'field clocks have one form')
  return place
}

/** Undefined for anything but the one form. Time and memory follow the size of what is decoded. */
export function parseClocks(place: unknown, fields: Fields | null): FieldClocks | undefined {
  if (!Array.isArray(place) || place.length < PLACES_BEFORE_GROUPS) return undefined
  const [editedAt, deletedAt, ...rest] = place as unknown[]
  if (!isClock(editedAt) || !isClock(deletedAt)) return undefined
  if (fields === null && (editedAt !== null || rest.length > 0)) return undefined
  if (editedAt !== null && deletedAt !== null && !isBefore(deletedAt, editedAt)) return undefined
  const groups = parseGroups(rest, fields ?? {})
  return groups && { editedAt, deletedAt, groups }
}

function parseGroups(places: readonly unknown[], fields: Fields): ClockGroup[] | undefined {
  const groups: ClockGroup[] = []
  const seen = new Set<string>()
  for (const place of places) {
    const group = parseGroup(place)
    if (group === undefined) return undefined
    const [clock, names] = group
    const previous = groups.at(-1)
    if (previous !== undefined && !isBefore(previous[0], clock)) return undefined
    for (const name of names) {
      // A field of the record's own timestamp is told by no group naming it.
      if (seen.has(name) || (clock === null && Object.hasOwn(fields, name))) return undefined
      seen.add(name)
    }
    groups.push(group)
  }
  return groups
}

function parseGroup(place: unknown): ClockGroup | undefined {
  if (!Array.isArray(place)) return undefined
  const [clock, ...names] = place as unknown[]
  if (!isClock(clock) || names.length === 0 || !areSorted(names)) return undefined
  return [clock, names]
}

function areSorted(names: readonly unknown[]): names is readonly string[] {
  return names.every((name, i) => {
    if (typeof name !== 'string') return false
    return i === 0 || (names[i - 1] as string) < name
  })
}

function isClock(value: unknown): value is Timestamp | null {
  return value === null || (value instanceof Uint8Array && value.length === TIMESTAMP_BYTES)
}

/** Null is the record's own timestamp, after which there is none. */
function isBefore(a: Timestamp | null, b: Timestamp | null): boolean {
  if (a === null) return false
  return b === null || compareTimestamps(a, b) < 0
}

/** Whether every clock that is written out is older than the record of this timestamp. */
export function fitClocks(clocks: FieldClocks | null, timestamp: Timestamp): boolean {
  if (clocks === null) return true
  const isOlder = (clock: Timestamp | null) => clock === null || isBefore(clock, timestamp)
  // The groups are in order, and the own one, which is null, can only be the last.
  const { editedAt, deletedAt, groups } = clocks
  return isOlder(editedAt) && isOlder(deletedAt) && groups.every(([clock]) => isOlder(clock))
}
