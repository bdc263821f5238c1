/**
 * Devices: the members of a vault as a table.
 */
import type { VaultDevice } from '@blindcopy/client'
import { clip, formatTable, formatTime, printable } from './layout.ts'
import type { Terminal } from './terminal.ts'

/** What a row takes beside the name. */
const AROUND_COLUMNS = 60
const NAME_COLUMNS_MIN = 20

export function formatDevices(devices: readonly VaultDevice[], terminal: Terminal): string {
  const columns = Math.max(NAME_COLUMNS_MIN, terminal.columns - AROUND_COLUMNS)
  const rows = devices.map(({ deviceId, name, kind, addedMs, isThis }) => [
    `  ${deviceId}`,
    `${clip(printable(name), columns) || '(no name)'}${kind === 'recovery' ? ' (recovery key)' : ''}`,
    `added ${formatTime(addedMs)}${isThis ? '  this device' : ''}`,
  ])
  return formatTable(rows, terminal.columns)
}
