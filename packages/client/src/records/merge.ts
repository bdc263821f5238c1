/**
 * Merge: what a record of a collection with the policy `merge` is, and how two versions of it
 * become one (design 12). Pure. Every field is written at a clock, and of two writes of a field the
 * newer one stands, be it a value or a removal; a value is one thing, however deep.
 *
 *   alive     fields, a clock for each and for each that was removed, editedAt, deletedAt | null
 *   deleted   deletedAt
 *
 * `editedAt` is the newest write by a person, whatever it changed. It keeps a record without any
 * field alive, which has no clock of its own, and tells an edit from the outcome of a merge, whose
 * timestamp says nothing about when anybody wrote. A record is alive exactly while it was edited
 * after the newest deletion, `deletedAt`. That stays with a record which overcame it: a version
 * older than the deletion, and written without having seen it, brings back none of its fields. A
 * newer one is taken whole, older fields and all: as its editor held it.
 *
 * A version without clocks (written under another policy) replaced all there was, so it counts as
 * written just after a deletion: its ancestors add nothing to it.
 */
import {
  assert,
  compareBytes,
  encodeValue,
  equalBytes,
  type Fields,
  type Timestamp,
  type Value,
} from '@blindcopy/protocol'
import { CLOCKS_OWN, type ClockGroup, type FieldClocks, type VaultRecord } from '@blindcopy/vault'
import { compareClocks, isLater, justBefore, laterOf, sameClock } from './merge-clock.ts'

export type MergeState = {
  /** Null when it is deleted: then there are no clocks, and `editedAt` is null. */
  readonly fields: Fields | null
  /** Of every field, and of every name whose removal is remembered. */
  readonly clocks: ReadonlyMap<string, Timestamp>
  readonly editedAt: Timestamp | null
  readonly deletedAt: Timestamp | null
}

/** The part of a record that merging reads. */
export type MergeRecord = Pick<VaultRecord, 'fields' | 'fieldClocks'>

/**
 * Removals beyond these, the oldest, are forgotten by the next put: a record in which names come
 * and go would outgrow an envelope, with no way back. What is lost by it: a field that was removed
 * long ago returns when a device that still held it then edits the record.
 */
export const REMOVALS_MAX = 1_000
/** In UTF-16 code units, of all names of one record. */
export const REMOVALS_LENGTH_MAX = 16_384

/** The state that a version holds. Shares its values. */
export function mergeStateOf(record: MergeRecord, timestamp: Timestamp): MergeState {
  const { fields, fieldClocks } = record
  const { editedAt, deletedAt, groups } = fieldClocks ?? CLOCKS_OWN
  if (fields === null) return deletedState(deletedAt ?? timestamp)
  const clocks = new Map<string, Timestamp>()
  for (const [clock, names] of groups) {
    for (const name of names) clocks.set(name, clock ?? timestamp)
  }
  for (const name of Object.keys(fields)) if (!clocks.has(name)) clocks.set(name, timestamp)
  const replaced = fieldClocks === null ? justBefore(timestamp) : deletedAt
  return aliveState(fields, clocks, editedAt ?? timestamp, replaced)
}

export function deletedState(deletedAt: Timestamp | null): MergeState {
  return { fields: null, clocks: new Map(), editedAt: null, deletedAt }
}

/** No field was written after the last edit, whatever a record says. */
export function aliveState(
  fields: Fields,
  clocks: ReadonlyMap<string, Timestamp>,
  editedAt: Timestamp | null,
  deletedAt: Timestamp | null,
): MergeState {
  let last = editedAt
  for (const clock of clocks.values()) last = laterOf(last, clock)
  return { fields, clocks, editedAt: last, deletedAt }
}

/**
 * What both versions together say: the same whichever comes first, and either of them when it says
 * all that the other does. Shares their values.
 */
export function joinStates(a: MergeState, b: MergeState): MergeState {
  const deletedAt = laterOf(a.deletedAt, b.deletedAt)
  const [isA, isB] = [outlives(a, deletedAt), outlives(b, deletedAt)]
  if (isA && isB) return joinAlive(a, b, deletedAt)
  if (!isA && !isB) return deletedState(deletedAt)
  return { ...(isA ? a : b), deletedAt }
}

function outlives({ fields, editedAt }: MergeState, deletedAt: Timestamp | null): boolean {
  return fields !== null && isLater(editedAt, deletedAt)
}

function joinAlive(a: MergeState, b: MergeState, deletedAt: Timestamp | null): MergeState {
  // The order of the fields is that of the newer version, then what only the older one has.
  const [first, second] = isLater(b.editedAt, a.editedAt) ? [b, a] : [a, b]
  const clocks = new Map<string, Timestamp>()
  const entries: [string, Value][] = []
  for (const name of new Set([...first.clocks.keys(), ...second.clocks.keys()])) {
    const { clocks: winning, fields } = winnerOf(name, first, second)
    const clock = winning.get(name)
    if (clock !== undefined) clocks.set(name, clock)
    if (fields !== null && Object.hasOwn(fields, name)) entries.push([name, fields[name]])
  }
  // fromEntries defines: a field called __proto__ is a field like any other.
  return aliveState(Object.fromEntries(entries), clocks, first.editedAt, deletedAt)
}

