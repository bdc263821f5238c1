/**
 * Meeting: two versions of a merge record of which neither was written on top of the other, and
 * which nobody here has to answer for: a remote that was put back, a bundle, a race. What both say
 * together is written by this device; if the newer one says it all, nothing is.
 */
import {
  type ClockState,
  type Envelope,
  envelopeTimestamp,
  equalBytes,
  isTombstone,
  type Timestamp,
} from '@blindcopy/protocol'
import { numberedKey } from '@blindcopy/secondary'
import type { Meeting } from './arrival.ts'
import type { LocalState } from './local-state.ts'
import { clockGroups, joinStates, lostFields, mergeStateOf, sameState } from './merge.ts'
import { encodeOutboxEntry, flagsOf } from './outbox.ts'
import type { FileMeetings } from './pulled-log.ts'
import type { RewriteKeys } from './rewrite.ts'
import type { RowBatch } from './row-batch.ts'

const MERGE_OP = { policy: 1, compareAndSet: true } as const

export function fileMeetingsOf(state: () => LocalState, keys: RewriteKeys): FileMeetings {
  return (batch, meetings) => {
    let clock = state().clock.state
    let number = state().outbox.nextNumber
    const added: number[] = []
    for (const meeting of meetings) {
      const next = fileMeeting(state(), keys, { batch, meeting, clock, number })
      if (next === undefined) continue
      clock = next
      added.push(number++)
    }
    return added.length === 0 ? { added } : { added, clock, nextNumber: number }
  }
}

/** The clock after the write, or undefined when nothing had to be written. */
function fileMeeting(
  state: LocalState,
  keys: RewriteKeys,
  at: { batch: RowBatch; meeting: Meeting; clock: ClockState; number: number },
): ClockState | undefined {
  const { batch, meeting, clock, number } = at
  const { slot, older, newer } = meeting
  const { recordId } = slot
  const [ours, theirs] = [keys.decode(older), keys.decode(newer)]
  const olderState = mergeStateOf(ours, envelopeTimestamp(older))
  const newerState = mergeStateOf(theirs, envelopeTimestamp(newer))
  const joined = joinStates(olderState, newerState)
  // Writes that wait stay as they are: the merge is one more on top of them.
  const isAbove = slot.row.pending > 0
  const isOlderShown = isAbove && equalBytes(slot.row.current, envelopeTimestamp(older))
  // An ancestor changes nothing, and neither does what was overwritten field by field.
  if (sameState(joined, isOlderShown ? olderState : newerState)) return undefined
  if (lostFields(olderState, joined, undefined).length > 0) {
    logOlder(batch, meeting, state.nowMs())
  }
  const next = state.clock.next(envelopeTimestamp(newer), clock)
  const { timestamp } = next
  const base = isAbove ? slot.row.current : envelopeTimestamp(newer)
  const fieldClocks = clockGroups(joined, timestamp)
  const record = { ...theirs, fields: joined.fields, base, transactionSize: 1, fieldClocks }
  const envelope = keys.seal(record, timestamp)
  const tag = keys.tagOf(envelope)
  if (tag === undefined) return undefined
  batch.putVersion(recordId, timestamp, envelope)
  batch.show(recordId, { tag, timestamp, tombstone: isTombstone(envelope) })
  batch.setRow(slot, {
    ...slot.row,
    current: timestamp,
    pending: slot.row.pending + 1,
    base: isAbove ? slot.row.base : base,
    last: number,
    policy: flagsOf(MERGE_OP),
  })
  fileEntry(batch, number, { timestamp, op: { recordId, replaced: base, ...MERGE_OP } })
  batch.conflictEvents.push({ kind: 'merged', recordId, timestamp })
  return next.state
}

function fileEntry(
  batch: RowBatch,
  number: number,
  {
    timestamp,
    op,
  }: { timestamp: Timestamp; op: Parameters<typeof encodeOutboxEntry>[0]['ops'][0] },
): void {
  const value = encodeOutboxEntry({ timestamp, ops: [op], refusals: 0, intent: null })
  batch.ops.push({ type: 'put', key: numberedKey('outbox', number), value })
}

function logOlder(batch: RowBatch, { slot, older, newer }: Meeting, nowMs: number): void {
  batch.logConflict({
    recordId: slot.recordId,
    timestamp: envelopeTimestamp(older),
    kind: 'overwritten',
    notedMs: nowMs,
    winner: envelopeTimestamp(newer),
    note: null,
    envelope: older as Envelope,
  })
}
