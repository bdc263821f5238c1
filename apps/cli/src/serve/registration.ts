/**
 * Who may create a vault at this remote, by its settings: with a token that was given, that stands
 * in a file of its owner's, or that was made here. A file is read anew for each new vault.
 */
import { readFile } from 'node:fs/promises'
import type { Registration } from '@blindcopy/remote'
import { CliError } from '../cli-error.ts'
import { type DataFolder, watchToken } from '../data-folder.ts'
import type { Settings } from './settings.ts'

export type OpenedRegistration = {
  readonly registration: Registration
  /** Made just now, so that it is shown once. */
  readonly isNewToken: boolean
  /** Where the token stands, unless it was given. */
  readonly tokenPath: string | undefined
}

/** Throws `setting-refused` when the file that is named holds no token. */
export async function openRegistration(
  settings: Settings,
  folder: Pick<DataFolder, 'registrationToken' | 'tokenPath'>,
): Promise<OpenedRegistration> {
  const { registration: mode, registrationToken: given, registrationTokenFile: named } = settings
  if (mode !== 'token') {
    return { registration: { mode }, isNewToken: false, tokenPath: undefined }
  }
  if (given !== undefined) {
    return { registration: { mode, token: given }, isNewToken: false, tokenPath: undefined }
  }
  if (named !== undefined) {
    const token = await readTokenFile(named)
    return { registration: watched(named, token), isNewToken: false, tokenPath: named }
  }
  const { token, isNew } = await folder.registrationToken()
  const { tokenPath } = folder
  return { registration: watched(tokenPath, token), isNewToken: isNew, tokenPath }
}

function watched(path: string, first: string): Registration {
  const read = watchToken(path, first)
  return {
    mode: 'token',
    get token() {
      return read()
    },
  }
}

async function readTokenFile(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    const why = `registration-token-file: cannot read ${path} (${cause.code})`
    throw new CliError('setting-refused', why, { cause })
  })
  if (text.trim() !== '') return text.trim()
  throw new CliError('setting-refused', `registration-token-file: there is no token in ${path}`)
}
