/**
 * The doors of a vault: create one, open the one a folder holds. How a lost one is restored is
 * restore.ts. Each checks everything it can before it writes, and writes the file that makes the
 * folder a vault last: what fails half-way leaves no vault behind.
 */
import type { VaultId } from '@blindcopy/protocol'
import { keychainKey, type Store, StoreError, type StoreOp } from '@blindcopy/secondary'
import { type DeviceKeys, generateDeviceKeys } from '@blindcopy/vault'
import type { Tabs } from '../browser/tabs.ts'
import { ClientError, codeOf } from '../error.ts'
import { readKeychainEntries } from '../local/local-reading.ts'
import type { Platform, VaultFolder } from '../platform.ts'
import { formatRemoteUrl } from '../transport/http-transport.ts'
import { DeviceKeyKeeper } from './device-keys.ts'
import type { KeyStore } from './key-store.ts'
import { Membership } from './membership.ts'
import { Vault } from './vault.ts'
import { encodeConfig, parseConfig } from './vault-config.ts'

export type CreateOptions = {
  /** The folder of the vault (in a browser: its name). It must not exist or be empty. */
  readonly path: string
  /** The address of the remote. It need not be reachable now. */
  readonly remote: string
  /** What the remote wants from a new vault, if it wants something. */
  readonly registrationToken?: string | undefined
  /** How this device is called in lists; sealed like everything else. */
  readonly deviceName?: string | undefined
  /** Protects the device's keys on its disk; asked for at every opening. */
  readonly passphrase?: string | undefined
  /** Closes the device's keys with a secret that is kept elsewhere; wanted at every opening. */
  readonly keyStore?: KeyStore | undefined
}

export type CreatedVault = {
  readonly vault: Vault
  /** The 24 words that restore the vault when every device is lost. Kept nowhere: show them now. */
  readonly recoveryPhrase: string
}

export type OpenOptions = {
  readonly path: string
  readonly passphrase?: string | undefined
  readonly keyStore?: KeyStore | undefined
}

/** Makes a vault. Works offline: the vault is registered with its remote at the first sync. */
export async function createVaultOn(
  platform: Platform,
  options: CreateOptions,
): Promise<CreatedVault> {
  const remote = formatRemoteUrl(options.remote)
  const folder = await emptyFolder(platform, options.path)
  const { random } = platform
  const device = generateDeviceKeys(random)
  const deviceName = options.deviceName ?? platform.deviceName()
  const nowMs = platform.nowMs()
  // The list of 2,048 words, among others: nobody needs it who only opens a vault.
  const { foundVault } = await import('./founding.ts')
  const { recoveryPhrase, ...founded } = foundVault({ device, deviceName, nowMs, random })
  const vault = await writeVault(platform, folder, { ...options, ...founded, remote, device })
  return { vault, recoveryPhrase }
}

/** Opens the vault of a folder. */
export async function openVaultOn(platform: Platform, options: OpenOptions): Promise<Vault> {
  const folder = platform.openFolder(checkPath(options.path))
  if ((await folder.content()) !== 'vault') {
    throw new ClientError(
      'not-a-vault',
      `there is no vault in ${options.path}: create or restore one`,
    )
  }
  const { vaultId, remote } = parseConfig(await folder.readConfig())
  const tabs = folder.tabs?.()
  const { keyStore } = options
  const { random } = platform
  const keeper = new DeviceKeyKeeper({ folder, vaultId, keyStore, random, lock: tabs?.lock })
  try {
    const device = await keeper.open(options.passphrase)
    const store = await openStore(folder).catch((error: unknown) => {
      device.wipe()
      throw error
    })
    return await openOn(platform, { vaultId, remote, store, device, keeper, tabs })
  } catch (error) {
    tabs?.close()
    throw error
  }
}

async function openOn(
  platform: Platform,
  parts: {
    vaultId: VaultId
    remote: string
    store: Store
    device: DeviceKeys
    keeper: DeviceKeyKeeper
    tabs: Tabs | undefined
  },
): Promise<Vault> {
  const { vaultId, store, device } = parts
  try {
    const entries = await readKeychainEntries(store)
    const membership = openMembership({ vaultId, entries, device })
    return await Vault.open({ ...parts, membership, platform })
  } catch (error) {
    device.wipe()
    await store.close()
    throw error
  }
}

