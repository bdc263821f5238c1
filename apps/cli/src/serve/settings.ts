/**
 * Settings of a remote: the one schema of all of them. From it come the flags and their help, the
 * variables, the commented file that `--print-config` prints, the table in docs/remote-settings.md,
 * and the reading and checking of what is given.
 *
 *   name         flag            variable                in the file
 *   quota-bytes  --quota-bytes   BLINDCOPY_QUOTA_BYTES   quota-bytes = "10 GiB"
 */
import { LIMITS_DEFAULT, type RemoteLimits } from '@blindcopy/remote'
import { LOG_LEVELS, type LogLevel } from '@blindcopy/remote/node'
import { z } from 'zod'
import {
  choice,
  count,
  days,
  type Kind,
  onOff,
  origins,
  proxies,
  size,
  text,
  time,
} from './setting-kinds.ts'

export type Settings = {
  readonly data: string | undefined
  readonly host: string
  readonly port: number
  readonly origin: readonly string[]
  readonly registration: 'open' | 'token' | 'closed'
  readonly registrationToken: string | undefined
  readonly registrationTokenFile: string | undefined
  readonly trustProxy: readonly string[]
  readonly logLevel: LogLevel
  readonly logFormat: 'auto' | 'json' | 'pretty' | 'off'
  readonly logAddresses: boolean
  readonly logSizes: boolean
  readonly metrics: boolean
  readonly adminPage: boolean
  readonly quotaBytes: number
  readonly quotaRecords: number
  readonly quotaDevices: number
  readonly historyDays: number
  readonly historyBytes: number
  readonly pushRate: number
  readonly pushBytesRate: number
  readonly loginRate: number
  readonly connectionsMax: number
  readonly socketsMax: number
  readonly socketsPerVaultMax: number
  readonly bodyMemory: number
  readonly headerTime: number
  readonly transferTime: number
  readonly silenceTime: number
  readonly drainTime: number
}

export type SettingKey = keyof Settings

export const GROUPS = {
  place: 'Where it is',
  registration: 'Who may create a vault',
  log: 'What is told of it',
  vaults: 'What one vault may take',
  server: 'What the server takes',
} as const

type Facts = {
  readonly group: keyof typeof GROUPS
  /** A sentence, or two. */
  readonly about: string
  /** Of one that has no default value: what is done without it, and a value as it might be. */
  readonly without?: { readonly text: string; readonly example: string }
  readonly isSecret?: boolean
}

export type Setting = Facts & {
  readonly key: SettingKey
  readonly name: string
  readonly flag: string
  readonly variable: string
  readonly kind: Kind<never>
  readonly default: unknown
}

const MIB = 2 ** 20
const GIB = 2 ** 30
const TIB = 2 ** 40
const SECOND_MS = 1000
const HOUR_MS = 3_600_000
const { quota, history, rates, ...server } = LIMITS_DEFAULT

type Known = { readonly kind: Kind<never>; readonly default: unknown; readonly facts: Facts }

const KNOWN = new WeakMap<z.ZodType, Known>()

function setting<T>(kind: Kind<T>, fallback: T, facts: Facts): z.ZodType<T> {
  const schema = z.unknown().transform((value, context): T => {
    if (value === undefined) return fallback
    const read = kind.read(value)
    if (read !== undefined) return read
    context.addIssue({ code: 'custom', message: `it takes ${kind.allowed}` })
    return z.NEVER
  })
  KNOWN.set(schema, { kind: kind as Kind<never>, default: fallback, facts })
  return schema
}

const optional = <T>(kind: Kind<T>): Kind<T | undefined> => ({
  ...kind,
  write: (value) => (value === undefined ? '""' : kind.write(value)),
})

const path = (what: string): Kind<string | undefined> =>
  optional(text({ allowed: `the path of a ${what}`, placeholder: 'PATH', pattern: /^[^\0]+$/ }))

