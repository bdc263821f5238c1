/**
 * The admin page in a real browser, as the remote answers it: it asks for the token, keeps its own
 * policy, loads nothing, and fits a desk and a phone, in light and dark.
 *
 * ADMIN_PICTURES=1 writes the pictures of docs/observability.md anew.
 */
import { fileURLToPath } from 'node:url'
import { CreateAnswer, type VaultId } from '@blindcopy/protocol'
import { createMemoryStore, remoteKeyspace, type Store } from '@blindcopy/secondary'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { joinSocket } from '../../packages/remote/src/live.fixture.ts'
import { serveRemote } from '../../packages/remote/src/node.ts'
import {
  ADMIN_TOKEN,
  basic,
  openObserved,
} from '../../packages/remote/src/observe/observe.fixture.ts'
import {
  type Bench,
  Device,
  makeChain,
  must,
  ORIGIN,
} from '../../packages/remote/src/remote.fixture.ts'
import {
  decodeVaultState,
  encodeVaultState,
  type VaultState,
} from '../../packages/remote/src/vault-state.ts'
import { isMissing, type Pages, serveScripts } from './chromium.ts'

const MIB = 1024 ** 2
const GIB = 1024 ** 3
const DAY_MS = 86_400_000
const VAULTS = 60
const QUOTAS: readonly VaultState['quota'][] = [
  { bytesMax: GIB, recordsMax: 200_000, devicesMax: 8 },
  { bytesMax: 512 * MIB, recordsMax: 1_000_000, devicesMax: 8 },
  { bytesMax: 2 * GIB, recordsMax: 500_000, devicesMax: 16 },
]
const REGISTRATION = { mode: 'token', token: 'let me in' } as const
const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url))

const SCREENS = {
  'desktop-light': { viewport: { width: 1240, height: 900 }, colorScheme: 'light' },
  'desktop-dark': { viewport: { width: 1240, height: 900 }, colorScheme: 'dark' },
  'phone-light': {
    viewport: { width: 390, height: 1100 },
    deviceScaleFactor: 1.5,
    isMobile: true,
    colorScheme: 'light',
  },
  'phone-dark': {
    viewport: { width: 390, height: 1100 },
    deviceScaleFactor: 1.5,
    isMobile: true,
    colorScheme: 'dark',
  },
  'phone-small': { viewport: { width: 320, height: 600 }, isMobile: true, colorScheme: 'light' },
} as const satisfies Record<string, BrowserContextOptions>

/** The same numbers at each run: made of a counter, spread over some orders of magnitude. */
function spread(n: number, from: number, to: number): number {
  const part = (n * n * 0.618_033_988_75 + from * 0.414_213_562_37) % 1
  return Math.floor(from * (to / from) ** part)
}

/** The one with the most records is nearly full. */
function quotaOf(n: number, records: number): VaultState['quota'] {
  if (records < 100_000) return QUOTAS[n % QUOTAS.length]
  return { bytesMax: GIB, recordsMax: Math.ceil(records / 0.94), devicesMax: 8 }
}

async function change(store: Store, vaultId: VaultId, n: number, nowMs: number): Promise<void> {
  const key = remoteKeyspace(vaultId).state
  const state = decodeVaultState((await store.get(key)) as Uint8Array)
  const records = spread(n, 40, 180_000)
  const changed: VaultState = {
    ...state,
    count: records,
    bytes: records * spread(n + 7, 420, 3_500),
    historyBytes: records * spread(n + 3, 10, 700),
    createdMs: nowMs - spread(n, 2, 400) * DAY_MS,
    pushedMs: nowMs - spread(n + 5, 20_000, 40 * DAY_MS),
    quota: quotaOf(n, records),
  }
  const value = encodeVaultState(changed)
  await store.write([{ type: 'put', key, value }], { sync: false })
}

