/**
 * remote vaults, inspect, quota: what is on a remote, and what a vault may hold there.
 */
import type { VaultDetails, VaultRow } from '@blindcopy/remote'
import { CliError } from './cli-error.ts'
import { count, formatAgo, formatRows, formatTable, formatTime } from './layout.ts'
import { jsonOf, linesOf, type RemoteOptions, withRemote } from './remote-access.ts'
import { asOnDevices, formatBytes, formatPush, shortId } from './remote-text.ts'
import { parseSize } from './serve/units.ts'
import type { Terminal } from './terminal.ts'

export async function listVaults(options: RemoteOptions, terminal: Terminal): Promise<void> {
  await withRemote(options, terminal, async ({ ask }) => {
    const vaults: VaultRow[] = []
    for await (const row of linesOf<VaultRow>(ask('/vaults'))) {
      if (terminal.json) await terminal.print(JSON.stringify(row))
      else vaults.push(row)
    }
    if (!terminal.json) await terminal.print(formatVaults(vaults, terminal.columns, Date.now()))
  })
}

const HEADINGS = ['vault', 'records', 'size', 'history', 'devices', 'last push', 'quota']

/** A table of vaults. */
export function formatVaults(vaults: readonly VaultRow[], columns: number, nowMs: number): string {
  if (vaults.length === 0) return 'There is no vault on this remote.'
  const rows = vaults.map((vault) => {
    const { bytes, historyBytes, pushedMs, quota } = vault
    if (!vault.isReadable || bytes === null) return [shortId(vault.id), DAMAGED]
    const used =
      quota === null ? '' : `${percent(bytes, quota.bytesMax)} of ${formatBytes(quota.bytesMax)}`
    return [
      shortId(vault.id),
      (vault.records ?? 0).toLocaleString('en-US'),
      formatBytes(bytes),
      formatBytes(historyBytes ?? 0),
      String(vault.devices ?? 0),
      formatPush(pushedMs ?? 0, nowMs),
      `${used}${vault.hasOwnQuota ? ' (its own)' : ''}`,
    ]
  })
  const total = vaults.reduce(
    (sum, { bytes, historyBytes }) => sum + (bytes ?? 0) + (historyBytes ?? 0),
    0,
  )
  return [
    formatRows([HEADINGS, ...rows], columns, 3),
    '',
    `${count(vaults.length, 'vault')}, ${formatBytes(total)} in all.`,
  ].join('\n')
}

const DAMAGED = 'cannot be read: see `blindcopy remote check`'

const percent = (part: number, whole: number): string =>
  part === 0 ? '0%' : part * 100 < whole ? '<1%' : `${Math.floor((part * 100) / whole)}%`

export async function inspectVault(
  id: string,
  options: RemoteOptions,
  terminal: Terminal,
): Promise<void> {
  await withRemote(options, terminal, async ({ ask }) => {
    const vault = await jsonOf<VaultDetails>(ask(pathOf(id)))
    await terminal.answer(vault, describeVault(vault, terminal.columns, Date.now()))
  })
}

export const pathOf = (id: string, rest = ''): string => `/vaults/${encodeURIComponent(id)}${rest}`

function describeVault(vault: VaultDetails, columns: number, nowMs: number): string {
  const { keychain, quota } = vault
  const facts: (readonly [string, string])[] = [
    ['vault', vault.id],
    ['on devices', asOnDevices(vault.id)],
    ['SyncId', vault.syncId],
    ['made', formatTime(vault.createdMs ?? 0)],
    ['last push', formatPush(vault.pushedMs ?? 0, nowMs)],
    [
      'records',
      `${count(vault.records ?? 0, 'record')}, ${formatBytes(vault.bytes ?? 0)} with the log`,
    ],
    ['history', historyOf(vault, nowMs)],
    [
      'log',
      `${count(vault.seq ?? 0, 'entry').replace('entrys', 'entries')}, ends in ${endOf(vault)}`,
    ],
    ['set', `fingerprint ${vault.fingerprint}`],
    [
      'keychain',
      `${keychain.entries} steps, ${formatBytes(keychain.bytes)}, epoch ${keychain.epoch}`,
    ],
    ['members', membersOf(vault)],
    ...(quota === null ? [] : [['quota', quotaText(vault)] as const]),
  ]
  const members = vault.members.map(({ id, kind, addedMs, signed }) => [
    `${kind === 'device' ? 'device' : 'recovery key'} ${asOnDevices(id)}`,
    `added ${formatAgo(addedMs, nowMs)}`,
    signed === null ? '' : `was at ${signed.seq} ${formatAgo(signed.timeMs, nowMs)}`,
  ])
  return [formatTable(facts, columns), '', formatRows(members, columns, 1)].join('\n').trimEnd()
}

