/**
 * history: earlier versions of one record, what each of them held, and how one comes back.
 */
import type { Fields, RecordHistory, RecordVersion, Vault } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { preview } from './fields-text.ts'
import { formatJson } from './json-form.ts'
import { clip, count, formatAgo, formatSpan, formatTable, printable } from './layout.ts'
import { shownName } from './member-names.ts'
import { findId, nameOfId, shortNames } from './short-name.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export type HistoryCommandOptions = VaultOptions & {
  readonly limit?: number
  readonly show?: string
  readonly restore?: string
}

type Place = { readonly collection: string; readonly key: string }
type Version = RecordVersion<Fields>

const HINT = '--show VERSION prints one, --restore VERSION writes it again.'
const NAME_COLUMNS = 20

export async function history(
  place: Place,
  options: HistoryCommandOptions,
  terminal: Terminal,
): Promise<void> {
  const { show, restore } = options
  if (show !== undefined && restore !== undefined) {
    throw new CliError('usage', 'give --show or --restore, not both')
  }
  await withVault(options, terminal, async (vault) => {
    if (restore !== undefined) return restoreOne(vault, place, { restore, terminal })
    const found = await readHistory(vault, place, options.limit)
    if (show !== undefined) return showOne(found, show, terminal)
    await listAll(vault, found, terminal)
  })
}

const readHistory = (
  vault: Vault,
  { collection, key }: Place,
  limit: number | undefined,
): Promise<RecordHistory<Fields>> =>
  vault.collection<Fields>(collection).history(key, limit === undefined ? {} : { limit })

async function restoreOne(
  vault: Vault,
  place: Place,
  { restore, terminal }: { restore: string; terminal: Terminal },
): Promise<void> {
  const { collection, key } = place
  const { versions } = await readHistory(vault, place, undefined)
  const { version } = pick(versions, restore)
  const fields = await vault.collection<Fields>(collection).restore(key, version)
  const done = fields === null ? 'is deleted again' : 'holds again what it held then'
  const text = `"${printable(key)}" of ${printable(collection)} ${done}.`
  await terminal.answer({ collection, key, version, restored: true }, text)
}

async function showOne(
  { versions }: RecordHistory<Fields>,
  given: string,
  terminal: Terminal,
): Promise<void> {
  const version = pick(versions, given)
  if (terminal.json) return terminal.print(formatJson(machineForm(version)))
  if (version.fields === null) return terminal.note('That version deleted the record.')
  await terminal.print(formatJson(version.fields))
}

function pick(versions: readonly Version[], given: string): Version {
  const id = findId(
    given,
    versions.map(({ version }) => version),
    'version',
  )
  return versions.find(({ version }) => version === id) as Version
}

async function listAll(
  vault: Vault,
  found: RecordHistory<Fields>,
  terminal: Terminal,
): Promise<void> {
  if (terminal.json) {
    for (const version of found.versions) await terminal.print(formatJson(machineForm(version)))
    return
  }
  if (found.versions.length > 0) await terminal.print(formatList(vault, found.versions, terminal))
  for (const remark of remarksOn(found)) terminal.note(remark)
  const isMore = found.versions.some(({ supersededMs }) => supersededMs !== null)
  if (isMore && !terminal.isPiped) terminal.note(terminal.dim(`\n${HINT}`))
}

function remarksOn({
  versions,
  unreadable,
  isWhole,
  retentionMs,
}: RecordHistory<Fields>): string[] {
  const isAny = versions.some(({ supersededMs }) => supersededMs !== null)
  return [
    ...(isAny || retentionMs > 0 ? [] : ['This remote keeps no earlier versions.']),
    ...(isAny || retentionMs === 0
      ? []
      : [`The remote has no earlier version; it keeps them for ${formatSpan(retentionMs)}.`]),
    ...(unreadable === 0
      ? []
      : [`${count(unreadable, 'version')} the remote has cannot be opened here.`]),
    ...(isWhole ? [] : ['There are older ones: --limit N shows more.']),
  ]
}

function formatList(vault: Vault, versions: readonly Version[], terminal: Terminal): string {
  const nowMs = Date.now()
  const names = shortNames(versions.map(({ version }) => version))
  const columns = terminal.isPiped ? Number.POSITIVE_INFINITY : terminal.columns
  const writers = writersOf(vault)
  const rows = versions.map((version, i) => [
    version.supersededMs === null ? '(now)' : (names[i] ?? ''),
    formatAgo(version.writtenMs, nowMs),
    clip(writers(version.writtenBy), NAME_COLUMNS),
    version.fields === null ? '(deleted)' : preview(version.fields),
  ])
  const [head = '', ...lines] = formatTable(
    [['VERSION', 'WRITTEN', 'BY', 'HELD'], ...rows],
    columns,
  ).split('\n')
  return [terminal.dim(head), ...lines].join('\n')
}

/** Names of devices by what their ids begin with. */
function writersOf(vault: Vault): (begin: string) => string {
  const { devices, revoked } = vault.keys.status()
  const all = [...devices, ...revoked]
  return (begin) => {
    const found = all.filter(({ deviceId }) => deviceId.startsWith(begin))
    const [writer] = found
    return found.length === 1 && writer?.name ? shownName(writer.name) : begin
  }
}

function machineForm({ version, writtenMs, writtenBy, fields, supersededMs }: Version): Fields {
  return { version, name: nameOfId(version), writtenMs, writtenBy, supersededMs, fields }
}
