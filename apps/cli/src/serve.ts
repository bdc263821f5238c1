/**
 * serve: a remote on this machine, on the embedded LevelDB, until it is told to stop.
 *
 *   DIR/vaults/               LevelDB: the envelopes of every vault, and their keychains
 *   DIR/registration-token    mode 0600: what a new vault must show, made at the first start
 */
import type { Registration, RequestLine } from '@blindcopy/remote'
import { type ServedRemote, serveRemote } from '@blindcopy/remote/node'
import { openLevelStore, type Store } from '@blindcopy/secondary'
import { CliError } from './cli-error.ts'
import { type DataFolder, openDataFolder } from './data-folder.ts'
import type { Terminal } from './terminal.ts'

export type ServeOptions = {
  readonly data?: string
  readonly host: string
  readonly port: number
  readonly origin?: readonly string[]
  readonly registration?: Registration['mode']
  readonly registrationToken?: string
  readonly verbose?: boolean
}

export async function serve(options: ServeOptions, terminal: Terminal): Promise<void> {
  const origins = (options.origin ?? []).map(parseOrigin)
  checkRegistration(options)
  const folder = await openDataFolder(options.data, terminal.env)
  const store = await openLevelStore({ path: folder.vaultsPath })
  const { registration, isNewToken } = await registrationOf(options, folder).catch((error) =>
    closeAndThrow(store, error),
  )
  const remote = await serveRemote({
    store,
    registration,
    host: options.host,
    port: options.port,
    origins,
    ...(options.verbose ? { log: (line: RequestLine) => logRequest(line, terminal) } : {}),
    onFault: (error) => logFault(error, terminal),
  }).catch((error) => closeAndThrow(store, listenError(error, options)))
  const stopped = untilInterrupted(terminal)
  if (terminal.json) await terminal.print(JSON.stringify(firstLine(remote, registration)))
  else await welcome(remote, { options, registration, isNewToken, folder, terminal })
  await stopped
  if (terminal.isWatched) terminal.note('\nClosing.')
  await remote.close()
}

function parseOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.pathname === '/') return url.origin
  throw new CliError('usage', '--origin takes an address such as https://sync.example.org')
}

function checkRegistration({ registration, registrationToken }: ServeOptions): void {
  if (registrationToken === undefined) return
  if (registrationToken.trim() === '')
    throw new CliError('usage', 'the registration token is empty')
  if (registration === undefined || registration === 'token') return
  throw new CliError('usage', `--registration ${registration} takes no --registration-token`)
}

async function registrationOf(
  options: ServeOptions,
  folder: DataFolder,
): Promise<{ registration: Registration; isNewToken: boolean }> {
  const mode = options.registration ?? 'token'
  if (mode !== 'token') return { registration: { mode }, isNewToken: false }
  if (options.registrationToken !== undefined) {
    return { registration: { mode, token: options.registrationToken }, isNewToken: false }
  }
  const { token, isNew } = await folder.registrationToken()
  return { registration: { mode, token }, isNewToken: isNew }
}

function firstLine(remote: ServedRemote, registration: Registration): Record<string, string> {
  return {
    url: remote.url,
    registration: registration.mode,
    ...(registration.mode === 'token' ? { registrationToken: registration.token } : {}),
  }
}

async function welcome(
  remote: ServedRemote,
  parts: {
    options: ServeOptions
    registration: Registration
    isNewToken: boolean
    folder: DataFolder
    terminal: Terminal
  },
): Promise<void> {
  const { options, registration, isNewToken, folder, terminal } = parts
  await terminal.print(`${terminal.bold('Blindcopy remote')} on ${terminal.bold(remote.url)}`)
  await terminal.print(`  data          ${folder.path}`)
  await terminal.print(`  registration  ${registration.mode}`)
  if (registration.mode === 'token') {
    if (isNewToken) await terminal.print(`  token         ${registration.token}`)
    if (options.registrationToken === undefined)
      await terminal.print(`  token is in   ${folder.tokenPath}`)
  }
  const isLocal = /^(127\.|localhost$|::1$)/.test(options.host)
  if (!isLocal && options.origin === undefined) {
    terminal.note('Devices elsewhere are refused until --origin names the address they use.')
  }
  if (terminal.isWatched) terminal.note(terminal.dim('Ctrl-C ends it.'))
}

function untilInterrupted(terminal: Terminal): Promise<void> {
  return new Promise((resolve) => {
    terminal.onInterrupt(resolve)
  })
}

async function closeAndThrow(store: Store, error: unknown): Promise<never> {
  await store.close()
  throw error
}

function listenError(error: unknown, { host, port }: ServeOptions): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'EADDRINUSE') {
    return new CliError('address-in-use', `port ${port} of ${host} is taken`, { cause: error })
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EINVAL') {
    return new CliError('address-refused', `cannot listen on port ${port} of ${host} (${code})`, {
      cause: error,
    })
  }
  return error
}

function logRequest({ method, route, status, ms }: RequestLine, terminal: Terminal): void {
  terminal.note(JSON.stringify({ time: new Date().toISOString(), method, route, status, ms }))
}

/** Its code and its place in this program; never what the request held. */
function logFault(error: unknown, terminal: Terminal): void {
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  terminal.note(JSON.stringify({ time: new Date().toISOString(), fault: name, message }))
}
