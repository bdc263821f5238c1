/**
 * import: records from a file of JSON lines, or documents from a folder.
 *
 * A file is read twice: once to check every line, so that nothing is written when one is bad, and
 * once to store it, so that a file of any size passes. Records are stored in transactions of at
 * most 500 records and about 2 MiB; being stopped leaves whole transactions behind, and the same
 * import again stores the rest (lines without a key excepted: each gets a new one).
 */
import { stat } from 'node:fs/promises'
import type { Collection, Fields, Vault } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { listDocuments, readDocuments, type Skipped } from './import-folder.ts'
import { checkLines, readLines } from './import-lines.ts'
import { count, printable } from './layout.ts'
import { createProgress } from './progress.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export type ImportOptions = VaultOptions & { readonly key?: string }

/** A record on its way in. Without a key it gets a new one. */
export type Incoming = {
  readonly key: string | undefined
  readonly fields: Fields
  /** About what it takes in a transaction. */
  readonly sizeBytes: number
}

type Counts = { stored: number; unchanged: number; readonly skipped: readonly Skipped[] }

export async function importPath(
  { collection, path }: { collection: string; path: string },
  options: ImportOptions,
  terminal: Terminal,
): Promise<void> {
  const isFolder = await isFolderAt(path)
  if (isFolder && options.key !== undefined) {
    throw new CliError('usage', '--key is for files: documents have their path as key')
  }
  await withVault(options, terminal, async (vault) => {
    const target = vault.collection<Fields>(collection)
    const counts = isFolder
      ? await importFolder({ vault, target, path, terminal })
      : await importFile({ vault, target, path, terminal, keyField: options.key })
    await terminal.answer({ collection, ...counts }, describe(counts, collection))
  })
}

type Job = {
  readonly vault: Vault
  readonly target: Collection<Fields>
  readonly path: string
  readonly terminal: Terminal
}

async function importFile(job: Job & { keyField: string | undefined }): Promise<Counts> {
  const source = { path: job.path, keyField: job.keyField }
  const checking = createProgress(job.terminal, 'Checking')
  const total = await checkLines(source, checking).finally(() => checking.end())
  const stored = await store(job, readLines(source), total)
  return { stored, unchanged: 0, skipped: [] }
}

async function importFolder(job: Job): Promise<Counts> {
  const { documents, skipped } = await listDocuments(job.path)
  const outcome = { unchanged: 0, skipped: [...skipped] }
  const changed = readDocuments(documents, job.target, outcome)
  const stored = await store(job, changed, documents.length)
  return { stored, ...outcome }
}

const BATCH_RECORDS_MAX = 500
const BATCH_BYTES_MAX = 2 * 1024 * 1024

/** Stores what comes, transaction by transaction. Returns how many records. */
async function store(job: Job, incoming: AsyncIterable<Incoming>, total: number): Promise<number> {
  const { vault, target, terminal } = job
  const progress = createProgress(terminal, 'Importing')
  let isInterrupted = false
  const cancel = terminal.onInterrupt(() => {
    isInterrupted = true
  })
  let stored = 0
  try {
    for await (const batch of batchesOf(incoming)) {
      if (isInterrupted) {
        throw new CliError('interrupted', `stopped after ${count(stored, 'record')} of ${total}`)
      }
      await vault.transaction(async (transaction) => {
        const records = transaction.collection(target)
        for (const { key, fields } of batch) {
          if (key === undefined) await records.add(fields)
          else await records.put(key, fields)
        }
      })
      stored += batch.length
      progress.update(stored, total)
    }
    return stored
  } finally {
    cancel()
    progress.end()
  }
}

async function* batchesOf(incoming: AsyncIterable<Incoming>): AsyncGenerator<Incoming[]> {
  let batch: Incoming[] = []
  let sizeBytes = 0
  for await (const record of incoming) {
    const isFull = batch.length >= BATCH_RECORDS_MAX
    if (isFull || (batch.length > 0 && sizeBytes + record.sizeBytes > BATCH_BYTES_MAX)) {
      yield batch
      batch = []
      sizeBytes = 0
    }
    batch.push(record)
    sizeBytes += record.sizeBytes
  }
  if (batch.length > 0) yield batch
}

async function isFolderAt(path: string): Promise<boolean> {
  try {
    const found = await stat(path)
    if (found.isDirectory()) return true
    if (found.isFile()) return false
  } catch (cause) {
    throw new CliError('unreadable', `there is no ${printable(path)} to import`, { cause })
  }
  throw new CliError('unreadable', `${printable(path)} is neither a file nor a folder`)
}

const SKIPPED_SHOWN_MAX = 10

function describe({ stored, unchanged, skipped }: Counts, collection: string): string {
  const shown = skipped
    .slice(0, SKIPPED_SHOWN_MAX)
    .map(({ path, reason }) => `  skipped ${printable(path)}: ${reason}`)
  const more = skipped.length - shown.length
  return [
    `Imported ${count(stored, 'record')} into ${printable(collection)}` +
      `${unchanged > 0 ? `; ${unchanged.toLocaleString('en-US')} were the same already` : ''}.`,
    ...shown,
    ...(more > 0 ? [`  and ${more.toLocaleString('en-US')} more (--json lists them all)`] : []),
  ].join('\n')
}
