/**
 * The protection of a device's keys in a real browser: a passphrase is set, changed and removed in
 * IndexedDB, and one tab is locked while the other goes on.
 */
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isMissing, type Pages, servePages } from './chromium.ts'
import type { InPage } from './page.ts'

/** Stands in every page; functions given to `evaluate` run there. */
declare const inPage: InPage

describe.skipIf(isMissing)('the keys of a device in a browser', () => {
  let pages: Pages
  let context: BrowserContext
  let page: Page

  beforeAll(async () => {
    pages = await servePages('./page.ts')
    context = await pages.newContext()
    page = await pages.open(context)
  }, 60_000)
  afterAll(() => pages?.close())

  it('are put under a passphrase, another, and none; the one before opens nothing', async () => {
    const seen = await page.evaluate(async () => {
      const { codeOf, createVault, openVault, folderObjects } = inPage
      const made = await createVault({ path: 'p', remote: 'http://127.0.0.1:9' })
      const { vault } = made
      await vault.collection('notes').put('kept', { n: 1 })
      const opens = (passphrase?: string) =>
        codeOf(
          openVault(passphrase === undefined ? { path: 'p' } : { path: 'p', passphrase }).then(
            (again) => again.close(),
          ),
        )
      const found: unknown[] = []
      await vault.protection.changePassphrase({ next: 'first' })
      found.push(await opens(), await opens('first'))
      const wrong = vault.protection.changePassphrase({ current: 'x', next: 'second' })
      found.push(await codeOf(wrong), await opens('first'))
      await vault.protection.changePassphrase({ current: 'first', next: 'second' })
      found.push(await opens('first'), await opens('second'))
      await vault.protection.changePassphrase({ current: 'second' })
      found.push(
        await opens(),
        Object.keys(await folderObjects('p'))
          .sort()
          .join(),
      )
      await vault.close()
      return found
    })
    const [required, wrong] = ['passphrase-required', 'passphrase-wrong']
    const good = undefined
    const names = 'config,keys,wrappingKey'
    expect(seen).toEqual([required, good, wrong, good, wrong, good, good, names])
  }, 60_000)

  it('are wiped in the tab that is locked, and not in the other', async () => {
    const other = await pages.open(context)
    const open = async (tab: Page) =>
      tab.evaluate(async () => {
        const vault = await inPage.openVault({ path: 'p' })
        Object.assign(globalThis, { vault })
      })
    await open(page)
    await open(other)
    type Opened = { vault: Awaited<ReturnType<InPage['openVault']>> }
    const locked = await page.evaluate(async () => {
      const { vault } = globalThis as unknown as Opened
      await vault.lock()
      const read = Promise.resolve().then(() => vault.collection('notes').get('kept'))
      return [vault.isLocked, await inPage.codeOf(read)]
    })
    expect(locked).toEqual([true, 'locked'])
    const written = await other.evaluate(async () => {
      const { vault } = globalThis as unknown as Opened
      await vault.collection('notes').put('meanwhile', { n: 2 })
      return vault.isLocked
    })
    expect(written).toBe(false)
    const listed = await page.evaluate(async () => {
      const { vault } = globalThis as unknown as Opened
      await vault.unlock()
      return inPage.untilCount(vault, 'notes', 2)
    })
    expect(listed).toBe(2)
  }, 60_000)
})
