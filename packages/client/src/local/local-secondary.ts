/**
 * Local secondary: a device's own copy of the vault, sealed on its disk.
 *
 * It stores envelopes and never holds a key: sealing and opening are functions it is given. What
 * changes it does so one at a time, each in one atomic batch: a local transaction (commit.ts), what
 * a remote served (pulled-log.ts), verdicts (settlement.ts), the person's word on what was refused
 * (attention-desk.ts), writes that are put on top of newer ones (rebase.ts).
 *
 * Local writes are not synced to the disk: they survive a killed process, and after a power cut the
 * store is whole up to some moment before it. What was acknowledged by the remote survives there.
 */
import {
  type Envelope,
  equalBytes,
  type RecordId,
  type SyncId,
  type Timestamp,
} from '@blindcopy/protocol'
import { codeOf } from '../error.ts'
import type { LogStep, OpenArrival } from './arrival.ts'
import type { FileMeetings } from './arrival-batch.ts'
import { type AttentionEntry, readAttentions } from './attention.ts'
import { discardAttention, retryAttention, setDamagedAside } from './attention-desk.ts'
import { type CommitOptions, commitDrafts } from './commit.ts'
import {
  type ConflictEvent,
  deleteConflict,
  type LoggedConflict,
  readConflict,
  readConflicts,
} from './conflict-log.ts'
import type { Committed, Draft, ReadVersions } from './draft.ts'
import { takeReconciled } from './healing.ts'
import { type Cursor, type Notice, putClockOffset, putSentBelow, putSynced } from './local-meta.ts'
import {
  holdsAll,
  isAsRead,
  type OutboxBounds,
  type QuarantinedVersion,
  readKeychainEntries,
  readOutbox,
  readPages,
  readQuarantine,
  readVersion,
  readVersions,
  type StoredVersion,
} from './local-reading.ts'
import { type ChangeListener, LocalState, type LocalStateOptions } from './local-state.ts'
import { fileMeetingsOf } from './meeting.ts'
import { isCompared, type OutboxTransaction } from './outbox.ts'
import {
  applyConfirmed,
  applyPulled,
  type LogReading,
  type Retried,
  releaseQuarantined,
  showParked,
} from './pulled-log.ts'
import { type Rebased, rebaseOutbox } from './rebase.ts'
import { resealWaiting } from './reseal.ts'
import type { RewriteKeys } from './rewrite.ts'
import { idText } from './row-batch.ts'
import { type Settled, settleTransactions, thawAnswered } from './settlement.ts'

export type LocalSecondaryOptions = LocalStateOptions & {
  /** What rewriting and merging need; without it the newer of two versions stands. */
  readonly keys?: RewriteKeys | undefined
}

const NOT_REBASED: Rebased = { changed: false, restamped: 0 }
const noMeetings: FileMeetings = () => ({ added: [] })

export class LocalSecondary implements AsyncDisposable {
  /** For the operations that stand in files of their own. */
  readonly state: LocalState
  readonly keys: RewriteKeys | undefined
  readonly #fileMeetings: FileMeetings

  private constructor(state: LocalState, keys: RewriteKeys | undefined) {
    this.state = state
    this.keys = keys
    this.#fileMeetings = keys === undefined ? noMeetings : fileMeetingsOf(() => state, keys)
  }

  static async open(options: LocalSecondaryOptions): Promise<LocalSecondary> {
    const state = await LocalState.open(options)
    return new LocalSecondary(state, options.keys)
  }

  get cursor(): Cursor {
    return this.state.cursor
  }
  get pendingCount(): number {
    return this.state.outbox.pendingCount
  }
  get attentionCount(): number {
    return this.state.outbox.attentionCount
  }
  get initialSyncComplete(): boolean {
    return this.state.synced.complete
  }
  get lastSyncedMs(): number | null {
    return this.state.synced.lastMs
  }
  get notices(): readonly Notice[] {
    return this.state.notices
  }
  /** True while a transaction may have been sent whose verdict is not known. */
  get hasSentUnanswered(): boolean {
    return this.state.outbox.hasSentUnanswered
  }
  /** The number below which transactions may have been sent. */
  get sentBelow(): number {
    return this.state.outbox.sentBelow
  }
  get confirmedSet(): { count: number; fingerprint: Uint8Array } {
    const { count, fingerprint } = this.state.confirmedSet
    return { count, fingerprint: fingerprint.toBytes() }
  }

  /** Tells readers which records changed, after the batch that changed them. */
  onChange(listener: ChangeListener): () => void {
    return this.state.onChange(listener)
  }

  /** Resolves when what was under way at the call has ended. */
  settled(): Promise<void> {
    return this.state.run(async () => undefined)
  }

  /** The version that is shown, a tombstone included. */
  read(recordId: RecordId): Promise<StoredVersion | undefined> {
    return readVersion(this.state.store, recordId)
  }

  /** The same for many records, in their order. */
  readMany(recordIds: readonly RecordId[]): Promise<(StoredVersion | undefined)[]> {
    return readVersions(this.state.store, recordIds)
  }

