/**
 * Tab sync: sync as an app sees it, where several tabs have one vault open (decision 0017).
 *
 *   apart ──someone leads──▶ following ──nobody leads──▶ apart
 *     └────── our turn ──────────┴──────────▶ leading ──nothing wanted here──▶ apart
 *
 * Each tab has an engine; only the leading tab's runs. A tab queues for the lead as long as it
 * wants sync: for `start` until `stop`, for `once` until it is answered. So when the leading tab is
 * closed or crashes, the next one takes over, and whoever waited for it asks the new one again.
 *
 * Messages only say that there is something to see. Whatever is shown of the store (records, what
 * waits to be sent) is read from the store.
 */
import { ClientError } from '../error.ts'
import type { SyncEngine } from '../sync/engine.ts'
import { checkStartOptions, type OnceOptions, type StartOptions } from '../sync/modes.ts'
import { StatusBoard, type SyncStatus } from '../sync/status.ts'
import { type SetTimer, type SharedState, TabHints } from './tab-hints.ts'
import type { TabFailure, TabMessage, Tabs } from './tabs.ts'

/** What an engine is to an app, and this too. */
export type Syncing = Pick<
  SyncEngine,
  | 'status'
  | 'watch'
  | 'start'
  | 'once'
  | 'stop'
  | 'noteWrite'
  | 'noteForwards'
  | 'noteOnline'
  | 'acceptClock'
> & {
  /** Whether what others ask for is left to others: a locked tab has no keys to sync with. */
  quiet?(isQuiet: boolean): void
}

/** What is looked at of the local secondary. */
export type SharedLocal = {
  readonly pendingCount: number
  readonly attentionCount: number
  readonly lastSyncedMs: number | null
  readonly initialSyncComplete: boolean
  readonly state: SharedState
}

type Request = {
  readonly options: OnceOptions | undefined
  resolve(): void
  reject(error: unknown): void
}

export class TabSync implements Syncing {
  readonly #engine: Syncing
  readonly #local: SharedLocal
  readonly #tabs: Tabs
  readonly #board: StatusBoard
  readonly #hints: TabHints
  readonly #end: AbortController = new AbortController()
  readonly #endHearing: () => void
  /** Why this tab wants the lead: one for `start`, one for each `once`. */
  readonly #reasons: Set<unknown> = new Set()
  readonly #requests: Map<string, Request> = new Map()
  #requestCount = 0
  #campaign: AbortController | undefined
  #endLead: (() => Promise<void>) | undefined
  /** The tab that leads, if it is another. */
  #leader: string | undefined
  #leaderStatus: SyncStatus | undefined
  #watchingLead = false
  #isQuiet = false
  /** As `start` was asked for; null until then and after `stop`. */
  #started: { readonly options: StartOptions | undefined } | null = null

