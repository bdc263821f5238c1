/**
 * Rewrite: one unsent transaction, put on top of versions it was not written on.
 *
 * Each op is resolved by the policy it was written under, except that a custom mutation runs again
 * as a whole. What it comes to is all of the transaction or nothing: where one op needs a person,
 * the whole is taken back and kept in the conflict log.
 */
import {
  type Envelope,
  envelopeTimestamp,
  type Fields,
  type RecordId,
  type Timestamp,
  TRANSACTION_RECORDS_MAX,
} from '@blindcopy/protocol'
import type { RecordDraft, VaultRecord } from '@blindcopy/vault'
import { codeOf } from '../error.ts'
import { type Resolution, reasonOf } from '../records/conflict-policy.ts'
import { clockGroups, type MergeState, mergeStateOf, sameState } from '../records/merge.ts'
import type { ConflictEvent, ConflictKind, LoggedConflict } from './conflict-log.ts'
import type { Draft } from './draft.ts'
import type { OutboxEntry, OutboxOp } from './outbox.ts'
import type { Standing } from './rebase.ts'
import { mergeOp, restampedClocks } from './rewrite-merge.ts'
import { isNone } from './row.ts'
import { upgradeBoth, versionOf } from './upgrade.ts'

/** What rewriting needs of the vault's keys and of the app. */
export type RewriteKeys = {
  /** Throws when the disk no longer holds it as it was sealed. */
  decode(envelope: Envelope): VaultRecord
  /**
   * As the schema version that the app has declared wants it. Throws `schema-newer`, and what the
   * app's migration throws.
   */
  upgrade(record: VaultRecord): VaultRecord
  seal(record: RecordDraft, timestamp: Timestamp): Envelope
  /** The list its record stands in; undefined when it does not open. */
  tagOf(envelope: Envelope): Uint8Array | undefined
  /** By the function that the app declared; undefined when it has declared none. */
  resolve(
    collection: string,
    sides: {
      readonly base: Fields | null | undefined
      readonly local: Fields | null
      readonly remote: Fields | null
      readonly key: string
    },
  ): Resolution | undefined
  /** Runs a mutation again on what `read` shows. */
  rerun(intent: Envelope, read: (recordId: RecordId) => Promise<Standing>): Promise<Rerun>
  /** A record of this device that says why something was taken back. */
  sealNote(reason: string, timestamp: Timestamp): Envelope
}

export type Rerun =
  | { readonly type: 'written'; readonly drafts: readonly Draft[] }
  | { readonly type: 'failed'; readonly reason: string }
  /** Not by this app as it is: it has not declared the mutation, or is too old for the records. */
  | { readonly type: 'set-aside'; readonly code: string }

export type RewriteContext = {
  readonly entry: OutboxEntry
  /** Of its ops; undefined where the disk has lost one. */
  readonly envelopes: readonly (Envelope | undefined)[]
  readonly under: readonly Standing[]
  /** Whether an op still stands on what it was written on. */
  isExpected(index: number): boolean
  /** Whether the version of an op stands in the conflict log already. */
  isLogged(index: number): Promise<boolean>
  /** The newer version that took the place of an op of plain last-write-wins. */
  winnerOf(index: number): Timestamp | undefined
  /** The clock was wrong: what was written keeps its content and gets another time. */
  readonly isRestamped: boolean
  newOf(recordId: RecordId, clock: Timestamp): Timestamp | undefined
  stored(recordId: RecordId, timestamp: Timestamp): Promise<Envelope | undefined>
  read(recordId: RecordId): Promise<Standing>
  next(replaced: readonly Timestamp[]): Timestamp
  readonly nowMs: number
}

/** What now stands for the old version of a record. */
export type Renamed = {
  readonly recordId: RecordId
  readonly timestamp: Timestamp
  /** Only its time is another: nothing was merged into it. */
  readonly isSame: boolean
}

