/**
 * bundle export, bundle import: all of a vault, sealed, as a file that another device of it takes
 * without a remote.
 *
 * A file is written beside its place and moved there when it is whole. What comes on stdin is kept
 * in a file until it is taken, because a bundle is checked as a whole before anything is.
 */
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { access, mkdtemp, open, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { BundleReport, Vault } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { count, formatTime, printable } from './layout.ts'
import { createProgress } from './progress.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

const STREAM = '-'

export type BundleExportOptions = VaultOptions & { readonly force?: boolean }

export async function exportBundle(
  path: string,
  options: BundleExportOptions,
  terminal: Terminal,
): Promise<void> {
  const isStream = path === STREAM
  if (isStream && !terminal.isPiped) {
    throw new CliError('usage', 'a bundle is no text for a terminal: name a file, or pipe it')
  }
  if (!isStream && !options.force) await refuseExisting(path)
  await withVault(options, terminal, async (vault) => {
    const progress = createProgress(terminal, 'Exporting')
    let records = 0
    const chunks = vault.exportBundle(({ done, total }) => {
      records = done
      progress.update(done, total)
    })
    try {
      await (isStream ? writeToOutput(chunks, terminal) : writeToFile(chunks, path))
    } finally {
      progress.end()
    }
    const text = `Wrote ${count(records, 'version')}, deletions included`
    if (isStream) return terminal.note(`${text}.`)
    await terminal.answer({ path: resolve(path), records }, `${text}, to ${printable(path)}.`)
  })
}

export async function importBundle(
  path: string,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  if (path === STREAM && terminal.input.isTTY) {
    throw new CliError('usage', 'the bundle is missing: name a file, or pipe it in')
  }
  await withVault(options, terminal, async (vault) => {
    if (path === STREAM) return withInputAsFile(terminal, (file) => take(vault, file, terminal))
    await checkReadable(path)
    await take(vault, path, terminal)
  })
}

async function take(vault: Vault, path: string, terminal: Terminal): Promise<void> {
  const progress = createProgress(terminal, 'Importing')
  const source = (): AsyncIterable<Uint8Array> => createReadStream(path)
  const report = await vault
    .importBundle(source, ({ done, total }) => progress.update(done, total))
    .finally(() => progress.end())
  const { count: records, received, conflicts, unopened, aside, madeMs } = report
  const answer = { records, new: received, conflicts, unopened, aside, madeMs }
  await terminal.answer(answer, describe(report))
}

function describe({ count: records, received, madeMs, ...counts }: BundleReport): string {
  const { conflicts, unopened, aside } = counts
  return [
    `Read ${count(records, 'version')} of ${formatTime(madeMs)}: ` +
      `${received === 0 ? 'nothing was new' : `${count(received, 'version')} new`}.`,
    ...(conflicts > 0
      ? [`  ${count(conflicts, 'version')} lost to newer ones: see \`blindcopy conflicts\`.`]
      : []),
    ...(aside > 0
      ? [`  ${count(aside, 'version')} set aside until the clock, or a sync, lets them be shown.`]
      : []),
    ...(unopened > 0
      ? [`  ${count(unopened, 'version')} did not open, and nothing is kept of them.`]
      : []),
  ].join('\n')
}

export async function refuseExisting(path: string): Promise<void> {
  const isThere = await access(path).then(
    () => true,
    () => false,
  )
  if (!isThere) return
  throw new CliError('file-exists', `there is a file ${printable(path)} already`)
}

export async function checkReadable(path: string): Promise<void> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new CliError('unreadable', `there is no ${printable(path)} to read`, { cause })
  })
  if (found.isDirectory()) throw new CliError('unreadable', `${printable(path)} is a folder`)
  const file = await open(path).catch((cause: unknown) => {
    throw new CliError('unreadable', `${printable(path)} cannot be read`, { cause })
  })
  await file.close()
}

/** Whole or not at all; only the owner may read it. */
async function writeToFile(chunks: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  const part = `${path}.${process.pid}.part`
  try {
    const file = await open(part, 'w', 0o600)
    try {
      for await (const chunk of chunks) await file.writeFile(chunk)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(part, path)
  } catch (cause) {
    await rm(part, { force: true })
    if (!isDiskError(cause)) throw cause
    throw new CliError('unwritable', `${printable(path)} cannot be written`, { cause })
  }
}

/** What the system says of a file; errors of the vault have codes of another form. */
const isDiskError = (error: unknown): boolean =>
  error instanceof Error && 'syscall' in error && typeof error.syscall === 'string'

async function writeToOutput(
  chunks: AsyncIterable<Uint8Array>,
  { output }: Terminal,
): Promise<void> {
  for await (const chunk of chunks) {
    if (!output.write(chunk)) await once(output, 'drain')
  }
}

async function withInputAsFile(
  terminal: Terminal,
  work: (path: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'blindcopy-'))
  const path = join(folder, 'bundle')
  try {
    await pipeline(terminal.input, createWriteStream(path, { mode: 0o600 }))
    await work(path)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
