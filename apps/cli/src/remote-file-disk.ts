/**
 * Remote files on a disk: one is written beside its place and moved there when it is whole, checked
 * as it was written and on the disk, so that no half of one ever has its name.
 */
import { createReadStream } from 'node:fs'
import { access, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { peekFile, type VerifiedFile, verifyFile } from '@blindcopy/remote'
import { verifySignature } from '@blindcopy/remote/node'
import { StoreError } from '@blindcopy/secondary'
import { CliError } from './cli-error.ts'
import { printable } from './layout.ts'

export const FILE_ENDING = '.bcremote'

/** The bytes of a file. */
export async function* readFileChunks(path: string): AsyncGenerator<Uint8Array> {
  const chunks = createReadStream(path, { highWaterMark: 256 * 1024 })
  try {
    for await (const chunk of chunks) yield new Uint8Array(chunk as Buffer)
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** A file, or the files of a folder in the order of their names. Throws `unreadable`. */
export async function filesAt(path: string): Promise<string[]> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new CliError('unreadable', `there is no ${printable(path)} to read`, { cause })
  })
  if (!found.isDirectory()) return [path]
  const names = (await readdir(path)).filter((name) => name.endsWith(FILE_ENDING)).sort()
  if (names.length > 0) return names.map((name) => join(path, name))
  throw new CliError('unreadable', `there is no backup in ${printable(path)} (*${FILE_ENDING})`)
}

export const isFolder = async (path: string): Promise<boolean> =>
  path.endsWith('/') || (await stat(path).catch(() => undefined))?.isDirectory() === true

export async function refuseExisting(path: string): Promise<void> {
  const isThere = await access(path).then(
    () => true,
    () => false,
  )
  if (isThere) throw new CliError('file-exists', `there is a file ${printable(path)} already`)
}

/**
 * Checks what comes while it is written; nothing of a file that is not whole gets the name, and
 * what is whole and yet not sound gets another one where that is given.
 */
export async function writeChecked(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  unsoundPath: string = path,
): Promise<VerifiedFile & { readonly path: string }> {
  const part = `${path}.part`
  await rm(part, { force: true }).catch(() => undefined)
  const file = await open(part, 'wx', 0o600).catch((error) => {
    throw unwritable(path, error)
  })
  try {
    const verified = await verifyFile(written(file, path, chunks), { verify: verifySignature })
    await onDisk(path, file.sync())
    await file.close()
    const isSound = verified.vaults.every(({ defects }) => defects.length === 0)
    const place = isSound ? path : unsoundPath
    await onDisk(place, rename(part, place))
    await syncFolder(dirname(place))
    return { ...verified, path: place }
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(part, { force: true }).catch(() => undefined)
    throw error
  }
}

/** Checks what comes while it goes on to a stream. */
export function passChecked(
  output: { print(chunk: Uint8Array): Promise<void> },
  chunks: AsyncIterable<Uint8Array>,
): Promise<VerifiedFile> {
  const passed = async function* () {
    for await (const chunk of chunks) {
      await output.print(chunk)
      yield chunk
    }
  }
  return verifyFile(passed(), { verify: verifySignature })
}

async function* written(
  file: Awaited<ReturnType<typeof open>>,
  path: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const { bytesWritten } = await onDisk(path, file.write(chunk, at))
      at += bytesWritten
    }
    yield chunk
  }
}

export const verifyPath = (
  path: string,
  seqs?: ReadonlyMap<string, number>,
): Promise<VerifiedFile> => verifyFile(readFileChunks(path), { verify: verifySignature, seqs })

/** What a file says of its vault; undefined when there is none, or it cannot be read. */
export async function peekPath(path: string): ReturnType<typeof peekFile> {
  try {
    return await peekFile(readFileChunks(path))
  } catch {
    return undefined
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  // Not everywhere can a folder be synced; the file itself is.
  await folder.sync().catch(() => undefined)
  await folder.close()
}

async function onDisk<T>(path: string, job: Promise<T>): Promise<T> {
  try {
    return await job
  } catch (error) {
    throw unwritable(path, error)
  }
}

function unwritable(path: string, cause: unknown): Error {
  const { code = '' } = cause as NodeJS.ErrnoException
  if (/^(ENOSPC|EDQUOT|EFBIG)$/.test(code)) {
    return new StoreError('store-full', `the disk of ${printable(path)} is full`, { cause })
  }
  return new CliError('unwritable', `${printable(path)} cannot be written (${code})`, { cause })
}

function unreadable(path: string, cause: unknown): CliError {
  const { code = '' } = cause as NodeJS.ErrnoException
  return new CliError('unreadable', `${printable(path)} cannot be read (${code})`, { cause })
}
