/**
 * A platform for tests: folders in memory that outlive a closed vault, a clock that stands still
 * until it is moved, and no network unless one is given.
 */
import { createMemoryStore, type Store } from '@blindcopy/secondary'
import { pooledRandom } from '@blindcopy/vault'
import { ClientError } from './error.ts'
import type { Platform, VaultFolder } from './platform.ts'

export type TestPlatform = Platform & { clockMs: number; readonly folders: Map<string, TestFolder> }

export type TestFolder = VaultFolder & { readonly files: Map<string, Uint8Array>; store: Store }

export function testPlatform(network: Partial<Platform> = {}): TestPlatform {
  const folders = new Map<string, TestFolder>()
  const platform: TestPlatform = {
    clockMs: 1_800_000_000_000,
    folders,
    nowMs: () => platform.clockMs,
    random: pooledRandom(),
    setTimer: () => () => undefined,
    fetch: () => Promise.reject(new TypeError('there is no network')),
    openSocket: () => {
      throw new ClientError('network', 'there is no network')
    },
    openFolder: (path) => {
      const folder = folders.get(path) ?? testFolder()
      folders.set(path, folder)
      return folder
    },
    deviceName: () => 'test device',
    onOnline: () => () => undefined,
    ...network,
  }
  return platform
}

function testFolder(): TestFolder {
  const files = new Map<string, Uint8Array>()
  const read = async (name: string): Promise<Uint8Array> => {
    const bytes = files.get(name)
    if (bytes === undefined) throw new ClientError('vault-damaged', `${name} is missing`)
    return bytes
  }
  const folder: TestFolder = {
    files,
    store: createMemoryStore(),
    async content() {
      if (files.has('config')) return 'vault'
      return files.size === 0 ? 'nothing' : 'unfinished'
    },
    async begin() {
      files.clear()
      folder.store = createMemoryStore()
    },
    readConfig: () => read('config'),
    async finish(bytes) {
      files.set('config', bytes)
    },
    readKeys: async () => (await read('keys')).slice(),
    async writeKeys(bytes) {
      files.set('keys', bytes.slice())
    },
    openStore: async () => unclosed(folder.store),
  }
  return folder
}

/** The memory twin forgets nothing when it is not closed: a folder can be opened again. */
function unclosed(store: Store): Store {
  return {
    get: (key) => store.get(key),
    getMany: (keys) => store.getMany(keys),
    pages: (range, bounds) => store.pages(range, bounds),
    keyPages: (range, bounds) => store.keyPages(range, bounds),
    write: (batch, durability) => store.write(batch, durability),
    close: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  }
}
