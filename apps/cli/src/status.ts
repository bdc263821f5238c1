/**
 * status: what this device knows by itself, without asking anybody: what waits, what was lost, what
 * happened, and when it last had word of the remote.
 */
import type { Notice, SyncStatus, Vault } from '@blindcopy/client'
import { formatDevices } from './devices.ts'
import { count, formatAgo, formatTime, printable, wrap } from './layout.ts'
import { describeClock, describePhase, describeRemedy, describeSynced } from './sync-text.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export async function status(options: VaultOptions, terminal: Terminal): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    const { vaultId, deviceId, remote } = vault
    const quarantined = (await vault.quarantined()).length
    const known = vault.sync.status
    const nowMs = Date.now()
    const clock = known.clock && {
      ...known.clock,
      deviceMs: nowMs,
      remoteMs: nowMs + known.clock.offsetMs,
    }
    await terminal.answer(
      { vaultId, deviceId, remote, ...known, clock, quarantined, devices: vault.devices() },
      describe(vault, { quarantined, nowMs, terminal }),
    )
  })
}

type Shown = { readonly quarantined: number; readonly nowMs: number; readonly terminal: Terminal }

const LABEL_COLUMNS = 13

function describe(vault: Vault, { quarantined, nowMs, terminal }: Shown): string {
  const known = vault.sync.status
  const rows: (readonly [label: string, text: string])[] = [
    ['vault', vault.vaultId],
    ['device', vault.deviceId],
    ['remote', vault.remote],
    ['last synced', describeSynced(known, nowMs)],
    ...(known.initialSyncComplete ? [] : [['first sync', FIRST_SYNC] as const]),
    ...(known.phase === 'resting' ? [] : [['now', describePhase(known)] as const]),
    ...describeWork(known, quarantined),
    ...(known.clock === null
      ? []
      : [['clock', describeClock(known.clock.offsetMs, nowMs)] as const]),
    ...describeProblem(known),
  ]
  return [
    ...rows.map(([label, text]) => {
      const wrapped = wrap(printable(text), terminal.columns, LABEL_COLUMNS)
      return `${label.padEnd(LABEL_COLUMNS)}${wrapped}`
    }),
    ...formatNotices(known.notices, nowMs, terminal),
    '',
    terminal.bold('Devices'),
    formatDevices(vault.devices(), terminal),
  ].join('\n')
}

const FIRST_SYNC = 'not complete: what is not here may still be at the remote'

function describeWork(
  { pending, attention, conflicts }: SyncStatus,
  quarantined: number,
): (readonly [string, string])[] {
  const rows: (readonly [string, string])[] = [
    ['to send', pending === 0 ? 'nothing' : count(pending, 'transaction')],
  ]
  if (attention > 0) {
    const text = `${count(attention, 'transaction')} not sent, kept here: \`blindcopy attention\``
    rows.push(['attention', text])
  }
  if (conflicts > 0) {
    const text = `${count(conflicts, 'version')} lost, or waiting for a choice:`
    rows.push(['conflicts', `${text} \`blindcopy conflicts\``])
  }
  if (quarantined > 0) {
    const verb = quarantined === 1 ? 'does' : 'do'
    const text = `${count(quarantined, 'version')} that ${verb} not open; tried again at each sync`
    rows.push(['set aside', text])
  }
  return rows
}

function describeProblem({ problem }: SyncStatus): (readonly [string, string])[] {
  if (problem === null) return []
  return [
    ['problem', `${problem.message} [${problem.code}]`],
    ['what to do', describeRemedy(problem)],
  ]
}

function formatNotices(
  notices: readonly Notice[],
  nowMs: number,
  terminal: Terminal,
): readonly string[] {
  if (notices.length === 0) return []
  return [
    '',
    terminal.bold('What happened'),
    ...notices.flatMap(({ atMs, code, message }) => {
      const ago = formatAgo(atMs, nowMs)
      const time = formatTime(atMs)
      return [
        `  ${ago === time ? time : `${time}, ${ago}`}`,
        `    ${wrap(printable(`${message} [${code}]`), terminal.columns, 4)}`,
      ]
    }),
  ]
}
