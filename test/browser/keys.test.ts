/**
 * Devices and keys in a real browser: it joins by what a device on Node shows, lets one in itself,
 * stops when it is taken out; writes a backup as a stream into a file of the browser, and comes
 * back from it and the phrase on a remote that has nothing.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createVault, joinVault, restoreVault, type Vault } from '@blindcopy/client'
import { type ServedRemote, serveRemote } from '@blindcopy/remote/node'
import { createMemoryStore } from '@blindcopy/secondary'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isMissing, type Pages, servePages } from './chromium.ts'
import type { InPage } from './page.ts'

/** Stands in every page; functions given to `evaluate` run there. */
declare const inPage: InPage

const NOTES = 400

describe.skipIf(isMissing)('the devices and keys of a vault, in a browser', () => {
  let pages: Pages
  let context: BrowserContext
  let page: Page
  let remote: ServedRemote
  let folder: string
  let laptop: Vault
  /** What the person at the browser is asked, and answers. */
  let ask = async (_text: string): Promise<boolean> => false

  const newRemote = () =>
    serveRemote({ store: createMemoryStore(), registration: { mode: 'open' } })

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'blindcopy-browser-'))
    remote = await newRemote()
    pages = await servePages('./page.ts')
    context = await pages.newContext()
    await context.exposeFunction('ask', (digits: string) => ask(digits))
    page = await pages.open(context)
    const path = join(folder, 'laptop')
    const created = await createVault({ path, remote: remote.url, deviceName: 'laptop' })
    laptop = created.vault
    await laptop.collection('notes').put('before', { text: 'written on the laptop' })
    await laptop.sync.once()
  }, 60_000)
  afterAll(async () => {
    await laptop?.close()
    await pages?.close()
    await remote?.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** What the page asks next; answered by `answer`. */
  const asked = (answer: (text: string) => unknown = () => true): Promise<string> =>
    new Promise((resolve) => {
      ask = async (text) => {
        resolve(text)
        return (await answer(text)) !== false
      }
    })

  /** Joins in the page, and answers the code of the error, or who is in the vault then. */
  const joinInPage = (path: string, by: { code: string } | { words: string; remote: string }) =>
    page.evaluate(
      async ([name, invited]) => {
        type Asking = { ask(digits: string): Promise<boolean> }
        const { ask } = globalThis as unknown as Asking
        const options = { path: name as string, confirm: (q: { digits: string }) => ask(q.digits) }
        let names: string[] = []
        const code = await inPage.codeOf(
          inPage.joinVault({ ...options, ...(invited as { code: string }) }).then(async (vault) => {
            await vault.sync.once()
            await vault.collection('notes').put(`of ${name}`, { text: 'written in the browser' })
            await vault.sync.once()
            names = vault.devices().map((device) => device.name)
            await vault.close()
          }),
        )
        return { code, names }
      },
      [path, by] as const,
    )

  it('joins by a code and by words of a device on Node, with the same digits on both', async () => {
    for (const form of ['code', 'words'] as const) {
      const { code = '', words = '', ...invitation } = await laptop.pairing.invite({ form })
      const digits = asked()
      const by = form === 'code' ? { code } : { words, remote: invitation.remote }
      const joining = joinInPage(`by ${form}`, by)
      const newcomer = await invitation.newcomer()
      expect(newcomer).toMatchObject({ name: 'Chrome on Linux', digits: await digits })
      await newcomer.approve()
      const { code: failure, names } = await joining
      expect(failure).toBeUndefined()
      expect(names.slice(0, 2)).toEqual(['laptop', 'Chrome on Linux'])
      await laptop.sync.once()
      const arrived = await laptop.collection('notes').get(`of by ${form}`)
      expect(arrived).toEqual({ text: 'written in the browser' })
    }
    expect(laptop.devices()).toHaveLength(3)
  }, 60_000)

  it('is nothing when either person says no, and the name is free again', async () => {
    const here = await laptop.pairing.invite()
    const seen = asked(() => false)
    const refusing = joinInPage('denied', { code: here.code ?? '' })
    expect((await here.newcomer()).digits).toBe(await seen)
    expect((await refusing).code).toBe('pairing-denied')
    await here.cancel()
    const there = await laptop.pairing.invite()
    const agreed = asked()
    const joining = joinInPage('denied', { code: there.code ?? '' })
    await (await there.newcomer()).deny()
    await agreed
    expect((await joining).code).toBe('pairing-denied')
    const opened = await page.evaluate(() => inPage.codeOf(inPage.openVault({ path: 'denied' })))
    expect(opened).toBe('not-a-vault')
    expect(laptop.devices()).toHaveLength(3)
  }, 60_000)

  it('lets in a device on Node', async () => {
    const shown = asked()
    const inviting = page.evaluate(async () => {
      const { ask } = globalThis as unknown as { ask(text: string): Promise<boolean> }
      const vault = await inPage.openVault({ path: 'by code' })
      const invitation = await vault.pairing.invite()
      await ask(invitation.code ?? '')
      const newcomer = await invitation.newcomer()
      await newcomer.approve()
      await vault.close()
      return newcomer
    })
    let digits = ''
    const desk = await joinVault({
      path: join(folder, 'desk'),
      code: await shown,
      deviceName: 'desk',
      confirm: async (question) => {
        digits = question.digits
        return true
      },
    })
    expect(await inviting).toMatchObject({ name: 'desk', digits })
    await desk.sync.once()
    expect((await desk.collection('notes').list()).length).toBe(3)
    await desk.close()
  }, 60_000)

  it('stops by name when it is taken out, and what it holds stays readable', async () => {
    const revoking = asked((deviceId) => laptop.keys.revoke([deviceId]))
    const stopped = page.evaluate(async () => {
      const { ask } = globalThis as unknown as { ask(text: string): Promise<boolean> }
      const vault = await inPage.openVault({ path: 'by words' })
      vault.sync.start()
      await inPage.untilStatus(vault, ({ phase }) => phase === 'live')
      await ask(vault.deviceId)
      const { problem } = await inPage.untilStatus(vault, (status) => status.problem !== null)
      const notes = vault.collection<{ text: string }>('notes')
      // It cannot know why it is refused, so what is written here is kept here.
      await notes.put('after', { text: 'too late' })
      const kept = [(await notes.get('before'))?.text, (await notes.get('after'))?.text]
      await vault.close()
      return { code: problem?.code, kept }
    })
    const seen = await stopped
    const gone = laptop.keys.status().revoked.map(({ deviceId }) => deviceId)
    expect(gone).toEqual([await revoking])
    expect(seen).toEqual({ code: 'not-a-member', kept: ['written on the laptop', 'too late'] })
    await laptop.sync.once()
    expect(await laptop.collection('notes').get('after')).toBeUndefined()
  }, 60_000)

  it('comes back from its phrase and a backup file, on a remote that has nothing', async () => {
    const made = await page.evaluate(
      async ([remoteUrl, count]) => {
        const { createVault, writeBackupFile } = inPage
        const options = { path: 'lost', remote: remoteUrl as string }
        const { vault, recoveryPhrase } = await createVault(options)
        const notes = vault.collection('notes')
        for (let i = 0; i < Number(count); i++) await notes.put(`n${i}`, { text: `note ${i}` })
        await vault.sync.once()
        const folder = await navigator.storage.getDirectory()
        const file = await folder.getFileHandle('my.backup', { create: true })
        const progress: number[] = []
        const onProgress = ({ done }: { done: number }) => progress.push(done)
        const first = await writeBackupFile(vault, file, { onProgress })
        const again = await writeBackupFile(vault, file)
        await notes.put('later', { text: 'in no backup before' })
        const newer = await writeBackupFile(vault, file)
        const drill = await vault.backup.verify(inPage.backupFile(await file.getFile()))
        await vault.close()
        const { size } = await file.getFile()
        const sizes = [first.keptBytes, again.keptBytes === again.sizeBytes, newer.keptBytes]
        return { recoveryPhrase, counts: [first.count, newer.count, drill.count], sizes, size }
      },
      [remote.url, NOTES] as const,
    )
    // The names of devices and the like are records as well.
    const [first = 0, newer = 0, drilled] = made.counts
    expect(first).toBeGreaterThanOrEqual(NOTES)
    expect([newer, drilled]).toEqual([first + 1, first + 1])
    expect(made.sizes).toEqual([0, true, 0])
    const empty = await newRemote()
    const { recoveryPhrase } = made
    const back = await page.evaluate(
      async ([remoteUrl, phrase]) => {
        const { backupFile, codeOf, openVault, removeVault, restoreBackup } = inPage
        await removeVault('lost')
        const folder = await navigator.storage.getDirectory()
        const file = await (await folder.getFileHandle('my.backup')).getFile()
        const options = { path: 'lost', remote: remoteUrl as string }
        const other = await inPage.createVault({ ...options, path: 'another' })
        await other.vault.close()
        const refused = await codeOf(
          restoreBackup({
            ...options,
            recoveryPhrase: other.recoveryPhrase,
            backup: backupFile(file),
          }),
        )
        const bytes = new Uint8Array(await file.arrayBuffer())
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
        const recoveryPhrase = phrase as string
        const damaged = backupFile(new Blob([bytes]))
        const broken = await codeOf(restoreBackup({ ...options, recoveryPhrase, backup: damaged }))
        const nothing = await codeOf(openVault({ path: 'lost' }))
        const backup = backupFile(file)
        const restored = await restoreBackup({ ...options, recoveryPhrase, backup })
        await restored.vault.sync.once()
        const { pending, problem } = restored.vault.sync.status
        const count = (await restored.vault.collection('notes').list()).length
        await restored.vault.close()
        const refusals = [refused, broken, nothing]
        return { refusals, remote: restored.remote, pending, problem, count }
      },
      [empty.url, recoveryPhrase] as const,
    )
    expect(back).toEqual({
      refusals: ['wrong-phrase', 'backup-damaged', 'not-a-vault'],
      remote: 'new',
      pending: 0,
      problem: null,
      count: NOTES + 1,
    })
    const path = join(folder, 'elsewhere')
    const elsewhere = await restoreVault({ path, remote: empty.url, recoveryPhrase })
    await elsewhere.sync.once()
    expect(await elsewhere.collection('notes').list()).toHaveLength(NOTES + 1)
    await elsewhere.close()
    await empty.close()
  }, 60_000)

  it('is put under a passphrase, locked, and opened again with that alone', async () => {
    const seen = await page.evaluate(async (remoteUrl) => {
      const { codeOf, createVault, openVault, untilStatus } = inPage
      const { vault } = await createVault({ path: 'locked', remote: remoteUrl })
      const notes = vault.collection('notes')
      await notes.put('kept', { text: 'before the lock' })
      vault.sync.start()
      await untilStatus(vault, ({ phase, pending }) => phase === 'live' && pending === 0)
      await vault.protection.changePassphrase({ next: 'correct horse' })
      await vault.lock()
      const reading = codeOf(Promise.resolve().then(() => notes.get('kept')))
      const found: unknown[] = [vault.isLocked, vault.sync.status.phase, await reading]
      found.push(await codeOf(vault.unlock()))
      found.push(await codeOf(vault.unlock({ passphrase: 'wrong horse' })), vault.isLocked)
      await vault.unlock({ passphrase: 'correct horse' })
      found.push(vault.isLocked, await notes.get('kept'))
      await notes.put('after', { text: 'after the lock' })
      await untilStatus(vault, ({ phase, pending }) => phase === 'live' && pending === 0)
      await vault.close()
      found.push(await codeOf(openVault({ path: 'locked' })))
      const again = await openVault({ path: 'locked', passphrase: 'correct horse' })
      found.push((await again.collection('notes').list()).length)
      await again.close()
      return found
    }, remote.url)
    expect(seen).toEqual([
      ...[true, 'resting', 'locked'],
      ...['passphrase-required', 'passphrase-wrong', true],
      ...[false, { text: 'before the lock' }],
      ...['passphrase-required', 2],
    ])
  }, 60_000)
})
