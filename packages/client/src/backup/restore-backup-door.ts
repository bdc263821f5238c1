/**
 * The door by which a vault comes back from a backup, also where its remote is gone. What does the
 * work is loaded when it is used.
 */
import type { Platform } from '../platform.ts'
import type { RecoverySource } from '../vault/recovery-source.ts'
import type { Vault } from '../vault/vault.ts'
import type { CreateOptions } from '../vault/vault-doors.ts'
import type { BackupProgress, BackupSource } from './backup.ts'
import type { BackupReport } from './vault-backup.ts'

/** `registrationToken`: where it is not the one that the backup holds. */
export type WrittenOptions = CreateOptions & {
  readonly backup: BackupSource
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined
}

export type RestoreBackupOptions = WrittenOptions & RecoverySource

export type RestoredBackup = {
  readonly vault: Vault
  readonly report: BackupReport
  /** Whether the remote has the vault already, gets it with the first sync, or is not known to. */
  readonly remote: 'joined' | 'new' | 'unreachable'
}

/**
 * Restores a vault from its phrase and a backup. Throws `wrong-phrase` when they are of two vaults,
 * what `verifyBackup` throws, and `keychain-forked` when the remote has another list of devices;
 * then nothing was written.
 */
export async function restoreBackupOn(
  platform: Platform,
  options: RestoreBackupOptions,
): Promise<RestoredBackup> {
  const { restoreFromBackup } = await import('./restore-backup.ts')
  return restoreFromBackup(platform, options)
}
