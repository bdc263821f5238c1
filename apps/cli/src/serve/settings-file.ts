/**
 * The file of settings, in TOML: one line each, `name = value`.
 */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parse, TomlError } from 'smol-toml'
import { CliError } from '../cli-error.ts'
import { nearest } from './nearest.ts'
import { SETTINGS } from './settings.ts'

export type SettingsFile = {
  readonly path: string
  readonly valueByName: ReadonlyMap<string, unknown>
  /** Whether others than its owner may read it. */
  readonly isOpen: boolean
}

/** In the data folder. */
export const SETTINGS_FILE_NAME = 'remote.toml'

const BYTES_MAX = 1024 * 1024

/** The one that is named must be there; that of the data folder need not. */
export async function readSettingsFile(
  named: string | undefined,
  dataPath: string,
): Promise<SettingsFile | undefined> {
  const path = named ?? join(dataPath, SETTINGS_FILE_NAME)
  const read = await contentOf(path).catch((cause: NodeJS.ErrnoException) => {
    // A data folder that is none, or closed to us, is told where it is opened.
    const isFolder = cause.syscall === 'stat' || cause.code === 'ENOENT'
    if (named === undefined && isFolder) return undefined
    if (cause instanceof CliError) throw cause
    throw new CliError('unreadable', `cannot read the settings in ${path} (${cause.code})`, {
      cause,
    })
  })
  if (read === undefined) return undefined
  const valueByName = new Map(Object.entries(parseToml(path, read.text)))
  checkNames(path, [...valueByName.keys()])
  if (named === undefined && valueByName.has('data')) {
    throw refused(path, 'data cannot be set in the data folder itself: use --data or --config')
  }
  return { path, valueByName, isOpen: read.isOpen }
}

async function contentOf(path: string): Promise<{ text: string; isOpen: boolean }> {
  const { size, mode } = await stat(path)
  if (size > BYTES_MAX) throw refused(path, 'it has more than 1 MiB, so it is something else')
  return { text: await readFile(path, 'utf8'), isOpen: (mode & 0o044) !== 0 }
}

function parseToml(path: string, text: string): Record<string, unknown> {
  try {
    return parse(text, { maxDepth: 8 })
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause
    // The lines that follow quote the file, which may hold a token.
    const [first = ''] = cause.message.split('\n')
    const why = first.replace(/^Invalid TOML document: /, '')
    const place = `line ${cause.line}, column ${cause.column}`
    throw refused(path, `it is no TOML: ${why} (${place})`, cause)
  }
}

function checkNames(path: string, written: readonly string[]): void {
  const names = SETTINGS.map(({ name }) => name)
  const unknown = written.filter((name) => !names.includes(name))
  if (unknown.length === 0) return
  const told = unknown.slice(0, 5).map((name) => {
    const near = nearest(name.replaceAll('_', '-'), names)
    return `there is no setting ${JSON.stringify(name)}${near ? `; did you mean ${near}?` : ''}`
  })
  throw refused(path, told.join('; '))
}

function refused(path: string, why: string, cause?: unknown): CliError {
  return new CliError('setting-refused', `${path}: ${why}`, { cause })
}
