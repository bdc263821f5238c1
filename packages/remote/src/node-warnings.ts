/**
 * Warnings on Node: what only shows while it runs, and whoever runs it would want to know. Each is
 * told at most once in ten minutes.
 */
import type { IncomingMessage } from 'node:http'
import { isTrusted, TRUST_NONE, type Trust } from './address.ts'
import type { RemoteLimits } from './limits.ts'

export type Warnings = {
  /** A connection more than there may be was turned away. */
  readonly crowd: () => void
  /** Before each request. */
  readonly look: (request: Pick<IncomingMessage, 'headers' | 'socket'>) => void
}

export type WarningsOptions = {
  readonly onWarning?: (code: string, message: string) => void
  readonly trust?: Trust
  readonly limits: RemoteLimits
  /** Monotonic. */
  readonly uptimeMs: () => number
}

const QUIET_MS = 10 * 60_000

export function createWarnings(options: WarningsOptions): Warnings {
  const { onWarning = () => {}, trust = TRUST_NONE, limits, uptimeMs } = options
  const toldMsByCode = new Map<string, number>()
  const warn = (code: string, message: string): void => {
    const nowMs = uptimeMs()
    const toldMs = toldMsByCode.get(code)
    if (toldMs !== undefined && nowMs - toldMs < QUIET_MS) return
    toldMsByCode.set(code, nowMs)
    onWarning(code, message)
  }
  return {
    crowd: () =>
      warn(
        'crowded',
        `${limits.connectionsMax} connections are open, as many as there may be: others are turned away (connections-max)`,
      ),
    look({ headers, socket }) {
      const { remoteAddress = '' } = socket
      if (headers['x-forwarded-for'] === undefined || isTrusted(remoteAddress, trust)) return
      // Anybody can send that header; a proxy of ours is likely where our own machines are.
      if (!isNear(remoteAddress)) return
      warn(
        'proxy-not-trusted',
        'a proxy before this remote is not trusted, so all its clients count as one address: name it with --trust-proxy',
      )
    },
  }
}

/** Loopback and private networks. */
const isNear = (address: string): boolean =>
  /^(::ffff:)?(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)|^::1$|^f[cd]/.test(address)
