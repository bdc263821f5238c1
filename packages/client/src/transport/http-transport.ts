/**
 * HTTP transport: one `fetch` a request, CBOR bodies, RFC 9457 problems, a WebSocket for live
 * changes.
 *
 * It is strict about what comes back: another content type, a body over its limit or a message that
 * does not fit its schema is refused, so that a captive portal or a wrong address is named as such.
 */
import {
  Capabilities,
  ChallengeAnswer,
  ChallengeRequest,
  ChangesFrame,
  CheckpointAnswer,
  CheckpointsAnswer,
  CONTENT_TYPE_CBOR,
  CreateAnswer,
  CreateRequest,
  encodeMessage,
  FrameReader,
  formatCursor,
  formatSyncId,
  HEADER_CURSOR,
  HEADER_PROTOCOL,
  HEADER_SYNC_ID,
  HEADER_TIME,
  HistoryAnswer,
  HistoryRequest,
  joinPushBody,
  KEYCHAIN_BYTES_MAX,
  KEYCHAIN_ENTRIES_MAX,
  KeychainAnswer,
  KeychainAppendAnswer,
  KeychainAppendRequest,
  LIVE_FRAME_BYTES_MAX,
  LiveFrame,
  LiveHello,
  PAGE_BYTES_MAX,
  PROTOCOL_VERSION,
  ProtocolError,
  PushAnswer,
  parseMessage,
  RECONCILE_BYTES_MAX,
  ReconcileAnswer,
  ReconcileRequest,
  RecordsAnswer,
  RecordsRequest,
  SessionAnswer,
  SessionRequest,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import type {
  AnswerTime,
  DataRequest,
  LiveHandlers,
  LiveSocket,
  Transport,
} from '../sync/transport.ts'
import {
  type Answer,
  checkAnswer,
  chunksOf,
  cutAnswer,
  notARemote,
  readBody,
} from './http-answer.ts'
import { type MailboxTransport, mailboxesOver } from './mailbox-transport.ts'

/** The part of the WebSocket interface that is used; `ws` on Node, the browser's own elsewhere. */
export type WebSocketLike = {
  binaryType: string
  send(data: Uint8Array): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'open' | 'close' | 'error', listener: () => void): void
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
}

export type HttpOptions = {
  readonly fetch: typeof fetch
  readonly openSocket: (url: string) => WebSocketLike
  readonly setTimer: (callback: () => void, delayMs: number) => () => void
  /** This device's clock, to which the remote's is compared; without it nothing is. */
  readonly nowMs?: () => number
}

/** How long an answer may take to begin, and each part of it to follow the one before. */
const SILENCE_MS_MAX = 60_000
/** The slowest line that a push is given time for. */
const UPLOAD_BYTES_PER_MS_MIN = 4

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'
type Call = { method: Method; path: string; headers?: Record<string, string>; body?: Uint8Array }
type Schema<T> = Parameters<typeof parseMessage<T>>[0]

/** Checks the address of a remote. Throws `invalid-argument`. */
function parseRemoteUrl(remote: string): URL {
  const url = URL.canParse(remote) ? new URL(remote) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new ClientError(
      'invalid-argument',
      'the remote must be an address such as https://sync.example.org or http://127.0.0.1:8787',
    )
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new ClientError('invalid-argument', 'the remote must be an address without user or query')
  }
  return url
}

/** The one spelling of an address that is kept and shown. Throws `invalid-argument`. */
export function formatRemoteUrl(remote: string): string {
  return parseRemoteUrl(remote).href.replace(/\/$/, '')
}