const SHAPE: { readonly [Key in SettingKey]: z.ZodType<Settings[Key]> } = {
  data: setting(path('folder'), undefined, {
    group: 'place',
    about: 'The folder of its data; made, closed to others, when it is not there.',
    without: { text: '~/.local/share/blindcopy/remote', example: '/var/lib/blindcopy' },
  }),
  host: setting(
    text({
      allowed: 'an address of this machine, such as 127.0.0.1, ::1, or 0.0.0.0 for all of them',
      placeholder: 'HOST',
      pattern: /^[\w.:%-]{1,255}$/,
    }),
    '127.0.0.1',
    { group: 'place', about: 'The address to listen on. Beyond this machine, put TLS before it.' },
  ),
  port: setting(count({ min: 0, max: 65_535 }), 8787, {
    group: 'place',
    about: 'The port to listen on; 0 for any that is free.',
  }),
  origin: setting(origins(), [], {
    group: 'place',
    about:
      'The public addresses of this remote. A device that uses another one is refused, so that nobody can relay a login.',
  }),
  trustProxy: setting(proxies(), [], {
    group: 'place',
    about:
      'Reverse proxies whose X-Forwarded-For is believed, by address or range. The address of a client counts for rates and, where wanted, in the log.',
  }),
  registration: setting(choice(['open', 'token', 'closed']), 'token', {
    group: 'registration',
    about: 'Who may create a vault: anybody, whoever has the token, or nobody.',
  }),
  registrationToken: setting(
    optional(
      text({
        allowed: 'a text that is not empty, of up to 1,000 characters',
        placeholder: 'TOKEN',
        pattern: /^(?=.*\S).{1,1000}$/,
      }),
    ),
    undefined,
    {
      group: 'registration',
      about:
        'The token that a new vault must show. Without it one is made and kept in the data folder, where it can be changed while the remote runs.',
      without: { text: 'made at the first start', example: 'a long text that nobody guesses' },
      isSecret: true,
    },
  ),
  registrationTokenFile: setting(path('file'), undefined, {
    group: 'registration',
    about:
      'A file that holds that token, such as a secret of a container. Read anew when it is needed.',
    without: {
      text: 'registration-token in the data folder',
      example: '/run/secrets/registration-token',
    },
  }),
  logLevel: setting(choice(LOG_LEVELS), 'info', {
    group: 'log',
    about:
      'How much is logged, on standard error. Error has the faults of the remote, warn also what to look into, info also start, stop and each request, debug also the requests of probes.',
  }),
  logFormat: setting(choice(['auto', 'json', 'pretty', 'off']), 'auto', {
    group: 'log',
    about: 'In what form it is logged. Auto is pretty on a terminal, and JSON anywhere else.',
  }),
  logAddresses: setting(onOff(), false, {
    group: 'log',
    about: 'Whether the log holds the addresses of clients. Vaults and devices it never names.',
  }),
  logSizes: setting(onOff(), false, {
    group: 'log',
    about: 'Whether the log holds the sizes of requests.',
  }),
  metrics: setting(onOff(), true, {
    group: 'log',
    about: 'Whether /metrics answers Prometheus, to whoever shows the admin token.',
  }),
  adminPage: setting(onOff(), true, {
    group: 'log',
    about: 'Whether /admin shows totals and health, to whoever shows the admin token.',
  }),
  quotaBytes: setting(size({ min: MIB, max: 1024 * TIB }), quota.bytesMax, {
    group: 'vaults',
    about: 'Bytes of one vault, with what its history takes; that is given up first.',
  }),
  quotaRecords: setting(count({ min: 1, max: 1_000_000_000 }), quota.recordsMax, {
    group: 'vaults',
    about: 'Records of one vault, deleted ones too.',
  }),
  quotaDevices: setting(count({ min: 1, max: 64 }), quota.devicesMax, {
    group: 'vaults',
    about: 'Devices of one vault at once.',
  }),
  historyDays: setting(days(3650), history.retentionMs, {
    group: 'vaults',
    about: 'How long versions are kept that were written over; 0 keeps none.',
  }),
  historyBytes: setting(size({ min: 0, max: 1024 * TIB }), history.bytesMax, {
    group: 'vaults',
    about: 'Bytes of those versions in one vault; the oldest go first.',
  }),
  pushRate: setting(count({ min: 1, max: 100_000 }), rates.pushesPerSecond, {
    group: 'vaults',
    about: 'Pushes a second of one vault, checkpoints too.',
  }),
  pushBytesRate: setting(size({ min: MIB, max: 64 * GIB }), rates.pushBytesPerSecond, {
    group: 'vaults',
    about: 'Bytes a second that one vault may push.',
  }),
  socketsPerVaultMax: setting(count({ min: 1, max: 1_000_000 }), server.socketsPerVaultMax, {
    group: 'vaults',
    about: 'Live sockets of one vault.',
  }),
  loginRate: setting(count({ min: 1, max: 1_000_000 }), rates.loginsPerMinute, {
    group: 'server',
    about: 'Logins and new vaults a minute from one address.',
  }),
  connectionsMax: setting(count({ min: 10, max: 1_000_000 }), server.connectionsMax, {
    group: 'server',
    about: 'Connections at once; more are turned away.',
  }),
  socketsMax: setting(count({ min: 1, max: 1_000_000 }), server.socketsMax, {
    group: 'server',
    about: 'Live sockets at once. Fewer than connections, so that there is room for requests.',
  }),
  bodyMemory: setting(size({ min: 32 * MIB, max: TIB }), server.bodyBytesMax, {
    group: 'server',
    about: 'Memory for requests of members that are under way; more wait.',
  }),
  headerTime: setting(time({ min: 100, max: HOUR_MS }), server.headersMs, {
    group: 'server',
    about: 'How long the headers of a request may take to arrive.',
  }),
  transferTime: setting(time({ min: SECOND_MS, max: 24 * HOUR_MS }), server.transferMs, {
    group: 'server',
    about:
      'How long a request may take to arrive (16 MiB, over a poor line), and an answer to leave.',
  }),
  silenceTime: setting(time({ min: SECOND_MS, max: HOUR_MS }), server.silenceMs, {
    group: 'server',
    about: 'Whoever says nothing and takes nothing for so long is cut off.',
  }),
  drainTime: setting(time({ min: 0, max: HOUR_MS }), server.drainMs, {
    group: 'server',
    about: 'How long requests under way may take to end when the remote is told to stop.',
  }),
}

