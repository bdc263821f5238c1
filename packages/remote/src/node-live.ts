/**
 * Live on Node: sockets by WebSocket, and those whose other end is gone without a word.
 *
 *   open ──every third of the silence──▶ pinged ──pong, or anything──▶ open
 *                                          └── nothing for the whole silence ──▶ terminated
 *
 * A device that has lost its line says nothing, and its half-open socket would be held for hours;
 * one that reads nothing gets no ping, so answers none, and ends the same way.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { ProtocolError, STATUS_BY_CODE } from '@blindcopy/protocol'
import { type WebSocket, WebSocketServer } from 'ws'
import { HELLO_BYTES_MAX, type Live } from './live.ts'
import { refuseSocket } from './node-refusal.ts'
import { goingDown } from './problem.ts'
import { HEADER_REQUEST_ID } from './request-id.ts'

export type LiveServer = {
  /** Called about once a second. */
  beat(): void
  /** No socket is opened from now on. */
  refuse(): void
  /** Cuts those that are still there. */
  terminate(): void
  readonly count: number
}

/** What becomes of an attempt to open a socket, for the log. */
export type Upgrade = {
  readonly request: IncomingMessage
  readonly status: number
  /** Of a refusal. */
  readonly code: string | undefined
}

export type LiveServerOptions = {
  readonly live: Live
  /** Monotonic. */
  readonly uptimeMs: () => number
  readonly silenceMs: number
  /** Returns the id of the request. */
  readonly onUpgrade: (upgrade: Upgrade) => string
}

const LIVE_PATH = '/v1/live'
const PINGS_A_SILENCE = 3

export function serveLive(server: Server, options: LiveServerOptions): LiveServer {
  const { live, onUpgrade } = options
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: HELLO_BYTES_MAX,
    perMessageDeflate: false,
  })
  const pulse = createPulse(options)
  let isRefusing = false
  const refuse = (request: IncomingMessage, socket: Duplex, why: ProtocolError): void => {
    const { code } = why
    onUpgrade({ status: STATUS_BY_CODE[code], code, request })
    void refuseSocket(socket, why)
  }
  sockets.on('headers', (headers, request) => {
    const requestId = onUpgrade({ status: 101, code: undefined, request })
    headers.push(`${HEADER_REQUEST_ID}: ${requestId}`)
  })
  sockets.on('wsClientError', (error, socket, request) => {
    refuse(request, socket, new ProtocolError('malformed', `no WebSocket: ${error.message}`))
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    if (request.url !== LIVE_PATH) {
      const why = new ProtocolError('not-found', 'nothing is live at that path')
      refuse(request, socket, why)
    } else if (isRefusing) {
      refuse(request, socket, goingDown())
    } else {
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        joinLive(webSocket, live)
        pulse.add(webSocket)
      })
    }
  })
  return {
    beat: () => pulse.beat(),
    refuse() {
      isRefusing = true
    },
    terminate() {
      for (const socket of sockets.clients) socket.terminate()
    },
    get count() {
      return sockets.clients.size
    },
  }
}

function joinLive(socket: WebSocket, live: Live): void {
  socket.binaryType = 'nodebuffer'
  const connection = live.open({
    send: (frame) => socket.send(frame),
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
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

/** As much of a socket as the pulse needs. */
export type PulsedSocket = {
  ping(): void
  terminate(): void
  on(event: 'pong' | 'message' | 'close', listener: () => void): unknown
}

type Pulsed = { pingedMs: number; askedSinceMs: number | undefined }

export type Pulse = { add(socket: PulsedSocket): void; beat(): void; readonly count: number }

/** Time counts from a ping that is not answered, so a clock that jumps ends no socket. */
export function createPulse(options: {
  readonly uptimeMs: () => number
  readonly silenceMs: number
}): Pulse {
  const { uptimeMs, silenceMs } = options
  const pingEveryMs = silenceMs / PINGS_A_SILENCE
  const pulsedBySocket = new Map<PulsedSocket, Pulsed>()
  const beatOne = (socket: PulsedSocket, pulsed: Pulsed, nowMs: number): void => {
    const { askedSinceMs, pingedMs } = pulsed
    if (askedSinceMs !== undefined && nowMs - askedSinceMs >= silenceMs) {
      pulsedBySocket.delete(socket)
      socket.terminate()
    } else if (nowMs - pingedMs >= pingEveryMs) {
      pulsed.pingedMs = nowMs
      pulsed.askedSinceMs ??= nowMs
      socket.ping()
    }
  }
  return {
    add(socket) {
      const pulsed: Pulsed = { pingedMs: uptimeMs(), askedSinceMs: undefined }
      pulsedBySocket.set(socket, pulsed)
      const heard = (): void => {
        pulsed.askedSinceMs = undefined
      }
      socket.on('pong', heard)
      socket.on('message', heard)
      socket.on('close', () => pulsedBySocket.delete(socket))
    },
    beat() {
      const nowMs = uptimeMs()
      for (const [socket, pulsed] of pulsedBySocket) beatOne(socket, pulsed, nowMs)
    },
    get count() {
      return pulsedBySocket.size
    },
  }
}
