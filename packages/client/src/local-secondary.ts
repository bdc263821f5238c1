/**
 * Local secondary: a device's own copy of the vault, sealed on its disk.
 *
 * It stores envelopes and never holds a key: sealing and opening are functions it is given. Four
 * things change it, one at a time (a mutex), each in one atomic batch: a local transaction
 * (`commit`), what a remote served (`applyLog`), the verdict on a transaction (`settle`), and the
 * release of what had been put aside. A batch that fails leaves memory and disk as they were.
 *
 * Local writes are not synced to the disk: they survive a killed process, and after a power cut the
 * store is whole up to some moment before it. What was acknowledged by the remote survives there.
 */
import {
  type ClockIdentity,
  type ClockState,
  compareBytes,
  type Envelope,
  equalBytes,
  type LogPosition,
  type RecordId,
  type SyncId,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_RECORDS_MAX,
  type VaultId,
} from '@blindcopy/protocol'
import { numberedKey, type Store } from '@blindcopy/secondary'
import {
  followLog,
  type LogStep,
  type OpenArrival,
  openArrivals,
  openSteps,
  releaseArrival,
  type TakeKeychain,
  takeArrival,
} from './arrival.ts'
import { type Committed, type Draft, fileDrafts, greatestOf, type ReadVersions } from './draft.ts'
import { ClientError } from './error.ts'
import { LocalClock } from './local-clock.ts'
import {
  type ConfirmedSet,
  type Cursor,
  putClock,
  putConfirmedSet,
  putCursor,
  putSentBelow,
  putSynced,
  readMeta,
} from './local-meta.ts'
import {
  countNumbered,
  findDamaged,
  holdsAll,
  type Numbered,
  type OutboxBounds,
  type QuarantinedVersion,
  readAttention,
  readKeychainEntries,
  readOutbox,
  readPages,
  readQuarantine,
  readVersion,
  type StoredVersion,
} from './local-reading.ts'
import { Mutex } from './mutex.ts'
import { encodeOutboxEntry, type OutboxTransaction, recordIdsOf } from './outbox.ts'
import { OutboxState } from './outbox-state.ts'
import { type RecordChange, RowBatch } from './row-batch.ts'
import {
  type AppliedVerdict,
  moveToAttention,
  moveToOutbox,
  positionAfter,
  takeApplied,
} from './verdict.ts'

export type LocalSecondaryOptions = {
  readonly store: Store
  readonly vaultId: VaultId
  readonly clockIdentity: ClockIdentity
  readonly nowMs: () => number
}

export class LocalSecondary implements AsyncDisposable {
  readonly #store: Store
  readonly #nowMs: () => number
  readonly #mutex = new Mutex()
  readonly #listeners = new Set<(changes: readonly RecordChange[]) => void>()
  readonly #clock: LocalClock
  #cursor: Cursor
  #confirmedSet: ConfirmedSet
  #synced: { complete: boolean; lastMs: number | null }
  readonly #outbox: OutboxState

  private constructor(
    options: LocalSecondaryOptions,
    meta: Awaited<ReturnType<typeof readMeta>>,
    counts: { pending: Numbered; attention: Numbered },
  ) {
    this.#store = options.store
    this.#nowMs = options.nowMs
    this.#clock = new LocalClock(meta.clock, options.clockIdentity, options.nowMs)
    this.#outbox = new OutboxState(meta, counts)
    this.#cursor = meta.cursor
    this.#confirmedSet = meta.confirmedSet
    this.#synced = { complete: meta.initialSyncComplete, lastMs: meta.lastSyncedMs }
  }

  static async open(options: LocalSecondaryOptions): Promise<LocalSecondary> {
    const { store } = options
    const meta = await readMeta(store, options.vaultId)
    const pending = await countNumbered(store, 'outbox')
    const attention = await countNumbered(store, 'attention')
    return new LocalSecondary(options, meta, { pending, attention })
  }