  /** The records of one collection (of all, without a tag), in the order of their ids, in pages. */
  pages(tag?: Uint8Array): AsyncIterable<readonly StoredVersion[]> {
    return readPages(this.state.store, tag)
  }

  /** The versions that were put aside because they did not open. */
  quarantinePages(): AsyncIterable<readonly QuarantinedVersion[]> {
    return readQuarantine(this.state.store)
  }

  /** The same as a list, without their envelopes. */
  async quarantined(): Promise<Omit<QuarantinedVersion, 'envelope'>[]> {
    const versions: Omit<QuarantinedVersion, 'envelope'>[] = []
    for await (const page of this.quarantinePages()) {
      versions.push(...page.map(({ envelope: _envelope, ...version }) => version))
    }
    return versions
  }

  keychainEntries(): Promise<Uint8Array[]> {
    return readKeychainEntries(this.state.store)
  }

  /** The oldest transactions without a verdict, up to about `bytesMax`, and at least one. */
  async outboxTransactions(bounds: OutboxBounds): Promise<OutboxTransaction[]> {
    const { store, outbox } = this.state
    try {
      const read = await readOutbox(store, bounds)
      // A write is counted before it is on the disk: behind the lock it is there.
      const isOutrun = read.length === 0 && (bounds.from ?? 0) === 0 && outbox.pendingCount > 0
      return isOutrun ? await this.state.run(() => readOutbox(store, bounds)) : read
    } catch (error) {
      if (codeOf(error) !== 'vault-damaged') throw error
      // One may have been dropped for a later write while it was read.
      return this.state.run(() => readOutbox(store, bounds))
    }
  }

  /** Whether a record of the collection may have a schema version. */
  isVersioned(tag: Uint8Array): boolean {
    const { versionedTags } = this.state
    return versionedTags.size > 0 && versionedTags.has(idText(tag))
  }

  /** Whether everything a transaction has read is still as it was, at one moment. */
  isUnchanged(readVersions: ReadVersions): Promise<boolean> {
    return this.state.run(async () => {
      const reads = [...readVersions.values()]
      const batch = await this.state.readRows(reads.map(({ recordId }) => recordId))
      return reads.every(({ timestamp }, i) => equalBytes(batch.slot(i).row.current, timestamp))
    })
  }

  /** Seals and stores the drafts of one transaction: all of them or none. */
  commit(drafts: readonly Draft[], options: CommitOptions = {}): Promise<Committed> {
    return this.state.run(() => commitDrafts(this.state, drafts, options))
  }

  /** Adopts the SyncId of the remote that the vault was registered with, or first met. */
  adoptSyncId(syncId: SyncId): Promise<void> {
    return this.state.run(async () => {
      const cursor = { syncId, position: this.state.cursor.position }
      await this.state.writeOps([], { cursor, sync: true })
    })
  }

