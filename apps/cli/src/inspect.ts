/**
 * inspect --as-remote: exactly what the host of the remote can see of this vault, asked of the
 * remote itself and read without any key.
 */
import type { RemoteView, SeenRecord } from '@blindcopy/client'
import { clip, formatTime } from './layout.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export async function inspect(options: VaultOptions, terminal: Terminal): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    if (!terminal.json) await terminal.print(header(vault.remote, terminal))
    for await (const view of vault.remoteView()) {
      if (terminal.json) await terminal.print(JSON.stringify(view))
      else for (const line of describe(view)) await terminal.print(clip(line, terminal.columns))
    }
  })
}

function header(remote: string, terminal: Terminal): string {
  return [
    terminal.bold(`What the host of ${remote} can see of this vault`),
    '',
    'Which vault and which of its devices wrote, when, and the padded size of what they wrote.',
    'Names, keys, fields and even the collection of a record are sealed: to the host they are the',
    'noise in the last column, of which it sees the whole and which begins as shown.',
    '',
  ].join('\n')
}

function describe(view: RemoteView): string[] {
  switch (view.type) {
    case 'vault':
      return [
        `vault ${view.vaultId}`,
        `SyncId ${view.syncId}, ${view.seq} entries in its log`,
        '',
        `    ${'record'.padEnd(32)}  written (UTC)        device    epoch     size  sealed`,
      ]
    case 'keychain':
      return [
        `#${view.seq}  keychain: ${view.entry}, signed by ${view.signedBy}, ` +
          `${formatTime(view.timeMs)}, ${view.sizeBytes} B`,
      ]
    case 'transaction':
      return [`#${view.seq}  ${describeSize(view)}`, ...view.records.map(describeRecord)]
    case 'total':
      return ['', `${view.records} records in all, fingerprint ${view.fingerprint.slice(0, 32)}`]
  }
}

function describeSize(view: Extract<RemoteView, { type: 'transaction' }>): string {
  const { records, superseded } = view
  const rest = superseded > 0 ? `, ${superseded} more since replaced` : ''
  return `a transaction of ${records.length}${rest}`
}

/** Of the hexadecimal digits; --json has more. */
const CIPHERTEXT_SHOWN = 12

function describeRecord(record: SeenRecord): string {
  const { recordId, writtenMs, device, epoch, deleted, sizeBytes, ciphertext } = record
  return [
    `    ${recordId}`,
    formatTime(writtenMs).slice(0, 19),
    device,
    String(epoch).padStart(5),
    String(sizeBytes).padStart(7),
    deleted ? 'a deletion' : `${ciphertext.slice(0, CIPHERTEXT_SHOWN)}…`,
  ].join('  ')
}