/** As much of it as `blindcopy verify` shows on a device. */
const endOf = ({ chain }: VaultDetails): string => asOnDevices(chain ?? '').slice(0, 8)

function historyOf({ historyRecords, historyBytes, oldestHistoryMs }: VaultDetails, nowMs: number) {
  const versions = `${count(historyRecords ?? 0, 'version')}, ${formatBytes(historyBytes ?? 0)}`
  return oldestHistoryMs === null
    ? versions
    : `${versions}, the oldest of ${formatAgo(oldestHistoryMs, nowMs)}`
}

function membersOf({ devices, keychain }: VaultDetails): string {
  const keys = count(keychain.recoveryKeys, 'recovery key')
  return `${count(devices ?? 0, 'device')}, ${keys}, ${keychain.revoked} taken out`
}

export function quotaText({ quota, hasOwnQuota }: VaultRow): string {
  if (quota === null) return 'unknown'
  const { bytesMax, recordsMax, devicesMax } = quota
  const [records, devices] = [count(recordsMax, 'record'), count(devicesMax, 'device')]
  const text = `${formatBytes(bytesMax)}, ${records}, ${devices}`
  return `${text} (${hasOwnQuota ? 'its own' : 'as configured'})`
}

export type QuotaOptions = RemoteOptions & {
  readonly bytes?: string
  readonly records?: string
  readonly devices?: string
  readonly default?: boolean
}

/** Shows it, or changes what is given of it. */
export async function quotaOfVault(
  id: string,
  options: QuotaOptions,
  terminal: Terminal,
): Promise<void> {
  const { bytes, records, devices } = options
  const isChanged = bytes !== undefined || records !== undefined || devices !== undefined
  if (isChanged && options.default) {
    throw new CliError('usage', '--default takes away the quota that --bytes and others would set')
  }
  const given = {
    ...(bytes === undefined ? {} : { bytesMax: sizeOf(bytes) }),
    ...(records === undefined ? {} : { recordsMax: amountOf(records, '--records') }),
    ...(devices === undefined ? {} : { devicesMax: amountOf(devices, '--devices') }),
  }
  await withRemote(options, terminal, async ({ ask }) => {
    let vault = await jsonOf<VaultDetails>(ask(pathOf(id)))
    if (isChanged || options.default) {
      const body = JSON.stringify(options.default ? null : { ...vault.quota, ...given })
      vault = await jsonOf<VaultDetails>(ask(pathOf(vault.id, '/quota'), { method: 'PUT', body }))
    }
    const { quota, hasOwnQuota } = vault
    const answer = { id: vault.id, quota, hasOwnQuota }
    await terminal.answer(answer, `${shortId(vault.id)}  ${quotaText(vault)}`)
  })
}

function sizeOf(text: string): number {
  const bytes = parseSize(text)
  if (bytes !== undefined && bytes > 0) return bytes
  throw new CliError('usage', '--bytes takes a size such as 500MiB or 10GiB')
}

const DEVICES_MAX = 64

function amountOf(text: string, flag: string): number {
  const amount = /^\d{1,15}$/.test(text) ? Number(text) : 0
  if (amount < 1) throw new CliError('usage', `${flag} takes a whole number, 1 or more`)
  if (flag === '--devices' && amount > DEVICES_MAX) {
    throw new CliError('usage', `a vault has at most ${DEVICES_MAX} devices at once`)
  }
  return amount
}
