/**
 * Vaults: the vaults this process has at hand, each with its state and its checked keychain.
 *
 * Both are read from the store once and then kept in a bounded cache. The cache is filled only
 * inside the vault's section, and replaced only after the disk has the write: a read under way can
 * never put back what a write has replaced. A write that failed empties the place, for nobody knows
 * then what the disk holds.
 */
import {
  formatHex,
  type Keychain,
  ProtocolError,
  replayKeychain,
  type VaultId,
} from '@blindcopy/protocol'
import { type RemoteKeyspace, remoteKeyspace, type Store, type StoreOp } from '@blindcopy/secondary'
import { type Commits, createCommits } from './commits.ts'
import { createSections } from './section.ts'
import { decodeVaultState, encodeVaultState, type VaultState } from './vault-state.ts'

/** One vault at one moment; never changed. */
export type Vault = {
  readonly vaultId: VaultId
  readonly keys: RemoteKeyspace
  readonly state: VaultState
  readonly keychain: Keychain
}

export type Vaults = {
  /** The vault as last committed; undefined when this remote has none of that id. */
  read(vaultId: VaultId): Promise<Vault | undefined>
  /** Runs a job that may commit; no other of the same vault runs meanwhile. */
  exclusively<T>(vaultId: VaultId, job: (vault: Vault | undefined) => Promise<T>): Promise<T>
  /** The same for a vault that may be damaged, and so is not read before. */
  alone<T>(vaultId: VaultId, job: () => Promise<T>): Promise<T>
  /** What is remembered of a vault is no longer so. Only inside its section. */
  forget(vaultId: VaultId): void
  /** Writes the batch and the vault's state as one, synced. Only inside `exclusively`. */
  commit(vault: Vault, batch: StoreOp[]): Promise<void>
  /** Requests that wait for their vault or are at work in it. */
  waiting(): number
}

/** What a vault weighs in memory: its keychain, parsed, and a little. */
const VAULT_BYTES = 4096
const CACHE_BYTES_MAX = 128 * 1024 * 1024
/** Stored entries begin with the seq of the append that brought them. */
export const ENTRY_SEQ_BYTES = 8

export function createVaults(store: Store, commits: Commits = createCommits({ store })): Vaults {
  const cache = createCache()
  const sections = createSections()

  async function readInside(vaultId: VaultId): Promise<Vault | undefined> {
    const id = formatHex(vaultId)
    const vault = cache.get(id) ?? (await loadVault(store, vaultId))
    if (vault !== undefined) cache.set(id, vault)
    return vault
  }

  return {
    async read(vaultId) {
      const id = formatHex(vaultId)
      return cache.get(id) ?? (await sections.run(id, () => readInside(vaultId)))
    },
    exclusively: (vaultId, job) =>
      sections.run(formatHex(vaultId), async () => job(await readInside(vaultId))),
    alone: (vaultId, job) => sections.run(formatHex(vaultId), job),
    forget: (vaultId) => cache.delete(formatHex(vaultId)),
    async commit(vault, batch) {
      const id = formatHex(vault.vaultId)
      batch.push({ type: 'put', key: vault.keys.state, value: encodeVaultState(vault.state) })
      try {
        await commits.write(batch)
      } catch (error) {
        cache.delete(id)
        throw error
      }
      cache.set(id, vault)
    },
    waiting: () => sections.count(),
  }
}

async function loadVault(store: Store, vaultId: VaultId): Promise<Vault | undefined> {
  const keys = remoteKeyspace(vaultId)
  const stateBytes = await store.get(keys.state)
  if (stateBytes === undefined) return undefined
  const entries: Uint8Array[] = []
  for await (const page of store.pages(keys.keychainFrom(0))) {
    for (const [, value] of page) entries.push(value.subarray(ENTRY_SEQ_BYTES))
  }
  // Every signature was checked before its entry was stored. They are stored in the order they
  // came, those included that a branch of the root's has replaced since.
  const keychain = replayKeychain(vaultId, entries, () => true)
  return { vaultId, keys, state: decodeVaultState(stateBytes), keychain }
}

/** Throws `unknown-vault`. */
export function mustVault(vault: Vault | undefined): Vault {
  if (vault !== undefined) return vault
  throw new ProtocolError('unknown-vault', 'this remote does not have that vault')
}

type Cache = {
  get(id: string): Vault | undefined
  set(id: string, vault: Vault): void
  delete(id: string): void
}

/** The least recently used go first. A Map remembers the order in which keys were set. */
function createCache(): Cache {
  const vaultsById = new Map<string, Vault>()
  let bytes = 0
  const remove = (id: string): Vault | undefined => {
    const vault = vaultsById.get(id)
    if (vault !== undefined) bytes -= weightOf(vault)
    vaultsById.delete(id)
    return vault
  }
  const set = (id: string, vault: Vault): void => {
    remove(id)
    vaultsById.set(id, vault)
    bytes += weightOf(vault)
    for (const oldest of vaultsById.keys()) {
      if (bytes <= CACHE_BYTES_MAX || oldest === id) break
      remove(oldest)
    }
  }
  const get = (id: string): Vault | undefined => {
    const vault = remove(id)
    if (vault !== undefined) set(id, vault)
    return vault
  }
  return { get, set, delete: remove }
}

const weightOf = (vault: Vault): number => VAULT_BYTES + 2 * vault.keychain.sizeBytes
