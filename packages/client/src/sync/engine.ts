/**
 * Engine: keeps a local secondary and its remote in step.
 *
 * Whatever happens (a write, a frame, a closed socket, a timer, a request of the app) only changes
 * what the engine knows and wakes it; `decide` says what to do next, and one step is done at a
 * time. The states are drawn in decision.ts. The engine moves envelopes and holds no key: it signs,
 * opens and follows the keychain through the functions of its identity.
 */
import { type LogPosition, PUSH_BYTES_MAX } from '@blindcopy/protocol'
import { opens } from '../arrival.ts'
import { ClientError, codeOf } from '../error.ts'
import type { LocalSecondary } from '../local-secondary.ts'
import { backoffMs } from './backoff.ts'
import { decide, type Facts, type Step } from './decision.ts'
import { describeFailure, isPassing, retryAfterOf, stoppedError } from './failure.ts'
import { headProblem, retryQuarantine } from './head-check.ts'
import type { SyncIdentity, Timers } from './identity.ts'
import { LiveConnection } from './live.ts'
import { openSession } from './login.ts'
import { pullChanges } from './pull.ts'
import { type Pushed, pushOutbox } from './push.ts'
import { StatusBoard, type SyncPhase, type SyncProblem, type SyncStatus } from './status.ts'
import type { DataRequest, Transport } from './transport.ts'

export type EngineOptions = {
  readonly local: LocalSecondary
  readonly transport: Transport
  readonly identity: SyncIdentity
  readonly timers: Timers
}

type Waiter = { resolve(): void; reject(error: unknown): void }

/** The steps that wait for something to happen, and those that talk to the remote. */
type Action = Exclude<Step, 'rest' | 'wait' | 'listen' | 'finish'>

const LAST_SYNCED_GRAIN_MS = 1_000
const RENEWAL_MS_MIN = 60_000
/** What a push meets when a version that waits is no longer what was sealed. */
const DISK_CODES: ReadonlySet<string> = new Set(['malformed', 'vault-damaged'])

export class SyncEngine {
  readonly #local: LocalSecondary
  readonly #transport: Transport
  readonly #identity: SyncIdentity
  readonly #timers: Timers
  readonly #board: StatusBoard
  #wanted: Facts['wanted'] = 'rest'
  #token: string | null = null
  #headSeq = 0
  #pushBytesMax = PUSH_BYTES_MAX
  #isBehind = true
  #stop: SyncProblem | null = null
  #failureCount = 0
  #renewedMs = Number.NEGATIVE_INFINITY
  #endPause: (() => void) | null = null
  #live: { connection: LiveConnection; isReady: boolean } | null = null
  #waiters: Waiter[] = []
  #running: Promise<void> | null = null
  #wake: () => void = () => undefined

