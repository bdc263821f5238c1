/**
 * Removal: takes a vault, or its records, from this remote.
 *
 *   the state and the ways to it by recovery keys   one batch: from then on the vault is not here
 *   everything else                                 in batches
 *
 * Killed in between, what is left belongs to nothing: it is cleared away before a vault of that id
 * begins here again, and by `repair`.
 */
import {
  chainStart,
  equalBytes,
  ProtocolError,
  parseKeychainEntry,
  parseSyncId,
  type SyncId,
  type VaultId,
} from '@blindcopy/protocol'
import { memberIndexKey, remoteKeyspace, type Store, type StoreOp } from '@blindcopy/secondary'
import { draftExtension } from '../keychain-log.ts'
import { clearVaultKeys } from '../leftovers.ts'
import { mismatch } from '../position.ts'
import { beginState } from '../vault-state.ts'
import { ENTRY_SEQ_BYTES, type Vault } from '../vaults.ts'
import type { AdminParts } from './admin-parts.ts'
import { noSuchVault, readVault } from './read-vault.ts'
import { sections } from './store-scan.ts'

export const SYNC_ID_BYTES = 16

export const newSyncId = (parts: Pick<AdminParts, 'random'>): SyncId =>
  parseSyncId(parts.random(SYNC_ID_BYTES))

/** Takes a vault away, or what an interrupted removal has left of one. */
export async function deleteVault(parts: AdminParts, vaultId: VaultId): Promise<void> {
  const why = new ProtocolError('unknown-vault', 'the vault was removed from this remote')
  await parts.vaults.alone(vaultId, () => removeInside(parts, vaultId, why))
  await giveRoomBack(parts.store, vaultId)
}

/**
 * What was deleted stays on the disk until its place is written again: a person who asks for
 * deletion, or who needs room, cannot wait for that. Nobody else waits meanwhile.
 */
async function giveRoomBack(store: Store, vaultId: VaultId): Promise<void> {
  const { gte, lte } = remoteKeyspace(vaultId).all
  if (gte !== undefined && lte !== undefined) await store.compact?.(gte, lte)
}

/** Inside the vault's section. */
export async function removeInside(
  parts: AdminParts,
  vaultId: VaultId,
  why: ProtocolError,
): Promise<void> {
  const { store, vaults, summaries, live } = parts
  const keys = remoteKeyspace(vaultId)
  const ways = await findIndexKeys(store, vaultId)
  const batch = [keys.state, ...ways].map((key): StoreOp => ({ type: 'delete', key }))
  await store.write(batch, { sync: true })
  vaults.forget(vaultId)
  summaries.forget(vaultId)
  live.closeVault(vaultId, why)
  await clearVaultKeys(store, vaultId)
}

export type ResetOptions = {
  /** Only a new SyncId: the devices compare what they hold with what is here. */
  readonly keepRecords: boolean
}

/**
 * Begins a new SyncId and empties log, records and history. The keychain, the quota and what
 * devices have signed stay, and the devices bring back what they hold. What no device holds is
 * gone.
 */
export async function resetVault(
  parts: AdminParts,
  vaultId: VaultId,
  { keepRecords }: ResetOptions,
): Promise<Vault> {
  await readVault(parts, vaultId)
  const reset = await parts.vaults.exclusively(vaultId, async (vault) => {
    if (vault === undefined) throw noSuchVault()
    const syncId = newSyncId(parts)
    if (keepRecords) return beginAnew(parts, vault, syncId)
    const checkpoints = await readAll(parts.store, vault)
    await removeInside(parts, vaultId, mismatch(syncId))
    const { greatestMs, createdMs, quota, allowance } = vault.state
    const head = { seq: 0, chain: chainStart(vaultId) }
    const begun = beginState({ syncId, head, greatestMs, createdMs })
    const empty: Vault = { ...vault, state: { ...begun, quota, allowance } }
    const extension = draftExtension(empty, vault.keychain.entries, vault.keychain)
    await parts.vaults.commit(extension.vault, [...extension.batch, ...checkpoints])
    return extension.vault
  })
  if (!keepRecords) await giveRoomBack(parts.store, vaultId)
  return reset
}

/** A new SyncId and nothing else; inside the vault's section. */
export async function beginAnew(parts: AdminParts, vault: Vault, syncId: SyncId): Promise<Vault> {
  const begun = { ...vault, state: { ...vault.state, syncId } }
  await parts.vaults.commit(begun, [])
  parts.live.closeVault(vault.vaultId, mismatch(syncId))
  return begun
}

async function readAll(store: Store, { keys }: Vault): Promise<StoreOp[]> {
  const ops: StoreOp[] = []
  for await (const page of store.pages(sections.checkpoints(keys))) {
    for (const [key, value] of page) ops.push({ type: 'put', key, value })
  }
  return ops
}

/** Under which its recovery keys lead here; entries that cannot be read are passed over. */
async function findIndexKeys(store: Store, vaultId: VaultId): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  for await (const page of store.pages(remoteKeyspace(vaultId).keychainFrom(0))) {
    for (const [, value] of page) found.push(...indexKeysOf(value.subarray(ENTRY_SEQ_BYTES)))
  }
  const owners = await store.getMany(found)
  return found.filter((_, i) => equalBytes(owners[i] ?? new Uint8Array(0), vaultId))
}

/** Where a keychain entry leads from: that of a recovery key, from its signing key. */
export function indexKeysOf(entry: Uint8Array): Uint8Array[] {
  try {
    const { payload } = parseKeychainEntry(entry)
    if (payload.type !== 'member-add' || payload.kind !== 'recovery') return []
    return [memberIndexKey(payload.signingKey)]
  } catch {
    return []
  }
}
