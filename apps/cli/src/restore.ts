/**
 * restore: this device becomes a member of a vault by its recovery phrase, a kit, a key file or
 * shares, removes whom the person wants out, and gets the records.
 */
import { type RecoverySource, restoreVault, type Vault } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { formatDevices } from './devices.ts'
import { type ChoiceOptions, choiceOf } from './member-choice.ts'
import { knowsRemote, type RecoveryOptions, readRecovery } from './recovery-input.ts'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'
import { keyStoreOf, newPassphrase, type VaultOptions, vaultPath } from './vault-folder.ts'

export type RestoreOptions = VaultOptions &
  RecoveryOptions &
  ChoiceOptions & {
    readonly remote?: string
    readonly name?: string
    readonly passphrase?: boolean
  }

export async function restore(options: RestoreOptions, terminal: Terminal): Promise<void> {
  const path = vaultPath(options, terminal)
  const passphrase = await newPassphrase(options.passphrase === true, terminal)
  const source = await readRecovery(options, terminal)
  const { remote, name } = options
  checkRemoteKnown(remote, source)
  const mayBringBack = 'recoveryPhrase' in source
  const vault = await restoreVault({
    ...{ path, ...source },
    ...(remote === undefined ? {} : { remote }),
    ...(name === undefined ? {} : { deviceName: name }),
    review: choiceOf(options, terminal, { mayBringBack }),
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

/** A kit and a key file say where the remote is; words do not. */
function checkRemoteKnown(remote: string | undefined, source: RecoverySource): void {
  if (remote !== undefined || knowsRemote(source)) return
  throw new CliError('usage', 'where is the vault? Give its address with --remote URL')
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
