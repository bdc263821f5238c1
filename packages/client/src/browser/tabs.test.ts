/**
 * Whole vaults in several tabs on one store: whatever they do at once, and however tabs come and
 * crash, every tab shows what was acknowledged, counts the same, and no timestamp is given twice.
 */
import { numberedRange } from '@blindcopy/secondary'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseOutboxEntry } from '../local/outbox.ts'
import { type TestFolder, testPlatform } from '../platform.fixture.ts'
import type { Vault } from '../vault/vault.ts'
import { createVaultOn, openVaultOn } from '../vault/vault-doors.ts'
import { soon, TestBrowser, type TestTab } from './tabs.fixture.ts'

type OpenTab = { readonly tab: TestTab; readonly vault: Vault }

/** A browser with one vault, and the tabs that have it open. */
async function browserWithVault() {
  const browser = new TestBrowser()
  const base = testPlatform({ setTimer: soon })
  const opened: TestTab[] = []
  const tabOf = (): TestTab => {
    const tab = browser.openTab()
    opened.push(tab)
    return tab
  }
  const platform = {
    ...base,
    openFolder: (path: string) => ({ ...(base.openFolder(path) as TestFolder), tabs: tabOf }),
  }
  const lastTab = (): TestTab => opened[opened.length - 1] as TestTab
  const { vault } = await createVaultOn(platform, { path: 'p', remote: 'http://127.0.0.1:9' })
  const tabs: OpenTab[] = [{ tab: lastTab(), vault }]
  return {
    tabs,
    async open() {
      const another = await openVaultOn(platform, { path: 'p' })
      tabs.push({ tab: lastTab(), vault: another })
    },
    async outbox() {
      const { store } = base.openFolder('p') as TestFolder
      const timestamps: string[] = []
      for await (const page of store.pages(numberedRange('outbox'))) {
        for (const [, value] of page) timestamps.push(parseOutboxEntry(value).timestamp.join())
      }
      return timestamps
    },
  }
}

/** Messages take a turn of the loop each, and what they cause a few more. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve))
}

describe('a vault in several tabs', () => {
  let browser: Awaited<ReturnType<typeof browserWithVault>>
  beforeEach(async () => {
    browser = await browserWithVault()
  })
  afterEach(async () => {
    for (const { vault } of browser.tabs) await vault.close()
  })

  it('shows in each tab, live, what is written in another', async () => {
    await browser.open()
    const [first, second] = browser.tabs as [OpenTab, OpenTab]
    const results = second.vault.collection('c').watch()
    expect((await results.next()).value).toEqual([])
    await first.vault.collection('c').put('a', { v: 1 })
    expect((await results.next()).value).toEqual([{ key: 'a', fields: { v: 1 } }])
    await first.vault.collection('c').delete('a')
    expect((await results.next()).value).toEqual([])
    await settled()
    expect(second.vault.sync.status.pending).toBe(first.vault.sync.status.pending)
    await results.return(undefined)
  })

  it('runs a transaction again that another tab has outrun', async () => {
    await browser.open()
    const [first, second] = browser.tabs as [OpenTab, OpenTab]
    await first.vault.collection('c').put('n', { v: 1 })
    let runs = 0
    await second.vault.transaction(async (transaction) => {
      const target = transaction.collection(second.vault.collection<{ v: number }>('c'))
      const { v } = (await target.get('n')) ?? { v: 0 }
      if (runs++ === 0) await first.vault.collection('c').put('n', { v: 10 })
      await target.put('n', { v: v + 1 })
    })
    expect(runs).toBe(2)
    expect(await first.vault.collection('c').get('n')).toEqual({ v: 11 })
  })

  it('loses nothing and repeats no timestamp, whatever is done at once and whoever crashes', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ type: fc.constant('put'), at: fc.nat(3), key: fc.nat(5) }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ type: fc.constant('increment'), at: fc.nat(3), key: fc.nat(1) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ type: fc.constant('delete'), at: fc.nat(3), key: fc.nat(5) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ type: fc.constant('open'), at: fc.nat(3), key: fc.nat(0) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ type: fc.constant('crash'), at: fc.nat(3), key: fc.nat(0) }),
      },
    )
    const rounds = fc.array(fc.array(step, { minLength: 1, maxLength: 8 }), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(rounds, async (played) => {
        const fresh = await browserWithVault()
        await play(fresh, played)
        for (const { vault } of fresh.tabs) await vault.close()
      }),
      { numRuns: process.env.SLOW === '1' ? 300 : 25 },
    )
  })
})

type Step = { readonly type: string; readonly at: number; readonly key: number }

async function play(
  browser: Awaited<ReturnType<typeof browserWithVault>>,
  rounds: readonly (readonly Step[])[],
): Promise<void> {
  // Two writers of one key at once have no order: each tab has its own keys, but for the counters.
  const held = new Map<string, number>()
  const counts = [0, 0]
  let number = 0
  for (const round of rounds) {
    const touched = new Set<string>()
    const jobs: Promise<unknown>[] = []
    for (const { type, at, key } of round) {
      const { vault, tab } = browser.tabs[at % browser.tabs.length] as OpenTab
      const name = `${tab.id}.${key}`
      if (type === 'increment') {
        counts[key] = (counts[key] ?? 0) + 1
        jobs.push(increment(vault, `${key}`))
      } else if ((type === 'put' || type === 'delete') && !touched.has(name)) {
        touched.add(name)
        const v = ++number
        if (type === 'put') held.set(name, v)
        else held.delete(name)
        const notes = vault.collection('notes')
        jobs.push(type === 'put' ? notes.put(name, { v }) : notes.delete(name))
      }
    }
    await Promise.all(jobs)
    if (round.some(({ type }) => type === 'open') && browser.tabs.length < 4) await browser.open()
    const crash = round.find(({ type }) => type === 'crash')
    if (crash !== undefined && browser.tabs.length > 1) {
      const [gone] = browser.tabs.splice(crash.at % browser.tabs.length, 1)
      gone?.tab.crash()
    }
  }
  await settled()
  const waiting = await browser.outbox()
  expect(new Set(waiting).size).toBe(waiting.length)
  for (const { vault } of browser.tabs) {
    const notes = await vault.collection<{ v: number }>('notes').list()
    const shown = notes.map(({ key, fields }) => [key, fields.v] as const)
    expect(new Map(shown)).toEqual(held)
    const counters = vault.collection<{ count: number }>('counters')
    for (const [key, count] of counts.entries()) {
      expect((await counters.get(`${key}`))?.count ?? 0).toBe(count)
    }
    expect(vault.sync.status.pending).toBe(waiting.length)
  }
}

function increment(vault: Vault, key: string): Promise<void> {
  return vault.transaction(async (transaction) => {
    const target = transaction.collection(vault.collection<{ count: number }>('counters'))
    const { count } = (await target.get(key)) ?? { count: 0 }
    await target.put(key, { count: count + 1 })
  })
}
