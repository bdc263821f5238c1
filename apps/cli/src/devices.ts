/**
 * Devices: the members of a vault as a table.
 */
import type { VaultDevice } from '@blindcopy/client'
import { formatTable, formatTime, printable } from './layout.ts'
import type { Terminal } from './terminal.ts'

export function formatDevices(devices: readonly VaultDevice[], terminal: Terminal): string {
  const rows = devices.map(({ deviceId, name, kind, addedMs, isThis }) => [
    `  ${deviceId}`,
    `${printable(name) || '(no name)'}${kind === 'recovery' ? ' (recovery key)' : ''}`,
    `added ${formatTime(addedMs)}${isThis ? '  this device' : ''}`,
  ])
  return formatTable(rows, terminal.columns)
}