/** In the order of the file and the documents. */
export const SETTINGS: readonly Setting[] = (Object.keys(SHAPE) as SettingKey[]).map((key) => {
  const known = KNOWN.get(SHAPE[key])
  if (known === undefined) throw new Error(`nothing is known of ${key}`)
  const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  const variable = `BLINDCOPY_${name.replaceAll('-', '_').toUpperCase()}`
  const { kind, facts } = known
  return { ...facts, key, name, flag: `--${name}`, variable, kind, default: known.default }
})

/** From what is given, by key; what is not given has its default. */
export const settingsSchema: z.ZodType<Settings> = z
  .strictObject(SHAPE)
  .superRefine((settings, context) => {
    const refuse = (key: SettingKey, message: string): void => {
      context.addIssue({ code: 'custom', path: [key], message })
    }
    const { registration, registrationToken, registrationTokenFile } = settings
    const [named] = [
      ...(registrationToken === undefined ? [] : (['registrationToken'] as const)),
      ...(registrationTokenFile === undefined ? [] : (['registrationTokenFile'] as const)),
    ]
    if (registration !== 'token' && named !== undefined) {
      refuse(named, `it goes with registration "token", not with "${registration}"`)
    }
    if (registrationToken !== undefined && registrationTokenFile !== undefined) {
      refuse('registrationTokenFile', 'it goes without registration-token: give one of the two')
    }
    if (settings.socketsMax >= settings.connectionsMax) {
      refuse('socketsMax', `it must be below connections-max, ${settings.connectionsMax}`)
    }
  })

export function limitsOf(settings: Settings): RemoteLimits {
  return {
    quota: {
      bytesMax: settings.quotaBytes,
      recordsMax: settings.quotaRecords,
      devicesMax: settings.quotaDevices,
    },
    history: { retentionMs: settings.historyDays, bytesMax: settings.historyBytes },
    rates: {
      pushesPerSecond: settings.pushRate,
      pushBytesPerSecond: settings.pushBytesRate,
      loginsPerMinute: settings.loginRate,
    },
    connectionsMax: settings.connectionsMax,
    socketsMax: settings.socketsMax,
    socketsPerVaultMax: settings.socketsPerVaultMax,
    bodyBytesMax: settings.bodyMemory,
    silenceMs: settings.silenceTime,
    headersMs: settings.headerTime,
    transferMs: settings.transferTime,
    drainMs: settings.drainTime,
  }
}
