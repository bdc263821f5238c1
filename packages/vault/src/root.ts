/**
 * Root: the key pairs that a vault is named after, derived from the recovery phrase alone.
 *
 * They live only while a vault is founded, restored or recovered: wipe them as soon as that is
 * done. Devices never keep the root secret.
 */
import { type VaultId, vaultIdOf } from '@blindcopy/protocol'
import { derive } from './derivation.ts'
import { type MemberKeys, memberKeysOf } from './member-keys.ts'
import type { RootSecret } from './secret.ts'

export type Root = MemberKeys & { readonly vaultId: VaultId }

export function deriveRoot(rootSecret: RootSecret): Root {
  const keys = memberKeysOf(derive('rootSigning', rootSecret), derive('rootKem', rootSecret))
  return { ...keys, vaultId: vaultIdOf(keys.signingKey, keys.kemKey) }
}
