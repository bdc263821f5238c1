/**
 * Arrival batch: writes what has arrived as one batch, with all that it changes beside the rows:
 * the clock, what was seen of each author, what the person learns, what two versions make together.
 */
import {
  type ClockState,
  compareTimestamps,
  formatHex,
  type Timestamp,
  timestampAuthor,
} from '@blindcopy/protocol'
import type { Arrival, ArrivalContext, Meeting } from './arrival.ts'
import type { LocalState, NextState } from './local-state.ts'
import type { RowBatch } from './row-batch.ts'
import { withTags } from './versioned-tags.ts'

/** Files what two versions of a merge record make together, as a write of this device. */
export type FileMeetings = (
  batch: RowBatch,
  meetings: readonly Meeting[],
  /** After the arrivals; as it was, without it. */
  clock?: ClockState,
) => Pick<NextState, 'clock' | 'nextNumber'> & { readonly added: readonly number[] }

const COPIED =
  'this folder was copied or put back from an older copy, or a power cut took its last writes: nothing is lost, and what it writes from now on stays apart'
export const TORN =
  'a transaction of another device arrived in parts only: what came of it is shown'

/** Writes a batch of arrivals, what they change beside the rows, and what they make together. */
export async function writeArrivals(
  state: LocalState,
  batch: RowBatch,
  taken: {
    readonly arrivals: readonly Arrival[]
    readonly context: ArrivalContext
    readonly fileMeetings: FileMeetings
    readonly isTorn?: boolean
    readonly next?: NextState
  },
): Promise<void> {
  const { arrivals, context, isTorn = false } = taken
  const next = finishArrivals(state, { arrivals, context, isTorn })
  const { added, ...meetings } = taken.fileMeetings(batch, context.meetings, next.clock)
  await state.write(batch, { ...next, ...meetings, ...taken.next })
  for (const number of added) state.outbox.added(number)
}

/**
 * What changes beside the rows: the clock, what was seen of each author, what the person learns.
 */
export function finishArrivals(
  state: LocalState,
  taken: { arrivals: readonly Arrival[]; context: ArrivalContext; isTorn: boolean },
): NextState {
  let clock = state.clock.state
  const seen = new Map(state.seen)
  let isSeenChanged = false
  for (const { timestamp, opening } of taken.arrivals) {
    if (opening.type !== 'opened') continue
    clock = state.clock.received(clock, timestamp)
    const author = formatHex(timestampAuthor(timestamp))
    const greatest = seen.get(author)
    if (greatest !== undefined && compareTimestamps(timestamp, greatest) <= 0) continue
    seen.set(author, timestamp.slice() as Timestamp)
    isSeenChanged = true
  }
  let { notices } = state
  if (taken.context.isCopied) {
    notices = state.withNotice({ code: 'folder-copied', message: COPIED })
  }
  if (taken.isTorn) notices = state.withNotice({ code: 'transaction-torn', message: TORN })
  const tags = taken.arrivals.flatMap(({ opening }) =>
    opening.type === 'opened' && opening.isVersioned === true ? [opening.tag] : [],
  )
  const versionedTags = withTags(state.versionedTags, tags)
  return {
    clock,
    ...(versionedTags === state.versionedTags ? {} : { versionedTags }),
    ...(isSeenChanged ? { seen } : {}),
    ...(taken.context.isRebaseDue ? { isRebaseDue: true } : {}),
    ...(notices === state.notices ? {} : { notices }),
  }
}
