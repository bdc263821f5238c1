/**
 * Several tabs, one of which syncs: who leads, who takes over, and what the others show and hear.
 * Engines here only note what they are asked for; real ones follow in the tests of whole vaults.
 */
import type { RecordId, Timestamp } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { ClientError } from '../error.ts'
import type { RecordChange } from '../local/row-batch.ts'
import { StatusBoard, type SyncStatus } from '../sync/status.ts'
import { TabSync } from './tab-sync.ts'
import { soon, TestBrowser, type TestTab } from './tabs.fixture.ts'

const RESTING: SyncStatus = {
  phase: 'resting',
  pending: 0,
  attention: 0,
  lastSyncedMs: null,
  initialSyncComplete: false,
  progress: null,
  problem: null,
} as SyncStatus

class TestEngine {
  readonly board = new StatusBoard(RESTING)
  readonly calls: string[] = []
  #waiters: { resolve(): void; reject(error: unknown): void }[] = []

  get status(): SyncStatus {
    return this.board.status
  }
  watch(signal?: AbortSignal) {
    return this.board.watch(signal)
  }
  start(): void {
    this.calls.push('start')
    this.board.set({ phase: 'live' })
  }
  once(): Promise<void> {
    this.calls.push('once')
    return new Promise((resolve, reject) => void this.#waiters.push({ resolve, reject }))
  }
  async stop(): Promise<void> {
    this.calls.push('stop')
    this.board.set({ phase: 'resting' })
    this.finish(new ClientError('closed', 'sync was stopped'))
  }
  noteWrite(): void {
    this.calls.push('write')
  }
  noteForwards(): void {
    this.calls.push('forwards')
  }
  noteOnline(): void {
    this.calls.push('online')
  }
  async acceptClock(): Promise<void> {
    this.calls.push('clock')
  }
  finish(error?: Error): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const { resolve, reject } of waiters) error === undefined ? resolve() : reject(error)
  }
}

class TestLocal {
  readonly stored: { pending: number }
  readonly told: string[] = []
  readonly #listeners = new Set<(changes: readonly RecordChange[]) => void>()
  pendingCount = 0
  attentionCount = 0
  lastSyncedMs: number | null = null
  initialSyncComplete = false

