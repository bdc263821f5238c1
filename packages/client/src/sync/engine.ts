/**
 * Engine: keeps a local secondary and its remote in step.
 *
 * Whatever happens (a write, a frame, a closed socket, a timer, a request of the app) only changes
 * what the engine knows and wakes it; `decide` says what to do next, and one step is done at a
 * time. The states are drawn in decision.ts, the steps are those of the exchange. The engine moves
 * envelopes and holds no key: it signs, opens and follows the keychain through its identity.
 */
import { ClientError, codeOf } from '../error.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import { backoffMs, FailureRow, refusalPauseMs } from './backoff.ts'
import { decide, type Facts, type Step } from './decision.ts'
import { Exchange } from './exchange.ts'
import type { Concern, ExchangeEvents } from './exchange-events.ts'
import {
  describeFailure,
  type Failure,
  isPassing,
  mayEndElsewhere,
  remedyOf,
  retryAfterOf,
  stoppedError,
} from './failure.ts'
import type { SyncIdentity, Timers } from './identity.ts'
import { checkStartOptions, INTERVAL_MS, type OnceOptions, type StartOptions } from './modes.ts'
import { Requests } from './requests.ts'
import { revokedError, standingFailure } from './standing.ts'
import { StatusBoard, type SyncPhase, type SyncProblem, type SyncStatus } from './status.ts'
import { countsOf, type StatusCounts } from './status-counts.ts'
import type { Transport } from './transport.ts'
import { Troubles } from './troubles.ts'

export type EngineOptions = {
  readonly local: LocalSecondary
  readonly transport: Transport
  readonly identity: SyncIdentity
  readonly timers: Timers
}

/** The steps that do something, and not wait. */
type Action = Exclude<Step, 'rest' | 'wait' | 'listen' | 'finish' | 'rest-between'>

const LAST_SYNCED_GRAIN_MS = 1_000
/** How many sessions may be begun again at once within a minute, by why the last one ended. */
const RENEWALS_MAX: Readonly<Record<string, number>> = {
  'session-required': 1,
  'sync-id-mismatch': 3,
  'unknown-vault': 3,
  'not-a-member': 3,
}
const RENEWAL_MS = 60_000
const ONE_WAY: Failure = {
  code: 'one-way',
  message:
    'writes wait that the remote refused for what others wrote meanwhile, which is not pulled',
  remedy: remedyOf('one-way'),
}

export class SyncEngine {
  readonly #local: LocalSecondary
  readonly #transport: Transport
  readonly #timers: Timers
  readonly #board: StatusBoard
  readonly #exchange: Exchange
  readonly #requests = new Requests()
  #started: { mode: 'live' | 'interval'; everyMs: number } | null = null
  #stop: SyncProblem | null = null
  readonly #troubles: Troubles
  readonly #failures = new FailureRow()
  #renewals: number[] = []
  #endPause: (() => void) | null = null
  #running: Promise<void> | null = null
  #wake: () => void = () => undefined
  #restarted: () => void = () => undefined

