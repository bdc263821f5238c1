/**
 * conflicts: the versions that lost to others and the records that wait for a choice: which there
 * are, what they held, and the ways to bring one back or to settle it.
 */
import type { Conflict, ConflictChoice, Fields, Vault } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { formatComparison, preview } from './fields-text.ts'
import { formatJson, parseFields } from './json-form.ts'
import { clip, formatAgo, formatTable, formatTime, printable, wrap } from './layout.ts'
import { findId, nameOfId, shortNames } from './short-name.ts'
import { isOfSystem } from './system-records.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export type ResolveOptions = VaultOptions & {
  readonly mine?: boolean
  readonly theirs?: boolean
  readonly fields?: string
}

const KINDS: Readonly<Record<Conflict['kind'], string>> = {
  overwritten: 'a newer version took its place, and its writer had not seen this one',
  open: 'both versions are kept until somebody chooses; the record shows the other one',
  'rolled-back': 'it could not be applied to what another device had written',
}

const HINT = '\n`blindcopy conflicts show ID` compares what was lost with what is there.'

export async function listConflicts(options: VaultOptions, terminal: Terminal): Promise<void> {
  const found = await withVault(options, terminal, readConflicts)
  if (terminal.json) {
    for (const conflict of found) await terminal.print(formatJson(machineForm(conflict)))
    return
  }
  if (found.length === 0) return terminal.note('Nothing was lost, and nothing waits for a choice.')
  await terminal.print(formatList(found, terminal))
  if (!terminal.isPiped) terminal.note(terminal.dim(HINT))
}

export async function showConflict(
  given: string,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  const conflict = await withVault(options, terminal, (vault) => findConflict(vault, given))
  if (terminal.json) return terminal.print(formatJson(machineForm(conflict)))
  await terminal.print(describe(conflict, terminal))
}

export async function restoreConflict(
  given: string,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  const conflict = await withVault(options, terminal, async (vault) => {
    const found = await findConflict(vault, given)
    await vault.conflicts.restore(found.id)
    return found
  })
  const { id, collection, key, lost } = conflict
  const done = lost === null ? 'is deleted again' : 'holds again what was lost'
  await terminal.answer({ id, collection, key, restored: true }, `${placeOf(conflict)} ${done}.`)
}

export async function resolveConflict(
  given: string,
  options: ResolveOptions,
  terminal: Terminal,
): Promise<void> {
  const choice = choiceOf(options)
  const conflict = await withVault(options, terminal, async (vault) => {
    const found = await findConflict(vault, given)
    await vault.conflicts.resolve(found.id, choice)
    return found
  })
  const { id, collection, key } = conflict
  const done = choice === 'theirs' ? 'stays as it is' : 'is as you chose'
  await terminal.answer({ id, collection, key, resolved: true }, `${placeOf(conflict)} ${done}.`)
}

function choiceOf({ mine, theirs, fields }: ResolveOptions): ConflictChoice {
  const given = [mine === true, theirs === true, fields !== undefined].filter(Boolean).length
  if (given !== 1) throw new CliError('usage', 'choose one: --mine, --theirs or --fields JSON')
  if (mine === true) return 'mine'
  if (fields === undefined) return 'theirs'
  return { fields: fields.trim() === 'null' ? null : parseFields(fields) }
}

async function readConflicts(vault: Vault): Promise<Conflict[]> {
  const conflicts = await vault.conflicts.list()
  return conflicts.filter((conflict) => !isOfSystem(conflict))
}

async function findConflict(vault: Vault, given: string): Promise<Conflict> {
  const ids = (await readConflicts(vault)).map(({ id }) => id)
  return vault.conflicts.get(findId(given, ids))
}

function machineForm({ id, reason, ...conflict }: Conflict): Fields {
  const { kind, collection, key, lost, lostMs, current, notedMs } = conflict
  const parts = { id, name: nameOfId(id), kind, collection, key, lost, lostMs, current, notedMs }
  return reason === undefined ? parts : { ...parts, reason }
}

/** What a row takes beside the name of the record and the words that were lost. */
const AROUND_COLUMNS = 40
const PLACE_COLUMNS_MIN = 20

function formatList(conflicts: readonly Conflict[], terminal: Terminal): string {
  const nowMs = Date.now()
  const names = shortNames(conflicts.map(({ id }) => id))
  const columns = terminal.isPiped ? Number.POSITIVE_INFINITY : terminal.columns
  const placeColumns = Math.max(PLACE_COLUMNS_MIN, Math.floor((columns - AROUND_COLUMNS) / 2))
  const rows = conflicts.map((conflict, i) => [
    names[i] ?? '',
    conflict.kind,
    clip(placeOf(conflict), placeColumns),
    formatAgo(conflict.lostMs, nowMs),
    conflict.lost === null ? '(a deletion)' : preview(conflict.lost),
  ])
  const [head = '', ...lines] = formatTable(
    [['ID', 'KIND', 'RECORD', 'WRITTEN', 'LOST'], ...rows],
    columns,
  ).split('\n')
  return [terminal.dim(head), ...lines].join('\n')
}

function describe(conflict: Conflict, terminal: Terminal): string {
  const { id, kind, lost, lostMs, current, notedMs, reason } = conflict
  const told = (label: string, text: string): string =>
    `${label.padEnd(10)}${wrap(printable(text), terminal.columns, 10)}`
  const name = nameOfId(id).slice(0, 8)
  const time = (ms: number): string => `${formatAgo(ms, Date.now())} (${formatTime(ms)})`
  return [
    `${'record'.padEnd(10)}${terminal.bold(placeOf(conflict))}`,
    told('conflict', `${name}, ${kind}: ${KINDS[kind]}`),
    ...(reason === undefined ? [] : [told('reason', reason)]),
    told('written', time(lostMs)),
    told('noted', time(notedMs)),
    '',
    formatComparison({ lost, current }, terminal),
    '',
    'To bring back what was lost, to leave what is there, or to write something else:',
    `  blindcopy conflicts resolve ${name} --mine`,
    `  blindcopy conflicts resolve ${name} --theirs`,
    `  blindcopy conflicts resolve ${name} --fields '{…}'`,
  ].join('\n')
}

const placeOf = ({ collection, key }: Conflict): string =>
  `${printable(collection)}/${printable(key)}`