export function createHttpTransport(
  remote: string,
  options: HttpOptions,
): Transport & MailboxTransport {
  const url = parseRemoteUrl(remote)
  const base = formatRemoteUrl(remote)
  let lastAnswer: AnswerTime | null = null
  const request = async (call: Call): Promise<Answer> => {
    const sentMs = options.nowMs?.() ?? 0
    return send(base, call, options, ({ headers }) => {
      const remoteMs = parseTime(headers.get(HEADER_TIME))
      const isTime = options.nowMs !== undefined && remoteMs > 0
      if (isTime) lastAnswer = { remoteMs, sentMs, receivedMs: options.nowMs() }
    })
  }
  const exchange = async <T>(call: Call, schema: Schema<T>): Promise<T> =>
    readMessage(await request(call), schema)
  const post = (path: string, body: Uint8Array, headers: Record<string, string> = {}): Call => ({
    method: 'POST',
    path,
    headers,
    body,
  })
  return {
    origin: url.origin,
    capabilities: () => exchange({ method: 'GET', path: '/v1/capabilities' }, Capabilities),
    challenge: (vaultId) =>
      exchange(
        post('/v1/challenge', encodeMessage(ChallengeRequest, { vaultId })),
        ChallengeAnswer,
      ),
    async findVault(signingKey) {
      const body = encodeMessage(ChallengeRequest, { signingKey })
      const { vaultId } = await exchange(post('/v1/challenge', body), ChallengeAnswer)
      if (vaultId === undefined) throw notARemote()
      return vaultId
    },
    session: (login) =>
      exchange(post('/v1/session', encodeMessage(SessionRequest, login)), SessionAnswer),
    create: (create) =>
      exchange(post('/v1/vaults', encodeMessage(CreateRequest, create)), CreateAnswer),
    keychain: (token, from) => readKeychain((call) => exchange(call, KeychainAnswer), token, from),
    appendKeychain: (token, append) =>
      exchange(
        post('/v1/keychain', encodeMessage(KeychainAppendRequest, append), authorization(token)),
        KeychainAppendAnswer,
      ),
    push: (data, transactions) =>
      exchange(post('/v1/push', joinPushBody(transactions), dataHeaders(data)), PushAnswer),
    ...recordsOver(request),
    ...logOver(request),
    ...mailboxesOver(exchange),
    live: (handlers) => openLive(base, options.openSocket, handlers),
    lastAnswer: () => lastAnswer,
  }
}

type RecordRoutes = Pick<Transport, 'records' | 'history' | 'reconcile'>

/** What is asked about records that are stored. */
function recordsOver(request: (call: Call) => Promise<Answer>): RecordRoutes {
  const ask = (path: string, data: DataRequest, body: Uint8Array): Promise<Answer> =>
    request({ method: 'POST', path, headers: dataHeaders(data), body })
  return {
    async records(data, ids) {
      const body = encodeMessage(RecordsRequest, { ids: [...ids] })
      const { envelopes } = await readMessage(await ask('/v1/records', data, body), RecordsAnswer)
      const isSome = envelopes.length > 0 || ids.length === 0
      // Who asked would ask again for ever, or take an envelope for that of another record.
      if (!isSome || envelopes.length > ids.length) throw notARemote()
      return envelopes
    },
    async history(data, of) {
      const answer = await ask('/v1/history', data, encodeMessage(HistoryRequest, of))
      return readMessage(answer, HistoryAnswer)
    },
    async reconcile(data, message) {
      const answer = await ask('/v1/reconcile', data, encodeMessage(ReconcileRequest, message))
      return parseMessage(ReconcileAnswer, await readBody(answer, RECONCILE_BYTES_MAX))
    },
  }
}

type LogRoutes = Pick<Transport, 'changes' | 'digests' | 'checkpoints' | 'putCheckpoint'>

/** What is read of the log, and what devices say of it. */
function logOver(request: (call: Call) => Promise<Answer>): LogRoutes {
  const path = '/v1/checkpoints'
  return {
    changes: (data) =>
      readFrames(request({ method: 'GET', path: '/v1/changes', headers: dataHeaders(data) })),
    async checkpoints(data) {
      const answer = await request({ method: 'GET', path, headers: dataHeaders(data) })
      return (await readMessage(answer, CheckpointsAnswer)).checkpoints
    },
    async putCheckpoint(data, body) {
      const answer = await request({ method: 'PUT', path, headers: dataHeaders(data), body })
      await readMessage(answer, CheckpointAnswer)
    },
    digests(data, after) {
      const changes = `/v1/changes?digests=1&since=${after}`
      return readFrames(request({ method: 'GET', path: changes, headers: dataHeaders(data) }))
    },
  }
}

/** NaN for what is no whole number in digits, or none that is exact. */
function parseTime(text: string | null): number {
  const ms = /^[0-9]{1,16}$/.test(text ?? '') ? Number(text) : Number.NaN
  return Number.isSafeInteger(ms) ? ms : Number.NaN
}

/** Answers of one reading that may be small: a few, for what is appended meanwhile. */
const KEYCHAIN_SMALL_PARTS_MAX = 8

/** One answer holds a part of a long chain: the next begins where it ends. */
async function readKeychain(
  ask: (call: Call) => Promise<{ entries: Uint8Array[] }>,
  token: string,
  from: number,
): Promise<Uint8Array[]> {
  const entries: Uint8Array[] = []
  let sizeBytes = 0
  for (let parts = 1; ; parts++) {
    const path = `/v1/keychain?from=${from + entries.length}`
    const part = (await ask({ method: 'GET', path, headers: authorization(token) })).entries
    if (part.length === 0) return entries
    entries.push(...part)
    for (const entry of part) sizeBytes += entry.length
    const isTooLong = from + entries.length > KEYCHAIN_ENTRIES_MAX
    // Served entry by entry, a chain would take thousands of requests.
    const isServedInBits = parts > KEYCHAIN_SMALL_PARTS_MAX + sizeBytes / (PAGE_BYTES_MAX / 2)
    if (isTooLong || isServedInBits || sizeBytes > KEYCHAIN_BYTES_MAX) throw notARemote()
  }
}

