/**
 * The LevelDB store on a real folder: the contract of the port, and everything that a disk, another
 * process or a kill can do to it. What has to die or to run against a limit runs in a child
 * process, which loads these same sources (`test-child.mjs`).
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { encodeUint32 } from '@blindcopy/protocol'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { createLevel, openLevelStore } from './level-store.ts'
import type { Store } from './store.ts'
import { describeStore } from './suite.ts'

const folders: string[] = []
const children: ChildProcess[] = []

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'blindcopy-level-'))
  folders.push(folder)
  return folder
}

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

describeStore('level store', async () => {
  const path = await makeFolder()
  const store = await openLevelStore({ path })
  const reopen = async () => {
    await store.close()
    return openLevelStore({ path })
  }
  return { store, reopen }
})

describe('openLevelStore', () => {
  it('hands a database without native writes no memory beside that of a value', async () => {
    const handed: Uint8Array[] = []
    const create = (path: string) => {
      const database = createLevel({ path })
      const { supports } = database
      Object.defineProperty(database, 'supports', { value: { ...supports, getSync: false } })
      const batchOf = database.batch.bind(database) as () => ReturnType<typeof database.batch>
      const spied = () => {
        const batch = batchOf()
        const put = batch.put.bind(batch)
        batch.put = (key: Uint8Array, value: Uint8Array) => {
          handed.push(value)
          return put(key, value)
        }
        return batch
      }
      return Object.assign(database, { batch: spied }) as typeof database
    }
    await using store = await openLevelStore({ path: await makeFolder(), create })
    const page = new Uint8Array(100).fill(7)
    const put = { type: 'put', key: Uint8Array.of(1), value: page.subarray(10, 20) } as const
    await store.write([put], { sync: false })
    expect(await store.get(Uint8Array.of(1))).toEqual(page.subarray(10, 20))
    expect(handed.map((value) => value.buffer.byteLength)).toEqual([10])
  })

  it('gives the room of what was deleted back when it is told to', async () => {
    const path = await makeFolder()
    const sizeOf = async (): Promise<number> => {
      const names = await readdir(path)
      const sizes = await Promise.all(
        names.map(async (name) => (await stat(join(path, name))).size),
      )
      return sizes.reduce((sum, size) => sum + size, 0)
    }
    await using store = await openLevelStore({ path })
    const keys = Array.from({ length: 3_000 }, (_, i) => encodeUint32(i))
    const value = new Uint8Array(5_000).fill(7)
    for (const key of keys) await store.write([{ type: 'put', key, value }], { sync: false })
    const kept = encodeUint32(2_999)
    const gone = keys.slice(0, -1).map((key) => ({ type: 'delete', key }) as const)
    await store.write(gone, { sync: true })
    expect(await sizeOf()).toBeGreaterThan(5_000_000)
    await store.compact?.(encodeUint32(0), encodeUint32(2_998))
    expect(await sizeOf()).toBeLessThan(1_000_000)
    expect(await store.get(kept)).toEqual(value)
  })

  it('says that the folder is in use, whoever holds it', async () => {
    const path = await makeFolder()
    await using _holder = await openLevelStore({ path })
    await expect(openLevelStore({ path })).rejects.toMatchObject({
      name: 'StoreError',
      code: 'store-in-use',
      message: `The store at ${path} is in use. Close the other program or tab that has it open, then try again.`,
    })

    const elsewhere = await makeFolder()
    const child = startChild('hold', elsewhere)
    await child.line('open')
    await expect(openLevelStore({ path: elsewhere })).rejects.toMatchObject({
      code: 'store-in-use',
    })
  })

  it.each([
    ['EROFS', 'store-read-only'],
    ['EACCES', 'store-read-only'],
    ['EPERM', 'store-read-only'],
    ['ENOSPC', 'store-full'],
    ['EIO', 'store-failed'],
  ])('names %s of the file system %s', async (errno, code) => {
    const cause = Object.assign(new Error(`${errno}: as the system says it`), { code: errno })
    const create = (path: string) =>
      Object.assign(createLevel({ path }), { open: () => Promise.reject(cause) })
    const path = await makeFolder()
    await expect(openLevelStore({ path, create })).rejects.toMatchObject({ code, cause })
  })

  it.each([
    ['IO error: /store/LOCK: Permission denied', 'store-read-only'],
    ['IO error: /store/LOCK: Read-only file system', 'store-read-only'],
    ['IO error: /store/000005.ldb: No space left on device', 'store-full'],
    ['IO error: /store/000005.ldb: No such file or directory', 'store-corrupt'],
    ['IO error: /store/Permission denied/LOCK: Input/output error', 'store-failed'],
  ])('reads the words of the system in %s', async (message, code) => {
    const cause = Object.assign(new Error(message), { code: 'LEVEL_IO_ERROR' })
    const error = Object.assign(new Error('Database failed to open', { cause }), {
      code: 'LEVEL_DATABASE_NOT_OPEN',
    })
    const create = (path: string) =>
      Object.assign(createLevel({ path }), { open: () => Promise.reject(error) })
    await expect(openLevelStore({ path: await makeFolder(), create })).rejects.toMatchObject({
      code,
    })
  })

  it('reports a damaged CURRENT or MANIFEST file, and leaves it as it is', async () => {
    for (const damaged of ['CURRENT', 'MANIFEST']) {
      const path = await makeFolder()
      const store = await openLevelStore({ path })
      await store.write([{ type: 'put', key: encodeUint32(1), value: encodeUint32(1) }], {
        sync: true,
      })
      await store.close()
      const name = (await readdir(path)).find((file) => file.startsWith(damaged)) ?? damaged
      const noise = new Uint8Array(60).fill(0xa5)
      await writeFile(join(path, name), noise)
      await expect(openLevelStore({ path })).rejects.toMatchObject({ code: 'store-corrupt' })
      expect(new Uint8Array(await readFile(join(path, name)))).toEqual(noise)
    }
  })

  it('opens with a table that was cut short, and reports what was in it as damaged', async () => {
    const path = await makeFolder()
    const keys = Array.from({ length: 200 }, (_, i) => encodeUint32(i))
    const store = await openLevelStore({ path, writeBufferBytes: 65_536 })
    for (const key of keys) {
      await store.write([{ type: 'put', key, value: randomBytes(4096) }], { sync: true })
    }
    await store.close()
    for (const name of await readdir(path)) {
      if (name.endsWith('.ldb')) await truncate(join(path, name), 4096)
    }
    await using damaged = await openLevelStore({ path })
    const readAll = async () => {
      for (const key of keys) await damaged.get(key)
    }
    await expect(readAll()).rejects.toMatchObject({ code: 'store-corrupt' })
  })
})

// The limit on file sizes, and lifting it from within, are Linux ways.
describe.runIf(process.platform === 'linux')('a level store that cannot write', () => {
  it('says store-full, keeps what it acknowledged, and goes on when there is room', async () => {
    // The limit is soft, so the child can lift it: room appears while the store is open.
    const path = await makeFolder()
    const child = startChild('fill', path, 'ulimit -S -f 1000')
    const full = await child.line('full')
    expect(full.code).toBe('store-full')
    const { before, after } = await child.line('done')
    expect(before).toBeGreaterThan(50)
    expect(after).toBe(100)
    await child.exit()

    await using store = await openLevelStore({ path })
    const found = await readRounds(store)
    // All that was acknowledged on either side of the failure; nothing of the batch that failed.
    expect([...found.keys()]).toEqual([
      ...range(0, before),
      ...range(before + 1, before + 1 + after),
    ])
    for (const entries of found.values()) expect(entries).toBe(ENTRIES_PER_ROUND)
  })

  it('can still be read while it is full', async () => {
    const child = startChild('read-full', await makeFolder(), 'ulimit -S -f 1000')
    const { read, refused } = await child.line('done')
    expect(read).toBe(true)
    expect(refused).toBe('store-full')
  })
})

describe('a level store whose process is killed', () => {
  it('holds every acknowledged batch, and each batch whole', async () => {
    const path = await makeFolder()
    for (const _kill of range(0, 2)) {
      const child = startChild('loop', path)
      let acknowledged = -1
      while (acknowledged < 200) acknowledged = (await child.line('wrote')).round
      child.kill()
      await child.exit()
      // What was printed before the kill and not yet read here was acknowledged as well.
      acknowledged = child.final('wrote')?.round ?? acknowledged

      await using store = await openLevelStore({ path })
      const found = await readRounds(store)
      for (const round of range(0, acknowledged + 1)) expect(found.has(round)).toBe(true)
      for (const entries of found.values()) expect(entries).toBe(ENTRIES_PER_ROUND)
    }
  })
})

/** As in the child: a key is a round and an index, and one batch writes all of a round. */
const ENTRIES_PER_ROUND = 5

