/**
 * Wire: bytes to a server and whatever comes back, over plain TCP, and a reader of HTTP answers of
 * its own: what a client library would put right or refuse to send shows here as it is.
 */
import { connect, type Socket } from 'node:net'

export type Piece = Uint8Array | string
/** What is done when all pieces are sent: wait for the end, send our FIN, or break off. */
export type Ending = 'wait' | 'half' | 'reset'

export type Conversation = {
  readonly pieces: readonly Piece[]
  readonly ending: Ending
  /** Between two pieces; none when absent. */
  readonly pauseMs?: number
  /** Nothing is read before all is sent. */
  readonly isDeaf?: boolean
  /** The loopback address it comes from; the server counts by address. */
  readonly from?: string
  /** Ends as soon as this many whole answers came; without it the server must end it. */
  readonly answersMax?: number
}

export type Heard = {
  readonly bytes: Buffer
  /** Who ended it: the server with a FIN or a reset, or we because nothing came in time. */
  readonly end: 'closed' | 'reset' | 'answered' | 'late'
}

/** Beyond this a server hangs. */
export const LATE_MS = 30_000

export async function converse(port: number, conversation: Conversation): Promise<Heard> {
  const { from = '127.0.0.1' } = conversation
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true })
  const chunks: Buffer[] = []
  const ended = new Promise<Heard['end']>((resolve) => {
    const late = setTimeout(() => resolve('late'), LATE_MS)
    socket.on('end', () => resolve('closed'))
    socket.on('error', () => resolve('reset'))
    socket.on('close', () => {
      clearTimeout(late)
      resolve('closed')
    })
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      const { answersMax } = conversation
      if (answersMax === undefined) return
      if (readAnswers(Buffer.concat(chunks)).answers.length >= answersMax) resolve('answered')
    })
  })
  if (conversation.isDeaf) socket.pause()
  await sendAll(socket, conversation)
  socket.resume()
  const end = conversation.ending === 'reset' ? 'reset' : await ended
  socket.destroy()
  return { bytes: Buffer.concat(chunks), end }
}

async function sendAll(socket: Socket, { pieces, ending, pauseMs }: Conversation): Promise<void> {
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve())
    socket.once('error', () => resolve())
  })
  for (const piece of pieces) {
    if (socket.destroyed || !socket.writable) break
    socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
    if (pauseMs !== undefined) await pause(pauseMs)
  }
  if (ending === 'half') socket.end()
  if (ending !== 'reset') return
  // What was written goes out first: a reset before it would say nothing.
  await pause(1)
  socket.resetAndDestroy()
}

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

export type WireAnswer = {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

export type Read = {
  readonly answers: readonly WireAnswer[]
  /** What follows the last whole answer. */
  readonly rest: Buffer
}

/** `HEAD` answers have no body, whatever length they state. */
export function readAnswers(bytes: Buffer, isHead = false): Read {
  const answers: WireAnswer[] = []
  let rest = bytes
  for (;;) {
    const read = readAnswer(rest, isHead)
    if (read === undefined) return { answers, rest }
    if (read.answer.status !== 100) answers.push(read.answer)
    rest = rest.subarray(read.size)
  }
}

function readAnswer(
  bytes: Buffer,
  isHead: boolean,
): { answer: WireAnswer; size: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const [first = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n')
  const status = /^HTTP\/1\.[01] ([1-5][0-9]{2})/.exec(first)?.[1]
  if (status === undefined) return undefined
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  const start = headEnd + 4
  const body = readBody(bytes.subarray(start), Number(status), headers, isHead)
  if (body === undefined) return undefined
  const answer = { status: Number(status), headers, body: body.bytes }
  return { answer, size: start + body.size }
}

function readBody(
  bytes: Buffer,
  status: number,
  headers: ReadonlyMap<string, string>,
  isHead: boolean,
): { bytes: Buffer; size: number } | undefined {
  if (isHead || status === 204 || status === 304 || status < 200) {
    return { bytes: Buffer.alloc(0), size: 0 }
  }
  if (headers.get('transfer-encoding') === 'chunked') return readChunked(bytes)
  const length = Number(headers.get('content-length') ?? bytes.length)
  if (bytes.length < length) return undefined
  return { bytes: bytes.subarray(0, length), size: length }
}

function readChunked(bytes: Buffer): { bytes: Buffer; size: number } | undefined {
  const chunks: Buffer[] = []
  let offset = 0
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', offset)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(bytes.subarray(offset, lineEnd).toString('latin1'), 16)
    const end = lineEnd + 2 + size
    if (!Number.isInteger(size) || bytes.length < end + 2) return undefined
    chunks.push(bytes.subarray(lineEnd + 2, end))
    offset = end + 2
    if (size === 0) return { bytes: Buffer.concat(chunks), size: offset }
  }
}

export type HttpRequest = {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>> | readonly (readonly [string, string])[]
  readonly body?: Uint8Array
}

/** A request as it should be written, on a connection of its own. */
export function encodeRequest({ method, path, headers, body }: HttpRequest): Buffer {
  const pairs = Array.isArray(headers) ? headers : Object.entries(headers)
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: remote.example', 'Connection: close']
  for (const [name, value] of pairs) lines.push(`${name}: ${value}`)
  if (body !== undefined) lines.push(`Content-Length: ${body.length}`)
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  return body === undefined ? head : Buffer.concat([head, body])
}
