/**
 * What a disk answers when it does not do as it is told, as errors that a person can act on.
 */
import { StoreError } from '@blindcopy/secondary'
import { ClientError } from '../error.ts'

/** Every failure with a code and what to do. `what` is what was read or written. */
export async function guarded<T>(job: Promise<T>, what: string = 'the vault'): Promise<T> {
  try {
    return await job
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      throw new StoreError(
        'store-read-only',
        `the folder of ${what} cannot be used: check its permissions and the disk`,
        { cause },
      )
    }
    if (code === 'ENOSPC' || code === 'EFBIG' || code === 'EDQUOT') {
      throw new StoreError('store-full', `the disk of ${what} is full: make room and try again`, {
        cause,
      })
    }
    if (code === 'ENOTDIR') {
      throw new ClientError('not-a-vault', `the path of ${what} leads through a file`, { cause })
    }
    const why =
      code === undefined ? '' : ` (${code}${code === 'ENOENT' ? ': it is not there' : ''})`
    throw new StoreError('store-failed', `a file of ${what} could not be read or written${why}`, {
      cause,
    })
  }
}
