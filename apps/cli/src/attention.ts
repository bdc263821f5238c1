/**
 * attention: writes that the remote refused. Each is kept whole on this device until the person
 * sends it again, gives it up, or has taken what it holds elsewhere.
 */
import { ClientError, type Fields, type RefusedWrite, type Vault } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { formatLine } from './export.ts'
import { formatJson } from './json-form.ts'
import { clip, count, formatAgo, printable } from './layout.ts'
import { isOfSystem } from './system-records.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

/** Why, in few words; a code that is not here is told as it is. */
const REASONS: Readonly<Record<string, string>> = {
  'too-large': 'larger than the remote takes',
  'storage-full': 'the remote has no room for it',
  'quota-exceeded': 'the vault is full at the remote',
  'clock-drift': 'written at a time that is ahead of the remote',
  'epoch-old': 'sealed with a key that is no longer the newest',
  'epoch-unknown': 'sealed with a key that the remote does not know',
  'wrong-author': 'written by another device: the folder may be a copy',
  'unsupported-version': 'of a form that the remote does not know yet',
  'mutation-unknown': 'written by a function that the app has not declared',
  tampered: 'damaged on this disk',
  conflict: 'outrun by other devices again and again',
}

const HINT =
  '\n`blindcopy attention retry [ID]` sends again, `export [ID]` prints what it holds,\n`discard ID` gives it up.'

export async function listRefused(options: VaultOptions, terminal: Terminal): Promise<void> {
  const refused = await withVault(options, terminal, (vault) => vault.attention.list())
  if (terminal.json) {
    for (const write of refused) await terminal.print(formatJson(machineForm(write)))
    return
  }
  if (refused.length === 0) return terminal.note('Nothing was refused.')
  await terminal.print(formatList(refused, terminal))
  if (!terminal.isPiped) terminal.note(terminal.dim(HINT))
}

export async function retryRefused(
  given: string | undefined,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  const id = given === undefined ? undefined : parseId(given)
  const retried = await withVault(options, terminal, async (vault) => {
    if (id !== undefined) await find(vault, id)
    return vault.attention.retry(id)
  })
  const text =
    retried === 0
      ? 'Nothing can be sent again.'
      : `${count(retried, 'transaction')} will be sent again by the next \`blindcopy sync\`.`
  await terminal.answer({ retried }, text)
}

export async function discardRefused(
  given: string,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  const id = parseId(given)
  const { records } = await withVault(options, terminal, async (vault) => {
    const write = await find(vault, id)
    await vault.attention.discard(id)
    return write
  })
  const text = `Gave up ${count(records.length, 'record')}: shown is what the remote has.`
  await terminal.answer({ id, discarded: records.length }, text)
}

/** Lines like those of `export`; a deletion has null for its fields. */
export async function exportRefused(
  given: string | undefined,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  const id = given === undefined ? undefined : parseId(given)
  await withVault(options, terminal, async (vault) => {
    for await (const { collection, key, fields } of vault.attention.export(id)) {
      if (!isOfSystem({ collection })) await terminal.print(formatLine({ collection, key, fields }))
    }
  })
}

async function find(vault: Vault, id: number): Promise<RefusedWrite> {
  const write = (await vault.attention.list()).find((refused) => refused.id === id)
  if (write !== undefined) return write
  throw new ClientError('not-found', `there is no refused write ${id}: see \`attention list\``)
}

function parseId(given: string): number {
  const id = Number(given)
  if (/^\d+$/.test(given) && Number.isSafeInteger(id)) return id
  throw new CliError('usage', 'the id of a refused write is a number: see `attention list`')
}

function machineForm({ records, ...write }: RefusedWrite): Fields {
  const shown = records.filter((record) => !isOfSystem(record))
  return { ...write, records: shown.map((record) => ({ ...record })) }
}

const PLACES_SHOWN = 3

function formatList(refused: readonly RefusedWrite[], terminal: Terminal): string {
  const nowMs = Date.now()
  const columns = terminal.isPiped ? Number.POSITIVE_INFINITY : terminal.columns
  const blocks = refused.map(({ id, code, writtenMs, refusedMs, sizeBytes, records }) => {
    const why = REASONS[code] === undefined ? '' : `: ${REASONS[code]}`
    const rows = [
      [`${id}`, `${code}${why}`],
      ['', `written ${formatAgo(writtenMs, nowMs)}, refused ${formatAgo(refusedMs, nowMs)}`],
      ['', `${count(records.length, 'record')}, ${formatSize(sizeBytes)}: ${placesOf(records)}`],
    ]
    return rows
      .map(([at = '', text = '']) => clip(`${at.padStart(4)}  ${text}`, columns))
      .join('\n')
  })
  return blocks.join('\n')
}

function placesOf(records: RefusedWrite['records']): string {
  const shown = records.filter((record) => !isOfSystem(record))
  const names = shown
    .slice(0, PLACES_SHOWN)
    .map(({ collection, key }) => printable(`${collection}/${key}`))
  return shown.length > PLACES_SHOWN ? `${names.join(', ')}, …` : names.join(', ')
}

const KIB = 1024

function formatSize(bytes: number): string {
  if (bytes < KIB) return `${bytes} bytes`
  const inMebibytes = bytes >= KIB * KIB
  const size = bytes / (inMebibytes ? KIB * KIB : KIB)
  return `${size.toFixed(size < 10 ? 1 : 0)} ${inMebibytes ? 'MiB' : 'KiB'}`
}