  constructor(stored: { pending: number }) {
    this.stored = stored
  }
  onChange(listener: (changes: readonly RecordChange[]) => void) {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
  tell(changes: readonly RecordChange[]): void {
    if (changes.length === 0) return
    for (const { recordId } of changes) this.told.push(`${recordId[0]}`)
    for (const listener of this.#listeners) listener(changes)
  }
  get state(): this {
    return this
  }
  async run<T>(job: () => Promise<T>): Promise<T> {
    this.pendingCount = this.stored.pending
    return job()
  }
  write(number: number): void {
    this.pendingCount = ++this.stored.pending
    this.tell([changeOf(number)])
  }
}

const changeOf = (number: number): RecordChange => ({
  recordId: new Uint8Array(16).fill(number) as RecordId,
  tag: new Uint8Array(16).fill(7),
  timestamp: new Uint8Array(16).fill(9) as Timestamp,
})

type Opened = { tab: TestTab; engine: TestEngine; local: TestLocal; sync: TabSync }

function opener() {
  const browser = new TestBrowser()
  const stored = { pending: 0 }
  const open = (): Opened => {
    const tab = browser.openTab()
    const engine = new TestEngine()
    const local = new TestLocal(stored)
    const sync = new TabSync({ engine, local, tabs: tab, setTimer: soon })
    local.onChange(() => sync.noteWrite())
    return { tab, engine, local, sync }
  }
  return { browser, open }
}

/** Messages take a turn of the loop each, and what they cause a few more. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function shutDown(...opened: Opened[]): Promise<void> {
  for (const { sync } of opened) {
    await sync.stop()
    await sync.close()
  }
}

describe('TabSync', () => {
  it('lets one tab sync, and the next when that one stops, is closed or crashes', async () => {
    const { browser, open } = opener()
    const tabs = [open(), open(), open(), open()] as [Opened, Opened, Opened, Opened]
    for (const { sync } of tabs) sync.start()
    await settled()
    const leading = () => tabs.map(({ engine }) => engine.status.phase === 'live')
    expect(browser.leader).toBe(tabs[0].tab.id)
    expect(leading()).toEqual([true, false, false, false])
    expect(tabs.map(({ sync }) => sync.status.phase)).toEqual(Array(4).fill('live'))
    await tabs[0].sync.stop()
    await settled()
    expect(leading()).toEqual([false, true, false, false])
    await shutDown(tabs[1])
    await settled()
    expect(leading()).toEqual([false, false, true, false])
    tabs[2].tab.crash()
    await settled()
    expect(browser.leader).toBe(tabs[3].tab.id)
    expect(tabs[3].engine.status.phase).toBe('live')
    await shutDown(tabs[0], tabs[3])
  })

  it('shows the status of the tab that syncs, with what waits here', async () => {
    const { open } = opener()
    const [first, second] = [open(), open()]
    first.sync.start()
    await settled()
    expect(second.sync.status.phase).toBe('live')
    first.engine.board.set({ phase: 'pulling', initialSyncComplete: true })
    await settled()
    expect(second.sync.status).toMatchObject({ phase: 'pulling', initialSyncComplete: true })
    second.local.write(1)
    expect(second.sync.status.pending).toBe(1)
    await settled()
    expect(first.sync.status.pending).toBe(1)
    const third = open()
    await settled()
    expect(third.sync.status).toMatchObject({ phase: 'pulling', pending: 1 })
    await shutDown(first, second, third)
  })

  it('says that nothing syncs once the tab that did has crashed', async () => {
    const { open } = opener()
    const [first, second] = [open(), open()]
    first.sync.start()
    await settled()
    const seen: string[] = []
    const end = new AbortController()
    const watching = (async () => {
      for await (const { phase } of second.sync.watch(end.signal)) seen.push(phase)
    })()
    await settled()
    first.tab.crash()
    await settled()
    expect(second.sync.status.phase).toBe('resting')
    end.abort()
    await watching
    expect(seen).toEqual(['live', 'resting'])
    await shutDown(second)
  })

  it('tells every other tab of changes, once, and wakes the one that syncs', async () => {
    const { browser, open } = opener()
    const [first, second, third] = [open(), open(), open()]
    first.sync.start()
    await settled()
    first.engine.calls.length = 0
    const before = browser.messages.filter(({ type }) => type === 'written').length
    second.local.write(1)
    second.local.write(2)
    await settled()
    expect([first, third].map(({ local }) => local.told)).toEqual([
      ['1', '2'],
      ['1', '2'],
    ])
    expect(first.engine.calls).toContain('write')
    const after = browser.messages.filter(({ type }) => type === 'written').length
    expect(after - before).toBe(1)
    await shutDown(first, second, third)
  })

  it('asks the tab that syncs for one exchange, and gives its answer', async () => {
    const { open } = opener()
    const [first, second] = [open(), open()]
    first.sync.start()
    await settled()
    const done = second.sync.once()
    await settled()
    expect(first.engine.calls).toContain('once')
    expect(second.engine.calls).not.toContain('once')
    first.engine.finish()
    await done
    const failed = second.sync.once()
    await settled()
    first.engine.finish(new ClientError('network', 'no answer'))
    await expect(failed).rejects.toMatchObject({ code: 'network', message: 'no answer' })
    await shutDown(first, second)
  })

  it('exchanges itself when nobody syncs, and leads only meanwhile', async () => {
    const { browser, open } = opener()
    const only = open()
    const done = only.sync.once()
    await settled()
    expect(browser.leader).toBe(only.tab.id)
    only.engine.finish()
    await done
    await settled()
    expect(browser.leader).toBeUndefined()
    await shutDown(only)
  })

  it('exchanges itself when the tab it asked crashes or stops first', async () => {
    const { open } = opener()
    const [first, second, third] = [open(), open(), open()]
    first.sync.start()
    await settled()
    const done = second.sync.once()
    const alsoDone = third.sync.once()
    await settled()
    first.tab.crash()
    await settled()
    expect(second.engine.calls).toContain('once')
    second.engine.finish()
    await done
    await settled()
    third.engine.finish()
    await alsoDone
    const fourth = open()
    fourth.sync.start()
    await settled()
    const last = second.sync.once()
    await settled()
    await fourth.sync.stop()
    await settled()
    second.engine.finish()
    await last
    await shutDown(second, third, fourth)
  })

  it('asks the next one again when it is not its own turn', async () => {
    const { open } = opener()
    const [first, second, third] = [open(), open(), open()]
    first.sync.start()
    second.sync.start()
    await settled()
    const done = third.sync.once()
    await settled()
    first.tab.crash()
    await settled()
    expect(second.engine.calls).toContain('once')
    second.engine.finish()
    await done
    await shutDown(second, third)
  })

  it('lets any tab start again what had stopped until the person acted', async () => {
    const { open } = opener()
    const [first, second] = [open(), open()]
    first.sync.start()
    await settled()
    const problem = { code: 'registration-refused', message: 'a token is needed', atMs: 1 }
    first.engine.board.set({ phase: 'stopped', problem } as Partial<SyncStatus>)
    await settled()
    expect(second.sync.status).toMatchObject({ phase: 'stopped', problem })
    second.sync.start()
    await settled()
    expect(first.engine.calls.filter((call) => call === 'start')).toHaveLength(2)
    open().sync.start()
    await settled()
    expect(first.engine.calls.filter((call) => call === 'start')).toHaveLength(2)
    await shutDown(first, second)
  })

  it('gives the lead up when it cannot start as it was asked to', async () => {
    const { browser, open } = opener()
    const [first, second] = [open(), open()]
    first.sync.start()
    await settled()
    second.engine.start = () => {
      throw new ClientError('invalid-argument', 'no such mode')
    }
    second.sync.start()
    await first.sync.stop()
    await settled()
    expect(browser.leader).toBeUndefined()
    await shutDown(first, second)
  })

  it('ends what waits when it is stopped, and may be started again at once', async () => {
    const { browser, open } = opener()
    const [first, second] = [open(), open()]
    first.sync.start()
    await settled()
    const waiting = second.sync.once()
    await Promise.all([
      expect(waiting).rejects.toMatchObject({ code: 'closed' }),
      second.sync.stop(),
    ])
    const stopping = first.sync.stop()
    first.sync.start()
    await stopping
    await settled()
    expect(browser.leader).toBe(first.tab.id)
    second.sync.start()
    const ending = second.sync.stop()
    second.sync.start()
    await ending
    first.tab.crash()
    await settled()
    expect(second.engine.status.phase).toBe('live')
    await shutDown(second)
  })
})