function winnerOf(name: string, a: MergeState, b: MergeState): MergeState {
  const [clockA, clockB] = [a.clocks.get(name) ?? null, b.clocks.get(name) ?? null]
  if (isLater(clockA, clockB)) return a
  if (isLater(clockB, clockA)) return b
  // One write, unless a member repeats a timestamp: even then all devices choose the same.
  if (!hasField(a, name)) return b
  if (!hasField(b, name)) return a
  const [valueA, valueB] = [a.fields?.[name], b.fields?.[name]]
  if (sameValue(valueA, valueB)) return a
  return compareBytes(encodeValue(valueA), encodeValue(valueB)) < 0 ? b : a
}

const hasField = ({ fields }: MergeState, name: string): boolean =>
  fields !== null && Object.hasOwn(fields, name)

/** Whether both say the same of every field, of what was removed, edited and deleted, and when. */
export function sameState(a: MergeState, b: MergeState): boolean {
  if (!sameClock(a.editedAt, b.editedAt) || !sameClock(a.deletedAt, b.deletedAt)) return false
  if (a.clocks.size !== b.clocks.size) return false
  for (const [name, clock] of a.clocks) if (!sameClock(clock, b.clocks.get(name))) return false
  return sameValue(a.fields, b.fields)
}

/**
 * The fields that `side` had written since `base` (undefined: ever) and that `joined` does not
 * hold: why a version belongs in the conflict log.
 */
export function lostFields(
  side: MergeState,
  joined: MergeState,
  base: MergeState | undefined,
): string[] {
  return Object.keys(side.fields ?? {}).filter((name) => {
    if (sameClock(side.clocks.get(name), base?.clocks.get(name))) return false
    return !hasField(joined, name) || !sameValue(side.fields?.[name], joined.fields?.[name])
  })
}

/**
 * The clocks to seal with a put of `fields` over what is there, `undefined` for nothing: a field
 * that is the same keeps its clock; what is new, changed or removed gets the timestamp of the put.
 * A deletion is sealed with `CLOCKS_OWN`.
 */
export function changedBy(previous: MergeState | undefined, fields: Fields): FieldClocks {
  if (previous === undefined) return CLOCKS_OWN
  const kept = new Map<string, Timestamp | null>()
  const removals: [string, Timestamp | null][] = []
  for (const [name, clock] of previous.clocks) {
    const had = hasField(previous, name)
    if (!Object.hasOwn(fields, name)) removals.push([name, had ? null : clock])
    else if (had && sameValue(previous.fields?.[name], fields[name])) kept.set(name, clock)
  }
  for (const [name, clock] of rememberedOf(removals)) kept.set(name, clock)
  return { editedAt: null, deletedAt: previous.deletedAt, groups: groupsOf(kept) }
}

/** The newest, up to the limits; null is this put. */
function rememberedOf(
  removals: readonly [string, Timestamp | null][],
): readonly [string, Timestamp | null][] {
  let lengthLeft = REMOVALS_LENGTH_MAX
  return [...removals]
    .sort(([nameA, a], [nameB, b]) => compareClocks(b, a) || (nameA < nameB ? -1 : 1))
    .slice(0, REMOVALS_MAX)
    .filter(([name]) => {
      lengthLeft -= name.length
      return lengthLeft >= 0
    })
}

/**
 * The clocks to seal with a state at a timestamp, which must not be older than any of them: so that
 * `mergeStateOf` gives the state again.
 */
export function clockGroups(state: MergeState, timestamp: Timestamp): FieldClocks {
  const ownOr = (clock: Timestamp | null): Timestamp | null => {
    assert(!isLater(clock, timestamp), 'a record is not older than its clocks')
    return sameClock(clock, timestamp) ? null : clock
  }
  const { editedAt, deletedAt } = state
  if (state.fields === null) return { ...CLOCKS_OWN, deletedAt: ownOr(deletedAt) }
  const clocks = new Map<string, Timestamp | null>()
  for (const [name, clock] of state.clocks) {
    const written = ownOr(clock)
    if (written !== null || !hasField(state, name)) clocks.set(name, written)
  }
  return { editedAt: ownOr(editedAt), deletedAt, groups: groupsOf(clocks) }
}

/** Groups by clock, the own one last; names in order (the form that the vault demands). */
function groupsOf(clocks: ReadonlyMap<string, Timestamp | null>): ClockGroup[] {
  const sorted = [...clocks].sort(
    ([nameA, a], [nameB, b]) => compareClocks(a, b) || (nameA < nameB ? -1 : 1),
  )
  const groups: [Timestamp | null, string[]][] = []
  for (const [name, clock] of sorted) {
    const last = groups.at(-1)
    if (last !== undefined && compareClocks(last[0], clock) === 0) last[1].push(name)
    else groups.push([clock, [name]])
  }
  return groups
}

/**
 * Whether two values are stored alike. Unlike a query it tells 0 from -0: if a change were taken
 * for none, it would keep its clock, and two values of one field would have the same.
 */
function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Date || b instanceof Date) {
    return a instanceof Date && b instanceof Date && a.getTime() === b.getTime()
  }
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && equalBytes(a, b)
  }
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const names = Object.keys(a)
  if (names.length !== Object.keys(b).length) return false
  return names.every(
    (name) =>
      Object.hasOwn(b, name) &&
      sameValue((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name]),
  )
}
