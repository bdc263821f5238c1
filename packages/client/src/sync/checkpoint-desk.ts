/**
 * Checkpoint desk: takes what other devices have signed, judges it against the log that is served
 * here, and signs what is held here (design 16).
 *
 *   fetched before a pull ──┐
 *   told by the live socket ┴─▶ judged at the head ─▶ linked   counts, for ever
 *                                    │                 parted   a fork: sync stops
 *                                    │                 differs  something is withheld: sync stops
 *                                    └──────────────▶ void     the remote went back: told, heals
 *
 * A fork is only what the remote shows now: it serves the checkpoint, and a log without it. What it
 * no longer serves may have been lost with an image that was put back. One that was given by hand
 * (pairing) must link, whatever the remote serves.
 */
import {
  type Checkpoint,
  DEVICES_ACTIVE_MAX,
  formatHex,
  parseCheckpoint,
} from '@blindcopy/protocol'
import { codeOf } from '../error.ts'
import type { LogStep } from '../local/arrival.ts'
import { type OwnCheckpoint, putOwn, readHeard, readOwn } from '../local/checkpoint-store.ts'
import { hasForwards } from '../local/forwarding.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import { NOTHING_UNOPENED, readUnopened, type Unopened } from '../local/unopened.ts'
import { CheckpointBench } from './checkpoint-bench.ts'
import { provenanceOf } from './checkpoint-judge.ts'
import type { KnownChains } from './checkpoint-link.ts'
import { agrees, CHECKPOINT_PAUSE_MS, isOutdated, sendCheckpoint } from './checkpoint-own.ts'
import { describeFailure, type Failure } from './failure.ts'
import type { CheckpointIdentity, SyncIdentity, Timers } from './identity.ts'
import { renewKeychain } from './keychain-fetch.ts'
import type { RemoteSet } from './pull.ts'
import type { DataRequest, Transport } from './transport.ts'

export type DeskOptions = {
  readonly local: LocalSecondary
  readonly transport: Transport
  readonly identity: SyncIdentity
  readonly timers: Timers
  readonly onConcern: (problem: Failure | null) => void
  readonly onWake: () => void
}

/** What judging has found out beside what is stored. */
export type Judged = {
  /** Only a pull can tell what a checkpoint says. */
  readonly mustPull: boolean
  /** The person lets this device go on: all that is held is compared with the remote. */
  readonly mustHeal: boolean
}

const NOTHING: Judged = { mustPull: false, mustHeal: false }
/** What a remote refuses here does not hold up sync: it is told, and tried again. */
const CONCERNS: ReadonlySet<string> = new Set([
  'not-found',
  'not-a-remote',
  'malformed',
  'integrity',
  'too-many-requests',
  'busy',
  'internal',
  'storage-full',
  'checkpoint-refused',
  'checkpoint-old',
  // Of a device with a later program: nothing is judged until this one is updated.
  'unsupported-version',
])

export class CheckpointDesk {
  readonly #options: DeskOptions
  readonly #checkpoints: CheckpointIdentity | undefined
  #own: OwnCheckpoint | undefined
  #lists: Unopened = NOTHING_UNOPENED
  #mustFetch = false
  /** Of the last answer, and not judged yet. */
  #served: readonly Checkpoint[] | null = null
  readonly #told = new Map<string, Checkpoint>()
  readonly #known: KnownChains = new Map()
  /** Where checkpoints stand that the log has not come to. */
  #wanted: ReadonlySet<number> = new Set()
  /** What the remote stated of its head, when it agreed. */
  #agreed: RemoteSet | null = null
  #problem: Failure | null = null
  #notBeforeMs = Number.NEGATIVE_INFINITY
  #endTimer: (() => void) | null = null

  constructor(options: DeskOptions) {
    this.#options = options
    this.#checkpoints = options.identity.checkpoints
  }

