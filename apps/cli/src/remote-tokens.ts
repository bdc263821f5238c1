/**
 * remote tokens: what a new vault must show, and what opens the admin page; shown, or made anew.
 *
 * They are files of the data folder, and a server that runs reads them anew: nobody is asked.
 */
import { CliError } from './cli-error.ts'
import { formatTable } from './layout.ts'
import { openRemoteFolder, type RemoteOptions } from './remote-access.ts'
import { openRegistration } from './serve/registration.ts'
import type { Terminal } from './terminal.ts'

export async function showTokens(options: RemoteOptions, terminal: Terminal): Promise<void> {
  const { settings, folder } = await openRemoteFolder(options, terminal)
  const { registration, tokenPath } = await openRegistration(settings, folder)
  const { token: admin } = await folder.adminToken()
  const shown = registration.mode === 'token' ? registration.token : null
  const where = tokenPath ?? 'given in the settings'
  const rows = [
    [
      'registration',
      shown ?? `none: registration is ${registration.mode}`,
      shown === null ? '' : where,
    ],
    ['admin', admin, folder.adminTokenPath],
  ]
  const answer = { registration: shown, registrationMode: registration.mode, admin }
  await terminal.answer(answer, formatTable(rows, terminal.columns))
}

export async function rotateToken(
  name: string,
  options: RemoteOptions,
  terminal: Terminal,
): Promise<void> {
  if (name !== 'registration' && name !== 'admin') {
    throw new CliError('usage', 'the tokens are: registration, admin')
  }
  const { settings, folder } = await openRemoteFolder(options, terminal)
  if (name === 'registration') {
    const { tokenPath } = await openRegistration(settings, folder)
    if (tokenPath !== folder.tokenPath) {
      throw new CliError(
        'usage',
        'the registration token is not made here: change it where the settings have it',
      )
    }
  }
  const token =
    name === 'registration'
      ? await folder.rotateRegistrationToken()
      : await folder.rotateAdminToken()
  await terminal.answer({ [name]: token }, `${token}\nThe one before is refused from now on.`)
}