/** From the disk: a chain that does not hold there is the disk's fault, not a remote's. */
function openMembership(parts: Parameters<typeof Membership.open>[0]): Membership {
  try {
    return Membership.open(parts)
  } catch (cause) {
    if (codeOf(cause) !== 'keychain-invalid') throw cause
    throw new ClientError(
      'vault-damaged',
      'the list of devices on this disk is damaged: restore the vault into a new folder',
      { cause },
    )
  }
}

/** Writes the folder of a new member and opens it; the configuration last of all. */
export async function writeVault(
  platform: Platform,
  folder: VaultFolder,
  parts: {
    vaultId: VaultId
    remote: string
    /** The keychain with this device in it; asked for once its keys can be kept. */
    entries: readonly Uint8Array[] | (() => Promise<readonly Uint8Array[]>)
    device: DeviceKeys
    passphrase?: string | undefined
    keyStore?: KeyStore | undefined
    registrationToken?: string | undefined
    /** What the vault must know from its first moment. */
    initial?: readonly StoreOp[] | undefined
  },
): Promise<Vault> {
  const { vaultId, device } = parts
  const { random } = platform
  const tabs = folder.tabs?.()
  const { keyStore } = parts
  const keeper = new DeviceKeyKeeper({ folder, vaultId, keyStore, random, lock: tabs?.lock })
  let undo = async (): Promise<void> => undefined
  try {
    // Before anything is written, here or at a remote: a passphrase that is refused, or a key store
    // that fails, leaves nothing behind.
    const closed = await keeper.close(device, parts.passphrase)
    undo = closed.undo
    const entries = typeof parts.entries === 'function' ? await parts.entries() : parts.entries
    // The device's own keys must open the vault before anything is written with them.
    checkOpens({ vaultId, entries, device })
    await folder.begin()
    await folder.writeKeys(closed.bytes)
    closed.bytes.fill(0)
    return await fillFolder(platform, folder, { ...parts, entries, keeper, tabs })
  } catch (error) {
    tabs?.close()
    device.wipe()
    await undo()
    throw error
  }
}

/** Throws `key-mismatch`. */
function checkOpens(parts: Parameters<typeof Membership.open>[0]): void {
  const membership = Membership.open(parts)
  try {
    membership.writingKeyring.wipe()
  } finally {
    membership.keyring.wipe()
  }
}

/** What a folder that has its keys gets: its records, and last of all its configuration. */
async function fillFolder(
  platform: Platform,
  folder: VaultFolder,
  parts: {
    vaultId: VaultId
    remote: string
    entries: readonly Uint8Array[]
    device: DeviceKeys
    keeper: DeviceKeyKeeper
    tabs: Tabs | undefined
    registrationToken?: string | undefined
    initial?: readonly StoreOp[] | undefined
  },
): Promise<Vault> {
  const { vaultId, remote, entries, device, keeper, tabs, registrationToken } = parts
  const store = await openStore(folder)
  try {
    const keychain = entries.map(
      (value, i) => ({ type: 'put', key: keychainKey(i), value }) as const,
    )
    await store.write([...keychain, ...(parts.initial ?? [])], { sync: true })
  } catch (error) {
    await store.close()
    throw error
  }
  const vault = await openOn(platform, { vaultId, remote, store, device, keeper, tabs })
  try {
    if (registrationToken !== undefined) await vault.setRegistrationToken(registrationToken)
    await folder.finish(encodeConfig({ vaultId, remote }))
  } catch (error) {
    await vault.close()
    throw error
  }
  return vault
}

/** Where a vault may be made. Throws `vault-exists` and `not-a-vault`. */
export async function emptyFolder(platform: Platform, path: string): Promise<VaultFolder> {
  const folder = platform.openFolder(checkPath(path))
  const content = await folder.content()
  if (content === 'vault') {
    throw new ClientError(
      'vault-exists',
      `there is a vault in ${path}: open it, or choose another folder`,
    )
  }
  if (content === 'foreign') {
    throw new ClientError(
      'not-a-vault',
      `${path} holds other files: choose a folder that is empty or new`,
    )
  }
  return folder
}

function checkPath(path: string): string {
  if (typeof path === 'string' && path.length > 0) return path
  throw new ClientError('invalid-argument', 'the path of a vault must be a text that is not empty')
}

async function openStore(folder: VaultFolder): Promise<Store> {
  try {
    return await folder.openStore()
  } catch (cause) {
    if (cause instanceof StoreError && cause.code === 'store-in-use') {
      throw new ClientError(
        'vault-in-use',
        'the vault is open in another process: close that one first',
        { cause },
      )
    }
    throw cause
  }
}
