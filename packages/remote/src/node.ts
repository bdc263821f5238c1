/**
 * Node: serves a remote over HTTP and WebSocket on Node, where clock, randomness, timers and
 * signature check become real.
 *
 *   listening ──close()──▶ nothing new begun (503), live sockets told ──requests end, or time is
 *   up──▶ connections cut ──▶ store closed
 */
import { createPublicKey, randomBytes, verify as verifyWithNode } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { VerifySignature } from '@blindcopy/protocol'
import type { Store } from '@blindcopy/secondary'
import { getRequestListener } from '@hono/node-server'
import { clientAddress, TRUST_NONE, type Trust } from './address.ts'
import type { RequestLine } from './app.ts'
import { LIMITS_DEFAULT, type RemoteLimits } from './limits.ts'
import { type LiveServer, serveLive } from './node-live.ts'
import { answerBrokenRequests, refuseRequest } from './node-refusal.ts'
import { createWarnings } from './node-warnings.ts'
import { countWork, type Work } from './node-work.ts'
import { observeServer, type ServerObserveOptions } from './observe/node-observation.ts'
import type { ObserveOptions, Shows } from './observe/observe.ts'
import { parseOrigin } from './origin.ts'
import type { Registration } from './registration.ts'
import { createRemote, type Remote } from './remote.ts'
import { createRequestIds } from './request-id.ts'

export { parseTrusted, TRUST_NONE, type Trust } from './address.ts'
export { chunksOf } from './admin/admin-app.ts'
export {
  adminSocketPath,
  isAnswered,
  type ServedAdmin,
  SOCKET_PATH_BYTES_MAX,
  serveAdmin,
} from './admin/node-admin.ts'
export { createLog, LOG_LEVELS, type Log, type LogLevel, type LogOptions } from './node-log.ts'

export type ServeOptions = ServerObserveOptions & {
  /** Closed when the server is. */
  readonly store: Store
  readonly registration: Registration
  /** 127.0.0.1 when absent. */
  readonly host?: string
  /** Any free one when absent or 0. */
  readonly port?: number
  /** Public addresses, beside those of this machine itself. */
  readonly origins?: readonly string[]
  readonly tokenKey?: Uint8Array
  readonly limits?: RemoteLimits
  /** Proxies whose word is taken on whom they speak for. */
  readonly trust?: Trust
  readonly log?: (line: RequestLine) => void
  readonly onFault?: (error: unknown, requestId?: string) => void
  /** Told of what whoever runs it should look into, each now and then. */
  readonly onWarning?: (code: string, message: string) => void
  readonly shows?: Shows
  readonly nowMs?: () => number
}

export type ServedRemote = {
  readonly url: string
  readonly port: number
  readonly admin: Remote['admin']
  /**
   * Resolves when all is closed, the store included, with the number of requests that were cut off.
   * Closing twice is no error.
   */
  close(): Promise<number>
}

const BEAT_MS = 1000
const BEAT_MS_MIN = 50
/** So that what is bounded in seconds ends in about that time. */
const BEATS_A_SILENCE = 4
const CLOSE_LOOK_MS = 20
/** What an answer that is on its way already may take when nothing else is under way. */
const CLOSE_LAST_MS = 250
const SERVER_OPTIONS = {
  maxHeaderSize: 8 * 1024,
  keepAliveTimeout: 30_000,
  // The adapter looks for it, and its refusal has a code.
  requireHostHeader: false,
} as const

/** An answer that nobody hears. */
const NOBODY: ResponseInit = { status: 503 }

export async function serveRemote(options: ServeOptions): Promise<ServedRemote> {
  const { host = '127.0.0.1', port = 0, limits = LIMITS_DEFAULT } = options
  // A wrong one must show before anything listens.
  const origins = (options.origins ?? []).map(parseOrigin)
  let remote: Remote | undefined
  const warnings = createWarnings({ ...options, limits, uptimeMs })
  const server = createBoundServer(limits, (request, { incoming }) => {
    // No request is taken up before the server listens, and then there is a remote.
    if (remote === undefined || incoming.socket.destroyed) return new Response(null, NOBODY)
    const address = addressOf(incoming, options.trust)
    warnings.look(incoming)
    return remote.app.fetch(request, {
      address,
      body: incoming.iterator({ destroyOnReturn: false }),
    })
  })
  server.on('drop', warnings.crowd)
  const work = countWork(server, { uptimeMs, msMax: 2 * limits.transferMs })
  await listen(server, host, port)
  const { port: portTaken } = server.address() as AddressInfo
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${portTaken}`
  const observation = observeServer(server, { ...options, uptimeMs })
  remote = createRemote({
    ...options,
    ...observation,
    origins: [`http://127.0.0.1:${portTaken}`, `http://localhost:${portTaken}`, url, ...origins],
    verify: verifySignature,
    nowMs: options.nowMs ?? Date.now,
    random,
    nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
  })
  const sockets = serveSockets(server, remote, { ...options, ...observation })
  const beat = startBeat({ remote, sockets, work, silenceMs: limits.silenceMs })
  let closing: Promise<number> | undefined
  const parts = { ...options, server, remote, sockets, work, beat, drainMs: limits.drainMs }
  return {
    url,
    port: portTaken,
    admin: remote.admin,
    close: () => {
      closing ??= close(parts)
      return closing
    },
  }
}

