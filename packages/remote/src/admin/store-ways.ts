/**
 * Store ways: the rows by which recovery keys lead to their vaults, which stand in no vault.
 *
 * It seeks from vault to vault, so that it costs one read for each of them and for each such row.
 */
import { concat, parseVaultId, VAULT_ID_BYTES } from '@blindcopy/protocol'
import { remoteKeyspace, type Store } from '@blindcopy/secondary'
import { isMemberIndexKey } from '../leftovers.ts'
import type { AdminParts } from './admin-parts.ts'

const BEHIND_ALL_SECTIONS = new Uint8Array([255])

/** Those that lead to a vault that is not here. */
export async function findStrayWays(store: Store): Promise<Uint8Array[]> {
  const stray: Uint8Array[] = []
  let after: Uint8Array | undefined
  for (;;) {
    const key = await firstKeyAfter(store, after)
    if (key === undefined) return stray
    if (isMemberIndexKey(key)) {
      if (!(await leadsToVault(store, key))) stray.push(key)
      after = key
    } else {
      after = concat(key.subarray(0, VAULT_ID_BYTES), BEHIND_ALL_SECTIONS)
    }
  }
}

/** Drops those that are stray still when nothing can come between: a device may bring its vault. */
export async function dropStrayWays(
  { store, vaults }: Pick<AdminParts, 'store' | 'vaults'>,
  stray: readonly Uint8Array[],
): Promise<void> {
  for (const key of stray) {
    const drop = async (): Promise<void> => {
      if (await leadsToVault(store, key)) return
      await store.write([{ type: 'delete', key }], { sync: true })
    }
    const owner = await store.get(key)
    if (owner?.length === VAULT_ID_BYTES) await vaults.alone(parseVaultId(owner), drop)
    else await drop()
  }
}

async function firstKeyAfter(
  store: Store,
  after: Uint8Array | undefined,
): Promise<Uint8Array | undefined> {
  const range = after === undefined ? {} : { gt: after }
  for await (const [key] of store.keyPages({ ...range, limit: 1 })) return key
  return undefined
}

async function leadsToVault(store: Store, key: Uint8Array): Promise<boolean> {
  const owner = await store.get(key)
  if (owner?.length !== VAULT_ID_BYTES) return false
  return (await store.get(remoteKeyspace(parseVaultId(owner)).state)) !== undefined
}
