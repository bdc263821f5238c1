/**
 * Rebase: the unsent transactions of the outbox, put on top of a state that has changed under them.
 *
 *   what the remote holds ─▶ first unsent ─▶ second ─▶ … ─▶ what readers see
 *
 * They are walked in their order, and what each makes of its records is what the next stands on.
 * One is rewritten when a record of it is no longer what it was written on: by the policy of the
 * collection, or by running the mutation again that wrote it. Rewritten, it has a new timestamp,
 * above all it replaces. What cannot be put on top is taken back and goes to the conflict log.
 *
 * It is planned without the lock, since it opens, seals and runs code of the app, and written in
 * one batch if nothing else was written meanwhile; otherwise it is planned again.
 */
import {
  type Envelope,
  equalBytes,
  isTombstone,
  type RecordId,
  TIMESTAMP_NONE,
  type Timestamp,
} from '@blindcopy/protocol'
import { numberedKey, numberedRange, parseNumberedKey, versionKey } from '@blindcopy/secondary'
import { putAttention } from './attention.ts'
import { readConflict } from './conflict-log.ts'
import { Lineage, versionText } from './lineage.ts'
import type { LocalState, NextState } from './local-state.ts'
import {
  encodeOutboxEntry,
  flagsOf,
  type OutboxEntry,
  type OutboxOp,
  parseOutboxEntry,
} from './outbox.ts'
import { RebaseClock } from './rebase-clock.ts'
import {
  type Rewrite,
  type RewriteContext,
  type RewriteKeys,
  rewriteTransaction,
} from './rewrite.ts'
import { isLater, isNone, NOTHING_PENDING } from './row.ts'
import { idText, type RowBatch, type Slot } from './row-batch.ts'

/** What a record is after the transactions walked so far. */
export type Standing = {
  readonly timestamp: Timestamp
  /** Undefined when there is no version, and when the disk has lost it. */
  readonly envelope: Envelope | undefined
}

export type RebaseOptions = {
  /** Added to the time of each unsent transaction: the clock was wrong when they were written. */
  readonly shiftMs?: number | undefined
}

export type Rebased = { readonly changed: boolean; readonly restamped: number }

type Unsent = { readonly number: number; readonly entry: OutboxEntry }

const ATTEMPTS_MAX = 10
const NOTHING_THERE: Standing = { timestamp: TIMESTAMP_NONE, envelope: undefined }

/**
 * Throws nothing for what the remote or another device did. Returns whether anything was written.
 * When the app writes faster than this plans, the last plan is made under the lock: writes wait for
 * it, so that one which a mutation awaits beside its transaction ends with the mutation's time.
 */
export async function rebaseOutbox(
  state: LocalState,
  keys: RewriteKeys,
  options: RebaseOptions = {},
): Promise<Rebased> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const plan = new Plan(state, keys, options)
    await plan.walk()
    const isWritten = await state.run(() => plan.apply())
    if (isWritten) return rebasedOf(plan)
  }
  return state.run(async () => {
    const plan = new Plan(state, keys, options)
    await plan.walk()
    await plan.apply()
    return rebasedOf(plan)
  })
}

const rebasedOf = ({ rewrittenCount }: Plan): Rebased => ({
  changed: rewrittenCount > 0,
  restamped: rewrittenCount,
})

class Plan {
  rewrittenCount = 0
  readonly #state: LocalState
  readonly #keys: RewriteKeys
  readonly #shiftMs: number | undefined
  readonly #writeCount: number
  readonly #standing = new Map<string, Standing>()
  readonly #lineage = new Lineage()
  /** Of each record: how many unsent transactions write it, and the newest that remains. */
  readonly #unsentCounts = new Map<string, number>()
  readonly #unsentVersions = new Set<string>()
  readonly #remaining = new Map<string, { count: number; number: number; op: OutboxOp }>()
  readonly #touched = new Map<string, RecordId>()
  readonly #clock: RebaseClock
  #batch: RowBatch | undefined
  #goneCount = 0
  #attentionCount = 0

  constructor(state: LocalState, keys: RewriteKeys, options: RebaseOptions) {
    this.#state = state
    this.#keys = keys
    this.#shiftMs = options.shiftMs
    this.#writeCount = state.writeCount
    this.#clock = new RebaseClock(state.clock, options.shiftMs)
  }

