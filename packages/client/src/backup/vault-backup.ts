/**
 * Backups as an app sees them, of the vault that is open. What does the work is loaded when it is
 * used.
 */
import type { BundleReport } from '../carry/bundle.ts'
import type { Carrier } from '../carry/carrier.ts'
import type { BackupProgress, BackupSink, BackupSource, CreatedBackup } from './backup.ts'
import type { BackupDrill, VerifyOptions } from './verify-backup.ts'

/** What came of taking a backup: what was new here, and what of it cannot be shown. */
export type BackupReport = Omit<BundleReport, 'sent'>

export type VaultBackup = {
  /**
   * Writes all that this device holds, sealed, into a sink; with what an earlier creation left of
   * the same state it goes on where that one stopped. What was refused by the remote or is kept on
   * this device alone is not in it.
   */
  create(
    sink: BackupSink,
    options?: { readonly onProgress?: ((progress: BackupProgress) => void) | undefined },
  ): Promise<CreatedBackup>
  /** A drill: changes nothing. Rejects like `take`. */
  verify(source: BackupSource, options?: VerifyOptions): Promise<BackupDrill>
  /**
   * Takes what is not here, or not in so new a version; may be repeated. Rejects with
   * `backup-damaged`, `backup-cut`, `wrong-vault`, `not-a-member`, `keychain-forked` or
   * `unsupported-version`, and then nothing has changed.
   */
  take(source: BackupSource, options?: VerifyOptions): Promise<BackupReport>
}

/** Takes a backup into this device; the remote gets what it lacks with the next sync. */
async function takeBackup(
  carrier: Carrier,
  source: BackupSource,
  onProgress?: (progress: BackupProgress) => void,
): Promise<BackupReport> {
  const [{ takeFile }, { BACKUP }] = await Promise.all([
    import('../carry/bundle.ts'),
    import('./backup.ts'),
  ])
  const { sent: _none, ...report } = await takeFile(carrier, BACKUP, { source, onProgress })
  return report
}

export function backupOf(
  carrier: Carrier,
  options: { readonly checkOpen: () => void; readonly onTaken: () => void },
): VaultBackup {
  const { checkOpen, onTaken } = options
  return {
    async create(sink, { onProgress } = {}) {
      checkOpen()
      const { createBackup } = await import('./backup.ts')
      return createBackup(carrier, sink, onProgress)
    },
    async verify(source, verifying) {
      checkOpen()
      const { drillBackup } = await import('./verify-backup.ts')
      return drillBackup(carrier, source, verifying)
    },
    async take(source, { onProgress } = {}) {
      checkOpen()
      return takeBackup(carrier, source, onProgress).finally(onTaken)
    },
  }
}
