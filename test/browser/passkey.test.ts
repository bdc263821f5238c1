/**
 * Passkeys as a key store, in a real browser with the virtual authenticator that its developers
 * test with: the suite of the port, and a vault whose keys only the owner of the passkey opens.
 */
import type { BrowserContext, CDPSession, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isMissing, type Pages, servePages } from './chromium.ts'
import type { InPage } from './page.ts'

/** Stands in every page; functions given to `evaluate` run there. */
declare const inPage: InPage

const PERSON = {
  protocol: 'ctap2',
  ctap2Version: 'ctap2_1',
  transport: 'internal',
  hasResidentKey: true,
  hasUserVerification: true,
  hasPrf: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
} as const

const REMOTE = 'http://127.0.0.1:9'

describe.skipIf(isMissing)('a passkey', () => {
  let pages: Pages
  let context: BrowserContext
  let page: Page
  let session: CDPSession
  let authenticatorId: string

  beforeAll(async () => {
    pages = await servePages('./page.ts')
    context = await pages.newContext()
    // A passkey belongs to a name; numbers have none.
    page = await pages.open(context, pages.origin.replace('127.0.0.1', 'localhost'))
    session = await context.newCDPSession(page)
    await session.send('WebAuthn.enable')
    authenticatorId = await plugIn(PERSON)
  }, 60_000)
  afterAll(() => pages?.close())

  async function plugIn(options: typeof PERSON | object): Promise<string> {
    const authenticator = { options: { ...PERSON, ...options } }
    return (await session.send('WebAuthn.addVirtualAuthenticator', authenticator)).authenticatorId
  }
  const unplug = (id: string) =>
    session.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: id })
  const stored = async (): Promise<number> =>
    (await session.send('WebAuthn.getCredentials', { authenticatorId })).credentials.length

  it('conforms to the port', async () => {
    const results = await page.evaluate(async () => {
      const random = (size: number) => crypto.getRandomValues(new Uint8Array(size))
      const cases = inPage.keyStoreCases(() => inPage.passkey(), random)
      const failures: string[] = []
      for (const one of cases) {
        await one.run().catch((error: Error) => failures.push(`${one.name}: ${error.message}`))
      }
      return { count: cases.length, failures }
    })
    expect(results.failures).toEqual([])
    expect(results.count).toBeGreaterThanOrEqual(5)
  }, 60_000)

  it('opens keys that nothing else opens, and is forgotten when it is taken off', async () => {
    const before = await stored()
    const seen = await page.evaluate(async (remote) => {
      const { codeOf, createVault, openVault, passkey } = inPage
      const keyStore = passkey({ name: 'my notes', siteName: 'Notes' })
      const { vault } = await createVault({ path: 'p', remote, keyStore })
      await vault.collection('notes').put('kept', { text: 'behind a passkey' })
      const states = [await vault.protection.state()]
      await vault.close()
      const without = await codeOf(openVault({ path: 'p' }))
      const again = await openVault({ path: 'p', keyStore: passkey() })
      const kept = await again.collection('notes').get('kept')
      await again.lock()
      const locked = await codeOf(Promise.resolve().then(() => again.collection('notes').list()))
      await again.unlock()
      const count = (await again.collection('notes').list()).length
      await again.protection.changePassphrase({ next: 'and words' })
      states.push(await again.protection.state())
      const both = await codeOf(openVault({ path: 'p', keyStore: passkey() }))
      const off = await again.protection.changeKeyStore({ passphrase: 'and words' })
      states.push(await again.protection.state())
      await again.close()
      const words = await openVault({ path: 'p', passphrase: 'and words' })
      await words.close()
      return { states, refusals: [without, locked, both], kept, count, off }
    }, REMOTE)
    expect(seen).toEqual({
      states: [
        { passphrase: false, keyStore: 'passkey' },
        { passphrase: true, keyStore: 'passkey' },
        { passphrase: true, keyStore: null },
      ],
      refusals: ['key-store-required', 'locked', 'passphrase-required'],
      kept: { text: 'behind a passkey' },
      count: 1,
      off: { isOldForgotten: true },
    })
    // The browser has passed on that this one is good for nothing any more.
    expect(await stored()).toBe(before)
  }, 60_000)

  it('that is refused, or of somebody else, opens nothing and changes nothing', async () => {
    await page.evaluate(async (remote) => {
      const { createVault, passkey } = inPage
      const { vault } = await createVault({ path: 'q', remote, keyStore: passkey() })
      await vault.close()
    }, REMOTE)
    const open = () =>
      page.evaluate(async () => {
        const keyStore = inPage.passkey({ timeoutMs: 500 })
        const opening = inPage.openVault({ path: 'q', keyStore })
        return inPage.codeOf(opening.then((vault) => vault.close()))
      })
    const touched = (enabled: boolean) =>
      session.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled })
    expect(await open()).toBeUndefined()
    await touched(false)
    expect(await open(), 'nobody touches it').toBe('key-store-failed')
    await touched(true)
    expect(await open()).toBeUndefined()
    await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false })
    expect(await open(), 'a finger that it does not know').toBe('key-store-failed')
    await unplug(authenticatorId)
    const stranger = await plugIn(PERSON)
    expect(await open(), 'of somebody else').toBe('key-store-failed')
    await unplug(stranger)
    authenticatorId = await plugIn(PERSON)
  }, 120_000)

  it('of a kind that keeps no secrets is refused before a vault is made', async () => {
    await unplug(authenticatorId)
    const plain = await plugIn({ hasPrf: false })
    const seen = await page.evaluate(async (remote) => {
      const { codeOf, createVault, openVault, passkey } = inPage
      const made = await codeOf(createVault({ path: 'r', remote, keyStore: passkey() }))
      return [made, await codeOf(openVault({ path: 'r' }))]
    }, REMOTE)
    expect(seen).toEqual(['key-store-failed', 'not-a-vault'])
    await unplug(plain)
    authenticatorId = await plugIn(PERSON)
  }, 60_000)

  it('whose salt the browser has forgotten is told from one that is refused', async () => {
    const seen = await page.evaluate(async (remote) => {
      const { codeOf, createVault, deleteDatabase, openVault, passkey } = inPage
      const { vault } = await createVault({ path: 's', remote, keyStore: passkey() })
      await vault.close()
      await deleteDatabase('blindcopy-passkeys')
      return codeOf(openVault({ path: 's', keyStore: passkey() }))
    }, REMOTE)
    expect(seen).toBe('key-store-empty')
  }, 60_000)
})
