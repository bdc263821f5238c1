/**
 * Crash disk: a disk that remembers what it was told to make durable, and what it was not.
 *
 *   write, unsynced   there for every process; gone after a power cut, unless a later sync took it
 *   write, synced     durable, with everything written before it
 *   kill              the process ends at once: nothing it still does reaches the disk
 *   power cut         a kill, and of the unsynced batches only the first few are left: LevelDB's
 *                     log loses its end, never a part in the middle, never a part of a batch
 *   open              makes durable what it finds: LevelDB replays its log into a table that it
 *                     syncs. (The remote answers a repeated push from what a killed process has
 *                     left: on a store that does not do this, that answer would be too early.)
 *
 * A crash may be planned for any write: before it reaches the disk, or after it did and before the
 * process is told. The disk can be slow (each write takes virtual time, in its turn) and full.
 */
import {
  createMemoryStore,
  type Entry,
  type Store,
  StoreError,
  type StoreOp,
} from '@blindcopy/secondary'
import type { Scheduler } from './scheduler.ts'

export type DiskImage = {
  readonly entries: readonly Entry[]
  readonly config: Uint8Array | undefined
  readonly keys: Uint8Array | undefined
}

/** Told of everything that is on the disk, at once. */
export type DiskObserver = {
  /** Called before whoever wrote it goes on. */
  wrote(batch: readonly StoreOp[]): void
  /** The disk holds something else now, by a fault. */
  replaced(entries: readonly Entry[]): void
}

export type CrashPlan = {
  /** Writes that still go well. */
  left: number
  readonly moment: 'before' | 'after'
  readonly crash: () => void
}

export const EMPTY_IMAGE: DiskImage = { entries: [], config: undefined, keys: undefined }

/** What a dead process waits for. */
const never = <T>(): Promise<T> => new Promise<T>(() => undefined)

export class CrashDisk {
  config: Uint8Array | undefined
  keys: Uint8Array | undefined
  /** Every write fails while it is set. */
  isFull = false
  /** What a write takes at most. */
  slowMs = 0
  plan: CrashPlan | undefined
  observer: DiskObserver = { wrote: () => undefined, replaced: () => undefined }
  readonly #scheduler: Scheduler
  readonly #below: (below: number) => number
  #current: Store = createMemoryStore()
  #durable: Store = createMemoryStore()
  #unsynced: (readonly StoreOp[])[] = []
  #holder: HeldStore | undefined
  #underWay = 0
  #turn: Promise<void> = Promise.resolve()

  constructor(scheduler: Scheduler, below: (below: number) => number) {
    this.#scheduler = scheduler
    this.#below = below
  }

