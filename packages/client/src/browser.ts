/**
 * The doors of a vault in a browser: where clock, randomness, timers, network and storage become
 * real. The same vault as on Node; the path is the name of its databases.
 *
 * Any number of tabs may open one vault at once (decision 0017).
 */
import { pooledRandom } from '@blindcopy/vault'
import {
  type RestoreBackupOptions,
  type RestoredBackup,
  restoreBackupOn,
} from './backup/restore-backup-door.ts'
import { browserFolder } from './browser/browser-folder.ts'
import { browserName } from './browser/browser-name.ts'
import { askForPersistence } from './browser/browser-storage.ts'
import { ClientError } from './error.ts'
import type { Platform } from './platform.ts'
import type { WebSocketLike } from './transport/http-transport.ts'
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

export { backupFile, writeBackupFile } from './browser/browser-backup.ts'
export { removeVault } from './browser/browser-folder.ts'
export { type StorageState, storageState } from './browser/browser-storage.ts'
export { PASSKEY_ID, type PasskeyOptions, passkey } from './browser/passkey.ts'
export * from './core.ts'

/** Throws `unsupported-platform`. */
export function browserPlatform(): Platform {
  checkSupport()
  const random = pooledRandom()
  return {
    nowMs: Date.now,
    random,
    setTimer(callback, delayMs) {
      const timer = setTimeout(callback, delayMs)
      return () => clearTimeout(timer)
    },
    fetch: (...request) => fetch(...request),
    // The types of the DOM will not send memory that might be shared; ours never is.
    openSocket: (url) => new WebSocket(url) as unknown as WebSocketLike,
    openFolder: (path) => browserFolder(path, random),
    deviceName: () => browserName(navigator.userAgent),
    onOnline(listener) {
      addEventListener('online', listener)
      return () => removeEventListener('online', listener)
    },
  }
}

/**
 * Makes a vault in this browser, and asks it to keep what it stores. Works offline: the vault is
 * registered with its remote at the first sync.
 */
export async function createVault(options: CreateOptions): Promise<CreatedVault> {
  return createVaultOn(keepingPlatform(), options)
}

/** Restores a vault from its recovery phrase, as a new device of it. */
export async function restoreVault(options: RestoreOptions): Promise<Vault> {
  return restoreVaultOn(keepingPlatform(), options)
}

/** Restores a vault from a backup and its recovery phrase, as a new device of it. */
export async function restoreBackup(options: RestoreBackupOptions): Promise<RestoredBackup> {
  return restoreBackupOn(keepingPlatform(), options)
}

/** Makes this browser a device of a vault, by what another device shows. */
export async function joinVault(options: JoinOptions): Promise<Vault> {
  return joinVaultOn(keepingPlatform(), options)
}

/**
 * Opens a vault of this browser. Throws `vault-damaged` when the browser has deleted all or a part
 * of it: `removeVault`, then `restoreVault`.
 */
export async function openVault(options: OpenOptions): Promise<Vault> {
  return openVaultOn(keepingPlatform(), options)
}

function keepingPlatform(): Platform {
  const platform = browserPlatform()
  askForPersistence()
  return platform
}

function checkSupport(): void {
  const { indexedDB, BroadcastChannel, navigator, crypto } = globalThis as Partial<
    typeof globalThis
  >
  const needed = { indexedDB, BroadcastChannel, locks: navigator?.locks, subtle: crypto?.subtle }
  const missing = Object.entries(needed).find(([, value]) => value === undefined)
  if (missing === undefined) return
  throw new ClientError(
    'unsupported-platform',
    `this page has no ${missing[0]}: serve it over https (or from localhost), to a browser of 2022 or later`,
  )
}
