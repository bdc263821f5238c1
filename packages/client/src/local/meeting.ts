/**
 * Meeting: two versions of a merge record of which neither was written on top of the other, and
 * which nobody here has to answer for: a remote that was put back, a bundle, a race. What both say
 * together is written by this device; if the newer one says it all, nothing is.
 */
import {
  type ClockState,
  compareTimestamps,
  type Envelope,
  envelopeTimestamp,
  equalBytes,
  isTombstone,
  type Timestamp,
} from '@blindcopy/protocol'
import { numberedKey } from '@blindcopy/secondary'
import type { VaultRecord } from '@blindcopy/vault'
import { codeOf } from '../error.ts'
import {
  clockGroups,
  joinStates,
  lostFields,
  type MergeState,
  mergeStateOf,
  sameState,
} from '../records/merge.ts'
import type { Meeting } from './arrival.ts'
import type { FileMeetings } from './arrival-batch.ts'
import type { LocalState } from './local-state.ts'
import { encodeOutboxEntry, flagsOf } from './outbox.ts'
import type { RewriteKeys } from './rewrite.ts'
import { isLater } from './row.ts'
import type { RowBatch, Slot } from './row-batch.ts'
import { upgradeBoth } from './upgrade.ts'

const MERGE_OP = { policy: 1, compareAndSet: true } as const

/** The versions of one record that meet, oldest first, and what each says. */
type Met = { readonly slot: Slot; readonly versions: readonly MetVersion[] }
type MetVersion = {
  readonly envelope: Envelope
  readonly timestamp: Timestamp
  readonly record: VaultRecord
  readonly state: MergeState
}

export function fileMeetingsOf(state: () => LocalState, keys: RewriteKeys): FileMeetings {
  return (batch, meetings, received = state().clock.state) => {
    let clock = received
    let number = state().outbox.nextNumber
    const added: number[] = []
    for (const [slot, envelopes] of envelopesBySlot(meetings)) {
      const met = { slot, versions: openVersions(keys, envelopes) }
      const next = fileMeeting(state(), keys, { batch, met, clock, number })
      if (next === undefined) continue
      clock = next
      added.push(number++)
    }
    return added.length === 0 ? { added } : { added, clock, nextNumber: number }
  }
}

function envelopesBySlot(meetings: readonly Meeting[]): Map<Slot, Set<Envelope>> {
  const bySlot = new Map<Slot, Set<Envelope>>()
  for (const { slot, older, newer } of meetings) {
    const envelopes = bySlot.get(slot) ?? new Set()
    bySlot.set(slot, envelopes.add(older).add(newer))
  }
  return bySlot
}

/** Without those that the disk has spoiled. */
function openVersions(keys: RewriteKeys, envelopes: Iterable<Envelope>): MetVersion[] {
  return [...envelopes]
    .filter((envelope) => keys.tagOf(envelope) !== undefined)
    .map((envelope) => {
      const record = keys.decode(envelope)
      const timestamp = envelopeTimestamp(envelope)
      return { envelope, timestamp, record, state: mergeStateOf(record, timestamp) }
    })
    .sort((a, b) => compareTimestamps(a.timestamp, b.timestamp))
}

