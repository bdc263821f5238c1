/**
 * The folder of a vault in a browser: two databases of IndexedDB, by the vault's name.
 *
 *   blindcopy:…:folder    config        what makes it a vault; written last
 *                         keys          the device's keys: nonce and AES-GCM ciphertext
 *                         wrappingKey   opens them; WebCrypto gives its bytes to nobody
 *                         unfinished    only while the vault is made
 *   level-js-blindcopy:…  the records (browser-store.ts)
 *
 * The wrapping key keeps the device's keys from standing readable in the database's files, and in
 * what is copied out of it. It is no defence against a script of this site, which can use it as we
 * do: a passphrase is, until it is typed. What was changed does not open.
 */
import { encodeUtf8 } from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import type { FolderContent, VaultFolder } from '../platform.ts'
import { deleteDatabase, readObjects, writeObjects } from './browser-database.ts'
import { awaitFolder, holdFolder, type Release } from './browser-locks.ts'
import { deleteRecords, hasRecords, openRecords } from './browser-store.ts'
import { browserTabs } from './browser-tabs.ts'

type Random = (size: number) => Uint8Array

const NONCE_BYTES = 12
/** What WebCrypto calls a nonce. */
const NONCE = 'iv'
const LABEL = encodeUtf8('blindcopy.browser-keys.v1')

const folderName = (path: string): string => `blindcopy:${path}:folder`

export function browserFolder(path: string, random: Random): VaultFolder {
  const name = folderName(path)
  /** Exclusive while the vault is made, shared while it is open. */
  let held: Release | undefined
  const letGo = async (): Promise<void> => {
    const release = held
    held = undefined
    await release?.()
  }
  /** A creation that fails is over: the name is free for another attempt. */
  const orLetGo = <T>(job: Promise<T>): Promise<T> =>
    job.catch(async (error: unknown) => {
      await letGo()
      throw error
    })
  return {
    content: () => contentOf(path),
    async begin() {
      held = await holdFolder(path, 'exclusive')
      if (held === undefined) throw inUse()
      await orLetGo(beginUnder(path))
    },
    readConfig: async () => (await readAll(name)).config ?? missing(),
    async finish(config) {
      await orLetGo(writeObjects(name, { config, unfinished: undefined }))
      await letGo()
      held = await awaitFolder(path, 'shared')
    },
    readKeys: async () => unwrapKeys(await readAll(name)),
    writeKeys: (bytes) => orLetGo(wrapKeys(bytes, random).then((keys) => writeObjects(name, keys))),
    async openStore() {
      if (held !== undefined)
        return orLetGo(openRecords(path, { mayCreate: true, released: letGo }))
      held = await holdFolder(path, 'shared')
      if (held === undefined) throw inUse()
      return orLetGo(openRecords(path, { mayCreate: false, released: letGo }))
    },
    tabs: () => browserTabs(path, random),
  }
}

/**
 * Removes a vault from this browser: its records, its keys, and what was not sent. Throws
 * `vault-in-use` while any tab has it open.
 */
export async function removeVault(path: string): Promise<void> {
  const release = await holdFolder(path, 'exclusive')
  if (release === undefined) throw inUse()
  try {
    await clear(path)
  } finally {
    await release()
  }
}

type Stored = {
  readonly config: Uint8Array | undefined
  readonly keys: WrappedKeys | undefined
  readonly wrappingKey: CryptoKey | undefined
  readonly unfinished: boolean | undefined
}

type WrappedKeys = { readonly nonce: Uint8Array; readonly sealed: Uint8Array }

async function readAll(name: string): Promise<Stored> {
  const names = ['config', 'keys', 'wrappingKey', 'unfinished']
  const [config, keys, wrappingKey, unfinished] = await readObjects(name, names)
  return { config, keys, wrappingKey, unfinished } as Stored
}

/** Throws `vault-damaged` when the records of a vault are there and nothing that opens them. */
async function contentOf(path: string): Promise<FolderContent> {
  const { config, unfinished } = await readAll(folderName(path))
  if (config !== undefined) return 'vault'
  if (unfinished !== undefined) return 'unfinished'
  if (await hasRecords(path)) throw lostFolder()
  return 'nothing'
}

async function beginUnder(path: string): Promise<void> {
  if ((await contentOf(path)) === 'vault') {
    throw new ClientError('vault-exists', `there is a vault called ${path}: open it`)
  }
  await clear(path)
  await writeObjects(folderName(path), { unfinished: true })
}

/** The records first: what a killed clearing leaves is still marked. */
async function clear(path: string): Promise<void> {
  await deleteRecords(path)
  await deleteDatabase(folderName(path))
}

async function wrapKeys(
  bytes: Uint8Array,
  random: Random,
): Promise<{ wrappingKey: CryptoKey; keys: WrappedKeys }> {
  const kind = { name: 'AES-GCM', length: 256 }
  const wrappingKey = await crypto.subtle.generateKey(kind, false, ['encrypt', 'decrypt'])
  const nonce = random(NONCE_BYTES)
  const copy = new Uint8Array(bytes)
  const sealed = await crypto.subtle.encrypt(algorithm(nonce), wrappingKey, copy)
  copy.fill(0)
  return { wrappingKey, keys: { nonce, sealed: new Uint8Array(sealed) } }
}

async function unwrapKeys({ keys, wrappingKey }: Stored): Promise<Uint8Array> {
  if (keys === undefined || wrappingKey === undefined) return missing()
  try {
    const sealed = new Uint8Array(keys.sealed)
    return new Uint8Array(await crypto.subtle.decrypt(algorithm(keys.nonce), wrappingKey, sealed))
  } catch (cause) {
    throw new ClientError(
      'vault-damaged',
      "the device's keys in this browser are damaged: restore the vault from its recovery phrase",
      { cause },
    )
  }
}

const algorithm = (nonce: Uint8Array): AesGcmParams => ({
  name: 'AES-GCM',
  [NONCE]: new Uint8Array(nonce),
  additionalData: new Uint8Array(LABEL),
})

function inUse(): ClientError {
  return new ClientError(
    'vault-in-use',
    'another tab has this vault open, or is just making or removing it: close that one first',
  )
}

function missing(): never {
  throw new ClientError(
    'vault-damaged',
    'the browser has deleted a part of the vault: restore it from its recovery phrase',
  )
}

function lostFolder(): ClientError {
  return new ClientError(
    'vault-damaged',
    'the browser has deleted the keys of the vault and left its records: remove what is left, then restore the vault from its recovery phrase',
  )
}
