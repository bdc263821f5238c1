/**
 * verify: who has seen what of the vault, and when, and whether any of it contradicts what is here.
 * The remote is asked first, so that the newest is judged; with --offline nobody is asked.
 */
import type { SeenDevice, SeenState, Vault, VerifyReport } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { clip, count, formatAgo, formatRows, printable, wrap } from './layout.ts'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export type VerifyOptions = VaultOptions & { readonly offline?: boolean }

export async function verify(options: VerifyOptions, terminal: Terminal): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    // What stops sync is what is to be shown: so the report comes first, and the failure after it.
    const failed = options.offline === true ? undefined : await passed(vault, terminal)
    const report = await vault.verify()
    const { problem, lastSyncedMs } = vault.sync.status
    await terminal.answer({ ...report, problem, lastSyncedMs }, describeReport(report, terminal))
    if (!report.isSound) throw new CliError('unsound', UNSOUND)
    if (failed !== undefined) throw failed.error
  })
}

const UNSOUND = 'what another device has signed contradicts what the remote shows this one'

async function passed(vault: Vault, terminal: Terminal): Promise<{ error: unknown } | undefined> {
  try {
    await syncPass(vault, terminal)
    return undefined
  } catch (error) {
    return { error }
  }
}

const STATES: Readonly<Record<SeenState, string>> = {
  linked: 'agrees with what is here',
  ahead: 'is ahead of what came here',
  'not-heard': 'has signed nothing that came here',
  'before-reset': 'has not come since the remote was reset or restored',
  'rolled-back': 'has signed what the remote no longer has',
  forked: 'WAS SHOWN ANOTHER HISTORY',
  differs: 'HOLDS OTHER RECORDS at the same place',
  settled: 'did not agree, and you let this device go on',
}

const LABEL_COLUMNS = 11
const NAME_COLUMNS_MAX = 24

/** What a person reads. */
export function describeReport(
  report: VerifyReport,
  terminal: Pick<Terminal, 'columns'>,
  nowMs: number = Date.now(),
): string {
  const { seq, chain, keychain, quarantined, devices, isSound } = report
  const rows: (readonly [label: string, text: string])[] = [
    ['history', `${count(seq, 'transaction')}, ends in ${chain}`],
    ['members', `list of ${count(keychain.length, 'step')}, ends in ${keychain.head}`],
  ]
  if (quarantined > 0)
    rows.push(['set aside', `${count(quarantined, 'version')} that did not open`])
  const silent = devices.filter(({ isSilent }) => isSilent)
  return [
    ...rows.map(([label, text]) => `${label.padEnd(LABEL_COLUMNS)}${text}`),
    '',
    formatDevices(devices, terminal.columns, nowMs),
    '',
    wrap(verdictOf(isSound, silent), terminal.columns),
  ].join('\n')
}

function formatDevices(devices: readonly SeenDevice[], columns: number, nowMs: number): string {
  const rows = devices.map((device) => [
    clip(printable(device.name), NAME_COLUMNS_MAX) || device.deviceId,
    device.seq === null ? '-' : `at ${device.seq.toLocaleString('en-US')}`,
    device.signedMs === null ? 'never' : `signed ${formatAgo(device.signedMs, nowMs)}`,
    [
      device.isThis ? 'this device' : STATES[device.state],
      ...(device.unopened > 0 ? [`could not open ${count(device.unopened, 'version')}`] : []),
      ...(device.isSilent ? ['SILENT FOR LONG'] : []),
    ].join('; '),
  ])
  return formatRows(rows, columns, 1)
}

function verdictOf(isSound: boolean, silent: readonly SeenDevice[]): string {
  if (!isSound) return CONTRADICTED
  if (silent.length === 0) return AGREED
  const names = silent.map(({ name, deviceId }) => printable(name) || deviceId).join(', ')
  return `${AGREED} Not heard of for a week or more: ${names}. ${COMPARE}`
}

const AGREED = 'Nothing contradicts what is here.'
const COMPARE =
  'If it is in use, run `blindcopy verify` there: "history" must end alike where both are at one number.'
const CONTRADICTED =
  'The remote has shown two devices different things. Nothing here was changed. Run this on the other device too, and ask whoever runs the remote; `blindcopy sync --reconcile` lets this device go on, and drops nothing.'
