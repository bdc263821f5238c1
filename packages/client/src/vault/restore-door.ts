/**
 * The door by which a new device enters a vault with what a person still has of it. What does the
 * work is loaded when it is used.
 */
import type { Platform } from '../platform.ts'
import type { ReviewMembers } from './member-review.ts'
import type { RecoverySource } from './recovery-source.ts'
import type { Vault } from './vault.ts'
import type { CreateOptions } from './vault-doors.ts'

export type RestoreOptions = Omit<CreateOptions, 'registrationToken' | 'remote'> &
  RecoverySource & {
    /** The address of the remote; not needed where the key file or kit holds it. */
    readonly remote?: string | undefined
    /** Shown the members, answers who stays; without it all do. */
    readonly review?: ReviewMembers | undefined
  }

/**
 * Restores a vault. Records come with the first sync. Throws `wrong-phrase` or `key-unknown` when
 * the remote has no vault of this key, `key-revoked`, `keychain-outdated`, and what is wrong with
 * the key itself; then nothing was written, here or there.
 */
export async function restoreVaultOn(platform: Platform, options: RestoreOptions): Promise<Vault> {
  const { restore } = await import('./restore.ts')
  return restore(platform, options)
}