  constructor(options: EngineOptions) {
    this.#local = options.local
    this.#transport = options.transport
    this.#timers = options.timers
    const { local, timers } = options
    this.#troubles = new Troubles({
      nowMs: timers.nowMs,
      kept: local.state.keptProblem,
      keep: (problem) => void local.state.keepProblem(problem).catch(() => undefined),
    })
    this.#exchange = new Exchange({ ...options, events: this.#events() })
    this.#board = new StatusBoard({
      phase: 'resting',
      ...this.#counts(),
      lastSyncedMs: options.local.lastSyncedMs,
      initialSyncComplete: options.local.initialSyncComplete,
      progress: null,
      problem: this.#troubles.problem,
    })
  }

  get status(): SyncStatus {
    return this.#board.status
  }

  watch(signal?: AbortSignal): AsyncGenerator<SyncStatus> {
    return this.#board.watch(signal)
  }

  /** Stays in step from now on. Throws `invalid-argument`. */
  start(options: StartOptions = {}): void {
    checkStartOptions(options)
    const { mode = 'live', everyMs = INTERVAL_MS, direction = 'both' } = options
    this.#started = { mode, everyMs }
    this.#requests.direction = direction
    this.#restarted()
    if (mode === 'interval') this.#exchange.closeLive()
    this.#ask()
  }

  /** Exchanges everything once. Rejects with the first failure, after which nothing is retried. */
  once({ direction = 'both' }: OnceOptions = {}): Promise<void> {
    const answered = this.#requests.add(direction)
    this.#ask()
    return answered
  }

  /** Ends sync, after the step under way; or until it is started again meanwhile. */
  async stop(): Promise<void> {
    this.#started = null
    this.#failures.end()
    this.#requests.direction = null
    this.#exchange.closeLive()
    this.#requests.reject(new ClientError('closed', 'sync was stopped'))
    this.#resume()
    const before = this.#restarted
    const restarted = new Promise<void>((resolve) => {
      this.#restarted = () => [before(), resolve()]
    })
    await Promise.race([this.#running, restarted])
    if (this.#wanted === 'rest') this.#show('resting')
  }

  /** Tells the engine that the outbox has grown. */
  noteWrite(): void {
    // Something waits: whoever looks now must not read that all is exchanged.
    const isOutrun = this.status.phase === 'live' && this.#local.pendingCount > 0
    if (isOutrun) this.#show('pushing')
    else this.#board.set(this.#counts())
    this.#wake()
  }

  /** Tells the engine of versions that came by another way than the remote. */
  noteForwards(): void {
    this.#exchange.expectForwards()
    this.#wake()
  }

  /** The person takes the remote's clock for right. */
  async acceptClock(): Promise<void> {
    await this.#exchange.acceptClock()
    this.noteWrite()
  }

  /** Tells the engine that the network has come back. */
  noteOnline(): void {
    this.#failures.end()
    if (this.status.phase !== 'waiting') this.#resume()
  }

  #ask(): void {
    this.#stop = null
    this.#renewals = []
    this.#exchange.expectNews()
    this.#resume()
    this.#run()
  }

  #run(): void {
    if (this.#running !== null) return
    this.#running = this.#loop().finally(() => {
      this.#running = null
      if (decide(this.#facts()) !== 'rest') this.#run()
    })
  }

  async #loop(): Promise<void> {
    for (;;) {
      const step = decide(this.#facts())
      switch (step) {
        case 'rest':
          return
        case 'wait':
          await this.#sleep()
          break
        case 'listen':
          this.#noteInStep()
          this.#exchange.awaitCheckpoint()
          await this.#sleep()
          break
        case 'rest-between':
          this.#restBetween()
          break
        case 'finish':
          this.#noteOneWay()
          this.#show('resting')
          this.#requests.resolve()
          return
        default:
          await this.#perform(step).catch((error: unknown) => this.#fail(error))
      }
    }
  }

  #facts(): Facts {
    const { direction } = this.#requests
    return {
      ...this.#exchange.facts(),
      wanted: this.#wanted,
      mayPush: this.#mayPush,
      mayPull: direction !== 'push',
      isStopped: this.#stop !== null,
      isPaused: this.#endPause !== null,
    }
  }

  get #wanted(): Facts['wanted'] {
    if (this.#started !== null) return this.#started.mode
    return this.#requests.isEmpty ? 'rest' : 'once'
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  /** Who may only read has nothing to give either. */
  get #mayPush(): boolean {
    return this.#requests.direction !== 'pull' && this.#exchange.trouble === undefined
  }

  async #perform(action: Action): Promise<void> {
    const exchange = this.#exchange
    // At login the remote says whether it takes this device back.
    if (action !== 'login' && exchange.trouble === 'device-revoked') throw revokedError()
    switch (action) {
      case 'login':
        return exchange.logIn()
      case 'reconcile':
        return exchange.reconcile({ mayPush: this.#mayPush })
      case 'push-sent':
        return exchange.push(this.#local.sentBelow)
      case 'pull':
        return exchange.pull({ mayPush: this.#mayPush })
      case 'apply-live':
        return exchange.applyLive()
      case 'correct-clock':
        return exchange.correctClock()
      case 'reseal':
        return exchange.resealOutbox()
      case 'rebase':
        return exchange.rebase()
      case 'push':
        return exchange.push()
      case 'forward':
        return exchange.forward()
      case 'checkpoint':
        return exchange.checkpoint({ mayPush: this.#mayPush })
      case 'open-socket':
        exchange.openLive()
    }
  }

  #events(): ExchangeEvents {
    return {
      onPhase: (phase) => this.#show(phase),
      onProgress: (progress) => this.#board.set({ ...this.#counts(), progress }),
      onSuccess: () => this.#succeed(),
      onSynced: () => this.#noteSynced(),
      onConcern: (concern, problem) => this.#concern(concern, problem),
      onRefusedAgain: (count) => {
        this.#pause(refusalPauseMs(count, this.#timers.random), 'backing-off')
      },
      onCounts: () => this.#board.set(this.#counts()),
      onUnread: () => {
        if (this.status.phase === 'live') this.#show('pulling')
        this.#wake()
      },
      onWake: () => this.#wake(),
      onClosed: (error) => {
        this.#fail(error)
        this.#wake()
      },
    }
  }

  async #noteSynced(): Promise<void> {
    const nowMs = this.#timers.nowMs()
    const { lastSyncedMs, initialSyncComplete } = this.#local
    if (!initialSyncComplete || Math.abs(nowMs - (lastSyncedMs ?? 0)) >= LAST_SYNCED_GRAIN_MS) {
      await this.#local.markSynced()
    }
    this.#board.set({ ...this.#counts(), lastSyncedMs: nowMs, initialSyncComplete: true })
  }

  /** Nothing is left to do, and changes arrive by themselves. */
  #noteInStep(): void {
    this.#noteOneWay()
    this.#failures.noteInStep(this.#timers.nowMs())
    const isOneWay = this.#requests.direction !== 'both'
    if (!isOneWay && !this.#exchange.isLive) return
    const isLive = this.#exchange.isLive && this.#local.pendingCount === 0
    this.#show(isLive ? 'live' : 'waiting')
    if (this.#exchange.isLive || this.#requests.direction === 'push') this.#requests.resolve()
  }

  /** What waits for the way that is left out is told. */
  #noteOneWay(): void {
    const { awaitsPull } = this.#exchange.facts()
    this.#concern('one-way', awaitsPull ? ONE_WAY : null)
    this.#concern('keys', standingFailure(this.#exchange.trouble))
  }

  #restBetween(): void {
    this.#noteOneWay()
    this.#failures.end()
    this.#requests.resolve()
    this.#pause(this.#started?.everyMs ?? INTERVAL_MS, 'waiting')
    // Known once more when the pause is over.
    this.#exchange.expectNews()
  }

  #succeed(): void {
    this.#troubles.succeed()
    this.#board.set({ problem: this.#troubles.problem })
  }

  #concern(concern: Concern, problem: Failure | null): void {
    this.#troubles.concern(concern, problem)
    this.#board.set({ problem: this.#troubles.problem })
  }

  #fail(error: unknown): void {
    const { hasSession } = this.#exchange.facts()
    this.#exchange.endSession()
    if (this.#wanted === 'rest') return
    if (hasSession && this.#mayRenew(error)) return
    const failure = this.#troubles.fail(describeFailure(error))
    this.#board.set({ problem: this.#troubles.problem })
    const isOver = !isPassing(error)
    this.#requests.reject(isOver ? stoppedError(failure, error) : error)
    const isFinal = isOver && !(this.#started !== null && mayEndElsewhere(error))
    if (isFinal) {
      this.#stop = failure
      this.#show('stopped')
    } else if (this.#started === null) {
      this.#show('resting')
    } else {
      const failureCount = this.#failures.noteFailure(failure.code, this.#timers.nowMs())
      const retryAfterMs = retryAfterOf(error)
      const pauseMs = backoffMs(failureCount, { random: this.#timers.random, retryAfterMs })
      this.#pause(pauseMs, isOver ? 'stopped' : 'backing-off')
    }
  }

  /**
   * A token that ended, or a remote that is not what it was, is followed by a login at once, which
   * finds out what to do; but no remote may keep a device logging in.
   */
  #mayRenew(error: unknown): boolean {
    const code = codeOf(error)
    // What has failed so before fails so again; a network that failed says nothing of it.
    if (code !== 'session-required' && this.#failures.has(code ?? '')) return false
    const nowMs = this.#timers.nowMs()
    const isRecent = (ms: number): boolean => Math.abs(nowMs - ms) < RENEWAL_MS
    this.#renewals = this.#renewals.filter(isRecent)
    if (this.#renewals.length >= (RENEWALS_MAX[code ?? ''] ?? 0)) return false
    this.#renewals.push(nowMs)
    return true
  }

  #pause(delayMs: number, phase: SyncPhase): void {
    this.#endPause?.()
    this.#endPause = this.#timers.setTimer(() => this.#resume(), delayMs)
    this.#show(phase)
  }

  #resume(): void {
    this.#endPause?.()
    this.#endPause = null
    this.#wake()
  }

  #show(phase: SyncPhase): void {
    // The progress of one step says nothing of the next.
    const isNew = phase !== this.status.phase
    this.#board.set({ phase, ...this.#counts(), ...(isNew ? { progress: null } : {}) })
  }

  #counts(): StatusCounts {
    const lastContactMs = this.#transport.lastAnswer?.()?.receivedMs
    return countsOf(this.#local, { lastContactMs, clock: this.#board?.status.clock ?? null })
  }
}
