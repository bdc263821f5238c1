/**
 * The home of a family of tests about keys: a remote, a phone with notes, and every way back into
 * its vault, made by the commands a person would use. And what is stored in a folder, to be
 * compared before and after something that must change nothing.
 */
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLevelStore } from '@blindcopy/secondary'
import { done, type Env, objects, type Served, serve } from './commands.ts'
import { REGISTRATION_TOKEN, temporaryFolder } from './processes.ts'

export const TOKEN = ['--registration-token', REGISTRATION_TOKEN]
export const PASSPHRASE = 'four random words here'
/** Opens the key file of a home. */
export const UNLOCKED: Env = { BLINDCOPY_KEY_FILE_PASSPHRASE: PASSPHRASE }

export type KeyHome = {
  readonly root: string
  readonly remote: Served
  readonly remoteFolder: string
  /** As it is piped in. */
  readonly phrase: string
  readonly kit: string
  readonly keyFile: string
  readonly keyFileId: string
  /** The files of three shares, of which two are enough. */
  readonly shares: readonly string[]
  readonly sharesId: string
  readonly backup: string
  /** Arguments for a device of this home. */
  readonly on: (device: string, ...args: string[]) => string[]
}

export async function makeKeyHome(): Promise<KeyHome> {
  const root = temporaryFolder()
  const at = (name: string): string => join(root, name)
  const remoteFolder = at('remote')
  const remote = await serve(remoteFolder)
  const on = (device: string, ...args: string[]) => [...args, '--vault', at(device)]
  const [kit, keyFile, backup] = [at('kit.html'), at('v.key'), at('v.backup')]
  const init = ['init', '--remote', remote.url, ...TOKEN, '--name', 'the phone', '--kit', kit]
  const [made] = await objects(on('phone', ...init))
  await done(on('phone', 'put', 'notes', 'a', '{"text":"before the backups"}'))
  const [file] = await objects(on('phone', 'keys', 'backup', 'key-file', keyFile), '', UNLOCKED)
  const splitting = ['keys', 'backup', 'shares', '--threshold', '2', '--count', '3']
  const [split] = await objects(on('phone', ...splitting, '--out', at('shares')))
  await done(on('phone', 'put', 'notes', 'b', '{"text":"before the vault backup"}'))
  await done(on('phone', 'sync'))
  await done(on('phone', 'backup', 'create', backup))
  return {
    ...{ root, remote, remoteFolder, on, kit, keyFile, backup },
    phrase: `${made?.recoveryPhrase}\n`,
    keyFileId: file?.keyId as string,
    shares: split?.files as string[],
    sharesId: split?.keyId as string,
  }
}

/** What is stored below a folder, by name: of a database each entry, of other files their bytes. */
export async function storedIn(folder: string): Promise<Record<string, string>> {
  if (!existsSync(folder)) return {}
  if (existsSync(join(folder, 'CURRENT'))) return entriesIn(folder)
  const stored: Record<string, string> = {}
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) {
      for (const [key, value] of Object.entries(await storedIn(path))) {
        stored[`${name}/${key}`] = value
      }
    } else if (statSync(path).isFile()) stored[name] = hashOf(readFileSync(path))
  }
  return stored
}

/** Read from a copy: a database is open in one process, and opening one changes its files. */
async function entriesIn(folder: string): Promise<Record<string, string>> {
  const copy = mkdtempSync(join(tmpdir(), 'blindcopy-copy-'))
  try {
    cpSync(folder, copy, { recursive: true })
    const store = await openLevelStore({ path: copy })
    const stored: Record<string, string> = {}
    for await (const page of store.pages({})) {
      for (const [key, value] of page) stored[Buffer.from(key).toString('hex')] = hashOf(value)
    }
    await store.close()
    return stored
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** What a remote has stored, as an old copy of it has: without the socket of the one that runs. */
export function copyRemote(from: string, to: string): void {
  cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith('.sock') })
}
