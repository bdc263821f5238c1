/**
 * What an app of the web downloads: as much as the README says at once, and what is rarely done,
 * or large like Argon2id, only when it is used.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { App, Rarely } from './app.ts'
import { isMissing, type Pages, serveScripts } from './chromium.ts'

type Chunk = {
  readonly name: string
  readonly isEntry: boolean
  readonly isAtOnce: boolean
  readonly bytes: number
  readonly gzipBytes: number
  readonly brotliBytes: number
  readonly modules: readonly { readonly path: string; readonly bytes: number }[]
}

const inRoot = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** What is stated may be this much too large: a statement need not change with every line. */
const SLACK = 0.1

/** Stand in every page; functions given to `evaluate` run there. */
declare const app: App
declare const rarely: Rarely

/** What nobody downloads before it is used. */
const RARE =
  /sumo|\/pairing|\/backup\/|\/carry\/|recovery|restore|founding|fork|key-c|shamir|bip39|keychain-(writer|branch)/
/** What loads it, a few lines each. */
const DOORS =
  /\/(pairing\/pairing|join-door|restore-door|restore-backup-door|vault-backup|vault-carrying)\.ts$/
const EXAMPLES = [
  '@scure/bip39/wordlists/english.js',
  'packages/client/src/backup/restore-backup.ts',
  'packages/client/src/carry/peer-exchange.ts',
  'packages/client/src/vault/pairing/invitation.ts',
  'packages/client/src/vault/pairing/join.ts',
  'packages/client/src/vault/restore.ts',
  'packages/vault/src/keychain-writer.ts',
  'packages/vault/src/recovery/shares.ts',
]

/**
 * Uses all there is without a remote: what needs one has been loaded when it finds that there is
 * none. Answers how many records came, or the code of the error.
 */
async function useEverything(remote: string): Promise<Record<string, unknown>> {
  const codeOf = (job: Promise<unknown>): Promise<unknown> =>
    job.then(
      () => 'done',
      (error: { code?: string; message: string }) => error.code ?? error.message,
    )
  const { openVault, joinVault, restoreVault, restoreBackup } = rarely
  const recoveryPhrase = await app.create('all', remote)
  const vault = await openVault({ path: 'all' })
  const parts: Uint8Array[] = []
  const write = async (bytes: Uint8Array): Promise<void> => {
    parts.push(bytes.slice())
  }
  const backup = () => new Blob(parts as BlobPart[]).stream() as never
  const { count } = await vault.backup.create({ write })
  const drill = await vault.backup.verify(backup)
  const again = { path: 'again', remote, recoveryPhrase }
  const restored = await restoreBackup({ ...again, backup })
  await restored.vault.close()
  const bundle: Uint8Array[] = []
  for await (const bytes of vault.exportBundle()) bundle.push(bytes.slice())
  const taken = await vault.importBundle(() => new Blob(bundle as BlobPart[]).stream() as never)
  const silent = { readable: new Blob([]).stream() as never, writable: new WritableStream() }
  const seen = {
    backup: count,
    verified: drill.count,
    restored: restored.remote,
    exported: taken.count,
    exchange: await codeOf(vault.exchange(silent)),
    invite: await codeOf(vault.pairing.invite()),
    join: await codeOf(joinVault({ path: 'j', code: 'no code', confirm: async () => true })),
    rotate: await codeOf(vault.keys.rotate()),
    shares: await codeOf(vault.keys.createShares({ threshold: 2, count: 3 })),
    endFork: await codeOf(vault.keys.endFork({ recoveryPhrase })),
    phrase: await codeOf(restoreVault({ path: 'r', remote, recoveryPhrase })),
    checked: await codeOf(vault.keys.verify({ recoveryPhrase })),
    combined: await codeOf(restoreVault({ path: 'r', remote, shares: ['no share'] })),
  }
  await vault.close()
  await app.create('guarded', remote, 'correct horse')
  return { ...seen, passphrase: (await app.list('guarded', 'correct horse')).length }
}

/** By their paths, the one that loads the others first. */
async function scriptsOf(
  folder: string,
  chunks: readonly Chunk[],
): Promise<ReadonlyMap<string, string>> {
  const scripts = new Map<string, string>()
  const byEntry = [...chunks].sort((a, b) => Number(b.isEntry) - Number(a.isEntry))
  for (const { name } of byEntry) {
    scripts.set(`/${name}`, await readFile(join(folder, name), 'utf8'))
  }
  return scripts
}

