/**
 * Exchange: the steps that talk to the remote, each of which leaves behind what it has found out.
 *
 * The engine decides which is next and when; the exchange holds the session and the socket, and
 * knows whether the cursor is behind, the sets differ, or what was refused must be put right.
 */
import {
  chainStart,
  equalBytes,
  type LogPosition,
  PUSH_BYTES_MAX,
  type SyncId,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import { hasForwards } from '../local/forwarding.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { AgainCode } from '../local/verdict.ts'
import { CheckpointDesk, type Judged } from './checkpoint-desk.ts'
import { ClockDesk } from './clock-check.ts'
import type { Facts } from './decision.ts'
import type { ExchangeEvents } from './exchange-events.ts'
import { cannotBring } from './failure.ts'
import { forwardVersions } from './forward.ts'
import { HeadWatch, headProblem, retryQuarantine } from './head-check.ts'
import type { SyncIdentity, Timers } from './identity.ts'
import { overFork, renewKeychain } from './keychain-fetch.ts'
import { LiveConnection } from './live.ts'
import { openSession } from './login.ts'
import { type PullContext, pullChanges, type RemoteSet } from './pull.ts'
import { pushOutbox, setSpoiledAside } from './push.ts'
import { healMismatch, healWith } from './reconcile.ts'
import { Refusals } from './refusals.ts'
import { isSealedOld, standingError, type Trouble } from './standing.ts'
import type { DataRequest, Transport } from './transport.ts'

export type ExchangeOptions = {
  readonly local: LocalSecondary
  readonly transport: Transport
  readonly identity: SyncIdentity
  readonly timers: Timers
  readonly events: ExchangeEvents
}

type Known = Omit<Facts, 'wanted' | 'mayPush' | 'mayPull' | 'isStopped' | 'isPaused'>

export class Exchange {
  readonly #local: LocalSecondary
  readonly #transport: Transport
  readonly #identity: SyncIdentity
  readonly #timers: Timers
  readonly #events: ExchangeEvents
  readonly #headWatch = new HeadWatch()
  #token: string | null = null
  /** What the remote stated at login. */
  #syncId: SyncId | null = null
  #headSeq = 0
  #pushBytesMax = PUSH_BYTES_MAX
  #isBehind = true
  #hasMismatch = false
  readonly #refusals = new Refusals()
  readonly #clock: ClockDesk
  readonly #checkpoints: CheckpointDesk
  #hasForwards = false
  #live: { connection: LiveConnection; isReady: boolean } | null = null

  constructor(options: ExchangeOptions) {
    this.#local = options.local
    this.#transport = options.transport
    this.#identity = options.identity
    this.#timers = options.timers
    this.#events = options.events
    this.#clock = new ClockDesk({
      local: options.local,
      answer: () => options.transport.lastAnswer?.() ?? null,
      random: options.timers.random,
    })
    this.#checkpoints = new CheckpointDesk({
      ...options,
      onConcern: (problem) => this.#events.onConcern('checkpoint', problem),
      onWake: () => this.#events.onWake(),
    })
  }

  facts(): Known {
    const { state, pendingCount, hasSentUnanswered } = this.#local
    // Without the newest keys nothing can be written anew.
    const mayWrite = this.trouble === undefined
    return {
      hasSession: this.#token !== null,
      mustReconcile: this.#mustReconcile,
      hasSentUnanswered,
      isBehind: this.#isBehind,
      hasFrames: this.#live?.connection.hasFrames ?? false,
      mustCorrectClock: mayWrite && this.#refusals.has('clock-drift'),
      mustReseal: mayWrite && this.#mustReseal,
      isRebaseDue: mayWrite && (state.isRebaseDue || this.#refusals.has('conflict')),
      hasPending: pendingCount > 0,
      awaitsPull:
        this.#isBehind && (this.#refusals.has('conflict') || this.#refusals.has('epoch-old')),
      hasForwards: this.#hasForwards,
      hasCheckpoints: this.#checkpoints.hasNews,
      isCheckpointDue: this.#checkpoints.isDue,
      isSocketOpen: this.#live !== null,
    }
  }

  /** Nothing is unread, and changes arrive as they are made. */
  get isLive(): boolean {
    return this.#live?.isReady ?? false
  }

  /** Somebody asks for an exchange: what the remote has is not known any more. */
  expectNews(): void {
    this.#isBehind = true
    this.#checkpoints.expectNews()
  }

  endSession(): void {
    this.closeLive()
    this.#token = null
  }

  closeLive(): void {
    this.#live?.connection.close()
    this.#live = null
    this.#checkpoints.end()
  }

  get #mustReconcile(): boolean {
    if (this.#hasMismatch) return true
    const { syncId } = this.#local.cursor
    if (syncId === null || this.#syncId === null) return false
    return this.#token !== null && !equalBytes(syncId, this.#syncId)
  }

  /**
   * What waits may be sealed under an epoch that is over: a remote that lags would take it, and who
   * was revoked could read it.
   */
  get #mustReseal(): boolean {
    return this.#refusals.has('epoch-old') || this.#isSealedOld()
  }

  readonly #isSealedOld = (): boolean => isSealedOld(this.#local, this.#identity)

  get trouble(): Trouble {
    return this.#identity.membershipTrouble?.()
  }

  async logIn(): Promise<void> {
    this.#events.onPhase('connecting')
    const session = await openSession(this.#transport, this.#identity).catch((error: unknown) => {
      throw standingError(error, this.trouble)
    })
    const { token, syncId, head, limits } = session
    // The first that a vault meets has nothing of it yet that could be compared.
    if (this.#local.cursor.syncId === null) await this.#local.adoptSyncId(syncId)
    this.#token = token
    this.#syncId = syncId
    this.#pushBytesMax = limits.pushBytes
    this.#headSeq = head[0]
    this.#hasMismatch = false
    if (head[0] !== this.#local.cursor.position.seq) this.#isBehind = true
    // Another device may have put it right.
    if (this.trouble !== undefined) await renewKeychain(this.#pullContext())
    this.#hasForwards = await hasForwards(this.#local.state.store)
    await this.#checkpoints.begin()
    this.#events.onConcern('clock', await this.#clock.check({ isRefused: false }))
  }

  async reconcile(options: { mayPush: boolean }): Promise<void> {
    this.#events.onPhase('reconciling')
    const syncId = this.#syncId
    const token = this.#token
    if (syncId === null || token === null) throw noSession()
    const { cursor } = this.#local
    const isNew = cursor.syncId === null || !equalBytes(cursor.syncId, syncId)
    const beginning = { seq: 0, chain: chainStart(this.#identity.vaultId) }
    const data = { token, syncId, position: isNew ? beginning : cursor.position }
    const heal = isNew ? healWith : healMismatch
    const { refusal } = await heal({
      local: this.#local,
      transport: this.#transport,
      identity: this.#identity,
      data,
      bytesMax: this.#pushBytesMax,
      mayPush: options.mayPush,
      onProgress: (done, total) => this.#events.onProgress({ direction: 'reconcile', done, total }),
      onTaken: () => this.#events.onCounts(),
    })
    this.#hasMismatch = false
    this.#isBehind = true
    this.#events.onSuccess()
    this.#events.onConcern('refusal', refusal === null ? null : cannotBring(refusal))
  }

  async pull({ mayPush }: { mayPush: boolean }): Promise<void> {
    this.#events.onPhase('pulling')
    // Cleared first: whatever asks for another pull while this one runs gets it.
    this.#isBehind = false
    const context = this.#pullContext()
    try {
      await this.#checkpoints.fetch(this.#data())
      const remoteSet = await overFork(context, () => pullChanges(context))
      const unopened = await retryQuarantine(context)
      this.#events.onSuccess()
      const problem = headProblem(this.#local, remoteSet)
      const atHead = { isAtHead: true, stated: problem === null ? remoteSet : null }
      const judged = await this.#checkpoints.judge(this.#data(), atHead)
      if (mayPush && (await this.#checkpoints.repair())) this.#hasForwards = true
      const nowMs = this.#timers.nowMs()
      this.#hasMismatch = this.#headWatch.mustHeal(problem !== null, { nowMs, mayPush })
      if (!this.#hasMismatch) await this.#events.onSynced()
      this.#events.onConcern('head', this.#hasMismatch ? null : problem)
      this.#events.onConcern('quarantine', unopened)
      this.#noteJudged(judged)
    } catch (error) {
      this.#isBehind = true
      throw error
    }
  }

  #pullContext(): PullContext {
    return {
      local: this.#local,
      transport: this.#transport,
      identity: this.#identity,
      data: () => this.#data(),
      onProgress: (done: number, headSeq: number) => {
        this.#headSeq = Math.max(this.#headSeq, headSeq)
        this.#events.onProgress({ direction: 'pull', done, total: this.#headSeq })
      },
      onApplied: (steps) => this.#checkpoints.notePassed(steps),
    }
  }

  /** What other devices have signed is judged, and what is held here is signed. */
  async checkpoint({ mayPush }: { mayPush: boolean }): Promise<void> {
    const judged = await this.#checkpoints.judge(this.#data(), { isAtHead: false, stated: null })
    this.#noteJudged(judged)
    if (judged.mustPull || judged.mustHeal || !mayPush) return
    if (await this.#checkpoints.repair()) this.#hasForwards = true
    await this.#checkpoints.give(this.#data(), () => this.#checkHead())
    this.#events.onCounts()
  }

  awaitCheckpoint(): void {
    this.#checkpoints.await()
  }

  #noteJudged({ mustPull, mustHeal }: Judged): void {
    if (mustPull) this.expectNews()
    if (mustHeal) this.#hasMismatch = true
  }

  async #checkHead(): Promise<RemoteSet | null> {
    const stated = await pullChanges(this.#pullContext())
    if (headProblem(this.#local, stated) === null) return stated
    this.#isBehind = true
    return null
  }

  async push(below?: number): Promise<void> {
    this.#events.onPhase('pushing')
    // Also before a repeat: what did not arrive the first time is for those who are left only.
    if (this.#isSealedOld()) await this.resealOutbox()
    const total = this.#local.pendingCount
    let done = 0
    const context = {
      local: this.#local,
      transport: this.#transport,
      bytesMax: this.#pushBytesMax,
      data: () => this.#data(),
      final: this.#refusals.final,
      isSealedOld: this.#isSealedOld,
      onSettled: (count: number) => {
        done += count
        const rest = done + this.#local.pendingCount
        this.#events.onProgress({ direction: 'push', done, total: Math.max(total, rest) })
      },
    }
    const { greatestSeq, again } = await pushOutbox(context, below).catch((error: unknown) =>
      setSpoiledAside(this.#local, this.#identity.open, error),
    )
    const isSame = done === 0 && total > 0 && this.#local.pendingCount === total
    if (isSame && !this.#isSealedOld()) {
      throw new ClientError('vault-damaged', 'what waits to be sent is not on the disk any more')
    }
    this.#events.onSuccess()
    this.#noteAgain(again)
    // Live, the frames between are on their way; otherwise a pull brings what others wrote
    // meanwhile.
    const isMissing = this.#local.cursor.position.seq < greatestSeq
    if (isMissing && !this.isLive) this.#isBehind = true
    if (!isMissing && this.#local.pendingCount === 0) await this.#events.onSynced()
  }

  #noteAgain(again: ReadonlySet<AgainCode>): void {
    const count = this.#refusals.note(again)
    if (again.size === 0) return
    // What they were refused for came after the cursor.
    this.#isBehind = true
    if (count > 1) this.#events.onRefusedAgain(count)
  }

  async applyLive(): Promise<void> {
    const steps = this.#live?.connection.take(this.#local.cursor.position) ?? []
    if (steps === 'gap') {
      this.#isBehind = true
      return
    }
    if (steps.length === 0) return
    await this.#local.applyLog(steps, this.#identity)
    this.#checkpoints.notePassed(steps)
    await this.#events.onSynced()
  }

  /** What waits, under the newest epoch. */
  async resealOutbox(): Promise<void> {
    const epoch = this.#identity.newestEpoch()
    await this.#local.resealOutbox(this.#identity.reseal)
    this.#local.state.outbox.resealedFor = epoch
    this.#refusals.putRight('epoch-old')
  }

  /** What waits, on top of what has arrived. */
  async rebase(): Promise<void> {
    await this.#local.rebase()
    this.#refusals.putRight('conflict')
    // The app writes faster than what waits can be rewritten.
    if (this.#local.state.isRebaseDue) this.#events.onRefusedAgain(2)
  }

  /** A write was refused for its time: it is re-stamped, once, if the clock can be believed. */
  async correctClock(): Promise<void> {
    this.#refusals.exhaust('clock-drift')
    this.#events.onConcern('clock', await this.#clock.check({ isRefused: true }))
  }

  /** The person takes the remote's time for right, however far it is from this device's. */
  async acceptClock(): Promise<void> {
    await this.#clock.accept()
    this.#events.onConcern('clock', null)
  }

  /** What came here by another way than the remote is looked for. */
  expectForwards(): void {
    this.#hasForwards = true
  }

  async forward(): Promise<void> {
    this.#events.onPhase('pushing')
    const { isBehind, refusal } = await forwardVersions({
      local: this.#local,
      transport: this.#transport,
      identity: this.#identity,
      data: () => this.#data(),
      bytesMax: this.#pushBytesMax,
      onProgress: (done, total) => this.#events.onProgress({ direction: 'push', done, total }),
    })
    // Those that are left are offered again with the next session.
    this.#hasForwards = false
    if (isBehind && !this.isLive) this.#isBehind = true
    this.#events.onConcern('refusal', refusal === null ? null : cannotBring(refusal))
    this.#events.onSuccess()
  }

  openLive(): void {
    const events = {
      onReady: (head: LogPosition) => {
        if (this.#live !== null) this.#live.isReady = true
        if (head.seq !== this.#local.cursor.position.seq) this.#isBehind = true
        this.#events.onSuccess()
        this.#events.onWake()
      },
      onFrames: () => this.#events.onUnread(),
      onCheckpoint: (checkpoint: Uint8Array) => {
        this.#checkpoints.tell(checkpoint)
        this.#events.onWake()
      },
      onClosed: (error: Error) => {
        this.#live = null
        this.#events.onClosed(error)
      },
    }
    const options = { events, timers: this.#timers }
    const connection = new LiveConnection(this.#transport, this.#data(), options)
    this.#live = { connection, isReady: false }
  }

  #data(): DataRequest {
    const { syncId, position } = this.#local.cursor
    if (this.#token === null || syncId === null) throw noSession()
    return { token: this.#token, syncId, position }
  }
}

function noSession(): ClientError {
  return new ClientError('network', 'there is no session with the remote')
}
