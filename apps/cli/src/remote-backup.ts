/**
 * remote backup, export, verify-restore: vaults of a remote as files, while it runs, and whether
 * such a file would come back.
 *
 *   FILE     one file of all vaults
 *   FOLDER   a file of each vault; one whose vault has not changed since is left as it is, and so
 *            is one whose vault is not sound any more: what is there of it now is put beside
 */
import { once } from 'node:events'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  backupTag,
  type Defect,
  type VaultDetails,
  type VaultRow,
  type VerifiedFile,
} from '@blindcopy/remote'
import { CliError } from './cli-error.ts'
import { count, formatRows, formatTime, printable } from './layout.ts'
import {
  type Access,
  bodyOf,
  jsonOf,
  linesOf,
  type RemoteOptions,
  withRemote,
} from './remote-access.ts'
import {
  FILE_ENDING,
  filesAt,
  isFolder,
  passChecked,
  peekPath,
  refuseExisting,
  verifyPath,
  writeChecked,
} from './remote-file-disk.ts'
import { describeDefects, formatBytes, formatDefects, hexOf, shortId } from './remote-text.ts'
import { pathOf } from './remote-vaults.ts'
import type { Terminal } from './terminal.ts'

export type RemoteBackupOptions = RemoteOptions & {
  readonly only?: readonly string[]
  readonly force?: boolean
}

/** Of what no restore takes by itself. */
const UNSOUND_ENDING = '.unsound'

/** What became of one vault. */
type Row = {
  readonly id: string
  readonly path: string
  readonly outcome: 'written' | 'unchanged' | 'damaged'
  readonly records: number | null
  readonly bytes: number | null
  readonly seq: number | null
  readonly defects: readonly Defect[]
}

export async function backupRemote(
  target: string,
  options: RemoteBackupOptions,
  terminal: Terminal,
): Promise<void> {
  await withRemote(options, terminal, async (access) => {
    const rows = (await isFolder(target))
      ? await backupToFolder(target, options, access)
      : await backupToFile(target, { options, access, terminal })
    await answerRows(rows, target, terminal)
  })
}

/** One vault into one file, to be imported on another host. */
export async function exportVault(
  id: string,
  target: string,
  options: RemoteBackupOptions,
  terminal: Terminal,
): Promise<void> {
  await withRemote(options, terminal, async (access) => {
    const { id: whole } = await jsonOf<VaultDetails>(access.ask(pathOf(id)))
    const only = { ...options, only: [whole] }
    await answerRows(
      await backupToFile(target, { options: only, access, terminal }),
      target,
      terminal,
    )
  })
}

async function backupToFile(
  target: string,
  parts: {
    readonly options: RemoteBackupOptions
    readonly access: Access
    readonly terminal: Terminal
  },
): Promise<Row[]> {
  const { options, access, terminal } = parts
  const [only, ...more] = options.only ?? []
  if (more.length > 0)
    throw new CliError('usage', 'one vault goes into a file, or all; or name a folder')
  const isPiped = target === '-'
  if (isPiped && terminal.json)
    throw new CliError('usage', '- and --json would both write to stdout')
  if (!isPiped && !options.force) await refuseExisting(target)
  const answer = await access.ask(only === undefined ? '/backup' : pathOf(only, '/backup'))
  const chunks = bodyOf(answer)
  const written = isPiped
    ? await passChecked({ print: (chunk) => printBytes(terminal, chunk) }, chunks)
    : await writeChecked(target, chunks)
  const rows = rowsOf(written, target)
  return only === undefined ? [...rows, ...(await unreadableRows(access, target))] : rows
}

async function printBytes({ output }: Terminal, chunk: Uint8Array): Promise<void> {
  if (!output.write(chunk)) await once(output, 'drain')
}

async function unreadableRows({ ask }: Access, path: string): Promise<Row[]> {
  const rows: Row[] = []
  for await (const vault of linesOf<VaultRow>(ask('/vaults'))) {
    if (vault.seq === null) rows.push(unreadableRow(vault, path))
  }
  return rows
}

const unreadableRow = ({ id }: VaultRow, path: string): Row => ({
  id,
  path,
  outcome: 'damaged',
  records: null,
  bytes: null,
  seq: null,
  defects: [{ name: 'state-damaged', count: 1, what: 'the vault cannot be read' }],
})

const rowsOf = ({ vaults }: VerifiedFile, path: string): Row[] =>
  vaults.map(({ manifest, defects }) => ({
    id: hexOf(manifest.vaultId),
    path,
    outcome: defects.length === 0 ? 'written' : 'damaged',
    records: manifest.count,
    bytes: manifest.bytes,
    seq: manifest.head.seq,
    defects,
  }))