async function readRounds(store: Store): Promise<Map<number, number>> {
  const found = new Map<number, number>()
  for await (const page of store.pages({})) {
    for (const [key, value] of page) {
      const round = new DataView(key.buffer).getUint32(0)
      expect(value.every((byte) => byte === round % 256)).toBe(true)
      found.set(round, (found.get(round) ?? 0) + 1)
    }
  }
  return found
}

type Line = {
  readonly type: string
  readonly round: number
  readonly code: string
  readonly before: number
  readonly after: number
  readonly read: boolean
  readonly refused: string
}

type Child = {
  /** The next line of a type that the child prints; fails when it ends without one. */
  line(type: string): Promise<Line>
  /** The last line of a type, once the child has ended. */
  final(type: string): Line | undefined
  kill(): void
  exit(): Promise<void>
}

function startChild(job: string, path: string, limit = 'true'): Child {
  const script = join(import.meta.dirname, 'test-child.mjs')
  // `exec` keeps the process id, so that a kill hits the store and not the shell around it.
  const command = `${limit}; exec "$0" "$@"`
  const args = ['-c', command, process.execPath, script, job, path]
  const child = spawn('bash', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const closed = once(child, 'close')
  const all: Line[] = []
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (text) => all.push(JSON.parse(text)))
  const linesClosed = once(lines, 'close')
  let taken = 0

  const line = async (type: string): Promise<Line> => {
    for (;;) {
      const next = all[taken]
      if (next === undefined) {
        if (child.exitCode !== null) throw new Error(`the child ended without a line '${type}'`)
        await Promise.race([once(lines, 'line'), linesClosed])
      } else {
        taken += 1
        if (next.type === type) return next
      }
    }
  }
  return {
    line,
    final: (type) => all.findLast((entry) => entry.type === type),
    kill: () => child.kill('SIGKILL'),
    exit: async () => {
      await Promise.all([closed, linesClosed])
    },
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}
