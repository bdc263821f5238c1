/**
 * The folder of a vault on a disk.
 *
 *   vault.json    configuration: format, vault id, address of the remote
 *   device.keys   the device's keys, mode 0600; under a passphrase if the person set one
 *   records/      LevelDB, the local secondary
 *   unfinished    only while the folder is made: without it, and without a configuration, what is
 *                 there is a vault that lost its configuration, and nobody clears it away
 */
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { TRANSACTION_RECORDS_MAX } from '@blindcopy/protocol'
import { openLevelStore, type Store } from '@blindcopy/secondary'
import { ClientError } from '../error.ts'
import type { FolderContent, VaultFolder } from '../platform.ts'
import { guarded } from './node-disk.ts'

const CONFIG = 'vault.json'
const KEYS = 'device.keys'
const RECORDS = 'records'
const UNFINISHED = 'unfinished'
const OURS: ReadonlySet<string> = new Set([
  KEYS,
  RECORDS,
  UNFINISHED,
  `${KEYS}.new`,
  `${CONFIG}.new`,
  `${UNFINISHED}.new`,
])
/** What can be there before the mark is. */
const BEFORE_MARK: ReadonlySet<string> = new Set([`${UNFINISHED}.new`])

export function nodeFolder(path: string): VaultFolder {
  return {
    content: () => contentOf(path),
    async begin() {
      const content = await contentOf(path)
      if (content === 'vault' || content === 'foreign') throw taken()
      if (content === 'unfinished') await clear(path)
      await write(path, UNFINISHED, { bytes: new Uint8Array(0), mode: 0o644 })
    },
    readConfig: () => read(join(path, CONFIG)),
    async finish(config) {
      await write(path, CONFIG, { bytes: config, mode: 0o644 })
      await guarded(rm(join(path, UNFINISHED), { force: true }))
    },
    readKeys: () => read(join(path, KEYS)),
    async writeKeys(bytes) {
      await write(path, KEYS, { bytes, mode: 0o600 })
      await syncFolder(path)
    },
    openStore: () => openRecords(path),
  }
}

async function openRecords(path: string): Promise<Store> {
  const records = join(path, RECORDS)
  // Where its list of files is lost, LevelDB would begin an empty database and clear the rest away.
  const isLost = (await ifThere(stat(join(records, 'CURRENT')))) === undefined
  if ((await contentOf(path)) === 'vault') {
    if (isLost) throw lostRecords()
    // Left by a creation that was killed between its last two steps.
    await guarded(rm(join(path, UNFINISHED), { force: true }))
  }
  await guarded(makeFolder(path))
  const store = await openLevelStore({ path: records, syncKeysMax: TRANSACTION_RECORDS_MAX })
  // Left by a change of the passphrase that was killed: it may be open where the one that counts is
  // not. Only now, when no other process can be at work here.
  await guarded(rm(join(path, `${KEYS}.new`), { force: true })).catch(async (error: unknown) => {
    await store.close()
    throw error
  })
  return store
}

function taken(): ClientError {
  return new ClientError('vault-exists', 'the folder is taken: choose one that is empty or new')
}

function lostRecords(): ClientError {
  return new ClientError(
    'vault-damaged',
    'the records of the vault are missing or damaged: restore the vault into a new folder',
  )
}

/** Makes a folder with those it is in. Node's own `recursive` never returns below /proc. */
export async function makeFolder(path: string, mode: number = 0o777): Promise<void> {
  const make = (): Promise<unknown> => mkdir(path, { mode })
  await make()
    .catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' || dirname(path) === path) throw error
      await makeFolder(dirname(path), mode)
      await make()
    })
    .catch(async (error: NodeJS.ErrnoException) => {
      const isThere = error.code === 'EEXIST' && (await stat(path)).isDirectory()
      if (!isThere) throw error
    })
}

async function contentOf(path: string): Promise<FolderContent> {
  const found = await ifThere(stat(path))
  if (found === undefined) return 'nothing'
  if (!found.isDirectory()) return 'foreign'
  const names = (await ifThere(readdir(path))) ?? []
  if (names.includes(CONFIG)) return 'vault'
  if (names.length === 0) return 'nothing'
  const isMarked = names.includes(UNFINISHED)
  const ours = isMarked ? OURS : BEFORE_MARK
  return names.every((name) => ours.has(name)) ? 'unfinished' : 'foreign'
}

/** The mark last: what is left of a clearing that was killed can be cleared again. */
async function clear(path: string): Promise<void> {
  for (const name of [...OURS].filter((other) => other !== UNFINISHED)) {
    await guarded(rm(join(path, name), { recursive: true, force: true }))
  }
  await guarded(rm(join(path, UNFINISHED), { force: true }))
}

async function read(file: string): Promise<Uint8Array> {
  const bytes = await ifThere(readFile(file))
  if (bytes !== undefined) {
    const copy = new Uint8Array(bytes)
    bytes.fill(0)
    return copy
  }
  throw new ClientError(
    'vault-damaged',
    'a file of the vault is missing: restore the vault into a new folder',
  )
}

/** Under another name first, on the disk, then renamed: a file is there whole or not at all. */
async function write(
  path: string,
  name: string,
  { bytes, mode }: { bytes: Uint8Array; mode: number },
): Promise<void> {
  await guarded(makeFolder(path))
  const file = join(path, name)
  await guarded(
    (async () => {
      await rm(`${file}.new`, { force: true })
      const handle = await open(`${file}.new`, 'wx', mode)
      try {
        await handle.writeFile(bytes)
        await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(`${file}.new`, file)
    })(),
  )
}

/** So that a power cut does not bring back the name of the file before. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => undefined)
  try {
    await handle?.sync()
  } catch {
    // Some systems sync no folders: there the name is as safe as they make it.
  } finally {
    await handle?.close()
  }
}

/** Undefined where there is no such file. */
function ifThere<T>(job: Promise<T>): Promise<T | undefined> {
  return guarded(
    job.catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    }),
  )
}
