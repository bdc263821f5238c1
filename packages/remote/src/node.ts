/**
 * Node: serves a remote over HTTP and WebSocket on Node, where clock, randomness, timers and
 * signature check become real.
 *
 *   listening ──close()──▶ no new connections, live sockets told ──requests end, or time is up──▶
 *   connections cut ──▶ store closed
 */
import { createPublicKey, randomBytes, verify as verifyWithNode } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { ProtocolError, type VerifySignature } from '@blindcopy/protocol'
import type { Store } from '@blindcopy/secondary'
import { getRequestListener } from '@hono/node-server'
import { type WebSocket, WebSocketServer } from 'ws'
import type { RequestLine } from './app.ts'
import { HELLO_BYTES_MAX, type Live } from './live.ts'
import { answerBrokenRequests, refuseRequest, refuseSocket } from './node-refusal.ts'
import { parseOrigin } from './origin.ts'
import type { Registration } from './registration.ts'
import { createRemote, type Remote } from './remote.ts'

export type ServeOptions = {
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
  readonly log?: (line: RequestLine) => void
  readonly onFault?: (error: unknown) => void
  /** How long requests under way may take to end when it is closed. */
  readonly closeMsMax?: number
  readonly nowMs?: () => number
}

export type ServedRemote = {
  readonly url: string
  readonly port: number
  /** Resolves when all is closed, the store included. Closing twice is no error. */
  close(): Promise<void>
}

const BEAT_MS = 1000
const CLOSE_MS_MAX = 5000
const CLOSE_LOOK_MS = 20
/** A reader that takes nothing for so long is gone; until then it pins a view of the store. */
const SILENCE_MS_MAX = 2 * 60_000
const LIVE_PATH = '/v1/live'
const SERVER_OPTIONS = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 15_000,
  // The longest a body of 16 MiB may take over a poor line.
  requestTimeout: 5 * 60_000,
  keepAliveTimeout: 30_000,
  // The adapter looks for it, and its refusal has a code.
  requireHostHeader: false,
} as const

export async function serveRemote(options: ServeOptions): Promise<ServedRemote> {
  const { host = '127.0.0.1', port = 0 } = options
  // A wrong one must show before anything listens.
  const origins = (options.origins ?? []).map(parseOrigin)
  let remote: Remote | undefined
  const listener = getRequestListener(
    // No request is taken up before the server listens, and then there is a remote.
    (request) => remote?.app.fetch(request) ?? new Response(null, { status: 503 }),
    { errorHandler: refuseRequest },
  )
  const server = createServer(SERVER_OPTIONS, listener)
  answerBrokenRequests(server)
  server.setTimeout(SILENCE_MS_MAX)
  await listen(server, host, port)
  const { port: portTaken } = server.address() as AddressInfo
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${portTaken}`
  remote = createRemote({
    ...options,
    origins: [`http://127.0.0.1:${portTaken}`, `http://localhost:${portTaken}`, url, ...origins],
    verify: verifySignature,
    nowMs: options.nowMs ?? Date.now,
    random: (sizeBytes) => new Uint8Array(randomBytes(sizeBytes)),
  })
  const sockets = serveLive(server, remote.live)
  const { live } = remote
  const beat = setInterval(() => live.beat(), BEAT_MS)
  beat.unref()
  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    clearInterval(beat)
    live.close()
    sockets.close()
    await closeServer(server, options.closeMsMax ?? CLOSE_MS_MAX)
    for (const socket of sockets.clients) socket.terminate()
    await options.store.close()
  }
  return {
    url,
    port: portTaken,
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Stops listening at once; connections still busy when the time is up are cut. */
function closeServer(server: Server, msMax: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), msMax)
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

function serveLive(server: Server, live: Live): WebSocketServer {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: HELLO_BYTES_MAX,
    perMessageDeflate: false,
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    if (request.url !== LIVE_PATH) {
      void refuseSocket(socket, new ProtocolError('not-found', 'nothing is live at that path'))
      return
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => joinLive(webSocket, live))
  })
  sockets.on('wsClientError', (error, socket) => {
    void refuseSocket(socket, new ProtocolError('malformed', `no WebSocket: ${error.message}`))
  })
  return sockets
}

function joinLive(socket: WebSocket, live: Live): void {
  socket.binaryType = 'nodebuffer'
  const connection = live.open({
    send: (frame) => socket.send(frame),
    close: (code, reason) => socket.close(code, reason),
    get bufferedBytes() {
      return socket.bufferedAmount
    },
  })
  socket.on('message', (data, isBinary) => {
    // Text is no hello: as an empty frame it is refused like any other that does not parse.
    const frame = isBinary && Buffer.isBuffer(data) ? new Uint8Array(data) : new Uint8Array(0)
    void connection.receive(frame)
  })
  socket.on('close', () => connection.closed())
  // A broken or too long frame; `close` follows.
  socket.on('error', () => {})
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
