/**
 * Device keys: how this device's keys come out of its folder and go back into it, closed with
 * nothing, a passphrase, a key store, or both.
 *
 * A change proves what opens them now, makes the new bytes, opens those to be sure, and only then
 * puts them in place of the old ones, in one step. What fails before that leaves all as it was.
 */
import { equalBytes, formatVaultId, type VaultId } from '@blindcopy/protocol'
import {
  type DeviceKeys,
  decodeDeviceKeyFile,
  encodeDeviceKeyFile,
  type KeptAt,
  type KeyFileHead,
  type KeyFileLock,
  parseStoreSecret,
  readDeviceKeyFileHead,
  type StoreSecret,
  VaultError,
} from '@blindcopy/vault'
import { ClientError, codeOf } from '../error.ts'
import type { StateLock } from '../local/local-state.ts'
import { Mutex } from '../local/mutex.ts'
import type { VaultFolder } from '../platform.ts'
import type { KeyStore, KeyStoreVault } from './key-store.ts'

/** How the keys on this device are closed; says nothing about other devices. */
export type DeviceProtection = {
  readonly passphrase: boolean
  /** The id of the key store; null for none. */
  readonly keyStore: string | null
}

export type PassphraseChange = {
  /** The passphrase of now, also while the vault is open; not used where there is none. */
  readonly current?: string | undefined
  /** The new one; without it the keys have none from now on. */
  readonly next?: string | undefined
}

export type KeyStoreChange = {
  /** The passphrase, where there is one. It stays as it is. */
  readonly passphrase?: string | undefined
  /** Without it the keys are closed with no key store from now on. */
  readonly next?: KeyStore | undefined
}

export type KeyStoreChanged = {
  /** False when the key store of before could not be told to forget its secret. */
  readonly isOldForgotten: boolean
}

type DeviceKeysFolder = Pick<VaultFolder, 'readKeys' | 'writeKeys'>

export class DeviceKeyKeeper {
  readonly #folder: DeviceKeysFolder
  readonly #vaultId: VaultId
  readonly #random: (size: number) => Uint8Array
  readonly #alone: Pick<StateLock, 'run'>
  #keyStore: KeyStore | undefined

  constructor(options: {
    readonly folder: DeviceKeysFolder
    readonly vaultId: VaultId
    readonly keyStore?: KeyStore | undefined
    readonly random: (size: number) => Uint8Array
    /** Where several tabs may have the vault open: theirs together. */
    readonly lock?: Pick<StateLock, 'run'> | undefined
  }) {
    this.#folder = options.folder
    this.#vaultId = options.vaultId
    this.#keyStore = options.keyStore
    this.#random = options.random
    this.#alone = options.lock ?? new Mutex()
  }

