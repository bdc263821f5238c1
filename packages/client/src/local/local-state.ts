/**
 * Local state: the few values of a local secondary that live in memory, the lock under which they
 * change, and the one way to write: a batch first, memory after it. A batch that fails leaves
 * memory and disk as they were.
 *
 * Every operation of the local secondary (commit, what a remote served, verdicts, rebase, healing)
 * is a function over this state that runs inside `run`.
 *
 * Where several tabs share one store, the lock is theirs together: whoever gets it after another
 * has written reads the state again first. A counter in the store tells.
 */
import {
  type ClockIdentity,
  type ClockState,
  compareTimestamps,
  type RecordId,
  type Timestamp,
  type VaultId,
} from '@blindcopy/protocol'
import type { Store, StoreOp } from '@blindcopy/secondary'
import { ClientError } from '../error.ts'
import type { Acknowledged } from './acknowledged-seq.ts'
import { type ConflictEvent, countConflicts, findEvicted, isLogFull } from './conflict-log.ts'
import {
  followedSet,
  followKeyedSet,
  type KeyedSet,
  type PairHash,
  putKeyedSet,
} from './keyed-set.ts'
import { LocalClock } from './local-clock.ts'
import {
  type ConfirmedSet,
  type Cursor,
  type KeptProblem,
  type LocalMeta,
  NOTICES_MAX,
  type Notice,
  putClock,
  putClosedBelow,
  putConfirmedSet,
  putCursor,
  putGeneration,
  putNotices,
  putProblem,
  putRebaseDue,
  putSeen,
  readGeneration,
} from './local-meta.ts'
import { Mutex } from './mutex.ts'
import { OutboxState } from './outbox-state.ts'
import type { Parking } from './parking.ts'
import { QUARANTINE_BYTES_MAX } from './quarantine.ts'
import { type RecordChange, RowBatch } from './row-batch.ts'
import { readStored, type Stored } from './stored-state.ts'
import { putVersionedTags, type VersionedTags } from './versioned-tags.ts'

/** One holder at a time, in the order they asked. */
export interface StateLock {
  /** Whether others than this process may hold it, and write. */
  readonly isShared: boolean
  run<T>(job: () => Promise<T>): Promise<T>
}

export type LocalStateOptions = {
  readonly store: Store
  readonly vaultId: VaultId
  readonly clockIdentity: ClockIdentity
  readonly nowMs: () => number
  /** Without it: a mutex of this object. */
  readonly lock?: StateLock | undefined
  /** What a version counts as in a checkpoint, under the newest epoch; without it none is made. */
  readonly pairHash?: (() => PairHash | null) | undefined
  /** Reads again, from the store, what others keep of it in memory. */
  readonly caughtUp?: (() => Promise<void>) | undefined
}

/** What changes with a batch, beside what the batch says of records. */
export type NextState = {
  readonly cursor?: Cursor
  readonly clock?: ClockState
  readonly nextNumber?: number
  readonly notices?: readonly Notice[]
  readonly seen?: ReadonlyMap<string, Timestamp>
  readonly isRebaseDue?: boolean
  readonly versionedTags?: VersionedTags
  readonly closedBelow?: number
  /** What is parked once the batch, which stores it, is written. */
  readonly parking?: Parking
  /** On the disk before the write returns. */
  readonly sync?: boolean
}

export type ChangeListener = (changes: readonly RecordChange[]) => void

export class LocalState {
  readonly store: Store
  readonly vaultId: VaultId
  readonly clock: LocalClock
  readonly nowMs: () => number
  cursor!: Cursor
  /** Epochs below this are over: what is sealed under them and not held came too late. */
  closedBelow!: number
  confirmedSet!: ConfirmedSet
  /** The same under a key, once a checkpoint has needed it. */
  keyedSet!: KeyedSet | null
  readonly pairHash: (() => PairHash | null) | undefined
  /** Up to where the remote's log is known to hold writes of this device. */
  acknowledged!: Acknowledged | null
  synced!: { complete: boolean; lastMs: number | null }
  outbox!: OutboxState
  /** The latest things that happened here and that the person should know, oldest first. */
  notices!: readonly Notice[]
  /** Pulled transactions that are not shown yet. */
  parking!: Parking
  /** The greatest version seen of each author, by the hex of its four bytes. */
  seen!: ReadonlyMap<string, Timestamp>
  /** Whether a write that waits must be rewritten on top of what arrived. */
  isRebaseDue!: boolean
  /** Collections in which a record may have a schema version. */
  versionedTags!: VersionedTags
  conflictCount!: number
  /** What is put aside; counted anew when the vault is opened. */
  quarantinedBytes!: number
  /** Why sync last failed or stopped; null since it last went well. */
  keptProblem!: KeptProblem | null
  /** Of them: those that wait for a choice, and count towards no bound. */
  openConflictCount!: number
  /** At most so many have the others: what was dropped by hand still counts. */
  conflictBytes!: number
  /** Grows with each write; whoever planned something without the lock sees that it was outrun. */
  writeCount = 0
  /** Versions of other devices that came since the vault was opened. */
  receivedCount = 0
  /** When the checkpoint of another device was last found to fit. */
  lastCheckedMs: number | null = null
  /** Records of which a version is gone that a healing had brought; until the pull is over. */
  readonly overtaken: Set<string> = new Set()