  constructor(options: EngineOptions) {
    this.#local = options.local
    this.#transport = options.transport
    this.#identity = options.identity
    this.#timers = options.timers
    const { pendingCount, attentionCount, lastSyncedMs, initialSyncComplete } = options.local
    this.#board = new StatusBoard({
      phase: 'resting',
      pending: pendingCount,
      attention: attentionCount,
      lastSyncedMs,
      initialSyncComplete,
      progress: null,
      problem: null,
    })
  }

  get status(): SyncStatus {
    return this.#board.status
  }

  watch(signal?: AbortSignal): AsyncGenerator<SyncStatus> {
    return this.#board.watch(signal)
  }

  /** Stays in step from now on, live. */
  start(): void {
    this.#wanted = 'live'
    this.#ask()
  }

  /** Exchanges everything once. Rejects with the first failure, after which nothing is retried. */
  once(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      if (this.#wanted === 'rest') this.#wanted = 'once'
      this.#ask()
    })
  }

  /** Ends sync, after the step under way. */
  async stop(): Promise<void> {
    this.#wanted = 'rest'
    this.#closeLive()
    this.#resume()
    await this.#running
    this.#failWaiters(new ClientError('closed', 'sync was stopped'))
    this.#show('resting')
  }

  /** Tells the engine that the outbox has grown. */
  noteWrite(): void {
    this.#board.set({ pending: this.#local.pendingCount })
    this.#wake()
  }

  /** Tells the engine that the network has come back. */
  noteOnline(): void {
    this.#failureCount = 0
    this.#resume()
  }

  #ask(): void {
    this.#stop = null
    this.#isBehind = true
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
      if (step === 'rest') return
      if (step === 'wait' || step === 'listen') {
        if (step === 'listen') this.#noteInStep()
        await this.#sleep()
      } else if (step === 'finish') {
        this.#wanted = 'rest'
        this.#show('resting')
        this.#resolveWaiters()
        return
      } else {
        await this.#perform(step).catch((error: unknown) => this.#fail(error))
      }
    }
  }

  #facts(): Facts {
    return {
      wanted: this.#wanted,
      isStopped: this.#stop !== null,
      isPaused: this.#endPause !== null,
      hasSession: this.#token !== null,
      hasSentUnanswered: this.#local.hasSentUnanswered,
      isBehind: this.#isBehind,
      hasFrames: this.#live?.connection.hasFrames ?? false,
      hasPending: this.#local.pendingCount > 0,
      isSocketOpen: this.#live !== null,
    }
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  async #perform(action: Action): Promise<void> {
    switch (action) {
      case 'login':
        return this.#logIn()
      case 'push-sent':
        return this.#push(this.#local.sentBelow)
      case 'pull':
        return this.#pull()
      case 'apply-live':
        return this.#applyLive()
      case 'push':
        return this.#push()
      case 'open-socket':
        this.#openLive()
    }
  }

  async #logIn(): Promise<void> {
    this.#show('connecting')
    const { token, head, limits } = await openSession(this.#local, this.#transport, this.#identity)
    this.#token = token
    this.#pushBytesMax = limits.pushBytes
    this.#headSeq = head[0]
    if (head[0] !== this.#local.cursor.position.seq) this.#isBehind = true
  }

  async #pull(): Promise<void> {
    this.#show('pulling')
    // Cleared first: whatever asks for another pull while this one runs gets it.
    this.#isBehind = false
    const context = {
      local: this.#local,
      transport: this.#transport,
      identity: this.#identity,
      data: () => this.#data(),
      onProgress: (done: number, headSeq: number) => {
        this.#headSeq = Math.max(this.#headSeq, headSeq)
        this.#board.set({ progress: { direction: 'pull', done, total: this.#headSeq } })
      },
    }
    try {
      const remoteSet = await pullChanges(context)
      const unopened = await retryQuarantine(context)
      this.#succeed()
      await this.#noteSynced()
      const problem = headProblem(this.#local, remoteSet) ?? unopened
      if (problem !== null) this.#report(problem)
    } catch (error) {
      this.#isBehind = true
      throw error
    }
  }

  async #push(below?: number): Promise<void> {
    this.#show('pushing')
    const total = this.#local.pendingCount
    let done = 0
    const context = {
      local: this.#local,
      transport: this.#transport,
      bytesMax: this.#pushBytesMax,
      data: () => this.#data(),
      onSettled: (count: number) => {
        done += count
        const { pendingCount: pending, attentionCount: attention } = this.#local
        const progress = {
          direction: 'push' as const,
          done,
          total: Math.max(total, done + pending),
        }
        this.#board.set({ pending, attention, progress })
      },
    }
    const { greatestSeq, again } = await pushOutbox(context, below).catch((error) =>
      this.#setAside(error),
    )
    if (again.size > 0) this.#isBehind = true
    if (done === 0 && total > 0 && this.#local.pendingCount === total) {
      throw new ClientError('vault-damaged', 'what waits to be sent is not on the disk any more')
    }
    this.#succeed()
    // Live, the frames between are on their way; otherwise a pull brings what others wrote
    // meanwhile.
    const isMissing = this.#local.cursor.position.seq < greatestSeq
    if (isMissing && !this.#live?.isReady) this.#isBehind = true
    if (!isMissing) await this.#noteSynced()
  }

  /** A version that the disk has spoiled must not hold up the others. */
  async #setAside(error: unknown): Promise<Pushed> {
    if (!DISK_CODES.has(codeOf(error) ?? '')) throw error
    const { open } = this.#identity
    const moved = await this.#local.setDamagedAside((envelope) => opens(envelope, open))
    if (moved === 0) throw error
    return { greatestSeq: 0, again: new Set() }
  }

  async #applyLive(): Promise<void> {
    const steps = this.#live?.connection.take(this.#local.cursor.position) ?? []
    if (steps === 'gap') {
      this.#isBehind = true
      return
    }
    if (steps.length === 0) return
    await this.#local.applyLog(steps, this.#identity)
    await this.#noteSynced()
  }

  #openLive(): void {
    const events = {
      onReady: (head: LogPosition) => {
        if (this.#live !== null) this.#live.isReady = true
        if (head.seq !== this.#local.cursor.position.seq) this.#isBehind = true
        this.#succeed()
        this.#wake()
      },
      onFrames: () => this.#wake(),
      onClosed: (error: Error) => {
        this.#live = null
        this.#fail(error)
        this.#wake()
      },
    }
    const options = { events, timers: this.#timers }
    const connection = new LiveConnection(this.#transport, this.#data(), options)
    this.#live = { connection, isReady: false }
  }

  #data(): DataRequest {
    const { syncId, position } = this.#local.cursor
    if (this.#token === null || syncId === null) {
      throw new ClientError('network', 'there is no session with the remote')
    }
    return { token: this.#token, syncId, position }
  }

  async #noteSynced(): Promise<void> {
    const nowMs = this.#timers.nowMs()
    const { lastSyncedMs, initialSyncComplete } = this.#local
    if (!initialSyncComplete || nowMs - (lastSyncedMs ?? 0) >= LAST_SYNCED_GRAIN_MS) {
      await this.#local.markSynced()
    }
    this.#board.set({ lastSyncedMs: nowMs, initialSyncComplete: true })
  }

  /** Nothing is left to do, and changes arrive by themselves. */
  #noteInStep(): void {
    if (!this.#live?.isReady) return
    this.#show('live')
    this.#resolveWaiters()
  }

  #succeed(): void {
    this.#failureCount = 0
    this.#board.set({ problem: null })
  }

  #report(problem: { code: string; message: string }): void {
    this.#board.set({ problem: { ...problem, atMs: this.#timers.nowMs() } })
  }

  #fail(error: unknown): void {
    if (this.#wanted === 'rest') return
    this.#closeLive()
    this.#token = null
    const nowMs = this.#timers.nowMs()
    // A token that ended is renewed at once, but no remote may keep a device logging in.
    if (codeOf(error) === 'session-required' && nowMs - this.#renewedMs >= RENEWAL_MS_MIN) {
      this.#renewedMs = nowMs
      return
    }
    const problem = { ...describeFailure(error), atMs: nowMs }
    this.#board.set({ problem })
    this.#failWaiters(isPassing(error) ? error : stoppedError(problem, error))
    if (!isPassing(error)) {
      this.#stop = problem
      this.#show('stopped')
    } else if (this.#wanted === 'once') {
      this.#wanted = 'rest'
      this.#show('resting')
    } else {
      this.#pause(error)
    }
  }

  #pause(error: unknown): void {
    this.#failureCount++
    this.#show('backing-off')
    const retryAfterMs = retryAfterOf(error)
    const delayMs = backoffMs(this.#failureCount, { random: this.#timers.random, retryAfterMs })
    this.#endPause?.()
    this.#endPause = this.#timers.setTimer(() => this.#resume(), delayMs)
  }

  #resume(): void {
    this.#endPause?.()
    this.#endPause = null
    this.#wake()
  }

  #closeLive(): void {
    this.#live?.connection.close()
    this.#live = null
  }

  #show(phase: SyncPhase): void {
    const { pendingCount: pending, attentionCount: attention } = this.#local
    const moves = phase === 'pulling' || phase === 'pushing'
    this.#board.set({ phase, pending, attention, ...(moves ? {} : { progress: null }) })
  }

  #resolveWaiters(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const { resolve } of waiters) resolve()
  }

  #failWaiters(error: unknown): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const { reject } of waiters) reject(error)
  }
}
