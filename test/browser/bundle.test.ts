/**
 * What an app of the web downloads: as much as the README says, and Argon2id, which is large, only
 * when a passphrase is used.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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

  it('holds Argon2id and pairing apart, and nothing of Node', () => {
    const paths = (isAtOnce: boolean): string[] =>
      chunks
        .filter((chunk) => chunk.isAtOnce === isAtOnce)
        .flatMap(({ modules }) => modules.map(({ path }) => path))
    expect(paths(true).filter((path) => /libsodium\//.test(path))).toHaveLength(1)
    expect(paths(true).filter((path) => /sumo|^ws\/|classic-level|node-folder/.test(path))).toEqual(
      [],
    )
    const later = /^libsodium(-wrappers)?-sumo\/|\/pairing(-[a-z]+)?(\.ts|\/)/
    expect(paths(false).filter((path) => !later.test(path))).toEqual([])
    expect(paths(false).some((path) => path.startsWith('libsodium'))).toBe(true)
    expect(paths(false)).toContain('packages/client/src/vault/pairing/invitation.ts')
  })

  it.skipIf(isMissing)('loads Argon2id only when a passphrase is used', async () => {
    if (pages === undefined) throw new Error('no browser was started')
    const page = await pages.open(await pages.newContext())
    const laterChunks = chunks.filter(({ isAtOnce }) => !isAtOnce)
    const later = laterChunks.map(({ name }) => name)
    const hasArgon2id = ({ modules }: Chunk): boolean =>
      modules.some(({ path }) => path.startsWith('libsodium'))
    const loaded: string[] = []
    page.on('request', (request) => {
      const name = new URL(request.url()).pathname.slice(1)
      if (later.includes(name)) loaded.push(name)
    })
    const use = (path: string, passphrase: string | undefined) =>
      page.evaluate(
        async ([name, secret]) => {
          type App = {
            create(path: string, remote: string, passphrase?: string): Promise<string>
            list(path: string, passphrase?: string): Promise<unknown[]>
          }
          const { app } = globalThis as never as { app: App }
          await app.create(name as string, 'http://127.0.0.1:1', secret)
          return (await app.list(name as string, secret)).length
        },
        [path, passphrase],
      )
    expect(await use('plain', undefined)).toBe(1)
    expect(loaded).toEqual([])
    expect(await use('guarded', 'correct horse')).toBe(1)
    expect(loaded).toEqual(laterChunks.filter(hasArgon2id).map(({ name }) => name))
    expect(loaded).toHaveLength(1)
  })
})
