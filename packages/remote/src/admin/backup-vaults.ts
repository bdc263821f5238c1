/**
 * Backup: vaults of this remote as a remote file, while pushes go on.
 *
 * Each vault is one moment of that vault; vaults have nothing to do with one another, so they need
 * not be of one moment together. What a reader of the file needs no memory for, neither does this.
 */
import {
  concat,
  encodeUint64,
  encodeUtf8,
  formatHex,
  sha256,
  type VaultId,
} from '@blindcopy/protocol'
import { walkVaults } from '../vault-list.ts'
import { encodeVaultState, type VaultState } from '../vault-state.ts'
import type { AdminParts } from './admin-parts.ts'
import { noSuchVault } from './read-vault.ts'
import { writeRemoteFile } from './remote-file.ts'
import { openImage, type VaultImage } from './vault-image.ts'

type BackupParts = Pick<AdminParts, 'store' | 'vaults' | 'nowMs'>

/** All vaults whose state can be read. */
export function backupAll(parts: BackupParts): AsyncGenerator<Uint8Array> {
  return writeRemoteFile(parts.nowMs(), imagesOfAll(parts))
}

/** One vault. Throws `no-such-vault` before the first byte. */
export async function backupVault(
  parts: BackupParts,
  vaultId: VaultId,
): Promise<{ readonly tag: string; readonly bytes: AsyncGenerator<Uint8Array> }> {
  const image = await openImage(parts, vaultId)
  if (image === undefined) throw noSuchVault()
  return {
    tag: backupTag(image.manifest),
    bytes: writeRemoteFile(parts.nowMs(), closing([image])),
  }
}

const TAG_LABEL = encodeUtf8('blindcopy.remote-backup.v1')

/** Changes with anything that stands in a backup, but for what devices sign. */
export function backupTag(state: Omit<VaultState, 'allowance'>): string {
  const encoded = encodeVaultState({ ...state, allowance: { day: 0, spentById: new Map() } })
  return formatHex(sha256(concat(TAG_LABEL, encodeUint64(encoded.length), encoded))).slice(0, 32)
}

const PAGE_VAULTS = 64

async function* imagesOfAll(parts: BackupParts) {
  for await (const page of walkVaults(parts.store, PAGE_VAULTS)) {
    for (const { vaultId, state } of page) {
      if (state === undefined) continue
      const image = await openImage(parts, vaultId)
      // Deleted since the page was read.
      if (image !== undefined) yield* closing([image])
    }
  }
}

async function* closing(images: readonly VaultImage[]) {
  for (const image of images) {
    try {
      yield { manifest: image.manifest, parts: image.parts() }
    } finally {
      await image.close()
    }
  }
}
