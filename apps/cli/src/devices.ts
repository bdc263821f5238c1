/**
 * Devices: the members of a vault as a table.
 */
import type { VaultDevice } from '@blindcopy/client'
import { formatAgo, formatRows } from './layout.ts'
import { shownName } from './member-names.ts'
import type { Terminal } from './terminal.ts'

export function formatDevices(
  devices: readonly VaultDevice[],
  terminal: Pick<Terminal, 'columns'>,
): string {
  const nowMs = Date.now()
  const rows = devices.map(({ deviceId, name, kind, addedMs, isThis }) => [
    `  ${deviceId}`,
    `${shownName(name)}${kind === 'recovery' ? ' (recovery key)' : ''}`,
    `added ${formatAgo(addedMs, nowMs)}`,
    isThis ? 'this device' : '',
  ])
  return formatRows(rows, terminal.columns)
}