/** The clock after the write, or undefined when nothing had to be written. */
function fileMeeting(
  state: LocalState,
  keys: RewriteKeys,
  at: { batch: RowBatch; met: Met; clock: ClockState; number: number },
): ClockState | undefined {
  const { batch, met, clock, number } = at
  const { slot, versions } = met
  const newest = versions.at(-1)
  if (newest === undefined || versions.length < 2) return undefined
  const { recordId, row } = slot
  const nowMs = state.nowMs()
  const upgraded = upgradeAll(keys, versions)
  if (upgraded === undefined) {
    // Of different schema versions: the newer stands, as under any other policy.
    for (const version of versions.slice(0, -1)) logOlder(batch, { slot, version, newest, nowMs })
    return undefined
  }
  const joined = upgraded.map((version) => version.state).reduce(joinStates)
  // Writes that wait stay as they are: the merge is one more on top of them.
  const isAbove = row.pending > 0
  const shown = upgraded.find(({ timestamp }) => equalBytes(timestamp, row.current))
  const standing = (isAbove ? shown : undefined) ?? (upgraded.at(-1) as MetVersion)
  // An ancestor changes nothing, and neither does what was overwritten field by field.
  if (sameState(joined, standing.state)) return undefined
  const next = state.clock.next(laterOf(newest.timestamp, row.current), clock)
  const { timestamp } = next
  const base = isAbove ? row.current : newest.timestamp
  const envelope = sealJoined(keys, { upgraded, joined, base, timestamp })
  // More than an envelope holds: the newer stands, and what it had not seen is kept.
  for (const version of upgraded.slice(0, -1)) {
    const isOver = envelope === undefined || isLost(version, joined, newest)
    if (isOver) logOlder(batch, { slot, version, newest, nowMs })
  }
  const tag = envelope === undefined ? undefined : keys.tagOf(envelope)
  if (envelope === undefined || tag === undefined) return undefined
  batch.putVersion(recordId, timestamp, envelope)
  batch.show(recordId, { tag, timestamp, tombstone: isTombstone(envelope) })
  batch.setRow(slot, {
    ...row,
    current: timestamp,
    pending: row.pending + 1,
    base: isAbove ? row.base : base,
    last: number,
    policy: flagsOf(MERGE_OP),
  })
  const op = { recordId, replaced: base, ...MERGE_OP }
  const value = encodeOutboxEntry({ timestamp, ops: [op], refusals: 0, intent: null })
  batch.ops.push({ type: 'put', key: numberedKey('outbox', number), value })
  batch.conflictEvents.push({ kind: 'merged', recordId, timestamp })
  return next.state
}

/** Undefined when no envelope holds it. */
function sealJoined(
  keys: RewriteKeys,
  made: {
    readonly upgraded: readonly MetVersion[]
    readonly joined: MergeState
    readonly base: Timestamp
    readonly timestamp: Timestamp
  },
): Envelope | undefined {
  const { upgraded, joined, base, timestamp } = made
  const { collection, key } = (upgraded[0] as MetVersion).record
  const { fields } = joined
  const versions = upgraded.map(({ record }) => record.schemaVersion)
  const schemaVersion = fields === null ? 0 : Math.max(...versions)
  const fieldClocks = clockGroups(joined, timestamp)
  const record = { collection, key, fields, base, transactionSize: 1, fieldClocks, schemaVersion }
  try {
    return keys.seal(record, timestamp)
  } catch (error) {
    if (codeOf(error) === 'record-too-large') return undefined
    throw error
  }
}

/** All of one schema version; undefined when that cannot be. */
function upgradeAll(
  keys: RewriteKeys,
  versions: readonly MetVersion[],
): readonly MetVersion[] | undefined {
  const upgraded: MetVersion[] = []
  const [first] = versions
  for (const version of versions) {
    const both = upgradeBoth(keys, (first as MetVersion).record, version.record)
    if (both.reason !== undefined) return undefined
    const record = both.theirs
    upgraded.push({ ...version, record, state: mergeStateOf(record, version.timestamp) })
  }
  return upgraded
}

/** Whether it had fields that the writer of the newest had not seen, and that are no more. */
function isLost({ state }: MetVersion, joined: MergeState, { record }: MetVersion): boolean {
  return lostFields(state, joined, undefined).some((name) => {
    const clock = state.clocks.get(name)
    return clock !== undefined && (record.base === null || isLater(clock, record.base))
  })
}

function logOlder(
  batch: RowBatch,
  lost: { slot: Slot; version: MetVersion; newest: MetVersion; nowMs: number },
): void {
  const { slot, version, newest, nowMs } = lost
  const { envelope, timestamp } = version
  batch.logConflict({
    recordId: slot.recordId,
    timestamp,
    kind: 'overwritten',
    notedMs: nowMs,
    winner: newest.timestamp,
    note: null,
    envelope,
  })
}

const laterOf = (a: Timestamp, b: Timestamp): Timestamp => (isLater(a, b) ? a : b)
