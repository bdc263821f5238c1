/**
 * inspect --as-remote: exactly what the host of the remote can see of this vault, asked of the
 * remote itself and read without any key.
 */
import type { RemoteView, SeenRecord } from '@blindcopy/client'
import { clip, count, formatTime } from './layout.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export async function inspect(options: VaultOptions, terminal: Terminal): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    const { columns } = terminal
    let isFirst = true
    for await (const view of vault.remoteView()) {
      if (terminal.json) await terminal.print(JSON.stringify(view))
      else {
        // Not before the remote has answered.
        if (isFirst) await terminal.print(header(vault.remote, terminal))
        for (const line of describe(view, columns)) await terminal.print(clip(line, columns))
      }
      isFirst = false
    }
  })
}

function header(remote: string, terminal: Terminal): string {
  return [
    terminal.bold(`What the host of ${remote} can see of this vault`),
    '',
    'Which vault and which of its devices wrote, when, and how much (padded).',
    'Names, keys, fields, even the collection of a record are sealed: to the host',
    'they are noise, which begins as the last column shows.',
    '',
  ].join('\n')
}

function describe(view: RemoteView, columns: number): string[] {
  const idShown = columns < WIDE_COLUMNS ? ID_SHOWN_NARROW : ID_DIGITS
  switch (view.type) {
    case 'vault':
      return [
        `vault ${view.vaultId}`,
        `SyncId ${view.syncId}, ${view.seq} entries in its log`,
        '',
        `    ${'record'.padEnd(idShown)}  written (UTC)        device    epoch     size  sealed`,
      ]
    case 'keychain':
      return [
        `#${view.seq}  keychain ${view.entry} signed by ${view.signedBy}, ` +
          `${formatTime(view.timeMs)}, ${view.sizeBytes} B`,
      ]
    case 'transaction':
      return [
        `#${view.seq}  ${describeSize(view)}`,
        ...view.records.map((record) => describeRecord(record, idShown)),
      ]
    case 'total':
      return [
        '',
        `${count(view.records, 'record')} in all, fingerprint ${view.fingerprint.slice(0, 32)}`,
      ]
  }
}

function describeSize(view: Extract<RemoteView, { type: 'transaction' }>): string {
  const { records, superseded } = view
  const rest = superseded > 0 ? `, ${superseded} of them replaced since` : ''
  return `a transaction of ${count(records.length + superseded, 'record')}${rest}`
}

/** From here on a row shows all of the id of its record; --json always does. */
const WIDE_COLUMNS = 98
const ID_DIGITS = 32
const ID_SHOWN_NARROW = 13
const CIPHERTEXT_SHOWN = 12
const CIPHERTEXT_SHOWN_NARROW = 8

function describeRecord(record: SeenRecord, idShown: number): string {
  const isNarrow = idShown < ID_DIGITS
  const sealedShown = isNarrow ? CIPHERTEXT_SHOWN_NARROW : CIPHERTEXT_SHOWN
  const { recordId, writtenMs, device, epoch, deleted, sizeBytes, ciphertext } = record
  return [
    `    ${clip(recordId, idShown)}`,
    formatTime(writtenMs).slice(0, 19),
    device,
    String(epoch).padStart(5),
    String(sizeBytes).padStart(7),
    deleted ? 'a deletion' : `${ciphertext.slice(0, sealedShown)}…`,
  ].join('  ')
}