export type Rewrite = {
  readonly timestamp: Timestamp
  /** By record id; none when the transaction is over. */
  readonly ops: readonly { readonly op: OutboxOp; readonly envelope: Envelope }[]
  readonly intent: Envelope | null
  readonly renamed: readonly Renamed[]
  readonly conflicts: readonly LoggedConflict[]
  readonly events: readonly ConflictEvent[]
  /** Moved there whole, when nobody here can rewrite it. */
  readonly attention: { readonly code: string; readonly envelopes: readonly Envelope[] } | null
}

/** What an op comes to. */
export type Outcome =
  | {
      readonly type: 'kept'
      readonly record: VaultRecord
      readonly isMerged: boolean
      readonly losers?: readonly Loser[]
    }
  /** What is there already says all of it. */
  | { readonly type: 'adopted'; readonly losers?: readonly Loser[] }
  /** A newer version took its place; undefined: that is told already. */
  | { readonly type: 'lost'; readonly winner: Timestamp | undefined }
  | { readonly type: 'open'; readonly reason: string | null }

/** A version of which a merge took over less than its writer had written. */
export type Loser = { readonly envelope: Envelope; readonly isMine: boolean }

const NOTHING = { ops: [], intent: null, renamed: [], conflicts: [], events: [], attention: null }

export async function rewriteTransaction(
  keys: RewriteKeys,
  context: RewriteContext,
): Promise<Rewrite> {
  const { entry } = context
  const isWhole = context.envelopes.every((envelope) => envelope !== undefined)
  const parts = entry.intent === null ? context.envelopes : [...context.envelopes, entry.intent]
  if (!isWhole || !opens(keys, parts as Envelope[])) return setAside(context, 'tampered')
  const isUnmoved = entry.ops.every((_, i) => context.isExpected(i))
  if (entry.intent !== null && !isUnmoved) return rerun(keys, context, entry.intent)
  const isOver = entry.ops.map((_, i) => context.winnerOf(i) !== undefined)
  const replaced = context.under.filter((_, i) => !isOver[i]).map((standing) => standing.timestamp)
  const timestamp = context.next(replaced)
  const outcomes: Outcome[] = []
  for (const index of entry.ops.keys()) {
    outcomes.push(await resolveOp(keys, context, { index, timestamp }))
  }
  const open = outcomes.find((outcome) => outcome.type === 'open')
  if (open !== undefined) return takeBack(keys, context, { kind: 'open', reason: open.reason })
  return orTakenBack(keys, context, 'open', () => {
    return sealOutcomes(keys, context, { outcomes, timestamp })
  })
}

function opens(keys: RewriteKeys, envelopes: readonly Envelope[]): boolean {
  return envelopes.every((envelope) => keys.tagOf(envelope) !== undefined)
}

async function resolveOp(
  keys: RewriteKeys,
  context: RewriteContext,
  at: { index: number; timestamp: Timestamp },
): Promise<Outcome> {
  const { entry, envelopes, under } = context
  const { index } = at
  const op = entry.ops[index] as OutboxOp
  const standing = under[index] as Standing
  const record = keys.decode(envelopes[index] as Envelope)
  const winner = context.winnerOf(index)
  if (winner !== undefined) {
    // Also one of this device: what it writes waits in order, so a copy of its folder wrote that.
    return { type: 'lost', winner: (await context.isLogged(index)) ? undefined : winner }
  }
  // Where nothing is there any more, there is nothing it could conflict with.
  const isFree = !op.compareAndSet || standing.envelope === undefined
  if (isFree || context.isExpected(index)) return { type: 'kept', record, isMerged: false }
  if (op.policy === 3) return { type: 'open', reason: null }
  const sides = upgradeBoth(keys, record, keys.decode(standing.envelope as Envelope))
  if (sides.reason !== undefined) return { type: 'open', reason: sides.reason }
  const { mine, theirs } = sides
  if (op.policy === 1) return mergeOp(keys, context, { ...at, mine, theirs, standing })
  const base = isNone(op.replaced) ? null : await baseOf(keys, context, op)
  const { collection, key, fields: local } = mine
  const resolution = keys.resolve(collection, { base, local, remote: theirs.fields, key })
  if (resolution === undefined) return { type: 'open', reason: null }
  if (resolution.type === 'failed') return { type: 'open', reason: resolution.reason }
  const { fields } = resolution
  if (sameFields(fields, theirs.fields)) return { type: 'adopted' }
  const schemaVersion = versionOf(fields, mine, theirs)
  return { type: 'kept', record: { ...mine, fields, schemaVersion }, isMerged: true }
}