  /**
   * Applies steps that follow the cursor, in one batch with the cursor. Throws `integrity`, and
   * changes nothing, when they do not follow it or their chain is not what it should be.
   */
  applyLog(steps: readonly LogStep[], options: LogReading): Promise<void> {
    return this.state.run(async () => {
      await applyPulled(this.state, steps, { ...options, fileMeetings: this.#fileMeetings })
      await this.state.evictConflicts()
    })
  }

  /** Takes versions of the remote that came by name and not in the order of its log. */
  applyConfirmed(envelopes: readonly Uint8Array[], open: OpenArrival): Promise<void> {
    return this.state.run(async () => {
      await applyConfirmed(this.state, envelopes, { open, fileMeetings: this.#fileMeetings })
      await this.state.evictConflicts()
    })
  }

  /** Takes versions that a reconciliation found at the other end: newer ones are confirmed. */
  takeReconciled(envelopes: readonly Uint8Array[], open: OpenArrival): Promise<void> {
    return this.state.run(async () => {
      await takeReconciled(this.state, envelopes, { open, fileMeetings: this.#fileMeetings })
      await this.state.evictConflicts()
    })
  }

  /** At the head of the log: shows what waited to be whole. Returns how many were torn. */
  showParked(): Promise<number> {
    return this.state.run(() => showParked(this.state))
  }

  /**
   * Marks transactions as possibly sent, before they are: from now on they stay as they are. They
   * were read within `bounds` and without the lock: if a later write has changed any of them since,
   * they are read again. Returns what to send.
   */
  markSent(
    batch: readonly OutboxTransaction[],
    bounds: OutboxBounds,
  ): Promise<readonly OutboxTransaction[]> {
    return this.state.run(async () => {
      const { store, outbox } = this.state
      const taken = (await isAsRead(store, batch)) ? batch : await readOutbox(store, bounds)
      const below = (taken[taken.length - 1]?.number ?? 0) + 1
      // Else a power cut could bring back what it was before, and it would count twice.
      const sync = below > outbox.durableBelow && taken.some(({ entry }) => isCompared(entry))
      if (below <= outbox.sentBelow && !sync) return taken
      const sentBelow = Math.max(below, outbox.sentBelow)
      await this.state.writeOps([putSentBelow(sentBelow)], { sync })
      outbox.sentBelow = sentBelow
      if (sync) outbox.durableBelow = sentBelow
      return taken
    })
  }

  /** Takes the verdicts on transactions, in their order, in one batch. */
  settle(settled: readonly Settled[]): Promise<void> {
    return this.state.run(async () => {
      await settleTransactions(this.state, settled, (envelope) => this.keys?.tagOf(envelope))
      await this.state.evictConflicts()
    })
  }

  /** All that was sent is answered: what must be sent again may be changed from now on. */
  thaw(): Promise<void> {
    return this.state.run(() => thawAnswered(this.state))
  }

  /** The refused transactions, a page at a time. */
  attentionPages(): AsyncIterable<readonly AttentionEntry[]> {
    return readAttentions(this.state.store)
  }

  /** Moves refused transactions (all, without a number) back to the outbox. Returns how many. */
  retryAttention(number?: number): Promise<number> {
    const isMeant = (attention: AttentionEntry): boolean =>
      number === undefined || attention.number === number
    return this.state.run(() => retryAttention(this.state, isMeant))
  }

  /** The same for those that were refused for one of these reasons. */
  retryRefusedFor(codes: readonly string[]): Promise<number> {
    if (this.attentionCount === 0) return Promise.resolve(0)
    return this.state.run(() => retryAttention(this.state, ({ code }) => codes.includes(code)))
  }

  /**
   * Drops a refused transaction, and shows what the remote holds in place of what it wrote.
   * Returns false when there is none of that number.
   */
  discardAttention(number: number, open: OpenArrival): Promise<boolean> {
    return this.state.run(() => discardAttention(this.state, number, open))
  }

  /**
   * Moves transactions to attention whose versions the disk no longer holds as they were sealed:
   * one of them would hold up all others. Returns how many.
   */
  setDamagedAside(isWhole: (envelope: Envelope) => boolean): Promise<number> {
    return this.state.run(() => setDamagedAside(this.state, isWhole))
  }

  /** Tries versions again that were put aside. Returns how many now open. */
  release(retried: Retried, open: OpenArrival): Promise<number> {
    const options = { open, fileMeetings: this.#fileMeetings }
    return this.state.run(() => releaseQuarantined(this.state, retried, options))
  }

  /** Puts unsent transactions on top of what has arrived, where they conflict with it. */
  async rebase(): Promise<Rebased> {
    if (this.keys === undefined) return NOT_REBASED
    return rebaseOutbox(this.state, this.keys)
  }

  /**
   * Follows another clock than the device's: new timestamps are `offsetMs` from it, and unsent
   * transactions are re-stamped by as much. `tail` is 4 new random bytes.
   */
  async correctClock(correction: {
    offsetMs: number
    agreedMs: number
    tail: Uint8Array
  }): Promise<Rebased> {
    const shiftMs = correction.offsetMs - this.state.clock.offsetMs
    await this.state.run(async () => {
      const clock = this.state.clock.corrected(correction.offsetMs)
      await this.state.writeOps([putClockOffset(correction.offsetMs, correction.agreedMs)], {
        clock,
      })
      this.state.clock.adopt(correction)
    })
    if (this.keys === undefined) return NOT_REBASED
    return rebaseOutbox(this.state, this.keys, { shiftMs })
  }

  /** Seals what waits under the newest epoch, its content and time unchanged. */
  resealOutbox(reseal: (envelope: Envelope) => Envelope): Promise<void> {
    return this.state.run(() => resealWaiting(this.state, reseal))
  }

  /** The versions that lost, a page at a time. */
  conflictPages(): AsyncIterable<readonly LoggedConflict[]> {
    return readConflicts(this.state.store)
  }

  conflict(recordId: RecordId, timestamp: Timestamp): Promise<LoggedConflict | undefined> {
    return readConflict(this.state.store, recordId, timestamp)
  }

  /** Forgets a version that lost. */
  dropConflict(recordId: RecordId, timestamp: Timestamp): Promise<void> {
    return this.state.run(async () => {
      const conflict = await readConflict(this.state.store, recordId, timestamp)
      if (conflict === undefined) return
      await this.state.writeOps([deleteConflict(recordId, timestamp)])
      this.state.conflictCount--
      if (conflict.kind === 'open') this.state.openConflictCount--
    })
  }

  /** Tells what became of each conflict, after the batch that settled it. */
  onConflict(listener: (event: ConflictEvent) => void): () => void {
    return this.state.onConflict(listener)
  }

  /**
   * Whether each pair's record is held in that version or a newer one, here or among `served`: what
   * a live frame leaves out must be.
   */
  holdsAll(pairs: readonly Uint8Array[], served: readonly Uint8Array[]): Promise<boolean> {
    return holdsAll(this.state.store, pairs, served)
  }

  /** Notes that the head of the remote was reached. */
  markSynced(): Promise<void> {
    return this.state.run(async () => {
      const nowMs = this.state.nowMs()
      await this.state.writeOps([putSynced(nowMs)])
      this.state.synced = { complete: true, lastMs: nowMs }
    })
  }

  /** Waits for what is under way, then closes the store. */
  async close(): Promise<void> {
    await this.state.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
