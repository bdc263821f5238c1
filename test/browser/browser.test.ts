/**
 * A vault in a real browser: the client's core bundles without anything of Node, keeps its records
 * in IndexedDB, and syncs with a remote of another origin (CORS), live over the browser's own
 * WebSocket.
 *
 * Needs Chromium, with CHROMIUM naming its program if it is not /usr/bin/chromium. Without one it
 * is skipped, but never in CI.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { restoreVault } from '@blindcopy/client'
import { type ServedRemote, serveRemote } from '@blindcopy/remote/node'
import { createMemoryStore } from '@blindcopy/secondary'
import { type Browser, chromium, type Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
const isMissing = !existsSync(CHROMIUM) && process.env.CI === undefined
if (isMissing) {
  process.stderr.write(
    'skipped: the browser tests need Chromium (on Debian: apt-get install chromium; elsewhere set CHROMIUM to its path)\n',
  )
}

type Jobs = {
  create(remote: string): Promise<{
    recoveryPhrase: string
    listed: number
    isExact: boolean
    pending: number
    initialSyncComplete: boolean
  }>
  follow(remote: string, phrase: string): Promise<{ seen: string[]; count: number }>
  refused(remote: string): Promise<string | undefined>
}

/** The scripts of the page by name; the first one loads the others. */
async function bundle(): Promise<ReadonlyMap<string, string>> {
  const result = await build({
    configFile: false,
    logLevel: 'error',
    resolve: {
      conditions: ['source', 'browser', 'module', 'import', 'default'],
      // The database wants the events of Node, which bundlers no longer bring along: so must an
      // app.
      alias: { events: fileURLToPath(import.meta.resolve('events/events.js')) },
    },
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      lib: {
        entry: fileURLToPath(new URL('./page.ts', import.meta.url)),
        formats: ['es'],
        fileName: 'page',
      },
    },
  })
  const [{ output } = { output: [] }] = Array.isArray(result) ? result : [result as never]
  const scripts = new Map<string, string>()
  for (const file of output as { type: string; code?: string; fileName: string }[]) {
    if (file.type === 'chunk') scripts.set(`/${file.fileName}`, file.code ?? '')
  }
  for (const code of scripts.values()) expect(code).not.toMatch(/from ["']node:/)
  return scripts
}

function servePage(scripts: ReadonlyMap<string, string>): Promise<Server> {
  const [first] = scripts.keys()
  const html = `<!doctype html><script type="module" src="${first}"></script>`
  const server = createServer((request, response) => {
    const script = scripts.get(request.url ?? '')
    response.setHeader('content-type', script === undefined ? 'text/html' : 'text/javascript')
    response.end(script ?? html)
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server))
  })
}

describe.skipIf(isMissing)('a vault in a browser', () => {
  let browser: Browser
  let page: Page
  let pages: Server
  let remote: ServedRemote
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'blindcopy-browser-'))
    remote = await serveRemote({ store: createMemoryStore(), registration: { mode: 'open' } })
    pages = await servePage(await bundle())
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'].concat(
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ),
    })
    page = await browser.newPage()
    const broken = new Promise<never>((_, reject) => {
      page.on('pageerror', reject)
    })
    broken.catch(() => undefined)
    await page.goto(`http://127.0.0.1:${(pages.address() as AddressInfo).port}/`)
    await Promise.race([page.waitForFunction(() => 'jobs' in globalThis), broken])
  }, 60_000)

  afterAll(async () => {
    await browser?.close()
    pages?.closeAllConnections()
    pages?.close()
    await remote?.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('keeps every value exactly in IndexedDB, and syncs across origins with another device', async () => {
    const { url } = remote
    const created = await page.evaluate(
      (remoteUrl) => (globalThis as unknown as { jobs: Jobs }).jobs.create(remoteUrl),
      url,
    )
    expect(created).toMatchObject({
      listed: 301,
      isExact: true,
      pending: 0,
      initialSyncComplete: true,
    })
    const { recoveryPhrase } = created
    const laptop = await restoreVault({ path: join(folder, 'laptop'), remote: url, recoveryPhrase })
    await laptop.sync.once()
    expect(await laptop.collection('notes').list()).toHaveLength(301)
    const followed = page.evaluate(
      ([remoteUrl, phrase]) =>
        (globalThis as unknown as { jobs: Jobs }).jobs.follow(remoteUrl ?? '', phrase ?? ''),
      [url, recoveryPhrase],
    )
    laptop.sync.start()
    const notes = laptop.collection<{ from: string }>('live')
    for await (const found of notes.watch()) if (found.length === 1) break
    await notes.put('laptop', { from: 'laptop' })
    expect(await followed).toEqual({ seen: ['browser', 'laptop'], count: 301 })
    await laptop.close()
  })

  it('says that the remote cannot be reached when nothing answers', async () => {
    const code = await page.evaluate(() =>
      (globalThis as unknown as { jobs: Jobs }).jobs.refused('http://127.0.0.1:1'),
    )
    expect(code).toBe('network')
  })
})
