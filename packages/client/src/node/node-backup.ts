/**
 * Backups as files of a disk. One is written beside its place and moved there when it is whole, so
 * that no half of one ever has its name; what a killed creation left beside it is gone on with.
 */
import { createReadStream } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import type { BackupProgress, BackupSource, CreatedBackup } from '../backup/backup.ts'
import type { Vault } from '../vault/vault.ts'
import { guarded } from './node-disk.ts'

const WHAT = 'the backup'

/** The backup in a file, for whoever reads one. */
export function backupFile(path: string): BackupSource {
  return async function* () {
    const chunks = createReadStream(path, { highWaterMark: 256 * 1024 })[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = await guarded<IteratorResult<Uint8Array>>(chunks.next(), WHAT)
        if (next.done === true) return
        yield next.value
      }
    } finally {
      await chunks.return?.()
    }
  }
}

/**
 * Writes a backup of the vault into a file that only its owner may read, and that is there whole or
 * not at all. A file of that name is replaced. Throws `store-full`, `store-read-only` and
 * `store-failed` where the disk does not take it; what was written is gone on with the next time.
 */
export async function writeBackupFile(
  vault: Vault,
  path: string,
  options: { readonly onProgress?: ((progress: BackupProgress) => void) | undefined } = {},
): Promise<CreatedBackup> {
  const part = `${path}.part`
  // Opened for both without being emptied, and made when it is not there.
  const file = await guarded(
    open(part, 'r+').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      return open(part, 'wx+', 0o600)
    }),
    WHAT,
  )
  try {
    const { size } = await guarded(file.stat(), WHAT)
    await guarded(file.chmod(0o600), WHAT)
    let end = size
    const created = await vault.backup.create(
      {
        kept: size === 0 ? undefined : backupFile(part),
        async write(bytes, offset) {
          if (offset < end) await guarded(file.truncate(offset), WHAT)
          await guarded(writeAll(file, bytes, offset), WHAT)
          end = offset + bytes.length
        },
      },
      options,
    )
    await guarded(file.sync(), WHAT)
    await guarded(rename(part, path), WHAT)
    return created
  } finally {
    await file.close()
  }
}

type OpenFile = Awaited<ReturnType<typeof open>>

async function writeAll(file: OpenFile, bytes: Uint8Array, offset: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, offset + at)
    at += bytesWritten
  }
}
