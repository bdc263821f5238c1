/**
 * Protection as an app sees it, `vault.protection`: with what this device's keys are closed on its
 * disk, and how to change that. It concerns this device alone.
 */
import type { Access } from '../records/access.ts'
import type {
  DeviceKeyKeeper,
  DeviceProtection,
  KeyStoreChange,
  KeyStoreChanged,
  PassphraseChange,
} from './device-keys.ts'

export type VaultProtection = {
  /** Also while the vault is locked. */
  state(): Promise<DeviceProtection>
  /**
   * Sets, changes or (without `next`) removes the passphrase. What it was is wanted again, though
   * the vault is open. Throws `passphrase-required` or `passphrase-wrong`, and then nothing has
   * changed. Once it resolves, the old one opens nothing in the folder.
   */
  changePassphrase(change: PassphraseChange): Promise<void>
  /** Closes the keys with another key store, or (without `next`) with none. */
  changeKeyStore(change: KeyStoreChange): Promise<KeyStoreChanged>
}

export function protectionOf(keeper: DeviceKeyKeeper, access: Access): VaultProtection {
  return {
    state: () => keeper.protection(),
    async changePassphrase(change) {
      access.check()
      await keeper.changePassphrase(change)
    },
    async changeKeyStore(change) {
      access.check()
      return keeper.changeKeyStore(change)
    },
  }
}