  /** The bytes of keys that no folder holds yet. `undo` forgets what a key store has made. */
  async close(
    deviceKeys: DeviceKeys,
    passphrase: string | undefined,
  ): Promise<{ bytes: Uint8Array; undo: () => Promise<void> }> {
    if (passphrase !== undefined) checkPassphrase(passphrase)
    const made = await this.#create(this.#keyStore)
    const undo = async (): Promise<void> => {
      if (made !== undefined) await this.#forget(this.#keyStore, made.handle)
    }
    try {
      return { bytes: await this.#encode(deviceKeys, { passphrase, keyStore: made }), undo }
    } catch (error) {
      await undo()
      throw error
    } finally {
      made?.secret.wipe()
    }
  }

  /** Throws what a key file and a key store do, and `vault-damaged` for keys of another vault. */
  async open(passphrase?: string): Promise<DeviceKeys> {
    return this.#withKeys(passphrase, async ({ deviceKeys }) => deviceKeys)
  }

  async protection(): Promise<DeviceProtection> {
    const bytes = await this.#folder.readKeys()
    try {
      const { hasPassphrase, keptAt } = readDeviceKeyFileHead(bytes)
      return { passphrase: hasPassphrase, keyStore: keptAt?.id ?? null }
    } finally {
      bytes.fill(0)
    }
  }

  changePassphrase({ current, next }: PassphraseChange): Promise<void> {
    if (next !== undefined) checkPassphrase(next)
    return this.#alone.run(() =>
      this.#withKeys(current, async ({ deviceKeys, keptAt, storeSecret: secret }) => {
        try {
          const keyStore = keptAt !== null && secret ? { ...keptAt, secret } : undefined
          await this.#put(await this.#encode(deviceKeys, { passphrase: next, keyStore }))
        } finally {
          deviceKeys.wipe()
        }
      }),
    )
  }

  changeKeyStore({ passphrase, next }: KeyStoreChange): Promise<KeyStoreChanged> {
    return this.#alone.run(() =>
      this.#withKeys(passphrase, async ({ deviceKeys, keptAt, hasPassphrase }) => {
        const before = this.#keyStore
        const made = await this.#create(next).catch((error: unknown) => {
          deviceKeys.wipe()
          throw error
        })
        try {
          const kept = hasPassphrase ? passphrase : undefined
          await this.#put(await this.#encode(deviceKeys, { passphrase: kept, keyStore: made }))
        } catch (error) {
          if (made !== undefined) await this.#forget(next, made.handle)
          throw error
        } finally {
          deviceKeys.wipe()
          made?.secret.wipe()
        }
        this.#keyStore = next
        const isOldForgotten = keptAt === null || (await this.#forget(before, keptAt.handle))
        return { isOldForgotten }
      }),
    )
  }

  /** Opens the keys for `work`, which takes them over. */
  async #withKeys<T>(
    passphrase: string | undefined,
    work: (
      opened: KeyFileHead & { deviceKeys: DeviceKeys; storeSecret: StoreSecret | undefined },
    ) => Promise<T>,
  ): Promise<T> {
    const bytes = await this.#folder.readKeys()
    let storeSecret: StoreSecret | undefined
    try {
      const head = readDeviceKeyFileHead(bytes)
      // Before a key store asks the person for something in vain.
      if (head.hasPassphrase && !passphrase) throw passphraseRequired()
      storeSecret = head.keptAt === null ? undefined : await this.#load(head.keptAt)
      const opening = { passphrase, storeSecret }
      const { deviceKeys, vaultId } = await decodeDeviceKeyFile(bytes, opening)
      if (!equalBytes(vaultId, this.#vaultId)) {
        deviceKeys.wipe()
        throw new ClientError('vault-damaged', 'the keys in the folder are those of another vault')
      }
      return await work({ ...head, deviceKeys, storeSecret })
    } finally {
      storeSecret?.wipe()
      bytes.fill(0)
    }
  }

  async #encode(deviceKeys: DeviceKeys, lock: KeyFileLock): Promise<Uint8Array> {
    const bytes = await encodeDeviceKeyFile(
      { deviceKeys, vaultId: this.#vaultId },
      lock,
      this.#random,
    )
    // What does not open is found before it takes the place of what does.
    const opening = { passphrase: lock.passphrase, storeSecret: lock.keyStore?.secret }
    const opened = await decodeDeviceKeyFile(bytes, opening)
    opened.deviceKeys.wipe()
    return bytes
  }

  async #put(bytes: Uint8Array): Promise<void> {
    try {
      await this.#folder.writeKeys(bytes)
    } finally {
      bytes.fill(0)
    }
  }

  get #vault(): KeyStoreVault {
    return { vaultId: formatVaultId(this.#vaultId), random: this.#random }
  }

  async #create(keyStore: KeyStore | undefined): Promise<Required<KeyFileLock>['keyStore']> {
    if (keyStore === undefined) return undefined
    const { secret, handle } = await ofKeyStore(keyStore.create(this.#vault))
    return { id: keyStore.id, handle, secret: parseStoreSecret(secret) }
  }

  async #load({ id, handle }: KeptAt): Promise<StoreSecret> {
    const keyStore = this.#keyStore
    if (keyStore === undefined || keyStore.id !== id) {
      throw new VaultError(
        'key-store-required',
        `the keys of this device are closed with the key store "${id}": open the vault with that one`,
      )
    }
    return parseStoreSecret(await ofKeyStore(keyStore.load(this.#vault, handle)))
  }

  /** Whether it could. What it may keep opens no file any more. */
  #forget(keyStore: KeyStore | undefined, handle: Uint8Array): Promise<boolean> {
    if (keyStore === undefined) return Promise.resolve(false)
    return ofKeyStore(keyStore.remove(this.#vault, handle)).then(
      () => true,
      () => false,
    )
  }
}

/** Only what a key store says on purpose is told on: a stranger's error may hold anything. */
async function ofKeyStore<T>(job: Promise<T>): Promise<T> {
  try {
    return await job
  } catch (error) {
    const code = codeOf(error)
    if (code === 'key-store-failed' || code === 'key-store-empty') throw error
    throw new ClientError('key-store-failed', 'the key store could not be used')
  }
}

function checkPassphrase(passphrase: unknown): void {
  if (typeof passphrase !== 'string') {
    throw new ClientError('invalid-argument', 'a passphrase is a text')
  }
  if (passphrase === '') throw passphraseRequired()
}

function passphraseRequired(): VaultError {
  return new VaultError('passphrase-required', 'the keys of this device need their passphrase')
}
