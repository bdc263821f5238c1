/**
 * restore: this device becomes a member of a vault by its recovery phrase, and gets its records.
 */
import { restoreVault, type Vault } from '@blindcopy/client'
import { formatDevices } from './devices.ts'
import { readPhrase } from './read-phrase.ts'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'
import { keyStoreOf, newPassphrase, type VaultOptions, vaultPath } from './vault-folder.ts'

export type RestoreOptions = VaultOptions & {
  readonly remote: string
  readonly name?: string
  readonly passphrase?: boolean
}

export async function restore(options: RestoreOptions, terminal: Terminal): Promise<void> {
  const path = vaultPath(options, terminal)
  const passphrase = await newPassphrase(options.passphrase === true, terminal)
  const recoveryPhrase = await readPhrase(terminal)
  const vault = await restoreVault({
    path,
    remote: options.remote,
    recoveryPhrase,
    ...(options.name === undefined ? {} : { deviceName: options.name }),
    ...passphrase,
    ...keyStoreOf(options, terminal),
  })
  try {
    await pull(vault, path, terminal)
    await show(vault, path, terminal)
  } finally {
    await vault.close()
  }
}

/** From here on the vault is on this device, whatever the network does. */
async function pull(vault: Vault, path: string, terminal: Terminal): Promise<void> {
  try {
    await syncPass(vault, terminal)
  } catch (error) {
    terminal.warn(
      'restored-without-records',
      `the vault is restored in ${path}, and its records are not here yet: run \`blindcopy sync\``,
    )
    throw error
  }
}

async function show(vault: Vault, path: string, terminal: Terminal): Promise<void> {
  const { vaultId, deviceId } = vault
  const devices = vault.devices()
  const text = [
    `Restored the vault into ${terminal.bold(path)}`,
    `  vault   ${vaultId}`,
    `  device  ${deviceId}`,
    '',
    terminal.bold('Devices of the vault'),
    formatDevices(devices, terminal),
    '',
    'Its records are here: `blindcopy list` shows the collections.',
  ].join('\n')
  await terminal.answer({ vaultId, deviceId, devices }, text)
}