describe('the bundle of an app', () => {
  let folder: string
  let pages: Pages | undefined
  let chunks: readonly Chunk[]

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'blindcopy-bundle-'))
    const script = inRoot('scripts/bundle-size.mjs')
    const bounds = { maxBuffer: 64 * 1024 * 1024 }
    const measured = promisify(execFile)(
      process.execPath,
      [script, '--json', '--out', folder],
      bounds,
    )
    chunks = JSON.parse((await measured).stdout)
    if (!isMissing) pages = await serveScripts(await scriptsOf(folder, chunks))
  }, 60_000)
  afterAll(async () => {
    await pages?.close()
    await rm(folder, { recursive: true, force: true })
  })

  const modulesOf = (name: string): Chunk['modules'] =>
    chunks.find((chunk) => chunk.name === name)?.modules ?? []

  /** The app in a tab, and the parts that it loads from then on. */
  async function openApp(context?: BrowserContext): Promise<{ page: Page; loaded: string[] }> {
    if (pages === undefined) throw new Error('no browser was started')
    const page = await pages.open(context ?? (await pages.newContext()))
    const loaded: string[] = []
    page.on('request', (request) => {
      const name = new URL(request.url()).pathname.slice(1)
      if (chunks.some((chunk) => chunk.name === name)) loaded.push(name)
    })
    return { page, loaded }
  }

  const sum = (isAtOnce: boolean, size: 'bytes' | 'gzipBytes' | 'brotliBytes'): number =>
    chunks
      .filter((chunk) => chunk.isAtOnce === isAtOnce)
      .reduce((bytes, chunk) => bytes + chunk[size], 0)

  it('is as large as the README says', async () => {
    const readme = await readFile(inRoot('README.md'), 'utf8')
    const stated =
      /(\d+) kB \((\d+) kB gzipped, (\d+) kB with Brotli\)[^.]*another\s+(\d+) kB gzipped/
        .exec(readme.replace(/\s+/g, ' '))
        ?.slice(1)
        .map((kilobytes) => Number(kilobytes) * 1000)
    expect(stated, 'the sentence of the README that states the sizes').toHaveLength(4)
    const measured = [
      sum(true, 'bytes'),
      sum(true, 'gzipBytes'),
      sum(true, 'brotliBytes'),
      sum(false, 'gzipBytes'),
    ]
    for (const [i, bytes] of measured.entries()) {
      const label = `stated ${stated?.[i]}, measured ${measured.join(', ')}`
      expect(bytes, label).toBeLessThanOrEqual(stated?.[i] ?? 0)
      expect(bytes, label).toBeGreaterThan((stated?.[i] ?? 0) * (1 - SLACK))
    }
  })

  it('holds apart what is rarely done, and nothing of Node', () => {
    const paths = (isAtOnce: boolean): string[] =>
      chunks
        .filter((chunk) => chunk.isAtOnce === isAtOnce)
        .flatMap(({ modules }) => modules.map(({ path }) => path))
    const [atOnce, later] = [paths(true), paths(false)]
    expect(atOnce.filter((path) => /libsodium\//.test(path))).toHaveLength(1)
    expect(atOnce.filter((path) => /^ws\/|classic-level|node-folder/.test(path))).toEqual([])
    expect(atOnce.filter((path) => RARE.test(path) && !DOORS.test(path))).toEqual([])
    for (const path of EXAMPLES) expect(later).toContain(path)
    expect(later.some((path) => path.startsWith('libsodium-sumo/'))).toBe(true)
  })

  it.skipIf(isMissing)('loads Argon2id only when a passphrase is used', async () => {
    const { page, loaded } = await openApp()
    const use = (path: string, passphrase: string | undefined) =>
      page.evaluate(
        async ([name = '', secret]) => {
          await app.create(name, 'http://127.0.0.1:1', secret)
          return (await app.list(name, secret)).length
        },
        [path, passphrase],
      )
    const isArgon2id = (name: string): boolean =>
      modulesOf(name).some(({ path }) => path.startsWith('libsodium'))
    expect(await use('plain', undefined)).toBe(1)
    expect(loaded.filter(isArgon2id)).toEqual([])
    const before = loaded.length
    expect(before).toBeGreaterThan(0)
    expect(await use('guarded', 'correct horse')).toBe(1)
    expect(loaded.slice(before).filter(isArgon2id)).toHaveLength(1)
    expect(loaded).toHaveLength(before + 1)
  })

  it.skipIf(isMissing)('loads nothing more to open a vault and read it', async () => {
    const context = await pages?.newContext()
    const first = await openApp(context)
    await first.page.evaluate(() => app.create('v', 'http://127.0.0.1:1'))
    const second = await openApp(context)
    expect(await second.page.evaluate(async () => (await app.list('v')).length)).toBe(1)
    expect(first.loaded).not.toEqual([])
    expect(second.loaded).toEqual([])
  })

  it.skipIf(isMissing)('loads each part when it is used, and every part can be', async () => {
    const { page, loaded } = await openApp()
    expect(await page.evaluate(useEverything, 'http://127.0.0.1:1')).toEqual({
      backup: 1,
      verified: 1,
      restored: 'unreachable',
      exported: 1,
      exchange: 'network',
      invite: 'network',
      join: 'pairing-code-malformed',
      rotate: 'network',
      shares: 'network',
      endFork: 'network',
      phrase: 'network',
      checked: 'done',
      combined: 'share-malformed',
      passphrase: 1,
    })
    // One without a module names what another holds.
    const later = chunks.filter(({ isAtOnce, modules }) => !isAtOnce && modules.length > 0)
    expect(new Set(loaded)).toEqual(new Set([...loaded, ...later.map(({ name }) => name)]))
  })
})