async function backupToFolder(
  target: string,
  options: RemoteBackupOptions,
  access: Access,
): Promise<Row[]> {
  await mkdir(target, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw new CliError('unwritable', `the folder ${printable(target)} cannot be made`, { cause })
  })
  const wanted = await wantedIds(options.only, access)
  const rows: Row[] = []
  for await (const vault of linesOf<VaultRow>(access.ask('/vaults'))) {
    const path = join(target, `${vault.id}${FILE_ENDING}`)
    if (wanted !== undefined && !wanted.has(vault.id)) continue
    rows.push(
      ...(vault.seq === null
        ? [unreadableRow(vault, path)]
        : await backupOne(vault.id, path, access)),
    )
  }
  return rows
}

async function wantedIds(
  only: readonly string[] | undefined,
  { ask }: Access,
): Promise<Set<string> | undefined> {
  if (only === undefined) return undefined
  const ids = new Set<string>()
  for (const id of only) ids.add((await jsonOf<VaultDetails>(ask(pathOf(id)))).id)
  return ids
}

async function backupOne(id: string, path: string, { ask }: Access): Promise<Row[]> {
  const there = await peekPath(path)
  const tag = there === undefined ? undefined : backupTag(there.manifest)
  const headers = tag === undefined ? {} : { 'If-None-Match': `"${tag}"` }
  const answer = await ask(pathOf(id, '/backup'), { headers })
  if (answer.status !== 304 || there === undefined) {
    // The last good one must not give way to what a broken disk still holds.
    const beside = `${path}${UNSOUND_ENDING}`
    const written = await writeChecked(path, bodyOf(answer), there === undefined ? path : beside)
    if (written.path === path) await rm(beside, { force: true }).catch(() => undefined)
    return rowsOf(written, written.path)
  }
  const { manifest } = there
  const row = { id, path, records: manifest.count, bytes: manifest.bytes, seq: manifest.head.seq }
  return [{ ...row, outcome: 'unchanged', defects: [] }]
}

async function answerRows(rows: readonly Row[], target: string, terminal: Terminal): Promise<void> {
  const damaged = rows.filter(({ outcome }) => outcome === 'damaged')
  const lines = rows.map(({ id, records, bytes, outcome, defects }) => [
    shortId(id),
    records === null ? '' : count(records, 'record'),
    bytes === null ? '' : formatBytes(bytes),
    outcome === 'damaged' ? `NOT SOUND: ${formatDefects(defects)}` : outcome,
  ])
  const table =
    rows.length === 0 ? 'There is no vault on this remote.' : formatRows(lines, terminal.columns, 3)
  if (target === '-') terminal.note(table)
  else if (terminal.json) for (const row of rows) await terminal.print(JSON.stringify(row))
  else await terminal.print(table)
  if (damaged.length === 0) return
  const names = damaged.map(({ id }) => shortId(id)).join(', ')
  const isBeside = damaged.some(({ path }) => path.endsWith(UNSOUND_ENDING))
  const kept = isBeside ? ` (${UNSOUND_ENDING}; the backups before are left)` : ''
  const why = `what this remote holds is not sound, and was backed up as it is${kept}: ${names}`
  throw new CliError('remote-unsound', why)
}

/** Reads all of it, and keeps nothing. */
export async function verifyRestore(target: string, terminal: Terminal): Promise<void> {
  let damaged = 0
  const rows: string[][] = []
  for (const path of await filesAt(target)) {
    const { madeMs, sizeBytes, vaults } = await verifyPath(path)
    for (const { manifest, defects } of vaults) {
      if (defects.length > 0) damaged++
      const { vaultId, count: records, head, historyCount } = manifest
      const id = hexOf(vaultId)
      const verdict = defects.length === 0 ? 'sound' : 'NOT SOUND'
      rows.push([
        shortId(id),
        count(records, 'record'),
        `log to ${head.seq}`,
        `made ${formatTime(madeMs)}`,
        verdict,
      ])
      for (const line of describeDefects(defects)) rows.push([line])
      const isSound = defects.length === 0
      const facts = { path, id, records, seq: head.seq, historyCount, madeMs, sizeBytes }
      if (terminal.json) await terminal.print(JSON.stringify({ ...facts, isSound, defects }))
    }
    if (!terminal.json && vaults.length === 0)
      rows.push([`${printable(path)} is whole, and holds no vault`])
  }
  if (!terminal.json) await terminal.print(formatRows(rows, terminal.columns, 2))
  if (damaged === 0) return
  throw new CliError(
    'remote-unsound',
    `${count(damaged, 'vault')} in the backup would not come back whole`,
  )
}
