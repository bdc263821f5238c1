/**
 * Commit: a local transaction, sealed and stored in one batch: all of it or nothing.
 *
 * An unsent transaction whose records the new one writes all is dropped for it, so that a record
 * that is edited for hours offline is sent once. What was sent stays as it is until its verdict.
 */
import {
  type ClockState,
  compareBytes,
  type Envelope,
  equalBytes,
  type Timestamp,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_RECORDS_MAX,
} from '@blindcopy/protocol'
import { numberedKey } from '@blindcopy/secondary'
import { ClientError } from '../error.ts'
import {
  type Committed,
  type Draft,
  fileDrafts,
  greatestOf,
  type ReadVersions,
  type Replaced,
} from './draft.ts'
import type { LocalState, NextState } from './local-state.ts'
import { encodeOutboxEntry, parseOutboxEntry } from './outbox.ts'
import { idText, type RowBatch } from './row-batch.ts'
import { withTags } from './versioned-tags.ts'

export type CommitOptions = {
  /** What the transaction has read: when any of it has changed, nothing is written. */
  readonly readVersions?: ReadVersions
  /** The sealed name and arguments of the custom mutation that made the drafts. */
  readonly intent?: Envelope | null
}

const NO_READS: ReadVersions = new Map()

/** Inside `run`. Throws `transaction-too-large`. */
export async function commitDrafts(
  state: LocalState,
  drafts: readonly Draft[],
  { readVersions = NO_READS, intent = null }: CommitOptions = {},
): Promise<Committed> {
  if (drafts.length > TRANSACTION_RECORDS_MAX) throw tooLarge(`${TRANSACTION_RECORDS_MAX} records`)
  const sorted = drafts
    .map((draft) => (intent === null ? draft : asMutation(draft)))
    .sort((a, b) => compareBytes(a.recordId, b.recordId))
  const ids = sorted.map(({ recordId }) => recordId)
  const reads = [...readVersions.values()]
  for (const { recordId } of reads) ids.push(recordId)
  const batch = await state.readRows(ids)
  const isOutrun = reads.some(
    ({ timestamp }, i) => !equalBytes(batch.slot(sorted.length + i).row.current, timestamp),
  )
  if (isOutrun) return { type: 'outrun' }
  if (mayLoseVersion(state, sorted)) return { type: 'outrun' }
  const times = timesOf(state, batch, sorted)
  const { timestamp, clock } = times
  const replaced = intent === null ? await findReplaced(state, batch, sorted) : []
  const number = state.outbox.nextNumber
  const { ops, sizeBytes } = fileDrafts(batch, sorted, { ...times, number, replaced })
  if (sizeBytes > TRANSACTION_BYTES_MAX) throw tooLarge(`${TRANSACTION_BYTES_MAX} bytes`)
  for (const dropped of replaced) {
    batch.ops.push({ type: 'delete', key: numberedKey('outbox', dropped.number) })
  }
  const next = { clock, ...newTags(state, sorted) }
  const replacedCount = replaced.length
  if (ops.length === 0) {
    await writeCounted(state, { batch, next, number: null, replacedCount })
    return { type: 'committed', timestamp: times.localTimestamp, number: null }
  }
  const entry = encodeOutboxEntry({ timestamp, ops, refusals: 0, intent })
  batch.ops.push({ type: 'put', key: numberedKey('outbox', number), value: entry })
  const counted = { ...next, nextNumber: number + 1 }
  await writeCounted(state, { batch, next: counted, number, replacedCount })
  return { type: 'committed', timestamp, number }
}

/** What is pushed shares one timestamp, and what stays here another. */
function timesOf(
  state: LocalState,
  batch: RowBatch,
  drafts: readonly Draft[],
): { timestamp: Timestamp; localTimestamp: Timestamp; clock: ClockState } {
  const first = state.clock.next(greatestOf(batch, state.clock))
  const { timestamp } = first
  const localCount = drafts.filter(({ isLocalOnly }) => isLocalOnly === true).length
  if (localCount === 0 || localCount === drafts.length) {
    return { timestamp, localTimestamp: timestamp, clock: first.state }
  }
  const second = state.clock.next(timestamp, first.state)
  return { timestamp, localTimestamp: second.timestamp, clock: second.state }
}

/** Counted before it is written: who is told of the write reads the count. */
async function writeCounted(
  state: LocalState,
  write: { batch: RowBatch; next: NextState; number: number | null; replacedCount: number },
): Promise<void> {
  const { batch, next, number, replacedCount } = write
  if (number === null) state.outbox.dropped(replacedCount, 0)
  else state.outbox.added(number, replacedCount)
  try {
    await state.write(batch, next)
  } catch (error) {
    if (number === null) state.outbox.dropped(-replacedCount, 0)
    else state.outbox.notAdded(replacedCount)
    throw error
  }
}

/** Collections that have a record with a schema version from now on. */
function newTags(state: LocalState, drafts: readonly Draft[]): Pick<NextState, 'versionedTags'> {
  const versioned = drafts.filter(({ schemaVersion }) => (schemaVersion ?? 0) > 0)
  const versionedTags = withTags(
    state.versionedTags,
    versioned.map(({ tag }) => tag),
  )
  return versionedTags === state.versionedTags ? {} : { versionedTags }
}

/** Whether one was made without reading what may have a schema version by now. */
const mayLoseVersion = ({ versionedTags }: LocalState, drafts: readonly Draft[]): boolean =>
  versionedTags.size > 0 &&
  drafts.some(
    ({ schemaVersion, tombstone, tag }) =>
      schemaVersion === undefined && !tombstone && versionedTags.has(idText(tag)),
  )

/** What a mutation wrote is right only on top of what it read. */
function asMutation(draft: Draft): Draft {
  checkPushed(draft)
  return { ...draft, compareAndSet: true }
}

/** Throws `invalid-argument` for what a mutation must not write. */
export function checkPushed({ isLocalOnly }: Draft): void {
  if (isLocalOnly !== true) return
  throw new ClientError('invalid-argument', 'a mutation writes to no collection that is local only')
}

/** The unsent transactions that the drafts write over in all their records. */
async function findReplaced(
  state: LocalState,
  batch: RowBatch,
  drafts: readonly Draft[],
): Promise<Replaced[]> {
  const numbers = new Set<number>()
  for (const i of drafts.keys()) {
    const { row } = batch.slot(i)
    if (row.pending > 0 && state.outbox.mayReplace(row.last)) numbers.add(row.last)
  }
  if (numbers.size === 0) return []
  const written = new Set(drafts.map(({ recordId }) => idText(recordId)))
  const sorted = [...numbers].sort((a, b) => b - a)
  const entries = await state.store.getMany(sorted.map((number) => numberedKey('outbox', number)))
  const replaced: Replaced[] = []
  for (const [i, bytes] of entries.entries()) {
    if (bytes === undefined) continue
    const entry = parseOutboxEntry(bytes)
    const isCovered = entry.ops.every(({ recordId }) => {
      if (!written.has(idText(recordId))) return false
      return equalBytes(batch.slotOf(recordId).row.current, entry.timestamp)
    })
    if (isCovered && entry.intent === null) replaced.push({ number: sorted[i] as number, entry })
  }
  return replaced
}

function tooLarge(bound: string): ClientError {
  return new ClientError('transaction-too-large', `a transaction holds at most ${bound}: split it`)
}