const authorization = (token: string): Record<string, string> => ({
  authorization: `Bearer ${token}`,
})

const dataHeaders = (data: DataRequest): Record<string, string> => ({
  ...authorization(data.token),
  [HEADER_SYNC_ID]: formatSyncId(data.syncId),
  [HEADER_CURSOR]: formatCursor(data.position),
})

async function send(
  base: string,
  call: Call,
  options: HttpOptions,
  onAnswer: (response: Response) => void,
): Promise<Answer> {
  const abort = new AbortController()
  const giveUpAfter = (delayMs: number) => options.setTimer(() => abort.abort(), delayMs)
  const uploadMs = (call.body?.length ?? 0) / UPLOAD_BYTES_PER_MS_MIN
  let rest = giveUpAfter(SILENCE_MS_MAX + uploadMs)
  const expect = (): void => {
    rest()
    rest = giveUpAfter(SILENCE_MS_MAX)
  }
  try {
    const response = await options.fetch(base + call.path, requestOf(call, abort.signal))
    onAnswer(response)
    return await checkAnswer({ response, expect, rest: () => rest() })
  } catch (cause) {
    if (cause instanceof ProtocolError || cause instanceof ClientError) throw cause
    throw new ClientError(
      'network',
      'the remote cannot be reached: check its address and that it runs',
      { cause },
    )
  } finally {
    rest()
  }
}

function requestOf(call: Call, signal: AbortSignal): RequestInit {
  return {
    method: call.method,
    headers: {
      ...call.headers,
      [HEADER_PROTOCOL]: String(PROTOCOL_VERSION),
      ...(call.body === undefined ? {} : { 'content-type': CONTENT_TYPE_CBOR }),
    },
    ...(call.body === undefined ? {} : { body: call.body as Uint8Array<ArrayBuffer> }),
    redirect: 'error',
    cache: 'no-store',
    signal,
  }
}

async function readMessage<T>(answer: Answer, schema: Schema<T>): Promise<T> {
  return parseMessage(schema, await readBody(answer))
}

async function* readFrames(pending: Promise<Answer>): AsyncGenerator<ChangesFrame> {
  const frames = new FrameReader(LIVE_FRAME_BYTES_MAX)
  for await (const chunk of chunksOf(await pending)) {
    for (const item of itemsOf(frames, chunk)) yield parseMessage(ChangesFrame, item)
  }
  if (!frames.isEmpty) throw cutAnswer()
}

function itemsOf(frames: FrameReader, chunk: Uint8Array): Uint8Array[] {
  try {
    return frames.push(chunk)
  } catch (cause) {
    // No remote sends frames that are longer than it may: these bytes are something else.
    throw notARemote(cause)
  }
}

function openLive(
  base: string,
  openSocket: HttpOptions['openSocket'],
  handlers: LiveHandlers,
): LiveSocket {
  const socket = openSocket(`${base.replace(/^http/, 'ws')}/v1/live`)
  socket.binaryType = 'arraybuffer'
  let state: 'connecting' | 'open' | 'closed' = 'connecting'
  let waiting: Uint8Array | undefined
  const end = (error?: Error): void => {
    if (state === 'closed') return
    state = 'closed'
    socket.close()
    handlers.onClose(error)
  }
  const lost = (): void => end(new ClientError('network', 'the live connection was lost'))
  socket.addEventListener('open', () => {
    if (state === 'closed') {
      socket.close()
      return
    }
    state = 'open'
    if (waiting !== undefined) socket.send(waiting)
  })
  socket.addEventListener('close', lost)
  socket.addEventListener('error', lost)
  socket.addEventListener('message', ({ data }) => {
    if (state !== 'open') return
    try {
      if (!(data instanceof ArrayBuffer)) throw notARemote()
      handlers.onFrame(parseMessage(LiveFrame, new Uint8Array(data)))
    } catch (error) {
      end(error instanceof Error ? error : lostError())
    }
  })
  return {
    hello(hello) {
      const message = encodeMessage(LiveHello, hello)
      if (state === 'open') socket.send(message)
      else waiting = message
    },
    close: () => end(),
  }
}

const lostError = (): ClientError => new ClientError('network', 'the live connection was lost')
