/**
 * Node refusal: what Node itself refuses before the app sees a request is answered like all else,
 * as a problem with a code. Without this, broken requests would be told apart from refused ones by
 * bare answers of Node's, of its WebSocket library's and of its adapter's.
 *
 *   no HTTP, two lengths, no host, a target that is no URL   malformed
 *   header lines beyond the bound                            too-large
 *   a request that takes too long to arrive                  busy: it may be tried again
 *   CONNECT, an upgrade on another path                      not-found
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { ProtocolError } from '@blindcopy/protocol'
import { problemResponse } from './problem.ts'

/** How long an answer may take to leave before its socket is cut. */
const LINGER_MS = 1000

type Pending = { readonly request: IncomingMessage; readonly response: ServerResponse }

/** What came over a connection and has no whole answer yet. */
const pendingBySocket = new WeakMap<Duplex, Set<Pending>>()

/** Answers in the place of Node for what reaches no route. */
export function answerBrokenRequests(server: Server): void {
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const pending = pendingBySocket.get(request.socket) ?? new Set<Pending>()
    const one = { request, response }
    pendingBySocket.set(request.socket, pending.add(one))
    response.once('close', () => pending.delete(one))
  })
  const refused = new WeakSet<Duplex>()
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    // More of the same comes for each piece that is still on its way.
    if (refused.has(socket)) return
    refused.add(socket)
    void refuseSocket(socket, refusalOf(error))
  })
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    void refuseSocket(socket, new ProtocolError('not-found', 'this is no proxy'))
  })
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    const why = new ProtocolError('malformed', 'nothing but 100-continue can be expected here')
    void writeProblem(response, why)
  })
}

/** Of a request whose target or host is none. */
export function refuseRequest(): Response {
  return problemResponse(new ProtocolError('malformed', 'the address that was asked for is none'))
}

/**
 * Answers on a socket that no response of Node's belongs to, after those that do, and ends it. What
 * broke off itself is answered so too, unless its answer is on its way already.
 */
export async function refuseSocket(socket: Duplex, why: ProtocolError): Promise<void> {
  socket.on('error', () => socket.destroy())
  const isFree = await afterEarlier(socket)
  if (!isFree || !socket.writable) {
    socket.destroy()
    return
  }
  const problem = problemResponse(why)
  const body = Buffer.from(await problem.arrayBuffer())
  const lines = [`HTTP/1.1 ${problem.status} ${why.code}`, 'Connection: close']
  problem.headers.forEach((value, name) => void lines.push(`${name}: ${value}`))
  lines.push(`Content-Length: ${body.length}`, '', '')
  // What is still on its way is let go by: closing on it would take the answer away too.
  socket.resume()
  socket.end(Buffer.concat([Buffer.from(lines.join('\r\n')), body]))
  const cut = setTimeout(() => socket.destroy(), LINGER_MS)
  cut.unref()
  socket.once('close', () => clearTimeout(cut))
}

/** Resolves when whole requests before it have their answers; whether another one may follow. */
async function afterEarlier(socket: Duplex): Promise<boolean> {
  const pending = [...(pendingBySocket.get(socket) ?? [])]
  const earlier = pending.filter(({ request }) => request.complete)
  await Promise.all(earlier.map(({ response }) => closed(response)))
  return pending.every(({ request, response }) => request.complete || !response.headersSent)
}

const closed = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    if (response.closed) resolve()
    else response.once('close', resolve)
  })

function refusalOf({ code }: NodeJS.ErrnoException): ProtocolError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new ProtocolError('too-large', 'the headers of the request are too long')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new ProtocolError('busy', 'the request took too long to arrive: try again', {
        details: { retryAfterSeconds: 1 },
      })
    default:
      return new ProtocolError('malformed', 'this is no request of HTTP')
  }
}

async function writeProblem(response: ServerResponse, why: ProtocolError): Promise<void> {
  const problem = problemResponse(why)
  const body = Buffer.from(await problem.arrayBuffer())
  const headers = { ...Object.fromEntries(problem.headers), 'Content-Length': body.length }
  response.writeHead(problem.status, headers)
  response.end(body)
}
