/**
 * Read vault: a vault that somebody has named, for what can only be done with one that is sound.
 */
import type { VaultId } from '@blindcopy/protocol'
import { remoteKeyspace, StoreError } from '@blindcopy/secondary'
import { AdminError } from '../error.ts'
import { decodeVaultState, type VaultState } from '../vault-state.ts'
import type { Vault } from '../vaults.ts'
import type { AdminParts } from './admin-parts.ts'

export function noSuchVault(): AdminError {
  return new AdminError('no-such-vault', 'this remote has no vault of that id')
}

/** Throws `no-such-vault`, or `unmendable` for one whose state or keychain is broken. */
export async function readVault(
  { vaults }: Pick<AdminParts, 'vaults'>,
  vaultId: VaultId,
): Promise<Vault> {
  const vault = await vaults.read(vaultId).catch((error: unknown) => {
    throw unreadable(error)
  })
  if (vault === undefined) throw noSuchVault()
  return vault
}

/** The state alone, which is enough for a backup. Throws as `readVault` does. */
export async function readState(
  { store }: Pick<AdminParts, 'store'>,
  vaultId: VaultId,
): Promise<VaultState> {
  const bytes = await store.get(remoteKeyspace(vaultId).state)
  if (bytes === undefined) throw noSuchVault()
  try {
    return decodeVaultState(bytes)
  } catch (error) {
    throw unreadable(error)
  }
}

function unreadable(cause: unknown): unknown {
  if (cause instanceof StoreError) return cause
  const why = cause instanceof Error ? cause.message : String(cause)
  return new AdminError('unmendable', `the vault cannot be read: ${why}`, { cause })
}
