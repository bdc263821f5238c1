/**
 * The doors of a vault on Node: where clock, randomness, timers, network and disk become real.
 */
import { hostname } from 'node:os'
import { pooledRandom } from '@blindcopy/vault'
import {
  type RestoreBackupOptions,
  type RestoredBackup,
  restoreBackupOn,
} from './backup/restore-backup-door.ts'
import { nodeFolder } from './node/node-folder.ts'
import { openNodeSocket } from './node/node-socket.ts'
import type { Platform } from './platform.ts'
import { joinVaultOn } from './vault/pairing/join-door.ts'
import type { JoinOptions } from './vault/pairing/pairing.ts'
import { type RestoreOptions, restoreVaultOn } from './vault/restore-door.ts'
import type { Vault } from './vault/vault.ts'
import {
  type CreatedVault,
  type CreateOptions,
  createVaultOn,
  type OpenOptions,
  openVaultOn,
} from './vault/vault-doors.ts'

export function nodePlatform(): Platform {
  return {
    nowMs: Date.now,
    random: pooledRandom(),
    setTimer(callback, delayMs) {
      const timer = setTimeout(callback, delayMs)
      return () => clearTimeout(timer)
    },
    fetch: (...request) => fetch(...request),
    openSocket: openNodeSocket,
    openFolder: nodeFolder,
    deviceName: hostname,
    // Node has no such event; a failed attempt is followed by another.
    onOnline: () => () => undefined,
  }
}

/** Makes a vault. Works offline: the vault is registered with its remote at the first sync. */
export const createVault = (options: CreateOptions): Promise<CreatedVault> =>
  createVaultOn(nodePlatform(), options)

/** Restores a vault from its recovery phrase, as a new device of it. */
export const restoreVault = (options: RestoreOptions): Promise<Vault> =>
  restoreVaultOn(nodePlatform(), options)

/** Restores a vault from a backup and its recovery phrase, as a new device of it. */
export const restoreBackup = (options: RestoreBackupOptions): Promise<RestoredBackup> =>
  restoreBackupOn(nodePlatform(), options)

/** Makes this device one of a vault, by what another device shows (`vault.pairing.invite`). */
export const joinVault = (options: JoinOptions): Promise<Vault> =>
  joinVaultOn(nodePlatform(), options)

/** Opens the vault of a folder. */
export const openVault = (options: OpenOptions): Promise<Vault> =>
  openVaultOn(nodePlatform(), options)