  readonly #lock: StateLock
  readonly #caughtUp: () => Promise<void>
  readonly #listeners = new Set<ChangeListener>()
  readonly #conflictListeners = new Set<(event: ConflictEvent) => void>()
  readonly #takenBackListeners = new Set<(number: number) => void>()
  #generation: number

  private constructor(options: LocalStateOptions, stored: Stored) {
    this.store = options.store
    this.vaultId = options.vaultId
    this.nowMs = options.nowMs
    this.#lock = options.lock ?? new Mutex()
    this.#caughtUp = options.caughtUp ?? (async () => undefined)
    this.pairHash = options.pairHash
    this.clock = new LocalClock(stored.meta, options.clockIdentity, options.nowMs)
    this.#generation = stored.generation
    this.#adopt(stored)
  }

  /** Takes over what the disk holds, but for the clock, which may be later here. */
  #adopt(stored: Stored): void {
    const { meta } = stored
    this.cursor = meta.cursor
    this.closedBelow = meta.closedBelow
    this.confirmedSet = meta.confirmedSet
    this.keyedSet = stored.keyedSet
    this.acknowledged = stored.acknowledged
    this.synced = syncedOf(meta)
    this.notices = meta.notices
    this.outbox = outboxOf(stored)
    this.parking = stored.parking
    this.seen = meta.seen
    this.isRebaseDue = meta.isRebaseDue
    this.versionedTags = stored.versionedTags
    this.conflictCount = stored.conflicts.all
    this.keptProblem = stored.problem
    this.quarantinedBytes = stored.put
    this.openConflictCount = stored.conflicts.open
    this.conflictBytes = stored.conflicts.bytes
  }

  static async open(options: LocalStateOptions): Promise<LocalState> {
    const { store, vaultId } = options
    // Under the lock: the counter and what it counts must be of one moment.
    const lock = options.lock ?? new Mutex()
    const stored = await lock.run(() => readStored(store, vaultId))
    return new LocalState({ ...options, lock }, stored)
  }

  /** Runs a job that may write; no other job runs meanwhile. */
  run<T>(job: () => Promise<T>): Promise<T> {
    return this.#lock.run(async () => {
      if (this.#lock.isShared) await this.#catchUp()
      return job()
    })
  }

  /** Waits for what is under way, then closes the store, whatever has become of it. */
  async close(): Promise<void> {
    await this.#lock.run(() => this.store.close())
  }

  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  onConflict(listener: (event: ConflictEvent) => void): () => void {
    this.#conflictListeners.add(listener)
    return () => this.#conflictListeners.delete(listener)
  }

  /** Tells the numbers of transactions that were taken back, after the batch that did it. */
  onTakenBack(listener: (number: number) => void): () => void {
    this.#takenBackListeners.add(listener)
    return () => this.#takenBackListeners.delete(listener)
  }

  /** Tells readers of changes that another holder of the lock has written. */
  tell(changes: readonly RecordChange[]): void {
    if (changes.length === 0) return
    for (const listener of this.#listeners) listener(changes)
  }

  /** The rows of records, to be changed together. Inside `run`. */
  readRows(ids: readonly RecordId[]): Promise<RowBatch> {
    const { deviceId } = this.clock.identity
    const quarantineRoomBytes = QUARANTINE_BYTES_MAX - this.quarantinedBytes
    const { confirmedSet } = this
    const isFollowed = this.#followedSet !== null
    const context = { confirmedSet, deviceId, quarantineRoomBytes, isFollowed }
    return RowBatch.read(this.store, ids, context)
  }

  get #followedSet(): KeyedSet | null {
    return followedSet(this.keyedSet, this.confirmedSet.count, this.pairHash)
  }

  /** Writes a batch of rows and what changes with it, then changes memory. Inside `run`. */
  async write(batch: RowBatch, next: NextState = {}): Promise<void> {
    const ops = batch.finish()
    if (batch.isSetChanged) ops.push(putConfirmedSet(batch.confirmedSet))
    const keyedSet = followKeyedSet(this.#followedSet, batch, this.pairHash)
    if (keyedSet !== this.keyedSet) ops.push(putKeyedSet(keyedSet))
    await this.writeOps(ops, next)
    this.confirmedSet = batch.confirmedSet
    this.keyedSet = keyedSet
    this.conflictCount += batch.conflictCount
    this.receivedCount += batch.receivedCount
    this.quarantinedBytes += batch.quarantinedBytes
    this.openConflictCount += batch.openConflictCount
    this.conflictBytes += batch.conflictBytes
    this.tell(batch.changes)
    for (const number of batch.takenBack) {
      for (const listener of this.#takenBackListeners) listener(number)
    }
    for (const event of batch.conflictEvents) {
      for (const listener of this.#conflictListeners) listener(event)
    }
  }

  /** Keeps what is wrong with sync, for whoever opens the vault next. */
  keepProblem(problem: KeptProblem | null): Promise<void> {
    return this.run(async () => {
      await this.writeOps([putProblem(problem)])
      this.keptProblem = problem
    })
  }

  /** Keeps the conflict log within its bound. Inside `run`. */
  async evictConflicts(): Promise<void> {
    const [all, open, bytes] = [this.conflictCount, this.openConflictCount, this.conflictBytes]
    if (!isLogFull({ all, open, bytes })) return
    const ops = await findEvicted(this.store)
    if (ops.length > 0) await this.writeOps(ops)
    const counted = await countConflicts(this.store)
    this.conflictCount = counted.all
    this.openConflictCount = counted.open
    this.conflictBytes = counted.bytes
  }

  /** The same without rows. */
  async writeOps(ops: StoreOp[], next: NextState = {}): Promise<void> {
    const clock = next.clock ?? this.clock.state
    const nextNumber = next.nextNumber ?? this.outbox.nextNumber
    if (next.clock !== undefined || next.nextNumber !== undefined) {
      ops.push(putClock(clock, nextNumber))
    }
    const cursor = next.cursor ?? this.cursor
    if (next.cursor !== undefined && cursor.syncId !== null) {
      ops.push(putCursor({ syncId: cursor.syncId, position: cursor.position }))
    }
    const notices = next.notices ?? this.notices
    if (next.notices !== undefined) ops.push(putNotices(next.notices))
    if (next.seen !== undefined) ops.push(putSeen(next.seen))
    if (next.isRebaseDue !== undefined) ops.push(putRebaseDue(next.isRebaseDue))
    if (next.versionedTags !== undefined) ops.push(putVersionedTags(next.versionedTags))
    const { closedBelow = this.closedBelow } = next
    if (closedBelow !== this.closedBelow) ops.push(putClosedBelow(closedBelow))
    const generation = this.#lock.isShared ? this.#generation + 1 : this.#generation
    if (this.#lock.isShared) ops.push(putGeneration(generation))
    await this.store.write(ops, { sync: next.sync ?? false })
    this.#generation = generation
    this.writeCount++
    this.clock.state = clock
    this.outbox.nextNumber = nextNumber
    this.cursor = cursor
    this.closedBelow = closedBelow
    this.notices = notices
    this.seen = next.seen ?? this.seen
    this.isRebaseDue = next.isRebaseDue ?? this.isRebaseDue
    this.versionedTags = next.versionedTags ?? this.versionedTags
    this.parking = next.parking ?? this.parking
  }

  /** The list of notices with one more; equal ones are told once, with their latest time. */
  withNotice(notice: Omit<Notice, 'atMs'>): readonly Notice[] {
    const others = this.notices.filter(
      ({ code, message }) => code !== notice.code || message !== notice.message,
    )
    return [...others, { ...notice, atMs: this.nowMs() }].slice(-NOTICES_MAX)
  }

  async #catchUp(): Promise<void> {
    const generation = await readGeneration(this.store)
    if (generation === this.#generation) return
    // The counter only grows: this is another database than the one that was opened.
    if (generation < this.#generation) throw lostStore()
    const stored = await readStored(this.store, this.vaultId)
    const { meta } = stored
    const isLaterHere = compareClocks(this.clock.state, meta.clock) > 0
    if (!isLaterHere) this.clock.state = meta.clock
    this.clock.offsetMs = meta.clockOffsetMs
    this.clock.agreedMs = meta.clockAgreedMs
    const { awaitedBelow } = this.outbox
    this.#adopt(stored)
    this.outbox.awaitedBelow = awaitedBelow
    await this.#caughtUp()
    this.#generation = stored.generation
    this.writeCount++
  }
}

function lostStore(): ClientError {
  return new ClientError(
    'vault-damaged',
    'the records of the vault have been deleted: restore it from its recovery phrase',
  )
}

const outboxOf = ({ meta, pending, attention }: Stored): OutboxState =>
  new OutboxState(meta, { pending, attention })

const syncedOf = (meta: LocalMeta): LocalState['synced'] => ({
  complete: meta.initialSyncComplete,
  lastMs: meta.lastSyncedMs,
})

const compareClocks = (a: ClockState, b: ClockState): number =>
  a.milliseconds - b.milliseconds || a.counter - b.counter

/** The later of two versions. */
export const laterTimestamp = (a: Timestamp, b: Timestamp): Timestamp =>
  compareTimestamps(a, b) >= 0 ? a : b
