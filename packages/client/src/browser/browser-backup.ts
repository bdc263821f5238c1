/**
 * Backups as files of a browser: one that the person chose (`showOpenFilePicker`, an `<input>`), or
 * one of the site's own. One is written into a file that the browser puts in place when it is
 * whole, so that no half of one ever stands there.
 *
 * A browser without `createWritable` can still make one: `vault.backup.create` with a sink that
 * collects, and a link to download what was collected.
 */
import { StoreError } from '@blindcopy/secondary'
import type { BackupProgress, BackupSource, CreatedBackup } from '../backup/backup.ts'
import { codeOf } from '../error.ts'
import type { Vault } from '../vault/vault.ts'
import { toStoreError } from './browser-database.ts'

/** The backup in a file (or any other `Blob`), for whoever reads one. */
export function backupFile(file: Blob): BackupSource {
  return async function* () {
    // By its reader: streams that can be looped over are newer than the browsers we support.
    const reader = file.stream().getReader()
    try {
      for (;;) {
        const { done, value } = await guarded(reader.read())
        if (done) return
        yield value
      }
    } finally {
      await reader.cancel().catch(() => undefined)
    }
  }
}

/**
 * Writes a backup of the vault into a file, which is replaced when all of it was written; where it
 * holds a backup of the same state already, that is kept. Throws `store-full`, `store-read-only`
 * where the person does not let the site write, and `store-failed`; then the file is as it was.
 */
export async function writeBackupFile(
  vault: Vault,
  handle: FileSystemFileHandle,
  options: { readonly onProgress?: ((progress: BackupProgress) => void) | undefined } = {},
): Promise<CreatedBackup> {
  const before = await guarded(handle.getFile())
  const file = await guarded(handle.createWritable({ keepExistingData: true }))
  try {
    let end = before.size
    const created = await vault.backup.create(
      {
        kept: before.size === 0 ? undefined : backupFile(before),
        async write(bytes, offset) {
          if (offset < end) await guarded(file.truncate(offset))
          const data = new Uint8Array(bytes)
          await guarded(file.write({ type: 'write', position: offset, data }))
          end = offset + bytes.length
        },
      },
      options,
    )
    await guarded(file.close())
    return created
  } catch (error) {
    await file.abort().catch(() => undefined)
    throw error
  }
}

async function guarded<T>(job: Promise<T>): Promise<T> {
  try {
    return await job
  } catch (cause) {
    if (codeOf(cause) !== undefined) throw cause
    if (cause instanceof Error && cause.name === 'NotAllowedError') {
      throw new StoreError(
        'store-read-only',
        'the browser does not let this site use the file: choose it again, and allow it',
        { cause },
      )
    }
    throw toStoreError(cause)
  }
}
