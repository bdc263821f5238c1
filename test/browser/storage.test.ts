/**
 * What a browser does to what it stores: it deletes all or a part of a vault, under an open tab or
 * while none is open, spoils it, or has no room. Each is one clear error, never a vault that looks
 * empty; and what the remote holds comes back from the phrase.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ServedRemote, serveRemote } from '@blindcopy/remote/node'
import { createMemoryStore } from '@blindcopy/secondary'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { isMissing, type Pages, servePages } from './chromium.ts'
import type { InPage } from './page.ts'

/** Stands in every page; functions given to `evaluate` run there. */
declare const inPage: InPage

describe.skipIf(isMissing)('the storage of a browser', () => {
  let pages: Pages
  let context: BrowserContext
  let page: Page
  let remote: ServedRemote
  let recoveryPhrase: string

  beforeAll(async () => {
    remote = await serveRemote({ store: createMemoryStore(), registration: { mode: 'open' } })
    pages = await servePages('./page.ts')
  }, 60_000)
  afterAll(async () => {
    await pages?.close()
    await remote?.close()
  })

  /** Each test begins with a closed vault of two notes, both of them at the remote. */
  beforeEach(async () => {
    context = await pages.newContext()
    page = await pages.open(context)
    recoveryPhrase = await page.evaluate(async (remoteUrl) => {
      const created = await inPage.createVault({ path: 'kept', remote: remoteUrl })
      const notes = created.vault.collection('notes')
      for (const key of ['one', 'two']) await notes.put(key, { key })
      await created.vault.sync.once()
      await created.vault.close()
      return created.recoveryPhrase
    }, remote.url)
  })
  afterEach(() => context.close())

  /** Clears what is left and restores; resolves to how many notes are there then. */
  const restored = () =>
    page.evaluate(
      async ([remoteUrl = '', phrase = '']) => {
        await inPage.removeVault('kept')
        const options = { path: 'kept', remote: remoteUrl, recoveryPhrase: phrase }
        const vault = await inPage.restoreVault(options)
        await vault.sync.once()
        const count = (await vault.collection('notes').list()).length
        await vault.close()
        return count
      },
      [remote.url, recoveryPhrase],
    )

  const DATABASES = { records: 'level-js-blindcopy:kept', folder: 'blindcopy:kept:folder' }

  it.each(['records', 'folder'] as const)(
    'may have lost the %s: nothing opens, and the phrase brings all back',
    async (part) => {
      const found = await page.evaluate(
        async ([lost = '', remoteUrl = '']) => {
          await inPage.deleteDatabase(lost)
          const before = (await indexedDB.databases()).map(({ name }) => name)
          const message = await inPage.openVault({ path: 'kept' }).then(
            () => '',
            (error: Error) => error.message,
          )
          const opened = await inPage.codeOf(inPage.openVault({ path: 'kept' }))
          const created = await inPage.codeOf(
            inPage.createVault({ path: 'kept', remote: remoteUrl }),
          )
          const after = (await indexedDB.databases()).map(({ name }) => name)
          return { opened, created, message, isUnchanged: before.join() === after.join() }
        },
        [DATABASES[part], remote.url],
      )
      expect(found).toMatchObject({
        opened: 'vault-damaged',
        created: part === 'folder' ? 'vault-damaged' : 'vault-exists',
        isUnchanged: true,
      })
      expect(found.message).toMatch(/recovery phrase/)
      expect(await restored()).toBe(2)
    },
  )

  it('may have lost everything: there is no vault, and the phrase brings all back', async () => {
    const session = await context.newCDPSession(page)
    await session.send('Storage.clearDataForOrigin', {
      origin: new URL(pages.origin).origin,
      storageTypes: 'all',
    })
    const opened = await page.evaluate(() => inPage.codeOf(inPage.openVault({ path: 'kept' })))
    expect(opened).toBe('not-a-vault')
    expect(await restored()).toBe(2)
  })

  it('may lose everything under an open tab: no read and no write takes it for empty', async () => {
    await page.evaluate(async () => {
      const vault = await inPage.openVault({ path: 'kept' })
      await vault.collection('notes').list()
      Object.assign(globalThis, { vault })
    })
    const session = await context.newCDPSession(page)
    await session.send('Storage.clearDataForOrigin', {
      origin: new URL(pages.origin).origin,
      storageTypes: 'all',
    })
    const codes = await page.evaluate(async () => {
      const { vault } = globalThis as never as {
        vault: Awaited<ReturnType<InPage['openVault']>>
      }
      const notes = vault.collection('notes')
      const found = [
        await inPage.codeOf(notes.list()),
        await inPage.codeOf(notes.put('three', {})),
        await inPage.codeOf(notes.put('four', {})),
        await inPage.codeOf(notes.get('one')),
        await inPage.codeOf(
          vault.transaction((transaction) => transaction.collection(notes).put('five', {})),
        ),
        await inPage.codeOf(notes.list()),
      ]
      const databases = (await indexedDB.databases()).length
      await vault.close()
      return { found, databases }
    })
    expect(codes).toEqual({ found: Array(6).fill('vault-damaged'), databases: 0 })
    expect(await restored()).toBe(2)
  })

  it('keeps what was written when the browser is killed', async () => {
    const profile = await mkdtemp(join(tmpdir(), 'blindcopy-profile-'))
    const before = await pages.newProfile(profile)
    const tab = await pages.open(before)
    const written = await tab.evaluate(async () => {
      const { vault } = await inPage.createVault({ path: 'killed', remote: 'http://127.0.0.1:1' })
      const notes = vault.collection('notes')
      for (let i = 0; i < 50; i++) await notes.put(`note ${i}`, { i })
      return (await notes.list()).length
    })
    const killed = new Promise((resolve) => before.on('close', resolve))
    // It is never answered.
    const session = await before.newCDPSession(tab)
    session.send('Browser.crash').catch(() => undefined)
    await killed
    const after = await pages.newProfile(profile)
    const found = await (await pages.open(after)).evaluate(async () => {
      const vault = await inPage.openVault({ path: 'killed' })
      const count = (await vault.collection('notes').list()).length
      const { pending } = vault.sync.status
      await vault.close()
      return { count, pending }
    })
    expect([written, found]).toEqual([50, { count: 50, pending: 50 }])
    await after.close()
    await rm(profile, { recursive: true, force: true })
  })

  it('may cut a connection: it is opened again', async () => {
    const found = await page.evaluate(async () => {
      const vault = await inPage.openVault({ path: 'kept' })
      const notes = vault.collection<{ key: string }>('notes')
      // What a browser does when its storage process restarts cannot be had otherwise.
      const { transaction } = IDBDatabase.prototype
      const cut = new Set<IDBDatabase>()
      let isCutting = false
      IDBDatabase.prototype.transaction = function (...of) {
        if (isCutting && !cut.has(this)) cut.add(this)
        isCutting = false
        if (cut.has(this)) throw new DOMException('the connection is closed', 'InvalidStateError')
        return transaction.apply(this, of)
      }
      isCutting = true
      const read = await notes.get('one')
      isCutting = true
      const failed = await inPage.codeOf(notes.put('three', { key: 'three' }))
      await notes.put('three', { key: 'three' })
      const listed = (await notes.list()).map(({ key }) => key).sort()
      IDBDatabase.prototype.transaction = transaction
      await vault.close()
      return { read, failed, listed }
    })
    expect(found).toEqual({
      read: { key: 'one' },
      failed: undefined,
      listed: ['one', 'three', 'two'],
    })
  })

  it('may have spoiled the keys, or lost a part of them', async () => {
    const codes = await page.evaluate(async () => {
      const before = await inPage.folderObjects('kept')
      const { nonce, sealed } = before.keys as { nonce: Uint8Array; sealed: Uint8Array }
      const changed = sealed.slice()
      changed[20] = (changed[20] ?? 0) ^ 1
      const kind = { name: 'AES-GCM', length: 256 }
      const otherKey = await crypto.subtle.generateKey(kind, false, ['encrypt', 'decrypt'])
      const spoils: ((objects: IDBObjectStore) => void)[] = [
        (objects) => objects.put({ nonce, sealed: changed }, 'keys'),
        (objects) => objects.put({ nonce, sealed: sealed.slice(0, -1) }, 'keys'),
        (objects) => objects.put({ nonce: new Uint8Array(12), sealed }, 'keys'),
        (objects) => objects.put(otherKey, 'wrappingKey'),
        (objects) => objects.put('text', 'keys'),
        (objects) => objects.put('text', 'wrappingKey'),
        (objects) => objects.delete('keys'),
        (objects) => objects.delete('wrappingKey'),
        (objects) => objects.put(new Uint8Array(3), 'config'),
        (objects) => objects.put('text', 'config'),
      ]
      const found: (string | undefined)[] = []
      for (const spoil of spoils) {
        await inPage.folderObjects('kept', spoil)
        found.push(await inPage.codeOf(inPage.openVault({ path: 'kept' })))
        await inPage.folderObjects('kept', (objects) => {
          for (const [key, value] of Object.entries(before)) objects.put(value, key)
        })
      }
      const vault = await inPage.openVault({ path: 'kept' })
      const count = (await vault.collection('notes').list()).length
      await vault.close()
      return { found, count }
    })
    expect(codes).toEqual({ found: Array(10).fill('vault-damaged'), count: 2 })
    expect(await restored()).toBe(2)
  })

  it('may have no room: a write says so and changes nothing, and works once there is', async () => {
    const { origin } = new URL(pages.origin)
    const small = await pages.newContext()
    page = await pages.open(small)
    const session = await small.newCDPSession(page)
    await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 3_000_000 })
    const full = await page.evaluate(async (remoteUrl) => {
      const { vault } = await inPage.createVault({ path: 'full', remote: remoteUrl })
      Object.assign(globalThis, { vault })
      const notes = vault.collection('notes')
      const write = (i: number) => notes.put(`note ${i}`, { text: 'x'.repeat(300_000) })
      let code: string | undefined
      let written = 0
      for (; written < 50 && code === undefined; written++) {
        code = await inPage.codeOf(write(written))
        if (code !== undefined) break
      }
      const listed = (await notes.list()).length
      const { pending } = vault.sync.status
      const made = await inPage.codeOf(inPage.createVault({ path: 'second', remote: remoteUrl }))
      return { code, isSame: listed === written && pending === written, made, written }
    }, remote.url)
    expect(full).toMatchObject({ code: 'store-full', isSame: true })
    expect(full.written).toBeGreaterThan(0)
    expect([undefined, 'store-full']).toContain(full.made)
    await session.send('Storage.overrideQuotaForOrigin', { origin })
    const roomy = await page.evaluate(async () => {
      const { vault } = globalThis as never as {
        vault: Awaited<ReturnType<InPage['openVault']>>
      }
      await vault.collection('notes').put('last', { text: 'x'.repeat(300_000) })
      await vault.sync.once()
      const { pending } = vault.sync.status
      await vault.close()
      const again = await inPage.openVault({ path: 'full' })
      const listed = (await again.collection('notes').list()).length
      await again.close()
      return { listed, pending }
    })
    expect(roomy).toEqual({ listed: full.written + 1, pending: 0 })
    await small.close()
  })
})
