/**
 * A folder of documents: every Markdown and text file below it becomes a record.
 *
 *   key       the path below the folder, with / between its parts
 *   title     the first heading, or the name of the file
 *   body      the text as it stands
 *   modified  when the file was last changed
 *
 * Links are not followed and names that begin with a dot are passed over. What cannot be a record
 * is left out and listed with the reason; what is stored the same already is not written again.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import type { Collection } from '@blindcopy/client'
import { ENVELOPE_BYTES_MAX, type Fields } from '@blindcopy/protocol'
import type { Incoming } from './import.ts'
import { checkRecord } from './incoming.ts'
import { formatJson } from './json-form.ts'

export type Skipped = { readonly path: string; readonly reason: string }
export type Document = { readonly key: string; readonly path: string }

/** No extension at all is looked into: README, LICENSE. */
const EXTENSIONS: ReadonlySet<string> = new Set([
  '',
  '.md',
  '.markdown',
  '.mdx',
  '.txt',
  '.text',
  '.rst',
  '.adoc',
  '.org',
])

/** The documents below a folder, by key; and the files that are something else. */
export async function listDocuments(
  folder: string,
): Promise<{ documents: Document[]; skipped: Skipped[] }> {
  const documents: Document[] = []
  const skipped: Skipped[] = []
  const walk = async (below: string): Promise<void> => {
    const entries = await readdir(join(folder, below), { withFileTypes: true }).catch(() => {
      skipped.push({ path: below, reason: 'the folder cannot be read' })
      return []
    })
    for (const entry of entries) {
      if (entry.name.startsWith('.')) continue
      const key = below === '' ? entry.name : `${below}/${entry.name}`
      if (entry.isDirectory()) await walk(key)
      else if (entry.isSymbolicLink()) skipped.push({ path: key, reason: 'a link' })
      else if (!entry.isFile()) skipped.push({ path: key, reason: 'not a file' })
      else if (EXTENSIONS.has(extname(key).toLowerCase())) {
        documents.push({ key, path: join(folder, key) })
      } else skipped.push({ path: key, reason: 'not Markdown or text' })
    }
  }
  await walk('')
  documents.sort((a, b) => (a.key < b.key ? -1 : 1))
  return { documents, skipped }
}

/** Those that are new or changed. Counts and lists the others in `outcome`. */
export async function* readDocuments(
  documents: readonly Document[],
  target: Collection<Fields>,
  outcome: { unchanged: number; readonly skipped: Skipped[] },
): AsyncGenerator<Incoming> {
  for (const { key, path } of documents) {
    const read = await readDocument(path)
    if (typeof read === 'string') {
      outcome.skipped.push({ path: key, reason: read })
      continue
    }
    const checked = checkRecord(key, read)
    if ('refusal' in checked) {
      outcome.skipped.push({ path: key, reason: checked.refusal })
      continue
    }
    const stored = await target.get(key)
    if (stored !== undefined && formatJson(stored) === formatJson(read)) outcome.unchanged++
    else yield { key, fields: read, sizeBytes: checked.sizeBytes }
  }
}

/** The fields of a document, or why it is none. */
async function readDocument(path: string): Promise<Fields | string> {
  let bytes: Buffer
  let modified: Date
  try {
    const { size, mtimeMs } = await stat(path)
    if (size > ENVELOPE_BYTES_MAX) return 'larger than a record'
    bytes = await readFile(path)
    modified = new Date(Math.trunc(mtimeMs))
  } catch {
    return 'it cannot be read'
  }
  if (bytes.includes(0)) return 'not text'
  try {
    const body = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return { title: titleOf(body) ?? basename(path, extname(path)), body, modified }
  } catch {
    return 'not text in UTF-8'
  }
}

/** The first heading of a Markdown text that says something. */
function titleOf(body: string): string | undefined {
  for (const [, heading = ''] of body.matchAll(/^ {0,3}#{1,6}[ \t]+(.*)$/gm)) {
    const title = heading.replace(/[ \t]+#*[ \t]*$/, '').trim()
    if (title !== '') return title
  }
  return undefined
}
