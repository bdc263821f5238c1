/**
 * Log on Node: what whoever runs a remote reads, one line each, by pino.
 *
 *   error  a fault of ours          info   start, stop, and each request
 *   warn   something to look into   debug  requests of probes too
 *
 * No line names a vault, a device, a session or a token. Addresses and sizes are in it only where
 * that is asked for. Texts of errors are not all ours: whatever in them could be a name is cut out.
 */
import { pino } from 'pino'
import type { RequestLine } from './app.ts'
import { formatPretty } from './node-log-pretty.ts'

export const LOG_LEVELS: readonly ['error', 'warn', 'info', 'debug'] = [
  'error',
  'warn',
  'info',
  'debug',
]
export type LogLevel = (typeof LOG_LEVELS)[number]

export type LogOptions = {
  readonly level: LogLevel
  readonly format: 'json' | 'pretty' | 'off'
  /** Whether lines of requests hold the address of who asks. */
  readonly addresses: boolean
  /** Whether they hold the size of the body. */
  readonly sizes: boolean
  readonly nowMs: () => number
  /** Of whole lines. Standard error when absent. */
  readonly write?: (text: string) => void
}

export type LogFacts = Readonly<Record<string, string | number | boolean | readonly string[]>>

export type Log = {
  request(line: RequestLine): void
  fault(error: unknown, requestId?: string): void
  warn(code: string, message: string): void
  info(message: string, facts?: LogFacts): void
}

const STDERR = 2
/** What waits for a reader of the log that does not read. More is dropped: it must not take all. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024
const FRAMES_MAX = 8
/** Asked every few seconds by machines: of no interest unless something is looked for. */
const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics'])

export function createLog(options: LogOptions): Log {
  const { addresses, sizes } = options
  const logger = pino(
    {
      level: options.format === 'off' ? 'silent' : options.level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date(options.nowMs()).toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    { write: writerOf(options) },
  )
  return {
    request(line) {
      const { requestId, method, route, status, code, ms, address, bodyBytes } = line
      const facts = {
        requestId,
        method: method.slice(0, 16),
        route,
        status,
        ...(code === undefined ? {} : { code }),
        ms,
        ...(addresses && address !== undefined ? { address } : {}),
        ...(sizes ? { bodyBytes } : {}),
      }
      if (PROBES.has(route)) logger.debug(facts, 'request')
      else logger.info(facts, 'request')
    },
    fault(error, requestId) {
      const facts = faultFacts(error)
      logger.error(requestId === undefined ? facts : { requestId, ...facts }, 'fault')
    },
    warn: (code, message) => logger.warn({ code }, message),
    info: (message, facts = {}) => logger.info(facts, message),
  }
}

function writerOf({ format, write }: LogOptions): (text: string) => void {
  const put = write ?? stderrWriter()
  return format === 'pretty' ? (text) => put(formatPretty(text)) : put
}

/** Not waited for: a terminal or collector that is stopped must not stop the remote. */
function stderrWriter(): (text: string) => void {
  const target = pino.destination({ dest: STDERR, sync: false, maxLength: WAITING_BYTES_MAX })
  target.on('error', () => {})
  return (text) => void target.write(text)
}

type FaultFacts = Readonly<Record<string, string | readonly string[]>>

/** What it is and where in this program, and nothing of what the request held. */
function faultFacts(error: unknown): FaultFacts {
  if (!(error instanceof Error)) return { error: typeof error }
  const { name, message, stack = '', cause } = error
  const code = Reflect.get(error, 'code')
  return {
    error: name,
    ...(typeof code === 'string' ? { code } : {}),
    detail: withoutNames(message),
    ...(cause instanceof Error ? { cause: withoutNames(`${cause.name}: ${cause.message}`) } : {}),
    at: framesOf(stack),
  }
}

/** Long runs of letters and digits, as ids and tokens are, and whatever looks like an address. */
function withoutNames(text: string): string {
  return text
    .replace(/[\w+/=-]{20,}/g, '…')
    .replace(/[0-9a-f]{16,}/gi, '…')
    .replace(/\b\d{1,3}(\.\d{1,3}){3}\b/g, '…')
    .replace(/[0-9a-f]{0,4}(:[0-9a-f]{0,4}){2,7}/gi, '…')
    .slice(0, 500)
}

/** Function, file, line and column; not the folders, which may hold a person's name. */
function framesOf(stack: string): readonly string[] {
  const frames = stack.matchAll(/^ {4}at (?:(.*) \()?(?:.*[\\/])?([^\\/\s()]+:\d+:\d+)\)?$/gm)
  return [...frames]
    .slice(0, FRAMES_MAX)
    .map(([, name, place]) => (name === undefined ? String(place) : `${name} ${place}`))
}
