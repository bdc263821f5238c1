/**
 * Vault list: the vaults of a store, a page at a time, in the order of their ids.
 *
 * From vault to vault it seeks past the prefix of the one before, so that a page costs two reads a
 * vault, however large they are. Nothing is locked and nothing is cached: a vault that comes or
 * goes meanwhile is in the list or not.
 */
import { concat, parseVaultId, VAULT_ID_BYTES, type VaultId } from '@blindcopy/protocol'
import { remoteKeyspace, type Store } from '@blindcopy/secondary'
import { decodeVaultState, type VaultState } from './vault-state.ts'

export type VaultSummary = {
  readonly vaultId: VaultId
  /**
   * As last committed. Undefined when keys stand under the id but no state that can be read: what a
   * half deletion leaves, a damaged store, or one that a later program wrote.
   */
  readonly state: VaultState | undefined
}

export type VaultPage = {
  readonly vaults: readonly VaultSummary[]
  /** Where the next page begins; undefined when this is the last one. */
  readonly next: VaultId | undefined
}

export type VaultPageRequest = {
  /** `next` of the page before; the first page without it. */
  readonly after?: VaultId | undefined
  /** A page may have fewer vaults than this though it is not the last one. */
  readonly limit: number
}

/** Where a recovery key leads to its vault: such a key stands in no vault, and is this long. */
const INDEX_KEY_BYTES = VAULT_ID_BYTES + 1
const INDEX_LETTER = 'i'.charCodeAt(0)
/** No key of a vault has such a letter. */
const BEHIND_ALL_SECTIONS = new Uint8Array([255])
/** Steps over what is no vault, beside the vaults asked for: up to so many a page. */
const OTHER_STEPS_MAX = 1024

export async function listVaults(
  store: Store,
  { after, limit }: VaultPageRequest,
): Promise<VaultPage> {
  const vaults: VaultSummary[] = []
  let prefix = after
  for (let others = 0; vaults.length < limit && others < OTHER_STEPS_MAX; ) {
    const key = await firstKeyAfter(store, prefix)
    if (key === undefined) return { vaults, next: undefined }
    prefix = prefixOf(key)
    if (isVaultKey(key)) vaults.push(await summarize(store, prefix))
    else others++
  }
  return { vaults, next: prefix }
}

/** All of them, with no more than a page in memory. */
export async function* walkVaults(
  store: Store,
  limit: number,
): AsyncGenerator<readonly VaultSummary[]> {
  let after: VaultId | undefined
  do {
    const { vaults, next } = await listVaults(store, { after, limit })
    if (vaults.length > 0) yield vaults
    after = next
  } while (after !== undefined)
}

async function firstKeyAfter(
  store: Store,
  prefix: VaultId | undefined,
): Promise<Uint8Array | undefined> {
  const range = prefix === undefined ? {} : { gt: concat(prefix, BEHIND_ALL_SECTIONS) }
  for await (const [key] of store.keyPages({ ...range, limit: 1 })) return key
  return undefined
}

/** A key too short for a vault is filled up: the search goes on behind it either way. */
function prefixOf(key: Uint8Array): VaultId {
  const prefix = new Uint8Array(VAULT_ID_BYTES)
  prefix.set(key.subarray(0, VAULT_ID_BYTES))
  return parseVaultId(prefix)
}

function isVaultKey(key: Uint8Array): boolean {
  const isIndex = key.length === INDEX_KEY_BYTES && key[VAULT_ID_BYTES] === INDEX_LETTER
  return key.length > VAULT_ID_BYTES && !isIndex
}

async function summarize(store: Store, vaultId: VaultId): Promise<VaultSummary> {
  const bytes = await store.get(remoteKeyspace(vaultId).state)
  try {
    return { vaultId, state: bytes === undefined ? undefined : decodeVaultState(bytes) }
  } catch {
    return { vaultId, state: undefined }
  }
}