  /** Something was told, or the log has come to where a checkpoint stands. */
  get hasNews(): boolean {
    if (this.#checkpoints === undefined) return false
    const { seq } = this.#options.local.cursor.position
    return this.#told.size > 0 || [...this.#wanted].some((wanted) => wanted <= seq)
  }

  /** A checkpoint of this device is due now. */
  get isDue(): boolean {
    return this.#isOutdated && this.#dueInMs <= 0
  }

  /** A login: nothing is known of what the remote keeps. */
  async begin(): Promise<void> {
    if (this.#checkpoints === undefined) return
    const { store } = this.#options.local.state
    this.#own = await readOwn(store)
    this.#lists = await readUnopened(store)
    this.#mustFetch = true
    this.#agreed = null
    this.#known.clear()
    this.#told.clear()
    await this.#noteWanted()
  }

  /** Somebody asks for an exchange. */
  expectNews(): void {
    this.#mustFetch = true
  }

  end(): void {
    this.#endTimer?.()
    this.#endTimer = null
  }

  /** The live socket tells of a checkpoint. */
  tell(bytes: Uint8Array): void {
    if (this.#checkpoints === undefined) return
    try {
      this.#keepTold(parseCheckpoint(bytes))
    } catch (error) {
      this.#problem = describeFailure(error)
    }
  }

  #keepTold(checkpoint: Checkpoint): void {
    const id = formatHex(checkpoint.memberId)
    const known = this.#told.get(id)
    if (known !== undefined && known.number >= checkpoint.number) return
    if (known === undefined && this.#told.size >= DEVICES_ACTIVE_MAX) return
    this.#told.set(id, checkpoint)
    this.#wanted = new Set([...this.#wanted, checkpoint.position.seq])
  }

  /** Before a pull: what it must come to. */
  async fetch(data: DataRequest): Promise<void> {
    if (this.#checkpoints === undefined || !this.#mustFetch) return
    this.#problem = null
    await this.#guard(async () => {
      const served = await this.#options.transport.checkpoints(data)
      this.#served = served.slice(0, DEVICES_ACTIVE_MAX).map(parseCheckpoint)
      this.#mustFetch = false
      await this.#noteWanted()
    })
  }

  /** Steps of the log that were checked against its chain and applied. */
  notePassed(steps: readonly LogStep[]): void {
    if (this.#wanted.size === 0) return
    for (const { seq, chain } of steps) if (this.#wanted.has(seq)) this.#known.set(seq, chain)
  }

  /**
   * Judges what was fetched and told. After a pull `stated` is the set at the head, null when it is
   * not the set here. Throws `history-forked`, `history-differs` or `keychain-forked`.
   */
  async judge(
    data: DataRequest,
    options: { readonly isAtHead: boolean; readonly stated: RemoteSet | null },
  ): Promise<Judged> {
    const checkpoints = this.#checkpoints
    const own = this.#own
    if (checkpoints === undefined || own === undefined) return NOTHING
    const { local, transport, identity, timers } = this.#options
    if (options.isAtHead) this.#agreed = options.stated
    const served = this.#served
    const told = [...this.#told.values()]
    this.#served = null
    this.#told.clear()
    this.#wanted = new Set()
    const isFalse = [...(served ?? []), ...told].some(
      (checkpoint) => provenanceOf(checkpoint, checkpoints) === 'false',
    )
    if (isFalse) this.#problem = FALSE
    const bench = new CheckpointBench({
      ...{ local, transport, checkpoints, data, own, isAtHead: options.isAtHead },
      renewKeychain: () => renewKeychain({ local, transport, identity, data }),
      agreed: agrees(local, this.#agreed),
      known: this.#known,
      nowMs: timers.nowMs(),
    })
    try {
      const judged = await this.#guard(() => bench.judge({ served, told }))
      await checkpoints.putLateAside()
      this.#mustFetch ||= judged === undefined
      return judged ?? NOTHING
    } finally {
      this.#options.onConcern(this.#problem)
      this.#known.clear()
      await this.#noteOwn(bench.own)
      this.#lists = await readUnopened(local.state.store)
      await this.#noteWanted()
    }
  }

  /** Writes again what another device could not open. Returns whether some is to be passed on. */
  async repair(): Promise<boolean> {
    const count = (await this.#checkpoints?.rewriteNamed()) ?? 0
    return count > 0 && hasForwards(this.#options.local.state.store)
  }

  /** Signs what is held here, if that is due. `pull` reaches the head, null if the sets differ. */
  async give(data: DataRequest, pull: () => Promise<RemoteSet | null>): Promise<void> {
    const { checkpoints, ...identity } = this.#options.identity
    if (checkpoints === undefined || !this.isDue) return
    const { local, transport, timers } = this.#options
    // Whatever comes of it: the next attempt is a minute away.
    this.#notBeforeMs = timers.nowMs() + CHECKPOINT_PAUSE_MS
    if (!agrees(local, this.#agreed)) this.#agreed = await pull()
    const agreed = this.#agreed
    const own = this.#own
    if (!agrees(local, agreed) || own === undefined) return
    const lists = await readUnopened(local.state.store)
    this.#lists = lists
    const present = { ...data, position: local.cursor.position }
    await this.#guard(async () => {
      const full = { ...identity, checkpoints }
      const nowMs = timers.nowMs()
      const context = { local, transport, identity: full, data: present, agreed, lists, nowMs }
      await this.#noteOwn(await sendCheckpoint(context, own), { isStored: true })
    })
    this.#options.onConcern(this.#problem)
  }

  /** Nothing else is to do: wakes when a checkpoint is due. One timer, and none when nothing is. */
  await(): void {
    if (this.#endTimer !== null || !this.#isOutdated) return
    const { timers, onWake } = this.#options
    this.#endTimer = timers.setTimer(
      () => {
        this.#endTimer = null
        onWake()
      },
      // Some timers fire a little early, and would find that it is not due yet.
      this.#dueInMs + 1,
    )
  }

  get #isOutdated(): boolean {
    const { local, timers } = this.#options
    const identity = this.#checkpoints
    if (identity === undefined || this.#own === undefined) return false
    const nowMs = timers.nowMs()
    return isOutdated(this.#own.checkpoint, { local, identity, lists: this.#lists, nowMs })
  }

  /** How long until one may be made. A clock that was set back holds up nothing. */
  get #dueInMs(): number {
    const nowMs = this.#options.timers.nowMs()
    const lastMs = this.#own?.checkpoint?.timeMs ?? Number.NEGATIVE_INFINITY
    const waits = [lastMs + CHECKPOINT_PAUSE_MS - nowMs, this.#notBeforeMs - nowMs]
    return Math.max(0, ...waits.filter((ms) => ms <= CHECKPOINT_PAUSE_MS))
  }

  async #noteOwn(own: OwnCheckpoint, { isStored = false } = {}): Promise<void> {
    const { state } = this.#options.local
    const isSame = own === this.#own
    this.#own = own
    if (!isSame && !isStored) await state.run(() => state.writeOps([putOwn(own)]))
  }

  async #noteWanted(): Promise<void> {
    const heard = await readHeard(this.#options.local.state.store)
    const ahead = [...heard.values()].filter(({ state }) => state === 'ahead')
    const all = [...ahead.map(({ checkpoint }) => checkpoint), ...(this.#served ?? [])]
    const { seq } = this.#options.local.cursor.position
    const later = all.map(({ position }) => position.seq).filter((wanted) => wanted > seq)
    this.#wanted = new Set([...this.#wanted, ...later])
  }

  /** What the remote refuses here is told; whatever ends a session goes on. */
  async #guard<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      if (!CONCERNS.has(codeOf(error) ?? '')) throw error
      this.#problem = describeFailure(error)
      return undefined
    }
  }
}

const FALSE: Failure = {
  code: 'integrity',
  message: 'the remote serves checkpoints that none of the devices has signed',
  remedy: 'nothing here was changed; ask whoever runs the remote to check its storage',
}
