/**
 * Chromium for tests: pages that hold our packages, served from loopback, in a headless browser.
 *
 * CHROMIUM names its program if it is not /usr/bin/chromium. Without one these tests are skipped,
 * but never in CI.
 */
import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core'
import { build } from 'vite'
import { expect } from 'vitest'

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'

export const isMissing: boolean = !existsSync(CHROMIUM) && process.env.CI === undefined
if (isMissing) {
  process.stderr.write(
    'skipped: the browser tests need Chromium (on Debian: apt-get install chromium; elsewhere set CHROMIUM to its path)\n',
  )
}

const LAUNCH = {
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'].concat(
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ),
}

export type Pages = {
  /** Of the site, with a slash at its end. */
  readonly origin: string
  /** Another profile: it shares no storage with the others. */
  newContext(options?: BrowserContextOptions): Promise<BrowserContext>
  /** A profile that stands in a folder, in a browser of its own: it can be killed and come back. */
  newProfile(folder: string): Promise<BrowserContext>
  /** Opens the site in a tab, under its own name or another, and waits until its script has run. */
  open(context: BrowserContext, origin?: string): Promise<Page>
  /** What a person does who lets the site keep what it stores. */
  grantPersistence(context: BrowserContext): Promise<void>
  close(): Promise<void>
}

/** Bundles one of the page scripts beside this file, serves it, and starts a browser. */
export async function servePages(script: string): Promise<Pages> {
  return serveScripts(await bundle(fileURLToPath(new URL(script, import.meta.url))))
}

/** The same with scripts by their paths, the first of which loads the others. */
export async function serveScripts(scripts: ReadonlyMap<string, string>): Promise<Pages> {
  const server = await serve(scripts)
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const browser = await chromium.launch(LAUNCH)
  return {
    origin,
    newContext: (options) => browser.newContext(options),
    newProfile: (folder) => chromium.launchPersistentContext(folder, LAUNCH),
    open: (context, other = origin) => open(context, other),
    grantPersistence: (context) => grantPersistence(browser, context, origin),
    async close() {
      await browser.close()
      server.closeAllConnections()
      server.close()
    },
  }
}

async function open(context: BrowserContext, origin: string): Promise<Page> {
  const page = await context.newPage()
  const broken = new Promise<never>((_, reject) => {
    page.on('pageerror', reject)
  })
  broken.catch(() => undefined)
  await page.goto(origin)
  await Promise.race([page.waitForFunction(() => 'isReady' in globalThis), broken])
  return page
}

async function grantPersistence(
  browser: Browser,
  context: BrowserContext,
  origin: string,
): Promise<void> {
  const [page] = context.pages()
  if (page === undefined) throw new Error('the context has no page')
  const { targetInfo } = await (await context.newCDPSession(page)).send('Target.getTargetInfo')
  const session = await browser.newBrowserCDPSession()
  await session.send('Browser.grantPermissions', {
    permissions: ['durableStorage'],
    origin: new URL(origin).origin,
    ...(targetInfo.browserContextId && { browserContextId: targetInfo.browserContextId }),
  })
}

/** The scripts by their paths; the first one loads the others. */
async function bundle(entry: string): Promise<ReadonlyMap<string, string>> {
  const result = await build({
    configFile: false,
    logLevel: 'error',
    resolve: {
      conditions: ['source', 'browser', 'module', 'import', 'default'],
      alias: {
        // The conformance suite runs in the page with what vitest itself compares with.
        vitest: fileURLToPath(new URL('./vitest-in-page.ts', import.meta.url)),
      },
    },
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      lib: { entry, formats: ['es'], fileName: 'page' },
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

function serve(scripts: ReadonlyMap<string, string>): Promise<Server> {
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
