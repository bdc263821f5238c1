/**
 * Manifest: what a backup states of a vault before its content, and what must come out of it.
 *
 * It is the vault's state without what its members have used up today.
 */
import type { VaultId } from '@blindcopy/protocol'
import type { VaultState } from '../vault-state.ts'

export type Manifest = Omit<VaultState, 'allowance'> & { readonly vaultId: VaultId }

export function manifestOf(vaultId: VaultId, { allowance: _, ...state }: VaultState): Manifest {
  return { ...state, vaultId }
}