  /** For one process, until the disk is taken from it. */
  open(): Store {
    if (this.#holder?.isHeld) throw new StoreError('store-in-use', 'the disk is in use')
    this.#sync()
    this.#underWay = 0
    this.#turn = Promise.resolve()
    this.#holder = new HeldStore(this)
    return this.#holder
  }

  /** Whether a write waits for its turn or for the disk. */
  get isBusy(): boolean {
    return this.#underWay > 0
  }

  get unsyncedCount(): number {
    return this.#unsynced.length
  }

  /** The process is gone, whatever it is doing. */
  kill(): void {
    if (this.#holder !== undefined) this.#holder.isHeld = false
    this.plan = undefined
    this.#underWay = 0
    // What it was about to write is not waited for by the process that comes after it.
    this.#turn = Promise.resolve()
  }

  /** Kills, and loses what was not synced but for its beginning. Returns how many batches. */
  async cutPower(): Promise<number> {
    this.kill()
    const lost = this.#below(this.#unsynced.length + 1)
    const kept = this.#unsynced.slice(0, this.#unsynced.length - lost)
    await this.#become(await entriesOf(this.#durable), kept)
    return lost
  }

  async image(): Promise<DiskImage> {
    return { entries: await entriesOf(this.#current), config: this.config, keys: this.keys }
  }

  /** What is there now is gone; the process that used it must be. */
  async putBack({ entries, config, keys }: DiskImage): Promise<void> {
    this.config = config
    this.keys = keys
    await this.#become(entries, [])
  }

  async #become(entries: readonly Entry[], kept: readonly (readonly StoreOp[])[]): Promise<void> {
    this.#current = createMemoryStore()
    this.#durable = createMemoryStore()
    const first = entries.map(([key, value]) => ({ type: 'put', key, value }) as const)
    for (const batch of [first, ...kept]) {
      await this.#current.write(batch, { sync: true })
      await this.#durable.write(batch, { sync: true })
    }
    this.#unsynced = []
    this.observer.replaced(await entriesOf(this.#current))
  }

  /** Only for the store of a process. */
  async perform(holder: HeldStore, batch: readonly StoreOp[], sync: boolean): Promise<void> {
    // A dead process takes no turn of the living one.
    if (!holder.isHeld) return never()
    this.#underWay++
    const before = this.#turn
    let leave: () => void = () => undefined
    this.#turn = new Promise((resolve) => {
      leave = resolve
    })
    await before
    if (this.slowMs > 0) await this.#scheduler.sleep(this.#below(this.slowMs))
    if (!holder.isHeld) {
      leave()
      return never()
    }
    try {
      await this.#write(holder, batch, sync)
    } finally {
      if (holder.isHeld) this.#underWay--
      leave()
    }
  }

  async #write(holder: HeldStore, batch: readonly StoreOp[], sync: boolean): Promise<void> {
    const plan = this.plan
    const isDue = plan !== undefined && plan.left-- <= 0
    if (isDue && plan.moment === 'before') {
      plan.crash()
      return never()
    }
    if (this.isFull) throw new StoreError('store-full', 'the disk is full')
    await this.#current.write(batch, { sync })
    this.#unsynced.push(batch)
    this.observer.wrote(batch)
    if (isDue) {
      plan.crash()
      return never()
    }
    if (sync) this.#sync()
    if (!holder.isHeld) return never()
  }

  /** A memory store has written when the call returns: nothing can come in between. */
  #sync(): void {
    for (const batch of this.#unsynced) void this.#durable.write(batch, { sync: true })
    this.#unsynced = []
  }

  /** Only for the store of a process. */
  get records(): Store {
    return this.#current
  }
}

async function entriesOf(store: Store): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const page of store.pages({})) entries.push(...page)
  return entries
}

class HeldStore implements Store {
  isHeld = true
  #isClosed = false
  readonly #disk: CrashDisk

  constructor(disk: CrashDisk) {
    this.#disk = disk
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#ofTheLiving(await this.#records().get(key))
  }
  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#ofTheLiving(await this.#records().getMany(keys))
  }
  async *pages(...range: Parameters<Store['pages']>): AsyncGenerator<readonly Entry[]> {
    for await (const page of this.#records().pages(...range)) yield await this.#ofTheLiving(page)
    await this.#ofTheLiving(undefined)
  }
  async *keyPages(...range: Parameters<Store['keyPages']>): AsyncGenerator<readonly Uint8Array[]> {
    for await (const page of this.#records().keyPages(...range)) {
      yield await this.#ofTheLiving(page)
    }
    await this.#ofTheLiving(undefined)
  }
  async write(batch: readonly StoreOp[], { sync }: { sync: boolean }): Promise<void> {
    this.#records()
    await this.#disk.perform(this, batch, sync)
  }
  async close(): Promise<void> {
    this.#isClosed = true
    this.isHeld = false
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #records(): Store {
    if (this.#isClosed) throw new StoreError('store-closed', 'the store was closed')
    return this.#disk.records
  }

  /** A dead process learns nothing more; not even that there is no more. */
  #ofTheLiving<T>(value: T): T | Promise<T> {
    return this.isHeld || this.#isClosed ? value : never()
  }
}
