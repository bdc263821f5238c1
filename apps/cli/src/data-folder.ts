/**
 * Data folder of a remote: where it is, and the registration token in it.
 */
import { randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { makeFolder } from '@blindcopy/client'
import { StoreError } from '@blindcopy/secondary'
import { CliError } from './cli-error.ts'

export type DataFolder = {
  readonly path: string
  readonly vaultsPath: string
  readonly tokenPath: string
  /** The token of this remote, made and kept when there is none. */
  registrationToken(): Promise<{ token: string; isNew: boolean }>
}

type Env = Readonly<Record<string, string | undefined>>

const TOKEN_BYTES = 18

/** Makes the folder, closed to others, when it is not there. */
export async function openDataFolder(given: string | undefined, env: Env): Promise<DataFolder> {
  const path = resolve(given ?? defaultPath(env))
  await onDisk(path, makeFolder(path, 0o700))
  const tokenPath = join(path, 'registration-token')
  const vaultsPath = join(path, 'vaults')
  if (await onDisk(path, hasLostItsList(vaultsPath))) {
    throw new StoreError(
      'store-corrupt',
      `the database in ${vaultsPath} has lost the list of its files (CURRENT): put it back from a backup of the folder; nothing was changed`,
    )
  }
  return {
    path,
    vaultsPath,
    tokenPath,
    registrationToken: () => onDisk(path, readOrMakeToken(tokenPath)),
  }
}

/** One place a person, not the working directory: a restart elsewhere must find the same vaults. */
function defaultPath(env: Env): string {
  const { BLINDCOPY_DATA: named, XDG_DATA_HOME: base } = env
  if (named !== undefined && named !== '') return named
  const home = base !== undefined && base !== '' ? base : join(homedir(), '.local', 'share')
  return join(home, 'blindcopy', 'remote')
}

/** LevelDB would begin an empty database then, and clear away the tables that are there. */
async function hasLostItsList(path: string): Promise<boolean> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return !names.includes('CURRENT') && names.some((name) => /^\d+\.(ldb|sst|log)$/.test(name))
}

async function readOrMakeToken(path: string): Promise<{ token: string; isNew: boolean }> {
  const kept = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  if (kept.trim() !== '') return { token: kept.trim(), isNew: false }
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  await writeFile(path, `${token}\n`, { mode: 0o600, flush: true })
  return { token, isNew: true }
}

async function onDisk<T>(path: string, job: Promise<T>): Promise<T> {
  try {
    return await job
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException
    if (/^(EACCES|EPERM|EROFS)$/.test(code)) {
      throw new StoreError('store-read-only', `the data folder ${path} cannot be written`, {
        cause,
      })
    }
    if (/^(ENOSPC|EDQUOT|EFBIG)$/.test(code)) {
      throw new StoreError('store-full', `the disk of ${path} is full`, { cause })
    }
    if (/^(EEXIST|ENOTDIR)$/.test(code)) {
      throw new CliError('usage', `--data ${path} is a file, or leads through one`, { cause })
    }
    throw new StoreError('store-failed', `the data folder ${path} cannot be used (${code})`, {
      cause,
    })
  }
}
