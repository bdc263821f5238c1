/**
 * Data folder of a remote: where it is, and the tokens in it.
 *
 *   DIR/vaults/              the database, closed to others
 *   DIR/registration-token   mode 0600: what a new vault must show
 *   DIR/admin-token          mode 0600: what opens numbers and the admin page
 *   DIR/remote.toml          settings, if somebody writes some
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { StoreError } from '@blindcopy/secondary'
import { CliError } from './cli-error.ts'

export type Token = { readonly token: string; readonly isNew: boolean }

export type DataFolder = {
  readonly path: string
  readonly vaultsPath: string
  readonly tokenPath: string
  readonly adminTokenPath: string
  /** The token of this remote, made and kept when there is none. */
  registrationToken(): Promise<Token>
  /** Another one in its place. A server that runs takes it with the next vault. */
  rotateRegistrationToken(): Promise<string>
  adminToken(): Promise<Token>
  rotateAdminToken(): Promise<string>
}

export type Env = Readonly<Record<string, string | undefined>>

const TOKEN_BYTES = 18
const TOKEN_MODE = 0o600

/** Makes the folder, closed to others, when it is not there. */
export async function openDataFolder(given: string | undefined, env: Env): Promise<DataFolder> {
  const path = given === undefined ? defaultDataPath(env) : resolve(given)
  await onDisk(path, makeFolder(path))
  const tokenPath = join(path, 'registration-token')
  const adminTokenPath = join(path, 'admin-token')
  const vaultsPath = join(path, 'vaults')
  if (await onDisk(path, hasLostItsList(vaultsPath))) {
    throw new StoreError(
      'store-corrupt',
      `the database in ${vaultsPath} has lost the list of its files (CURRENT): put it back from a backup of the folder; nothing was changed`,
    )
  }
  // Closed to others in a folder that is open too: the database would not see to it.
  await onDisk(path, makeFolder(vaultsPath))
  return {
    path,
    vaultsPath,
    tokenPath,
    adminTokenPath,
    registrationToken: () => onDisk(tokenPath, readOrMakeToken(tokenPath)),
    rotateRegistrationToken: () => onDisk(tokenPath, writeToken(tokenPath)),
    adminToken: () => onDisk(adminTokenPath, readOrMakeToken(adminTokenPath)),
    rotateAdminToken: () => onDisk(path, writeToken(adminTokenPath)),
  }
}

/** One place a person, not the working directory: a restart elsewhere must find the same vaults. */
export function defaultDataPath(env: Env): string {
  const { BLINDCOPY_DATA: named, XDG_DATA_HOME: base } = env
  if (named !== undefined && named !== '') return resolve(named)
  const home = base !== undefined && base !== '' ? base : join(homedir(), '.local', 'share')
  return resolve(join(home, 'blindcopy', 'remote'))
}

/**
 * Reads a token each time it is asked for, so that it can be changed while a server runs. A file
 * that is gone or empty lets nobody in; one that cannot be read just now counts as it was.
 */
export function watchToken(path: string, first: string): () => string {
  let token = first
  return () => {
    try {
      token = readFileSync(path, 'utf8').trim()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') token = ''
    }
    // Nobody can guess this one.
    return token === '' ? randomBytes(TOKEN_BYTES).toString('base64url') : token
  }
}

/** Node's own `recursive` never returns below /proc. */
async function makeFolder(path: string): Promise<void> {
  const make = (): Promise<unknown> => mkdir(path, { mode: 0o700 })
  await make()
    .catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' || dirname(path) === path) throw error
      await makeFolder(dirname(path))
      await make()
    })
    .catch(async (error: NodeJS.ErrnoException) => {
      const isThere = error.code === 'EEXIST' && (await stat(path)).isDirectory()
      if (!isThere) throw error
    })
}

/** LevelDB would begin an empty database then, and clear away the tables that are there. */
async function hasLostItsList(path: string): Promise<boolean> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return !names.includes('CURRENT') && names.some((name) => /^\d+\.(ldb|sst|log)$/.test(name))
}

async function readOrMakeToken(path: string): Promise<Token> {
  const kept = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  if (kept.trim() !== '') return { token: kept.trim(), isNew: false }
  return { token: await writeToken(path), isNew: true }
}

/** Whole or not at all: a reader finds the old one or the new one. */
async function writeToken(path: string): Promise<string> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  const draft = `${path}.new`
  // What a killed one has left may have another mode.
  await rm(draft, { force: true })
  const file = await open(draft, 'wx', TOKEN_MODE)
  try {
    await file.writeFile(`${token}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, path)
  await syncFolder(dirname(path))
  return token
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  // Not everywhere can a folder be synced; the file itself is.
  await folder.sync().catch(() => {})
  await folder.close()
}

async function onDisk<T>(path: string, job: Promise<T>): Promise<T> {
  try {
    return await job
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException
    if (/^(EACCES|EPERM|EROFS)$/.test(code)) {
      const why = `this program may not read or write ${path}: is it run by another user?`
      throw new StoreError('store-read-only', why, { cause })
    }
    if (/^(ENOSPC|EDQUOT|EFBIG)$/.test(code)) {
      throw new StoreError('store-full', `the disk of ${path} is full`, { cause })
    }
    if (/^(EEXIST|ENOTDIR)$/.test(code)) {
      throw new CliError('usage', `--data ${path} is a file, or leads through one`, { cause })
    }
    throw new StoreError('store-failed', `${path} cannot be used (${code})`, { cause })
  }
}