  async walk(): Promise<void> {
    const unsent = await this.#readUnsent()
    const ids = unsent.flatMap(({ entry }) => entry.ops.map(({ recordId }) => recordId))
    this.#batch = await this.#state.readRows(ids)
    for (const { entry } of unsent) {
      for (const { recordId } of entry.ops) {
        const id = idText(recordId)
        this.#unsentCounts.set(id, (this.#unsentCounts.get(id) ?? 0) + 1)
        this.#unsentVersions.add(versionText(recordId, entry.timestamp))
      }
    }
    const { outbox, store } = this.#state
    if (outbox.attentionCount > 0) await this.#lineage.readRefused(store)
    for (const one of unsent) await this.#walkOne(one)
    for (const recordId of this.#touched.values()) await this.#settleRow(recordId)
  }

  /** Inside `run`. False when something was written since the plan was begun. */
  async apply(): Promise<boolean> {
    if (this.#state.writeCount !== this.#writeCount) return false
    const batch = this.#batch
    if (batch === undefined) return false
    const isDue = this.#state.isRebaseDue
    if (this.rewrittenCount === 0 && !isDue) return true
    const next: NextState = { clock: this.#clock.state, isRebaseDue: false }
    this.#state.outbox.dropped(this.#goneCount, this.#attentionCount)
    try {
      await this.#state.write(batch, next)
    } catch (error) {
      this.#state.outbox.dropped(-this.#goneCount, -this.#attentionCount)
      throw error
    }
    await this.#state.evictConflicts()
    return true
  }

  async #readUnsent(): Promise<Unsent[]> {
    const unsent: Unsent[] = []
    const range = numberedRange('outbox', this.#state.outbox.sentBelow)
    for await (const page of this.#state.store.pages(range)) {
      for (const [key, value] of page) {
        unsent.push({ number: parseNumberedKey(key), entry: parseOutboxEntry(value) })
      }
    }
    return unsent
  }

  async #walkOne({ number, entry }: Unsent): Promise<void> {
    const under = await Promise.all(entry.ops.map((op) => this.#standingUnder(op, entry)))
    const isMoved = entry.ops.some((op, i) => this.#isMoved(op, entry, under[i] as Standing))
    if (!isMoved && this.#shiftMs === undefined) {
      for (const op of entry.ops) this.#remain(op, number)
      await this.#standOn(entry)
      return
    }
    const envelopes = await this.#envelopesOf(entry)
    const rewrite = await rewriteTransaction(this.#keys, {
      entry,
      envelopes,
      under,
      isExpected: (index) =>
        this.#isExpected(entry.ops[index] as OutboxOp, entry, under[index] as Standing),
      isLogged: async (index) => {
        const { recordId } = entry.ops[index] as OutboxOp
        return (await readConflict(this.#state.store, recordId, entry.timestamp)) !== undefined
      },
      winnerOf: (index) => this.#winnerOf(entry.ops[index] as OutboxOp, entry),
      isRestamped: this.#shiftMs !== undefined,
      newOf: (recordId, clock) => this.#lineage.renamed(recordId, clock),
      stored: async (recordId, timestamp) => (await this.#versionOf(recordId, timestamp)).envelope,
      read: (recordId) => this.#readStanding(recordId),
      next: (replaced) => this.#clock.next(entry, replaced),
      nowMs: this.#state.nowMs(),
    })
    this.rewrittenCount++
    await this.#take({ number, entry }, under, rewrite)
  }

  /** What stands under an op: what the walk made of the record, or what the remote holds. */
  async #standingUnder(op: OutboxOp, entry: OutboxEntry): Promise<Standing> {
    const id = idText(op.recordId)
    const walked = this.#standing.get(id)
    if (walked !== undefined) return walked
    const { row } = (this.#batch as RowBatch).slotOf(op.recordId)
    const isFrozenUnder = row.pending > (this.#unsentCounts.get(id) ?? 0)
    // A push whose answer was lost: the remote holds what this device has written.
    const isOwn = this.#unsentVersions.has(versionText(op.recordId, row.confirmed))
    if (isOwn) return this.#versionOf(op.recordId, op.replaced)
    // After a refusal nothing counts but what the remote holds.
    const mustMatch = entry.refusals > 0 && op.compareAndSet
    // A base above it came from another device, and is not at the remote yet (carried.ts).
    const isCarried = !mustMatch && isLater(row.base, row.confirmed)
    const held = isCarried ? row.base : row.confirmed
    const isNewer = isLater(held, op.replaced) || (mustMatch && !isFrozenUnder)
    if (isFrozenUnder || !isNewer) return this.#versionOf(op.recordId, op.replaced)
    const version = await this.#versionOf(op.recordId, held)
    // What does not open is not known, and nothing is written on top of it unseen.
    const isUnknown = version.envelope === undefined && !isNone(held)
    return isUnknown ? this.#versionOf(op.recordId, op.replaced) : version
  }

  #isExpected(op: OutboxOp, entry: OutboxEntry, under: Standing): boolean {
    return equalBytes(this.#lineage.underOf(op, entry), under.timestamp)
  }

  /** Plain last-write-wins stands on anything older. */
  #isMoved(op: OutboxOp, entry: OutboxEntry, under: Standing): boolean {
    if (op.compareAndSet) return !equalBytes(op.replaced, under.timestamp)
    return isLater(under.timestamp, entry.timestamp)
  }

  /**
   * What this device itself has rewritten under an op is no newer than the op, whatever its time.
   */
  #winnerOf(op: OutboxOp, entry: OutboxEntry): ReturnType<RewriteContext['winnerOf']> {
    if (op.compareAndSet) return undefined
    const { confirmed } = (this.#batch as RowBatch).slotOf(op.recordId).row
    // What it has itself replaced never wins against it, however far its own time is set back; nor
    // does it itself, which a remote may have taken and refused.
    if (!isLater(confirmed, op.replaced) || equalBytes(confirmed, entry.timestamp)) return undefined
    return isLater(confirmed, this.#clock.writtenAt(entry)) ? confirmed : undefined
  }

  async #versionOf(recordId: RecordId, timestamp: Timestamp): Promise<Standing> {
    if (isNone(timestamp)) return { timestamp, envelope: undefined }
    const key = versionKey(recordId, timestamp)
    return { timestamp, envelope: (await this.#state.store.get(key)) as Envelope | undefined }
  }

  /** For a mutation that runs again: any record, as of this point of the walk. */
  async #readStanding(recordId: RecordId): Promise<Standing> {
    const walked = this.#standing.get(idText(recordId))
    if (walked !== undefined) return walked
    const [slot] = (await this.#batch?.include([recordId])) ?? []
    const { row } = slot as Slot
    if (row.pending === 0) return this.#versionOf(recordId, row.current)
    return this.#bottom(slot as Slot)
  }

  /** What stands under all writes that wait: what the remote holds, as far as it opened here. */
  async #bottom({ recordId, row }: Slot): Promise<Standing> {
    if (isLater(row.confirmed, row.base)) {
      const confirmed = await this.#versionOf(recordId, row.confirmed)
      if (confirmed.envelope !== undefined) return confirmed
    }
    const base = await this.#versionOf(recordId, row.base)
    return base.envelope === undefined ? NOTHING_THERE : base
  }

  async #envelopesOf(entry: OutboxEntry): Promise<(Envelope | undefined)[]> {
    const keys = entry.ops.map(({ recordId }) => versionKey(recordId, entry.timestamp))
    return (await this.#state.store.getMany(keys)) as (Envelope | undefined)[]
  }

  async #standOn(entry: OutboxEntry): Promise<void> {
    const envelopes = await this.#envelopesOf(entry)
    entry.ops.forEach(({ recordId }, i) => {
      const { timestamp } = entry
      this.#standing.set(idText(recordId), { timestamp, envelope: envelopes[i] })
    })
  }

  async #take(
    { number, entry }: Unsent,
    under: readonly Standing[],
    rewrite: Rewrite,
  ): Promise<void> {
    const batch = this.#batch as RowBatch
    entry.ops.forEach(({ recordId }, i) => {
      this.#touched.set(idText(recordId), recordId)
      const isConfirmed = equalBytes(batch.slotOf(recordId).row.confirmed, entry.timestamp)
      if (!isConfirmed) batch.deleteVersion(recordId, entry.timestamp)
      // For what is written on top of it, unless the rewrite writes the record again.
      this.#standing.set(idText(recordId), under[i] as Standing)
    })
    for (const renamed of rewrite.renamed) this.#lineage.noteRenamed(entry.timestamp, renamed)
    for (const conflict of rewrite.conflicts) batch.logConflict(conflict)
    for (const kind of rewrite.events) batch.conflictEvents.push(kind)
    await batch.include(rewrite.ops.map(({ op }) => op.recordId))
    for (const { op, envelope } of rewrite.ops) {
      const { timestamp } = rewrite
      this.#touched.set(idText(op.recordId), op.recordId)
      batch.putVersion(op.recordId, timestamp, envelope)
      this.#standing.set(idText(op.recordId), { timestamp, envelope })
      this.#remain(op, number)
    }
    this.#fileEntry(number, entry, rewrite)
  }

  #fileEntry(number: number, entry: OutboxEntry, rewrite: Rewrite): void {
    const { ops } = this.#batch as RowBatch
    if (rewrite.ops.length > 0) {
      const { timestamp, intent } = rewrite
      const { refusals } = entry
      const value = encodeOutboxEntry({
        timestamp,
        ops: rewrite.ops.map(({ op }) => op),
        refusals,
        intent,
      })
      ops.push({ type: 'put', key: numberedKey('outbox', number), value })
      return
    }
    ops.push({ type: 'delete', key: numberedKey('outbox', number) })
    this.#goneCount++
    const isTakenBack = rewrite.conflicts.some(({ kind }) => kind !== 'overwritten')
    if (isTakenBack) this.#batch?.takenBack.push(number)
    if (rewrite.attention === null) return
    const { code, envelopes } = rewrite.attention
    const kept = { number, code, refusedMs: this.#state.nowMs(), entry: encodeOutboxEntry(entry) }
    ops.push(putAttention({ ...kept, envelopes }))
    this.#attentionCount++
    this.#lineage.noteRefused(entry)
  }

  #remain(op: OutboxOp, number: number): void {
    const id = idText(op.recordId)
    const count = (this.#remaining.get(id)?.count ?? 0) + 1
    this.#remaining.set(id, { count, number, op })
  }

  /** The row of a record once all that waits for it is known. */
  async #settleRow(recordId: RecordId): Promise<void> {
    const batch = this.#batch as RowBatch
    const slot = batch.slotOf(recordId)
    const { row } = slot
    const id = idText(recordId)
    const remaining = this.#remaining.get(id)
    const frozenCount = Math.max(0, row.pending - (this.#unsentCounts.get(id) ?? 0))
    const pending = frozenCount + (remaining?.count ?? 0)
    const bottom = await this.#bottom(slot)
    const isBare = pending === 0
    const standing = (isBare ? undefined : this.#standing.get(id)) ?? bottom
    const under = row.pending === 0 ? row.current : bottom.timestamp
    const base = frozenCount > 0 ? row.base : under
    const last =
      remaining === undefined
        ? { last: row.last, policy: row.policy }
        : { last: remaining.number, policy: flagsOf(remaining.op) }
    const waiting = { pending, base, ...last }
    batch.setRow(slot, {
      current: standing.timestamp,
      confirmed: row.confirmed,
      ...(pending === 0 ? NOTHING_PENDING : waiting),
    })
    await this.#show(slot, row.current, standing)
    batch.releaseVersions(slot, [row.current, row.base])
  }

  async #show(
    { recordId }: Slot,
    before: Timestamp,
    { timestamp, envelope }: Standing,
  ): Promise<void> {
    const batch = this.#batch as RowBatch
    if (equalBytes(before, timestamp)) return
    const known = envelope ?? (await this.#versionOf(recordId, before)).envelope
    const tag = known === undefined ? undefined : this.#keys.tagOf(known)
    if (tag === undefined) return
    if (envelope === undefined) batch.hide(recordId, tag)
    else batch.show(recordId, { tag, timestamp, tombstone: isTombstone(envelope) })
  }
}