  get cursor(): Cursor {
    return this.#cursor
  }
  get pendingCount(): number {
    return this.#outbox.pendingCount
  }
  get attentionCount(): number {
    return this.#outbox.attentionCount
  }
  get initialSyncComplete(): boolean {
    return this.#synced.complete
  }
  get lastSyncedMs(): number | null {
    return this.#synced.lastMs
  }
  /** True while a transaction may have been sent whose verdict is not known. */
  get hasSentUnanswered(): boolean {
    return this.#outbox.hasSentUnanswered
  }
  get confirmedSet(): { count: number; fingerprint: Uint8Array } {
    const { count, fingerprint } = this.#confirmedSet
    return { count, fingerprint: fingerprint.toBytes() }
  }
  /** Tells readers which records changed, after the batch that changed them. */
  onChange(listener: (changes: readonly RecordChange[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The version that is shown, a tombstone included. */
  read(recordId: RecordId): Promise<StoredVersion | undefined> {
    return readVersion(this.#store, recordId)
  }

  /** The records of one collection (of all, without a tag), in the order of their ids, in pages. */
  pages(tag?: Uint8Array): AsyncIterable<readonly StoredVersion[]> {
    return readPages(this.#store, tag)
  }

  /** The versions that were put aside because they did not open. */
  quarantinePages(): AsyncIterable<readonly QuarantinedVersion[]> {
    return readQuarantine(this.#store)
  }

  /** The same as a list, without their envelopes. */
  async quarantined(): Promise<Omit<QuarantinedVersion, 'envelope'>[]> {
    const versions: Omit<QuarantinedVersion, 'envelope'>[] = []
    for await (const page of this.quarantinePages()) {
      versions.push(...page.map(({ envelope: _envelope, ...version }) => version))
    }
    return versions
  }

  /** Whether each pair's record is held in that version or a newer one, here or among `served`. */
  holdsAll(pairs: readonly Uint8Array[], served: readonly Uint8Array[]): Promise<boolean> {
    return holdsAll(this.#store, pairs, served)
  }

  keychainEntries(): Promise<Uint8Array[]> {
    return readKeychainEntries(this.#store)
  }

  /**
   * The oldest transactions without a verdict, up to about `bytesMax`, at least one if there is
   * any.
   */
  outboxTransactions(bounds: OutboxBounds): Promise<OutboxTransaction[]> {
    return readOutbox(this.#store, bounds)
  }

  /** Whether everything a transaction has read is still as it was, at one moment. */
  isUnchanged(readVersions: ReadVersions): Promise<boolean> {
    return this.#mutex.run(async () => {
      const reads = [...readVersions.values()]
      const batch = await this.#readRows(reads.map(({ recordId }) => recordId))
      return reads.every(({ timestamp }, i) => equalBytes(batch.slot(i).row.current, timestamp))
    })
  }

  /** Seals and stores the drafts of one transaction: all of them or none. */
  commit(drafts: readonly Draft[], readVersions: ReadVersions = new Map()): Promise<Committed> {
    if (drafts.length > TRANSACTION_RECORDS_MAX) {
      throw tooLarge(`${TRANSACTION_RECORDS_MAX} records`)
    }
    return this.#mutex.run(() => this.#commit(drafts, readVersions))
  }

  async #commit(drafts: readonly Draft[], readVersions: ReadVersions): Promise<Committed> {
    const sorted = [...drafts].sort((a, b) => compareBytes(a.recordId, b.recordId))
    const ids = sorted.map(({ recordId }) => recordId)
    for (const { recordId } of readVersions.values()) ids.push(recordId)
    const batch = await this.#readRows(ids)
    const reads = [...readVersions.values()]
    const isOutrun = reads.some(
      ({ timestamp }, i) => !equalBytes(batch.slot(sorted.length + i).row.current, timestamp),
    )
    if (isOutrun) return { type: 'outrun' }
    const { timestamp, state: clock } = this.#clock.next(greatestOf(batch, this.#clock))
    const { ops, sizeBytes } = fileDrafts(batch, sorted, timestamp)
    if (sizeBytes > TRANSACTION_BYTES_MAX) throw tooLarge(`${TRANSACTION_BYTES_MAX} bytes`)
    const number = this.#outbox.nextNumber
    const entry = encodeOutboxEntry({ timestamp, ops })
    batch.ops.push({ type: 'put', key: numberedKey('outbox', number), value: entry })
    batch.ops.push(putClock(clock, number + 1))
    await this.#store.write(batch.finish(), { sync: false })
    this.#clock.state = clock
    this.#outbox.added(number)
    this.#tell(batch.changes)
    return { type: 'committed', timestamp }
  }

  /** Adopts the SyncId of the remote that the vault was registered with, or first met. */
  adoptSyncId(syncId: SyncId): Promise<void> {
    return this.#mutex.run(async () => {
      const cursor = { syncId, position: this.#cursor.position }
      await this.#store.write([putCursor(cursor)], { sync: true })
      this.#cursor = cursor
    })
  }

  /**
   * Applies steps that follow the cursor, in one batch with the cursor. Throws `integrity`, and
   * changes nothing, when they do not follow it or their chain is not what it should be.
   */
  applyLog(
    steps: readonly LogStep[],
    options: {
      open: OpenArrival
      takeKeychain: TakeKeychain
    },
  ): Promise<void> {
    return this.#mutex.run(async () => {
      const { syncId, position: before } = this.#cursor
      if (syncId === null) throw new ClientError('integrity', 'there is no SyncId yet')
      const position = followLog(before, steps)
      const { arrivals, keychainOps } = openSteps(steps, options)
      const ids = arrivals.map(({ recordId }) => recordId)
      const batch = await this.#readRows(ids)
      let clock = this.#clock.state
      for (const [i, arrival] of arrivals.entries()) {
        const isNews = takeArrival(batch, batch.slot(i), arrival)
        if (isNews && arrival.opening.type === 'opened') {
          clock = this.#clock.received(clock, arrival.timestamp)
        }
      }
      batch.ops.push(...keychainOps, putCursor({ syncId, position }))
      batch.ops.push(putClock(clock, this.#outbox.nextNumber))
      await this.#write(batch, { position, clock })
    })
  }

  get sentBelow(): number {
    return this.#outbox.sentBelow
  }

  /** Marks transactions as possibly sent, before they are: from now on they stay as they are. */
  markSent(below: number): Promise<void> {
    return this.#mutex.run(async () => {
      if (below <= this.#outbox.sentBelow) return
      await this.#store.write([putSentBelow(below)], { sync: false })
      this.#outbox.sentBelow = below
    })
  }

  /** Takes the verdicts on transactions, in their order, in one batch. */
  settle(
    settled: readonly { transaction: OutboxTransaction; verdict: AppliedVerdict }[],
  ): Promise<void> {
    return this.#mutex.run(async () => {
      const ids = settled.flatMap(({ transaction }) => recordIdsOf(transaction))
      const batch = await this.#readRows(ids)
      let { position } = this.#cursor
      let refusedCount = 0
      let firstSlot = 0
      for (const { transaction, verdict } of settled) {
        const slots = batch.slots.slice(firstSlot, firstSlot + transaction.opCount)
        firstSlot += transaction.opCount
        if (verdict.type === 'refused') {
          const { number, entry } = transaction
          batch.ops.push(...moveToAttention({ number, code: verdict.code, entry }))
          refusedCount++
          continue
        }
        takeApplied(batch, slots, transaction, verdict.staleByOp)
        position = positionAfter(position, transaction, verdict.position) ?? position
      }
      const { syncId } = this.#cursor
      if (syncId !== null) batch.ops.push(putCursor({ syncId, position }))
      await this.#write(batch, { position, clock: this.#clock.state })
      const numbers = settled.map(({ transaction }) => transaction.number)
      this.#outbox.settled(numbers, refusedCount)
    })
  }

  /** Moves every refused transaction back to the outbox, in their order. Returns how many. */
  retryAttention(): Promise<number> {
    return this.#mutex.run(async () => {
      const entries = await readAttention(this.#store)
      await this.#store.write(entries.flatMap(moveToOutbox), { sync: false })
      if (entries.length > 0) this.#outbox.takenBack(entries.map(({ number }) => number))
      return entries.length
    })
  }

  /**
   * Moves transactions to attention whose versions the disk no longer holds as they were sealed:
   * one of them would hold up all others. Returns how many.
   */
  setDamagedAside(isWhole: (envelope: Envelope) => boolean): Promise<number> {
    return this.#mutex.run(async () => {
      const damaged = await findDamaged(this.#store, isWhole)
      await this.#store.write(damaged.flatMap(moveToAttention), { sync: false })
      this.#outbox.setAside(damaged.length)
      return damaged.length
    })
  }

