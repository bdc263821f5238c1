/**
 * serve: a remote on this machine, on the embedded LevelDB, until it is told to stop.
 *
 *   settings read ──▶ data folder ──▶ store ──▶ listening ──signal──▶ drained ──▶ closed
 *                                                           └──second signal──▶ ends at once
 */
import { AdminError, type Registration } from '@blindcopy/remote'
import {
  adminSocketPath,
  createLog,
  type Log,
  type ServedAdmin,
  type ServedRemote,
  serveAdmin,
  serveRemote,
} from '@blindcopy/remote/node'
import { openLevelStore, type Store } from '@blindcopy/secondary'
import { CliError } from './cli-error.ts'
import { type DataFolder, openDataFolder, watchToken } from './data-folder.ts'
import { type Flags, type ReadSettings, readSettings } from './serve/read-settings.ts'
import { openRegistration } from './serve/registration.ts'
import { trustOf } from './serve/setting-kinds.ts'
import { limitsOf, type Settings } from './serve/settings.ts'
import { exampleFile } from './serve/settings-text.ts'
import { warningsOf } from './serve/warnings.ts'
import type { Terminal } from './terminal.ts'

export type ServeOptions = Flags & {
  readonly printConfig?: boolean
  /** Of this program. */
  readonly version: string
}

/** Requests that wait have their turn while a long write is handed over. */
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export async function serve(options: ServeOptions, terminal: Terminal): Promise<void> {
  const read = await readSettings(options, terminal.env)
  if (options.printConfig) {
    terminal.output.write(exampleFile(read.settings, read.given))
    return
  }
  const folder = await openDataFolder(read.settings.data, terminal.env)
  const store = await openLevelStore({ path: folder.vaultsPath, nextTurn })
  const log = logOf(read.settings, terminal)
  tellCrashes(log)
  const started = await start({ options, read, folder, store, log }).catch((error) =>
    closeAndThrow(store, listenError(error, read.settings)),
  )
  const admin = await openAdmin(started.remote, { folder, env: terminal.env, log })
  const stopped = untilInterrupted(terminal)
  await welcome(started, { settings: read.settings, folder, terminal, log })
  for (const { code, message } of warningsOf(read, terminal.env)) log.warn(code, message)
  await stopped
  if (terminal.isWatched) terminal.note('\nClosing.')
  else log.info('stopping')
  await admin?.close()
  const cutOff = await started.remote.close()
  if (cutOff > 0) log.warn('cut-off', `${cutOff} requests had not ended in time and were cut off`)
  log.info('stopped')
}

type Started = {
  readonly remote: ServedRemote
  readonly registration: Registration
  readonly isNewToken: boolean
  /** Where the token stands, unless it was given. */
  readonly tokenPath: string | undefined
}

async function start(parts: {
  readonly options: ServeOptions
  readonly read: ReadSettings
  readonly folder: DataFolder
  readonly store: Store
  readonly log: Log
}): Promise<Started> {
  const { options, folder, store, log } = parts
  const { settings } = parts.read
  const opened = await openRegistration(settings, folder)
  const remote = await serveRemote({
    store,
    registration: opened.registration,
    host: settings.host,
    port: settings.port,
    origins: settings.origin,
    limits: limitsOf(settings),
    trust: trustOf(settings.trustProxy),
    log: log.request,
    onFault: log.fault,
    onWarning: log.warn,
    ...(await observed(settings, folder)),
    version: options.version,
    dataFolder: folder.path,
  })
  return { remote, ...opened }
}

/** A remote that cannot be administrated while it runs serves its devices all the same. */
async function openAdmin(
  { admin }: ServedRemote,
  parts: {
    readonly folder: DataFolder
    readonly env: Terminal['env']
    readonly log: Log
  },
): Promise<ServedAdmin | undefined> {
  const { folder, env, log } = parts
  try {
    return await serveAdmin(admin, adminSocketPath(folder.path, env))
  } catch (error) {
    if (!(error instanceof AdminError)) throw error
    const instead = 'BLINDCOPY_ADMIN_SOCKET names another path'
    log.warn(
      error.code,
      `${error.message}; ${instead}; \`blindcopy remote\` works when it is stopped`,
    )
    return undefined
  }
}

async function observed(
  { metrics, adminPage }: Settings,
  folder: DataFolder,
): Promise<{ adminToken?: () => string; shows?: { metrics: boolean; adminPage: boolean } }> {
  if (!metrics && !adminPage) return {}
  const { token } = await folder.adminToken()
  return { adminToken: watchToken(folder.adminTokenPath, token), shows: { metrics, adminPage } }
}

/** Node would print a text that may not be ours. What was acknowledged is on the disk. */
function tellCrashes(log: Log): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.once(event, (error) => {
      log.fault(error)
      process.exit(1)
    })
  }
}

function logOf(settings: Settings, terminal: Terminal): Log {
  const { logFormat } = settings
  const format = terminal.messages.isTTY === true ? 'pretty' : 'json'
  return createLog({
    level: settings.logLevel,
    format: logFormat === 'auto' ? format : logFormat,
    addresses: settings.logAddresses,
    sizes: settings.logSizes,
    nowMs: Date.now,
  })
}

async function welcome(
  started: Started,
  parts: {
    readonly settings: Settings
    readonly folder: DataFolder
    readonly terminal: Terminal
    readonly log: Log
  },
): Promise<void> {
  const { remote, registration, isNewToken, tokenPath } = started
  const { settings, folder, terminal, log } = parts
  const { mode } = registration
  if (!terminal.isWatched) log.info('listening', { url: remote.url, registration: mode })
  if (terminal.json) {
    // What was given is a secret of whoever gave it, and stdout is mostly somebody's log.
    const isOwn = mode === 'token' && tokenPath === folder.tokenPath
    const token = isOwn ? { registrationToken: registration.token } : {}
    await terminal.print(JSON.stringify({ url: remote.url, registration: mode, ...token }))
    return
  }
  await terminal.print(`${terminal.bold('Blindcopy remote')} on ${terminal.bold(remote.url)}`)
  await terminal.print(`  data          ${folder.path}`)
  await terminal.print(`  registration  ${mode}`)
  if (mode === 'token') {
    if (isNewToken) await terminal.print(`  token         ${registration.token}`)
    if (tokenPath !== undefined) await terminal.print(`  token is in   ${tokenPath}`)
  }
  if (settings.adminPage) {
    await terminal.print(`  admin page    ${remote.url}/admin`)
    await terminal.print(`  its token in  ${folder.adminTokenPath}`)
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

const PORT_OF_ADMINISTRATOR = 1024

function listenError(error: unknown, { host, port }: Settings): unknown {
  const refused = (code: 'address-in-use' | 'address-refused', why: string): CliError =>
    new CliError(code, why, { cause: error })
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return refused('address-in-use', `another program listens on port ${port} of ${host}`)
    case 'EACCES':
      return refused(
        'address-refused',
        port < PORT_OF_ADMINISTRATOR
          ? `port ${port} is the administrator's: take one from 1024 on, and put a proxy on ${port}`
          : `this system does not let this program listen on port ${port} of ${host}`,
      )
    case 'EADDRNOTAVAIL':
      return refused('address-refused', `${host} is no address of this machine`)
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return refused('address-refused', `${host} is neither an address nor a known name`)
    case 'EINVAL':
      return refused('address-refused', `cannot listen on port ${port} of ${host}`)
    default:
      return error
  }
}
