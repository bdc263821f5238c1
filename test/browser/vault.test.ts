/**
 * A vault in a real browser: it keeps its records in IndexedDB and its device's keys under a key
 * that nobody gets, and syncs with a remote of another origin (CORS), live over the browser's own
 * WebSocket, with a device that runs on Node.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { restoreVault } from '@blindcopy/client'
import { type ServedRemote, serveRemote } from '@blindcopy/remote/node'
import { createMemoryStore } from '@blindcopy/secondary'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isMissing, type Pages, servePages } from './chromium.ts'
import type { InPage } from './page.ts'

/** Stands in every page; functions given to `evaluate` run there. */
declare const inPage: InPage

describe.skipIf(isMissing)('a vault in a browser', () => {
  let pages: Pages
  let context: BrowserContext
  let page: Page
  let remote: ServedRemote
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'blindcopy-browser-'))
    remote = await serveRemote({ store: createMemoryStore(), registration: { mode: 'open' } })
    pages = await servePages('./page.ts')
    context = await pages.newContext()
    page = await pages.open(context)
  }, 60_000)

  afterAll(async () => {
    await pages?.close()
    await remote?.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('keeps every value exactly in IndexedDB, and syncs across origins both ways', async () => {
    const { recoveryPhrase, ...created } = await page.evaluate(async (remoteUrl) => {
      const { createVault, openVault } = inPage
      const { vault, recoveryPhrase } = await createVault({ path: 'one', remote: remoteUrl })
      const notes = vault.collection('notes')
      await notes.put('kept', inPage.VALUE)
      await vault.transaction(async (transaction) => {
        const target = transaction.collection(notes)
        for (let i = 0; i < 300; i++) await target.put(`n${i}`, { i })
      })
      await vault.close()
      const again = await openVault({ path: 'one' })
      const kept = await again.collection<typeof inPage.VALUE>('notes').get('kept')
      const listed = (await again.collection('notes').list()).length
      await again.sync.once()
      const { pending, initialSyncComplete, phase } = again.sync.status
      const [{ name = '' } = {}] = again.devices()
      await again.close()
      const isExact = inPage.isValue(kept)
      return { recoveryPhrase, listed, isExact, pending, initialSyncComplete, phase, name }
    }, remote.url)
    expect(created).toEqual({
      listed: 301,
      isExact: true,
      pending: 0,
      initialSyncComplete: true,
      phase: 'resting',
      name: 'Chrome on Linux',
    })
    const laptop = await restoreVault({
      path: join(folder, 'laptop'),
      remote: remote.url,
      recoveryPhrase,
    })
    await laptop.sync.once()
    expect(await laptop.collection('notes').list()).toHaveLength(301)
    const followed = page.evaluate(
      async ([remoteUrl = '', phrase = '']) => {
        const options = { path: 'two', remote: remoteUrl, recoveryPhrase: phrase }
        const vault = await inPage.restoreVault(options)
        vault.sync.start()
        await inPage.untilStatus(vault, ({ phase }) => phase === 'live')
        const live = vault.collection<{ from: string }>('live')
        await live.put('browser', { from: 'browser' })
        await inPage.untilCount(vault, 'live', 2)
        const seen = (await live.list()).map(({ fields }) => fields.from)
        const count = (await vault.collection('notes').list()).length
        await vault.close()
        return { seen, count }
      },
      [remote.url, recoveryPhrase],
    )
    laptop.sync.start()
    const live = laptop.collection<{ from: string }>('live')
    for await (const found of live.watch()) if (found.length === 1) break
    await live.put('laptop', { from: 'laptop' })
    expect(await followed).toEqual({ seen: ['browser', 'laptop'], count: 301 })
    await laptop.close()
  })

  it('goes on where it was when the network comes back', async () => {
    const live = await page.evaluate(async (remoteUrl) => {
      const { vault } = await inPage.createVault({ path: 'offline', remote: remoteUrl })
      vault.sync.start()
      await inPage.untilStatus(vault, ({ phase }) => phase === 'live')
      Object.assign(globalThis, { offlineVault: vault })
      return vault.sync.status.pending
    }, remote.url)
    expect(live).toBe(0)
    await context.setOffline(true)
    const offline = await page.evaluate(async () => {
      const { offlineVault: vault } = globalThis as never as {
        offlineVault: Awaited<ReturnType<InPage['openVault']>>
      }
      await vault.collection('notes').put('while offline', { text: 'kept' })
      const { pending, problem } = await inPage.untilStatus(
        vault,
        ({ phase }) => phase === 'backing-off',
      )
      return { pending, code: problem?.code }
    })
    expect(offline).toEqual({ pending: 1, code: 'network' })
    await context.setOffline(false)
    const online = await page.evaluate(async () => {
      const { offlineVault: vault } = globalThis as never as {
        offlineVault: Awaited<ReturnType<InPage['openVault']>>
      }
      const isInStep = ({ phase, pending }: { phase: string; pending: number }) =>
        phase === 'live' && pending === 0
      const { problem } = await inPage.untilStatus(vault, isInStep)
      await vault.close()
      return problem
    })
    expect(online).toBeNull()
  })

  it('says what is wrong, in codes', async () => {
    const codes = await page.evaluate(async () => {
      const { codeOf, createVault, openVault } = inPage
      const remote = 'http://127.0.0.1:1'
      const { vault } = await createVault({ path: 'three', remote })
      const answers = {
        unreachable: await codeOf(vault.sync.once()),
        taken: await codeOf(createVault({ path: 'three', remote })),
        removedWhileOpen: await codeOf(inPage.removeVault('three')),
        none: await codeOf(openVault({ path: 'nothing here' })),
        noName: await codeOf(openVault({ path: '' })),
        noPassphrase: await codeOf(createVault({ path: 'four', remote, passphrase: '' })),
      }
      await vault.close()
      const databases = (await indexedDB.databases()).map(({ name }) => name)
      return { ...answers, leftovers: databases.filter((name) => /nothing|four/.test(name ?? '')) }
    })
    expect(codes).toEqual({
      unreachable: 'network',
      taken: 'vault-exists',
      removedWhileOpen: 'vault-in-use',
      none: 'not-a-vault',
      noName: 'invalid-argument',
      noPassphrase: 'passphrase-required',
      leftovers: [],
    })
  })

  it("keeps a device's keys under a key that nobody gets, and with a passphrase under both", async () => {
    const kept = await page.evaluate(async () => {
      const { codeOf, createVault, openVault } = inPage
      const options = { path: 'keys', remote: 'http://127.0.0.1:1', passphrase: 'correct horse' }
      const { vault } = await createVault(options)
      await vault.close()
      const objects = await inPage.folderObjects('keys')
      const key = objects.wrappingKey as CryptoKey
      const { sealed } = objects.keys as { sealed: Uint8Array }
      const wrongPassphrase = await codeOf(openVault({ path: 'keys', passphrase: 'wrong' }))
      const noPassphrase = await codeOf(openVault({ path: 'keys' }))
      const again = await openVault({ path: 'keys', passphrase: 'correct horse' })
      await again.close()
      return {
        names: Object.keys(objects).sort(),
        extractable: key.extractable,
        exported: await crypto.subtle.exportKey('raw', key).then(
          () => 'given',
          (error: Error) => error.name,
        ),
        showsForm: new TextDecoder('latin1').decode(sealed).includes('bcdevice'),
        wrongPassphrase,
        noPassphrase,
      }
    })
    expect(kept).toEqual({
      names: ['config', 'keys', 'wrappingKey'],
      extractable: false,
      exported: 'InvalidAccessError',
      showsForm: false,
      wrongPassphrase: 'passphrase-wrong',
      noPassphrase: 'passphrase-required',
    })
  })

  it('takes what an unfinished creation left for nothing, and clears it', async () => {
    const found = await page.evaluate(async () => {
      const { codeOf, createVault, openVault } = inPage
      const options = { path: 'killed', remote: 'http://127.0.0.1:1' }
      const { vault } = await createVault(options)
      await vault.collection('notes').put('old', {})
      await vault.close()
      // As a tab leaves it that is closed just before the last step.
      await inPage.folderObjects('killed', (objects) => {
        objects.delete('config')
        objects.put(true, 'unfinished')
      })
      const opened = await codeOf(openVault({ path: 'killed' }))
      const { vault: fresh } = await createVault(options)
      const notes = await fresh.collection('notes').list()
      await fresh.close()
      return {
        opened,
        notes: notes.length,
        names: Object.keys(await inPage.folderObjects('killed')),
      }
    })
    expect(found).toEqual({
      opened: 'not-a-vault',
      notes: 0,
      names: ['config', 'keys', 'wrappingKey'],
    })
  })

  it('asks for storage that stays, and says whether it got it', async () => {
    const refused = await page.evaluate(() => inPage.storageState())
    expect(refused).toMatchObject({ persisted: false })
    expect(refused.warning).toMatch(/keep it synced/)
    expect(refused.usageBytes).toBeGreaterThan(0)
    expect(refused.quotaBytes).toBeGreaterThan(refused.usageBytes)
    await pages.grantPersistence(context)
    const granted = await page.evaluate(async () => {
      const ask = navigator.storage.persist.bind(navigator.storage)
      const answered = new Promise<boolean>((resolve) => {
        navigator.storage.persist = () => {
          const answer = ask()
          resolve(answer)
          return answer
        }
      })
      const { vault } = await inPage.createVault({ path: 'stays', remote: 'http://127.0.0.1:1' })
      await vault.close()
      await answered
      return inPage.storageState()
    })
    expect(granted).toMatchObject({ persisted: true, warning: null })
  })
})
