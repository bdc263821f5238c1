/**
 * devices list: who holds keys of the vault, as this device knows it; asks nobody.
 */
import { formatDevices } from './devices.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export async function listDevices(options: VaultOptions, terminal: Terminal): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    const devices = vault.devices()
    await terminal.answer({ devices }, formatDevices(devices, terminal))
  })
}