  constructor(options: {
    readonly engine: Syncing
    readonly local: SharedLocal
    readonly tabs: Tabs
    readonly setTimer: SetTimer
  }) {
    const { engine, local, tabs, setTimer } = options
    this.#engine = engine
    this.#local = local
    this.#tabs = tabs
    this.#board = new StatusBoard(engine.status)
    this.#hints = new TabHints({
      state: local.state,
      tabs,
      setTimer,
      onSaid: () => this.#show(),
      onCaughtUp: () => {
        engine.noteWrite()
        this.#show()
      },
    })
    this.#endHearing = tabs.onMessage((message) => this.#take(message))
    void this.#mirror()
    tabs.post({ type: 'hello' })
  }

  get status(): SyncStatus {
    return this.#shownStatus()
  }

  watch(signal?: AbortSignal): AsyncGenerator<SyncStatus> {
    return this.#board.watch(signal)
  }

  start(options?: StartOptions): void {
    checkStartOptions(options)
    if (this.#isLeading) this.#engine.start(options)
    else this.#tabs.post({ type: 'start' })
    this.#started = { options }
    this.#want('start')
  }

  /** Asks the leading tab, and is in the queue behind it: one of the two happens. */
  async once(options?: OnceOptions): Promise<void> {
    const request = `${this.#tabs.id}.${++this.#requestCount}`
    this.#want(request)
    try {
      await new Promise<void>((resolve, reject) => {
        this.#requests.set(request, { options, resolve, reject })
        if (this.#isLeading) this.#engine.once(options).then(resolve, reject)
        else this.#tabs.post({ type: 'once', request, options })
      })
    } finally {
      this.#requests.delete(request)
      this.#unwant(request)
    }
  }

  async stop(): Promise<void> {
    this.#started = null
    await this.#engine.stop()
    this.#rejectRequests(new ClientError('closed', 'sync was stopped'))
    if (this.#started === null) this.#unwant('start')
  }

  quiet(isQuiet: boolean): void {
    this.#isQuiet = isQuiet
  }

  noteWrite(): void {
    this.#engine.noteWrite()
    this.#hints.say([])
  }

  noteForwards(): void {
    this.#engine.noteForwards()
  }

  acceptClock(): Promise<void> {
    return this.#engine.acceptClock()
  }

  noteOnline(): void {
    this.#engine.noteOnline()
  }

  /** After `stop`: says nothing more, and hears nothing more. */
  async close(): Promise<void> {
    this.#end.abort()
    this.#campaign?.abort()
    this.#endHearing()
    const endLead = this.#endLead
    this.#endLead = undefined
    await endLead?.()
    await this.#hints.end()
    this.#tabs.close()
  }

  get #isLeading(): boolean {
    return this.#endLead !== undefined
  }

  #want(reason: unknown): void {
    this.#reasons.add(reason)
    if (this.#campaign === undefined && !this.#isLeading) void this.#runForLead()
  }

  #unwant(reason: unknown): void {
    this.#reasons.delete(reason)
    if (this.#reasons.size > 0) return
    this.#campaign?.abort()
    const endLead = this.#endLead
    if (endLead === undefined) return
    this.#endLead = undefined
    this.#show()
    void endLead()
  }

  async #runForLead(): Promise<void> {
    const campaign = new AbortController()
    this.#campaign = campaign
    const endLead = await this.#tabs.lead(campaign.signal).catch((error: unknown) => {
      if (!campaign.signal.aborted) this.#rejectRequests(error)
    })
    // What the last leading tab wrote is what the engine goes on from.
    if (endLead) await this.#hints.catchUp()
    this.#campaign = undefined
    if (!endLead || campaign.signal.aborted) {
      await endLead?.()
      // Wanted again after it had been given up.
      const isWanted = campaign.signal.aborted && this.#reasons.size > 0
      if (isWanted && !this.#end.signal.aborted) void this.#runForLead()
      return
    }
    this.#endLead = endLead
    this.#forgetLeader()
    this.#show()
    this.#postStatus()
    this.#startHere()
    this.#runRequests()
  }

  /** What was asked for before this tab led may be nothing that an engine does. */
  #startHere(): void {
    if (this.#started === null) return
    try {
      this.#engine.start(this.#started.options)
    } catch (error) {
      this.#started = null
      this.#rejectRequests(error)
      this.#unwant('start')
    }
  }

  #forgetLeader(): void {
    this.#leader = undefined
    this.#leaderStatus = undefined
  }

  #rejectRequests(error: unknown): void {
    for (const { reject } of this.#requests.values()) reject(error)
  }

  #runRequests(): void {
    for (const { options, resolve, reject } of this.#requests.values()) {
      this.#engine.once(options).then(resolve, reject)
    }
  }

  #take(message: TabMessage): void {
    switch (message.type) {
      case 'written':
        this.#hints.hear(message.changes)
        this.#lookAgain()
        return
      case 'status':
        this.#follow(message.leader, message.status)
        return
      case 'hello':
        if (this.#isLeading) this.#postStatus()
        return
      case 'start':
        // As if asked here: what had stopped until the person acts is tried again.
        if (this.#isLeading && this.status.phase === 'stopped') this.#startHere()
        return
      case 'once':
        if (this.#isLeading && !this.#isQuiet) void this.#answer(message.request, message.options)
        return
      case 'answer':
        this.#takeAnswer(message.request, message.failure)
    }
  }

  async #answer(request: string, options: OnceOptions | undefined): Promise<void> {
    this.#want(request)
    const failure = await this.#engine.once(options).then(
      () => null,
      (error: Error & { code?: string }) => ({ code: error.code, message: error.message }),
    )
    this.#tabs.post({ type: 'answer', request, failure })
    this.#unwant(request)
  }

  #takeAnswer(id: string, failure: TabFailure | null): void {
    const request = this.#requests.get(id)
    if (request === undefined || this.#isLeading) return
    // It stopped syncing: its lead is over, and this tab is in the queue.
    if (failure?.code === 'closed') return
    // The other tab has exchanged; what came is in the store.
    if (failure === null) void this.#hints.catchUp().then(request.resolve)
    else request.reject(failureOf(failure))
  }

  #follow(leader: string, status: SyncStatus): void {
    if (this.#isLeading) return
    const isOther = leader !== this.#leader
    this.#leader = leader
    this.#leaderStatus = status
    // Another tab leads than the one that was asked.
    if (isOther) {
      for (const [request, { options }] of this.#requests) {
        this.#tabs.post({ type: 'once', request, options })
      }
    }
    this.#lookAgain()
    void this.#watchLead()
  }

  /** The tab that syncs has something to send, perhaps; the others only something to show. */
  #lookAgain(): void {
    if (this.#isLeading) void this.#hints.catchUp()
    else this.#hints.catchUpSoon()
  }

  /** A tab that leads may end without a word. */
  async #watchLead(): Promise<void> {
    if (this.#watchingLead) return
    this.#watchingLead = true
    const unled = await this.#tabs.untilUnled(this.#end.signal).then(
      () => true,
      () => false,
    )
    this.#watchingLead = false
    if (!unled || this.#isLeading) return
    this.#forgetLeader()
    this.#show()
    // One that took over before this was heard says so again.
    this.#tabs.post({ type: 'hello' })
  }

  async #mirror(): Promise<void> {
    for await (const _status of this.#engine.watch(this.#end.signal)) {
      this.#show()
      if (this.#isLeading) this.#postStatus()
    }
  }

  #postStatus(): void {
    this.#tabs.post({ type: 'status', leader: this.#tabs.id, status: this.#ownStatus() })
  }

  #show(): void {
    this.#board.set(this.#shownStatus())
  }

  #shownStatus(): SyncStatus {
    const { pendingCount: pending, attentionCount: attention } = this.#local
    const status = this.#leaderStatus
    return status === undefined ? this.#ownStatus() : { ...status, pending, attention }
  }

  /** The engine's, with what another tab may have found since. */
  #ownStatus(): SyncStatus {
    const { status } = this.#engine
    const { lastSyncedMs, initialSyncComplete } = this.#local
    return {
      ...status,
      pending: this.#local.pendingCount,
      attention: this.#local.attentionCount,
      initialSyncComplete: status.initialSyncComplete || initialSyncComplete,
      lastSyncedMs: later(status.lastSyncedMs, lastSyncedMs),
    }
  }
}

function later(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.max(a, b)
}

/** An error of another tab, with the code it had there. */
function failureOf({ code, message }: TabFailure): Error {
  return Object.assign(new Error(message), { code })
}
