/**
 * One vault in two tabs of a real browser: both read and write at once, one syncs, and the other
 * takes over when that one is closed or crashes. A device on Node sees what comes of it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { restoreVault, type Vault } from '@blindcopy/client'
import { type ServedRemote, serveRemote } from '@blindcopy/remote/node'
import { createMemoryStore } from '@blindcopy/secondary'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { isMissing, type Pages, servePages } from './chromium.ts'
import type { InPage } from './page.ts'

/** Both stand in every page; functions given to `evaluate` run there. */
declare const inPage: InPage
declare const vault: Vault

describe.skipIf(isMissing)('one vault in two tabs', () => {
  let pages: Pages
  let context: BrowserContext
  let first: Page
  let second: Page
  let remote: ServedRemote
  let folder: string
  let recoveryPhrase: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'blindcopy-tabs-'))
    remote = await serveRemote({ store: createMemoryStore(), registration: { mode: 'open' } })
    pages = await servePages('./page.ts')
  }, 60_000)
  afterAll(async () => {
    await pages?.close()
    await remote?.close()
    await rm(folder, { recursive: true, force: true })
  })

  beforeEach(async () => {
    context = await pages.newContext()
    first = await pages.open(context)
    second = await pages.open(context)
    recoveryPhrase = await first.evaluate(async (remoteUrl) => {
      const created = await inPage.createVault({ path: 'shared', remote: remoteUrl })
      Object.assign(globalThis, { vault: created.vault })
      return created.recoveryPhrase
    }, remote.url)
    await openIn(second)
  })
  afterEach(() => context.close())

  async function openIn(page: Page): Promise<void> {
    await page.evaluate(async () => {
      Object.assign(globalThis, { vault: await inPage.openVault({ path: 'shared' }) })
    })
  }

  async function goLive(...tabs: Page[]): Promise<void> {
    for (const tab of tabs) {
      await tab.evaluate(async () => {
        vault.sync.start()
        await inPage.untilStatus(vault, ({ phase }) => phase === 'live')
      })
    }
  }

  /** How many tabs hold the lock of the one that syncs, and how many wait for it. */
  const syncing = (page: Page) =>
    page.evaluate(async () => {
      const { held = [], pending = [] } = await navigator.locks.query()
      const ofSync = ({ name, mode }: LockInfo) =>
        name === 'blindcopy:shared:sync' && mode === 'exclusive'
      return { held: held.filter(ofSync).length, waiting: pending.filter(ofSync).length }
    })

  it('shows in each what is written in the other, as it is written', async () => {
    for (const [writer, reader, count] of [
      [first, second, 1],
      [second, first, 2],
    ] as const) {
      const seen = reader.evaluate((expected) => inPage.untilCount(vault, 'notes', expected), count)
      await writer.evaluate((key) => vault.collection('notes').put(key, { key }), `note ${count}`)
      expect(await seen).toBe(count)
    }
    const listed = await second.evaluate(async () => {
      await vault.collection('notes').delete('note 1')
      return (await vault.collection('notes').list()).map(({ key }) => key)
    })
    expect(listed).toEqual(['note 2'])
    expect(await first.evaluate(() => inPage.untilCount(vault, 'notes', 1))).toBe(1)
  })

  it('loses no write and repeats no timestamp when both write at once', async () => {
    await goLive(first, second)
    const write = (page: Page, name: string) =>
      page.evaluate(async (prefix) => {
        const notes = vault.collection('notes')
        const counters = vault.collection<{ count: number }>('counters')
        const puts = Array.from({ length: 100 }, (_, i) => notes.put(`${prefix}${i}`, { i }))
        const increments = Array.from({ length: 20 }, () =>
          vault.transaction(async (transaction) => {
            const target = transaction.collection(counters)
            const count = (await target.get('shared'))?.count ?? 0
            await target.put('shared', { count: count + 1 })
          }),
        )
        await Promise.all([...puts, ...increments])
      }, name)
    await Promise.all([write(first, 'a'), write(second, 'b')])
    const isDone = ({ pending }: { pending: number }) => pending === 0
    for (const page of [first, second]) {
      const held = await page.evaluate(async () => ({
        notes: await inPage.untilCount(vault, 'notes', 200),
        counter: await vault.collection<{ count: number }>('counters').get('shared'),
      }))
      expect(held).toEqual({ notes: 200, counter: { count: 40 } })
      await page.waitForFunction(() => vault.sync.status.pending === 0)
    }
    expect(await first.evaluate(() => vault.sync.status)).toSatisfy(isDone)
    const path = join(folder, 'both')
    const laptop = await restoreVault({ path, remote: remote.url, recoveryPhrase })
    await laptop.sync.once()
    expect(await laptop.collection('notes').list()).toHaveLength(200)
    expect(await laptop.collection('counters').get('shared')).toEqual({ count: 40 })
    const timestamps: string[] = []
    for await (const seen of laptop.remoteView()) {
      if (seen.type !== 'transaction') continue
      for (const { writtenMs, counter, device } of seen.records) {
        timestamps.push(`${writtenMs}.${counter}.${device}`)
      }
    }
    expect(timestamps.length).toBe(201)
    expect(new Set(timestamps).size).toBe(timestamps.length)
    await laptop.close()
  })

  it('lets one tab sync, for both, and shows both how it stands', async () => {
    await goLive(first, second)
    expect(await syncing(first)).toEqual({ held: 1, waiting: 1 })
    const path = join(folder, 'one')
    const laptop = await restoreVault({ path, remote: remote.url, recoveryPhrase })
    laptop.sync.start()
    // The second tab does not sync: what it writes goes out, and what arrives is seen there.
    await second.evaluate(() => vault.collection('notes').put('from the browser', {}))
    for await (const found of laptop.collection('notes').watch()) if (found.length === 1) break
    await laptop.collection('notes').put('from the laptop', {})
    expect(await second.evaluate(() => inPage.untilCount(vault, 'notes', 2))).toBe(2)
    const once = await second.evaluate(async () => {
      await vault.sync.once()
      // What the leading tab tells of itself is a message behind.
      for await (const status of vault.sync.watch()) if (status.phase === 'live') return status
      return vault.sync.status
    })
    expect(once).toMatchObject({ phase: 'live', pending: 0, initialSyncComplete: true })
    expect(await syncing(first)).toEqual({ held: 1, waiting: 1 })
    await laptop.close()
  })

  it('takes over when the tab that syncs is closed, or crashes', async () => {
    await goLive(first, second)
    const third = await pages.open(context)
    await openIn(third)
    await goLive(third)
    expect(await syncing(third)).toEqual({ held: 1, waiting: 2 })
    const path = join(folder, 'over')
    const laptop = await restoreVault({ path, remote: remote.url, recoveryPhrase })
    laptop.sync.start()
    await first.close()
    await third.evaluate(() => vault.collection('notes').put('after the close', {}))
    for await (const found of laptop.collection('notes').watch()) if (found.length === 1) break
    expect(await syncing(third)).toEqual({ held: 1, waiting: 1 })
    const session = await context.newCDPSession(second)
    const crashed = second.waitForEvent('crash')
    // It is never answered.
    session.send('Page.crash').catch(() => undefined)
    await crashed
    await third.evaluate(() => vault.collection('notes').put('after the crash', {}))
    for await (const found of laptop.collection('notes').watch()) if (found.length === 2) break
    expect(await syncing(third)).toEqual({ held: 1, waiting: 0 })
    await goLive(third)
    await laptop.close()
  })

  it('says that nothing syncs when the tab that did is gone and none follows', async () => {
    await goLive(first)
    const before = await second.evaluate(async () => {
      const { phase } = await inPage.untilStatus(vault, ({ phase: shown }) => shown === 'live')
      return phase
    })
    await first.close()
    const after = await second.evaluate(async () => {
      const { phase } = await inPage.untilStatus(vault, ({ phase: shown }) => shown === 'resting')
      return phase
    })
    expect([before, after]).toEqual(['live', 'resting'])
  })

  it('keeps the vault from being made again or removed under an open tab', async () => {
    await first.evaluate(() => vault.close())
    const codes = await first.evaluate(async () => [
      await inPage.codeOf(inPage.createVault({ path: 'shared', remote: 'http://127.0.0.1:1' })),
      await inPage.codeOf(inPage.removeVault('shared')),
    ])
    expect(codes).toEqual(['vault-exists', 'vault-in-use'])
    await second.evaluate(() => vault.close())
    const emptied = await first.evaluate(async () => [
      await inPage.codeOf(inPage.removeVault('shared')),
      await inPage.codeOf(inPage.openVault({ path: 'shared' })),
      (await indexedDB.databases()).length,
    ])
    expect(emptied).toEqual([undefined, 'not-a-vault', 0])
  })

  it('lets one of two tabs make a vault of a name, and the other say so', async () => {
    const create = (page: Page) =>
      page.evaluate(() =>
        inPage.codeOf(inPage.createVault({ path: 'raced', remote: 'http://127.0.0.1:1' })),
      )
    const codes = await Promise.all([create(first), create(second)])
    expect(codes.filter((code) => code === undefined)).toHaveLength(1)
    expect(['vault-in-use', 'vault-exists']).toContain(codes.find((code) => code !== undefined))
  })
})
