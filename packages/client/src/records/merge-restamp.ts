/**
 * Merge clocks of a transaction that gets another timestamp, because this device's clock was wrong
 * (design 4 and 12): no record may name a moment that is no more, or one after its own.
 */
import type { Timestamp } from '@blindcopy/protocol'
import type { FieldClocks } from '@blindcopy/vault'
import { aliveState, clockGroups, deletedState, type MergeRecord, mergeStateOf } from './merge.ts'
import { isLater, justBefore, sameClock } from './merge-clock.ts'

export type Restamp = {
  readonly from: Timestamp
  readonly to: Timestamp
  /** The new timestamp of any other transaction of this device that was re-stamped. */
  readonly newOf?: (clock: Timestamp) => Timestamp | undefined
}

/**
 * The clocks of a record whose transaction is re-stamped, null when it has none. Those that carried
 * a timestamp which is no more carry the new one. None ends up newer than its record, as the clock
 * of a transaction that was coalesced away could, which nobody else has seen.
 */
export function restampClocks(
  record: MergeRecord,
  { from, to, newOf }: Restamp,
): FieldClocks | null {
  if (record.fieldClocks === null) return null
  const state = mergeStateOf(record, from)
  const renewed = (clock: Timestamp): Timestamp => {
    const renamed = sameClock(clock, from) ? to : (newOf?.(clock) ?? clock)
    return isLater(renamed, to) ? to : renamed
  }
  const [editedAt, deletedAt] = [state.editedAt, state.deletedAt].map(
    (at) => at && renewed(at),
  ) as [Timestamp | null, Timestamp | null]
  if (state.fields === null) return clockGroups(deletedState(deletedAt), to)
  const clocks = new Map([...state.clocks].map(([name, clock]) => [name, renewed(clock)] as const))
  const alive = aliveState(state.fields, clocks, editedAt, deletedAt)
  // The deletion that it overcame stays before it, also when both were cut to one moment.
  const overcome = isLater(alive.editedAt, deletedAt) ? deletedAt : justBefore(alive.editedAt ?? to)
  return clockGroups({ ...alive, deletedAt: overcome }, to)
}
