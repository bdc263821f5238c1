/**
 * Founding: the keys of a new vault, the first entries of its keychain, and the words that its root
 * can be made from again. Apart so that an app downloads it when somebody makes a vault.
 */
import type { VaultId } from '@blindcopy/protocol'
import {
  type DeviceKeys,
  deriveRoot,
  formatPhrase,
  foundKeychain,
  generateRootSecret,
  type RandomBytes,
} from '@blindcopy/vault'

export type FoundedVault = {
  readonly vaultId: VaultId
  readonly entries: readonly Uint8Array[]
  readonly recoveryPhrase: string
}

/** `device` is borrowed; the root is wiped. */
export function foundVault(options: {
  readonly device: DeviceKeys
  readonly deviceName: string
  readonly nowMs: number
  readonly random: RandomBytes
}): FoundedVault {
  const rootSecret = generateRootSecret(options.random)
  const root = deriveRoot(rootSecret)
  try {
    const { entries, keyring } = foundKeychain({ ...options, root })
    keyring.wipe()
    return { vaultId: root.vaultId, entries, recoveryPhrase: formatPhrase(rootSecret) }
  } finally {
    root.wipe()
    rootSecret.wipe()
  }
}
