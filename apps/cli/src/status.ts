/**
 * status: what this device knows by itself, without asking anybody.
 */
import type { SyncStatus, Vault } from '@blindcopy/client'
import { formatDevices } from './devices.ts'
import { count, formatTime } from './layout.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export async function status(options: VaultOptions, terminal: Terminal): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    const { vaultId, deviceId, remote } = vault
    const { pending, attention, lastSyncedMs, initialSyncComplete } = vault.sync.status
    const quarantined = (await vault.quarantined()).length
    const devices = vault.devices()
    await terminal.answer(
      {
        vaultId,
        deviceId,
        remote,
        pending,
        attention,
        quarantined,
        lastSyncedMs,
        initialSyncComplete,
        devices,
      },
      describe(vault, quarantined, terminal),
    )
  })
}

function describe(vault: Vault, quarantined: number, terminal: Terminal): string {
  const { pending, attention } = vault.sync.status
  return [
    `vault        ${vault.vaultId}`,
    `device       ${vault.deviceId}`,
    `remote       ${vault.remote}`,
    `last synced  ${describeSynced(vault.sync.status)}`,
    `to send      ${pending === 0 ? 'nothing' : count(pending, 'transaction')}`,
    ...(attention > 0
      ? [`refused      ${count(attention, 'transaction')}: \`blindcopy sync --retry\``]
      : []),
    ...(quarantined > 0 ? [`set aside    ${count(quarantined, 'version')} that do not open`] : []),
    '',
    terminal.bold('Devices'),
    formatDevices(vault.devices(), terminal),
  ].join('\n')
}

function describeSynced({ lastSyncedMs, initialSyncComplete }: SyncStatus): string {
  if (lastSyncedMs === null) return 'never'
  return `${formatTime(lastSyncedMs)}${initialSyncComplete ? '' : ' (not everything yet)'}`
}
