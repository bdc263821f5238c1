/**
 * Level error: names the cause of whatever LevelDB, IndexedDB or the file system threw.
 *
 * The cause that matters is seldom on top: a folder that is in use arrives as "not open" with
 * "locked" as its cause, and a full disk as an "IO error" whose text ends with the words of the
 * operating system. So the whole chain of causes is looked at, and the most telling one wins.
 */

import { StoreError, type StoreErrorCode } from './error.ts'

type Link = {
  readonly name: string
  readonly code: string
  readonly message: string
  /** False for the innermost link. */
  readonly hasCause: boolean
}

/** Bounds the walk: a chain of causes can be a circle. */
const CHAIN_LENGTH_MAX = 10

/** The first row that matches any link of the chain names the error. */
const KINDS: readonly (readonly [StoreErrorCode, (link: Link) => boolean])[] = [
  ['store-in-use', (link) => link.code === 'LEVEL_LOCKED'],
  [
    'store-full',
    (link) =>
      /^(ENOSPC|EFBIG|EDQUOT)$/.test(link.code) ||
      link.name === 'QuotaExceededError' ||
      /(No space left on device|File too large|Disk quota exceeded)$/.test(link.message),
  ],
  [
    'store-read-only',
    (link) =>
      /^(EROFS|EACCES|EPERM)$/.test(link.code) ||
      /(Permission denied|Read-only file system|Operation not permitted)$/.test(link.message),
  ],
  [
    'store-corrupt',
    (link) =>
      link.code === 'LEVEL_CORRUPTION' ||
      // A table that was cut short is read beyond its end; one that is gone is looked for.
      /\.(ldb|sst): (Invalid argument|No such file or directory)$/.test(link.message),
  ],
  // A database that failed to open says the same, with the reason as its cause.
  [
    'store-closed',
    (link) => !link.hasCause && /^LEVEL_(DATABASE|ITERATOR|BATCH)_NOT_OPEN$/.test(link.code),
  ],
]

/** What happened, and what to do. */
const REMEDIES: Record<StoreErrorCode, string> = {
  'store-in-use': 'is in use. Close the other program or tab that has it open, then try again',
  'store-read-only': 'cannot be written. Check its permissions and that its disk is not read-only',
  'store-full': 'has no room left on its disk. Free some space, then try again',
  'store-corrupt': 'is damaged. Keep a copy of it, then restore a backup or sync into a new folder',
  'store-closed': 'was closed. Open it again to use it',
  'store-failed': 'failed. See the cause, and try again once it is mended',
}

/** Turns anything that was thrown below a store into the error of this package. */
export function toStoreError(error: unknown, path: string): StoreError {
  if (error instanceof StoreError) return error
  const chain = linksOf(error)
  const code = KINDS.find(([, matches]) => chain.some(matches))?.[0] ?? 'store-failed'
  return new StoreError(code, `The store at ${path} ${REMEDIES[code]}.`, { cause: error })
}

export function closedError(path: string): StoreError {
  return new StoreError('store-closed', `The store at ${path} ${REMEDIES['store-closed']}.`)
}

function linksOf(error: unknown): Link[] {
  const links: Link[] = []
  let current: unknown = error
  while (current instanceof Error && links.length < CHAIN_LENGTH_MAX) {
    const code = 'code' in current && typeof current.code === 'string' ? current.code : ''
    links.push({
      name: current.name,
      code,
      message: current.message,
      hasCause: current.cause instanceof Error,
    })
    current = current.cause
  }
  return links
}