async function baseOf(
  keys: RewriteKeys,
  context: RewriteContext,
  { recordId, replaced }: OutboxOp,
): Promise<Fields | null | undefined> {
  const envelope = await context.stored(recordId, replaced)
  if (envelope === undefined || keys.tagOf(envelope) === undefined) return undefined
  try {
    return keys.upgrade(keys.decode(envelope)).fields
  } catch {
    return undefined
  }
}

/** Any moment: only what is said of fields counts. */
const SOME_TIME = new Uint8Array(16).fill(0xff) as Uint8Array as Timestamp

/** Whether the app's answer is what the remote holds, field by field as they are stored. */
function sameFields(a: Fields | null, b: Fields | null): boolean {
  if (a === null || b === null) return a === b
  const stateOf = (fields: Fields): MergeState =>
    mergeStateOf({ fields, fieldClocks: null }, SOME_TIME)
  return sameState(stateOf(a), stateOf(b))
}

function sealOutcomes(
  keys: RewriteKeys,
  context: RewriteContext,
  { outcomes, timestamp }: { outcomes: readonly Outcome[]; timestamp: Timestamp },
): Rewrite {
  const { entry, under, nowMs } = context
  const kept = outcomes.filter(({ type }) => type === 'kept')
  const ops: { op: OutboxOp; envelope: Envelope }[] = []
  const renamed: Renamed[] = []
  const conflicts: LoggedConflict[] = []
  const events: ConflictEvent[] = []
  outcomes.forEach((outcome, i) => {
    const op = entry.ops[i] as OutboxOp
    const { recordId } = op
    const { timestamp: replaced } = under[i] as Standing
    for (const { envelope, isMine } of losersOf(outcome)) {
      const winner = isMine ? replaced : entry.timestamp
      conflicts.push(logged({ op, envelope, nowMs, kind: 'overwritten', winner }))
    }
    if (outcome.type === 'kept') {
      const base = isNone(replaced) ? null : replaced
      const fieldClocks = clocksOf(context, { outcome, recordId, timestamp })
      const record = { ...outcome.record, base, transactionSize: kept.length, fieldClocks }
      ops.push({ op: { ...op, replaced }, envelope: keys.seal(record, timestamp) })
      renamed.push({ recordId, timestamp, isSame: !outcome.isMerged })
      if (outcome.isMerged) events.push({ kind: 'merged', recordId, timestamp })
    } else if (outcome.type === 'adopted') {
      renamed.push({ recordId, timestamp: replaced, isSame: false })
      events.push({ kind: 'merged', recordId, timestamp: replaced })
    } else if (outcome.type === 'lost' && outcome.winner !== undefined) {
      const { winner } = outcome
      const envelope = context.envelopes[i] as Envelope
      conflicts.push(logged({ op, envelope, nowMs, kind: 'overwritten', winner }))
    }
  })
  return { ...NOTHING, timestamp, ops, intent: entry.intent, renamed, conflicts, events }
}

const losersOf = (outcome: Outcome): readonly Loser[] =>
  outcome.type === 'kept' || outcome.type === 'adopted' ? (outcome.losers ?? []) : []

/** The clocks of a record at its new timestamp. */
function clocksOf(
  context: RewriteContext,
  at: { outcome: Extract<Outcome, { type: 'kept' }>; recordId: RecordId; timestamp: Timestamp },
): VaultRecord['fieldClocks'] {
  const { entry, isRestamped } = context
  const { outcome, recordId, timestamp } = at
  const { record } = outcome
  if (record.fieldClocks === null || outcome.isMerged) return record.fieldClocks
  if (isRestamped) return restampedClocks(context, { record, recordId, timestamp })
  return clockGroups(mergeStateOf(record, entry.timestamp), timestamp)
}