type FetchOfNode = (
  request: Request,
  env: { readonly incoming: IncomingMessage },
) => Response | Promise<Response>

/** Slow heads, slow bodies, silence and crowds have their bounds here. */
function createBoundServer(limits: RemoteLimits, fetch: FetchOfNode): Server {
  const { headersMs, transferMs, silenceMs } = limits
  const listener = getRequestListener((request, env) => fetch(request, env as never), {
    errorHandler: refuseRequest,
  })
  const times = {
    headersTimeout: headersMs,
    requestTimeout: Math.max(transferMs, headersMs),
    connectionsCheckingInterval: beatMsOf(headersMs),
  }
  const server = createServer({ ...SERVER_OPTIONS, ...times }, listener)
  server.maxConnections = limits.connectionsMax
  // A reader that takes nothing pins a view of the store until then.
  server.setTimeout(silenceMs)
  answerBrokenRequests(server)
  return server
}

function serveSockets(
  server: Server,
  { live }: Remote,
  options: ServeOptions & Pick<ObserveOptions, 'metrics'>,
): LiveServer {
  const nextRequestId = createRequestIds(random)
  return serveLive(server, {
    live,
    uptimeMs,
    silenceMs: (options.limits ?? LIMITS_DEFAULT).silenceMs,
    onUpgrade: ({ request, status, code }) => {
      const requestId = nextRequestId()
      const address = addressOf(request, options.trust)
      const facts = { method: 'GET', route: '/v1/live', ms: 0, bodyBytes: 0 }
      options.metrics?.requested({ status, code, ...facts })
      options.log?.({ requestId, status, code, address, ...facts })
      return requestId
    },
  })
}

function addressOf(request: IncomingMessage, trust: Trust = TRUST_NONE): string | undefined {
  const forwardedFor = request.headers['x-forwarded-for']
  return clientAddress({ forwardedFor, socketAddress: request.socket.remoteAddress }, trust)
}

function startBeat(parts: {
  readonly remote: Remote
  readonly sockets: LiveServer
  readonly work: Work
  readonly silenceMs: number
}): NodeJS.Timeout {
  const { remote, sockets, work, silenceMs } = parts
  const timer = setInterval(() => {
    remote.beat()
    sockets.beat()
    work.beat()
  }, beatMsOf(silenceMs))
  return timer.unref()
}

const beatMsOf = (boundMs: number): number =>
  Math.min(BEAT_MS, Math.max(BEAT_MS_MIN, boundMs / BEATS_A_SILENCE))

const uptimeMs = (): number => performance.now()

const random = (sizeBytes: number): Uint8Array => new Uint8Array(randomBytes(sizeBytes))

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

type Closing = {
  readonly server: Server
  readonly remote: Remote
  readonly sockets: LiveServer
  readonly work: Work
  readonly beat: NodeJS.Timeout
  readonly store: Store
  readonly drainMs: number
}

async function close(parts: Closing): Promise<number> {
  const { server, remote, sockets, work, drainMs } = parts
  clearInterval(parts.beat)
  work.stopCounting()
  sockets.refuse()
  remote.drain()
  const cutOff = await work.ended(drainMs)
  await closeServer(server, sockets, cutOff === 0 ? Math.min(CLOSE_LAST_MS, drainMs) : 0)
  await parts.store.close()
  return cutOff
}

/** Stops listening at once; connections still there when the time is up are cut. */
function closeServer(server: Server, sockets: LiveServer, msMax: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => {
      server.closeAllConnections()
      // They are no connections of the server's any more, yet it waits for them.
      sockets.terminate()
    }, msMax)
    // One that was busy at first waits for a next request unless it is looked at again.
    const look = setInterval(() => server.closeIdleConnections(), CLOSE_LOOK_MS)
    server.close(() => {
      clearTimeout(cut)
      clearInterval(look)
      resolve()
    })
    server.closeIdleConnections()
  })
}

/** The fixed beginning of an Ed25519 public key in the form Node reads (RFC 8410, section 4). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** Plain Ed25519 by Node. The strict test of edge cases precedes it (`checkSignature`). */
export const verifySignature: VerifySignature = (message, signature, publicKey) => {
  try {
    const key = createPublicKey({
      key: Buffer.concat([SPKI_PREFIX, publicKey]),
      format: 'der',
      type: 'spki',
    })
    return verifyWithNode(null, message, key, signature)
  } catch {
    return false
  }
}
