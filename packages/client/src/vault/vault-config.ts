/**
 * The configuration of a vault folder: what is neither secret nor a record. Its file is what makes
 * a folder a vault.
 */
import {
  decodeUtf8,
  encodeUtf8,
  formatVaultId,
  parseVaultIdText,
  type VaultId,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'

export type VaultConfig = { readonly vaultId: VaultId; readonly remote: string }

const FORMAT = 1

export function encodeConfig({ vaultId, remote }: VaultConfig): Uint8Array {
  const config = { format: FORMAT, vaultId: formatVaultId(vaultId), remote }
  return encodeUtf8(`${JSON.stringify(config, null, 2)}\n`)
}

/** Throws `vault-damaged`, or says that a later program made the folder. */
export function parseConfig(bytes: Uint8Array): VaultConfig {
  let config: unknown
  try {
    config = JSON.parse(decodeUtf8(bytes))
    const { format, vaultId, remote } = config as Record<string, unknown>
    if (typeof format === 'number' && format > FORMAT) {
      throw new ClientError(
        'vault-damaged',
        'the vault was made by a later version: update this one',
      )
    }
    if (format !== FORMAT || typeof vaultId !== 'string' || typeof remote !== 'string') {
      throw new ClientError('vault-damaged', 'the configuration of the vault misses something')
    }
    return { vaultId: parseVaultIdText(vaultId), remote }
  } catch (cause) {
    if (cause instanceof ClientError) throw cause
    throw new ClientError(
      'vault-damaged',
      'the configuration of the vault cannot be read: restore the vault into a new folder',
      { cause },
    )
  }
}