async function rerun(
  keys: RewriteKeys,
  context: RewriteContext,
  intent: Envelope,
): Promise<Rewrite> {
  const again = await keys.rerun(intent, context.read)
  if (again.type === 'set-aside') return setAside(context, again.code)
  if (again.type === 'failed') {
    return takeBack(keys, context, { kind: 'rolled-back', reason: again.reason })
  }
  if (again.drafts.length > TRANSACTION_RECORDS_MAX) return setAside(context, 'too-large')
  const drafts = [...again.drafts].sort((a, b) => (idLess(a.recordId, b.recordId) ? -1 : 1))
  const standings: Standing[] = []
  for (const { recordId } of drafts) standings.push(await context.read(recordId))
  const timestamp = context.next(standings.map((standing) => standing.timestamp))
  return orTakenBack(keys, context, 'rolled-back', () => {
    return sealAgain({ drafts, standings, timestamp, intent })
  })
}

function sealAgain(again: {
  readonly drafts: readonly Draft[]
  readonly standings: readonly Standing[]
  readonly timestamp: Timestamp
  readonly intent: Envelope
}): Rewrite {
  const { drafts, standings, timestamp, intent } = again
  const ops = drafts.map((draft, i) => {
    const { recordId, policy = 0 } = draft
    const replaced = (standings[i] as Standing).timestamp
    const base = isNone(replaced) ? null : replaced
    const envelope = draft.seal({ timestamp, base, transactionSize: drafts.length })
    return { op: { recordId, replaced, policy, compareAndSet: true }, envelope }
  })
  const renamed = ops.map(({ op: { recordId } }) => ({ recordId, timestamp, isSame: false }))
  const events = ops.map(
    ({ op }) => ({ kind: 'merged', recordId: op.recordId, timestamp }) as const,
  )
  return { ...NOTHING, timestamp, ops, intent, renamed, events }
}

const idLess = (a: RecordId, b: RecordId): boolean => {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return (a[i] as number) < (b[i] as number)
  }
  return false
}

/** What two sides make together may be more than an envelope holds: a person must shorten it. */
function orTakenBack(
  keys: RewriteKeys,
  context: RewriteContext,
  kind: ConflictKind,
  seal: () => Rewrite,
): Rewrite {
  try {
    return seal()
  } catch (error) {
    if (codeOf(error) !== 'record-too-large') throw error
    return takeBack(keys, context, { kind, reason: reasonOf(error) })
  }
}

/** All of it goes to the conflict log, and the records show what they stand on. */
function takeBack(
  keys: RewriteKeys,
  context: RewriteContext,
  { kind, reason }: { kind: ConflictKind; reason: string | null },
): Rewrite {
  const { entry, under, nowMs } = context
  const note = reason === null ? null : keys.sealNote(reason, entry.timestamp)
  const conflicts = entry.ops.map((op, i) => {
    const envelope = context.envelopes[i] as Envelope
    const winner = (under[i] as Standing).timestamp
    return logged({ op, envelope, nowMs, kind, winner, note })
  })
  return { ...NOTHING, timestamp: entry.timestamp, conflicts }
}

function setAside({ entry, envelopes }: RewriteContext, code: string): Rewrite {
  const held = envelopes.filter((envelope) => envelope !== undefined)
  return { ...NOTHING, timestamp: entry.timestamp, attention: { code, envelopes: held } }
}

function logged(conflict: {
  op: OutboxOp
  envelope: Envelope
  nowMs: number
  kind: ConflictKind
  winner: Timestamp
  note?: Envelope | null
}): LoggedConflict {
  const { op, envelope, nowMs, kind, winner, note = null } = conflict
  const timestamp = envelopeTimestamp(envelope)
  return { recordId: op.recordId, timestamp, kind, notedMs: nowMs, winner, note, envelope }
}
