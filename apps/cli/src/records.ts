/**
 * put, get, delete, list: the records of a collection, one at a time or as a list; and which
 * collections there are.
 */
import { ClientError, type Fields, type Vault } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { exportCollection, formatLine } from './export.ts'
import { preview } from './fields-text.ts'
import { formatJson, parseFields } from './json-form.ts'
import { clip, count, formatTable, printable } from './layout.ts'
import { readInput } from './prompt.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

type Place = { readonly collection: string; readonly key: string }

export async function put(
  place: Place & { readonly text?: string | undefined },
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  const { collection, key } = place
  const fields = parseFields(await textOf(place.text, terminal))
  await withVault(options, terminal, (vault) => vault.collection(collection).put(key, fields))
  await terminal.answer({ collection, key }, `Put ${nameOf(place)}.`)
}

function textOf(text: string | undefined, terminal: Terminal): string | Promise<string> {
  if (text !== undefined && text !== '-') return text
  if (text === undefined && terminal.input.isTTY) {
    throw new CliError('usage', 'the record is missing: give its JSON, or - to read it from stdin')
  }
  return readInput(terminal)
}

export async function get(place: Place, options: VaultOptions, terminal: Terminal): Promise<void> {
  const { collection, key } = place
  const fields = await withVault(options, terminal, (vault) =>
    vault.collection<Fields>(collection).get(key),
  )
  if (fields === undefined) throw missing(place)
  if (terminal.json) return terminal.print(formatLine({ collection, key, fields }))
  await terminal.print(indent(formatJson(fields)))
}

export async function remove(
  place: Place,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  const { collection, key } = place
  const wasThere = await withVault(options, terminal, (vault) =>
    vault.collection(collection).delete(key),
  )
  if (!wasThere) throw missing(place)
  await terminal.answer({ collection, key, deleted: true }, `Deleted ${nameOf(place)}.`)
}

export async function list(
  collection: string | undefined,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    if (collection === undefined) return listCollections(vault, terminal)
    if (terminal.json) return exportCollection(vault, collection, terminal)
    await listForPeople(vault, collection, terminal)
  })
}

async function listCollections(vault: Vault, terminal: Terminal): Promise<void> {
  const records = new Map<string, number>()
  for await (const { collection } of vault.records()) {
    records.set(collection, (records.get(collection) ?? 0) + 1)
  }
  const found = [...records].sort(([a], [b]) => (a < b ? -1 : 1))
  if (terminal.json) {
    const lines = found.map(([name, size]) => JSON.stringify({ collection: name, records: size }))
    for (const line of lines) await terminal.print(line)
    return
  }
  if (found.length === 0) return terminal.note('There is nothing in this vault.')
  const rows = found.map(([name, size]) => [
    clip(printable(name), keyColumns(terminal)),
    count(size, 'record'),
  ])
  await terminal.print(formatTable(rows, columnsOf(terminal)))
}

const KEY_COLUMNS_MAX = 40

const columnsOf = ({ isPiped, columns }: Terminal): number =>
  isPiped ? Number.POSITIVE_INFINITY : columns
const keyColumns = ({ isPiped }: Terminal): number =>
  isPiped ? Number.POSITIVE_INFINITY : KEY_COLUMNS_MAX

async function listForPeople(vault: Vault, collection: string, terminal: Terminal): Promise<void> {
  const rows: [string, string][] = []
  for await (const { key, fields } of vault.collection<Fields>(collection)) {
    rows.push([key, clip(preview(fields), terminal.columns)])
  }
  if (rows.length === 0) {
    terminal.note(`There is nothing in ${printable(collection)}.`)
    return
  }
  rows.sort(([a], [b]) => (a < b ? -1 : 1))
  const shown = rows.map(([key, text]) => [clip(printable(key), keyColumns(terminal)), text])
  await terminal.print(formatTable(shown, columnsOf(terminal)))
}

const nameOf = ({ collection, key }: Place): string => `${printable(collection)}/${printable(key)}`

function missing(place: Place): ClientError {
  return new ClientError('not-found', `there is no record ${nameOf(place)}`)
}

/** Indented, and with every control character spelled: what is read is safe on a terminal. */
function indent(json: string): string {
  // Parsed without reading the "$" forms: they are shown as they are written.
  const text = JSON.stringify(JSON.parse(json), null, 2)
  return text.replace(
    /[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