  /** Tries versions again that were put aside. Returns how many now open. */
  release(envelopes: readonly Uint8Array[], open: OpenArrival): Promise<number> {
    return this.#mutex.run(async () => {
      const arrivals = openArrivals(envelopes, open)
      const ids = arrivals.map(({ recordId }) => recordId)
      const batch = await this.#readRows(ids)
      const released = arrivals.filter((arrival, i) =>
        releaseArrival(batch, batch.slot(i), arrival),
      )
      if (released.length > 0) {
        await this.#write(batch, { position: this.#cursor.position, clock: this.#clock.state })
      }
      return released.length
    })
  }

  /** Notes that the head of the remote was reached. */
  markSynced(): Promise<void> {
    return this.#mutex.run(async () => {
      const nowMs = this.#nowMs()
      await this.#store.write([putSynced(nowMs)], { sync: false })
      this.#synced = { complete: true, lastMs: nowMs }
    })
  }

  /** Waits for what is under way, then closes the store. */
  async close(): Promise<void> {
    await this.#mutex.run(() => this.#store.close())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #readRows(ids: readonly RecordId[]): Promise<RowBatch> {
    const { deviceId } = this.#clock.identity
    return RowBatch.read(this.#store, ids, { confirmedSet: this.#confirmedSet, deviceId })
  }

  async #write(batch: RowBatch, next: { position: LogPosition; clock: ClockState }): Promise<void> {
    batch.ops.push(putConfirmedSet(batch.confirmedSet))
    await this.#store.write(batch.finish(), { sync: false })
    this.#confirmedSet = batch.confirmedSet
    this.#cursor = { ...this.#cursor, position: next.position }
    this.#clock.state = next.clock
    this.#tell(batch.changes)
  }

  #tell(changes: readonly RecordChange[]): void {
    if (changes.length === 0) return
    for (const listener of this.#listeners) listener(changes)
  }
}

function tooLarge(bound: string): ClientError {
  return new ClientError('transaction-too-large', `a transaction holds at most ${bound}: split it`)
}