/** A remote of a club: some vaults are large, one is nearly full, some devices are connected. */
async function openClub(): Promise<Bench> {
  const store = createMemoryStore()
  const options = {
    store,
    version: '0.1.0',
    isExposed: true,
    registration: REGISTRATION,
    origins: [ORIGIN, 'http://127.0.0.1:4300'],
    disk: async () => ({ storeBytes: 11.4 * GIB, freeBytes: 61 * GIB, sizeBytes: 118 * GIB }),
  }
  const bench = openObserved(options)
  bench.clock.ms = Date.UTC(2026, 10, 2, 8, 30)
  const devices: Device[] = []
  for (let n = 0; n < VAULTS; n++) {
    const { chain, device: signer } = makeChain()
    for (let more = n % 4; more > 0; more--) chain.addDevice(signer)
    const device = new Device(bench, chain, signer)
    must(CreateAnswer, await device.create({ registrationToken: REGISTRATION.token }))
    devices.push(device)
  }
  bench.restart()
  bench.clock.ms += 19.3 * DAY_MS
  for (const [n, { chain }] of devices.entries()) {
    await change(store, chain.vaultId, n, bench.clock.ms)
  }
  for (const device of devices.filter((_, n) => n % 3 === 0)) await joinSocket(await device.join())
  return bench
}

describe.skipIf(isMissing)('the admin page', { timeout: 120_000 }, () => {
  let pages: Pages
  let club: Bench

  beforeAll(async () => {
    pages = await serveScripts(new Map([['/page.js', '']]))
    club = await openClub()
  }, 120_000)
  afterAll(() => pages.close())

  async function open(options: BrowserContextOptions, path = '/admin') {
    const context = await pages.newContext({ ...options, javaScriptEnabled: false })
    const page = await context.newPage()
    const said: string[] = []
    const asked: string[] = []
    page.on('console', (message) => said.push(message.text()))
    await page.route('**/*', async (route) => {
      asked.push(new URL(route.request().url()).pathname)
      const { pathname, search } = new URL(route.request().url())
      const answer = await club.remote.app.request(`${pathname}${search}`, basic('', ADMIN_TOKEN))
      const headers = Object.fromEntries(answer.headers)
      await route.fulfill({ status: answer.status, headers, body: await answer.text() })
    })
    await page.goto(`https://remote.test${path}`)
    return { page, said, asked, close: () => context.close() }
  }

  it.each(Object.entries(SCREENS))('fits %s', async (name, screen) => {
    const { page, said, asked, close } = await open(screen)
    expect(await overflow(page)).toBe(0)
    expect(await page.locator('tbody tr').count()).toBe(25)
    // A style that its policy did not let in would leave the list of figures unstyled.
    expect(await page.locator('dl.totals').evaluate((list) => getComputedStyle(list).display)).toBe(
      'grid',
    )
    expect(said).toEqual([])
    expect(asked).toEqual(['/admin'])
    if (process.env.ADMIN_PICTURES === '1' && name !== 'phone-small') {
      await page.screenshot({ path: `${IMAGES}admin-${name}.png` })
    }
    await close()
  })

  it('is turned over, and put in another order, by links alone', async () => {
    const { page, said, asked, close } = await open(SCREENS['phone-light'])
    const shown = () => page.locator('tbody code').allTextContents()
    const first = await shown()
    await page.getByRole('link', { name: 'Next' }).click()
    const second = await shown()
    expect(page.url()).toMatch(/\?sort=size&page=2$/)
    await page.getByRole('link', { name: 'Last', exact: true }).click()
    const third = await shown()
    expect(third.length).toBe(VAULTS - 50)
    expect(new Set([...first, ...second, ...third]).size).toBe(VAULTS)
    await page.getByRole('link', { name: 'Quota' }).click()
    expect(await page.locator('tbody tr').first().locator('.bar.near').count()).toBe(1)
    expect(said).toEqual([])
    expect(asked).toEqual(Array(4).fill('/admin'))
    await close()
  })

  it('is shown to a person who types the token where the browser asks for a password', async () => {
    const remote = await serveRemote({
      store: createMemoryStore(),
      registration: { mode: 'open' },
      adminToken: ADMIN_TOKEN,
    })
    const statusFor = async (password: string) => {
      const httpCredentials = { username: 'me', password }
      const context = await pages.newContext({ httpCredentials })
      const page = await context.newPage()
      const answer = await page.goto(`${remote.url}/admin`)
      const title = await page.title()
      expect(await context.cookies()).toEqual([])
      await context.close()
      return [answer?.status(), title]
    }
    try {
      expect(await statusFor(ADMIN_TOKEN)).toEqual([200, 'Blindcopy remote'])
      expect(await statusFor('guessed')).toEqual([401, ''])
    } finally {
      await remote.close()
    }
  })
})

/** How far the page can be pushed sideways. */
const overflow = (page: Page): Promise<number> =>
  page.locator('html').evaluate((root) => Math.max(0, root.scrollWidth - root.clientWidth))
