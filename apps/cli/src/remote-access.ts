/**
 * Remote access: how a command reaches the administration of a remote.
 *
 *   somebody answers on the socket of the data folder    it is asked over that
 *   nobody does                                          the database is opened here, and the same
 *                                                        code is asked in this process
 *
 * Both answer the same requests alike. The database is opened by one process at a time: a server
 * that runs without its socket keeps it, and then the error says so.
 */
import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { request as requestOverHttp } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createRemote } from '@blindcopy/remote'
import { adminSocketPath, isAnswered, verifySignature } from '@blindcopy/remote/node'
import { openLevelStore, StoreError } from '@blindcopy/secondary'
import { CliError } from './cli-error.ts'
import { type DataFolder, defaultDataPath, openDataFolder } from './data-folder.ts'
import { printable } from './layout.ts'
import { readSettings } from './serve/read-settings.ts'
import { limitsOf, type Settings } from './serve/settings.ts'
import type { Terminal } from './terminal.ts'

export type RemoteOptions = {
  readonly data?: string
  readonly config?: string
}

export type Asked = {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | AsyncIterable<Uint8Array>
}

export type Access = {
  readonly folder: DataFolder
  readonly settings: Settings
  /** Whether a server answers. */
  readonly isServed: boolean
  /** Throws what the administration refuses, by its code. */
  ask(path: string, asked?: Asked): Promise<Response>
}

/** What the administration refused, told by its code. */
export class AdminRefusal extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'AdminRefusal'
    this.code = code
  }
}

export type AccessOptions = {
  /** Whether a data folder that is not there is made: for what is restored into a new one. */
  readonly makes?: boolean
}

export async function withRemote<T>(
  options: RemoteOptions,
  terminal: Terminal,
  job: (access: Access) => Promise<T>,
  { makes = false }: AccessOptions = {},
): Promise<T> {
  const { settings, folder } = await openRemoteFolder(options, terminal, { makes })
  const socketPath = adminSocketPath(folder.path, terminal.env)
  if (await isAnswered(socketPath)) {
    return job({
      folder,
      settings,
      isServed: true,
      ask: (...asked) => overSocket(socketPath, asked),
    })
  }
  const store = await openLevelStore({ path: folder.vaultsPath }).catch((error) => {
    throw inUse(error, socketPath)
  })
  try {
    const { admin } = createRemote({
      store,
      verify: verifySignature,
      origins: [],
      registration: { mode: 'closed' },
      limits: limitsOf(settings),
      nowMs: Date.now,
      random: (sizeBytes) => new Uint8Array(randomBytes(sizeBytes)),
    })
    const ask: Access['ask'] = async (path, asked) =>
      checked(await admin.request(requestOf(`http://admin${path}`, asked)))
    return await job({ folder, settings, isServed: false, ask })
  } finally {
    await store.close()
  }
}

/** Throws `usage` for a folder that no remote has its data in: none is begun by looking at it. */
export async function openRemoteFolder(
  { data, config }: RemoteOptions,
  { env }: Pick<Terminal, 'env'>,
  { makes = false }: AccessOptions = {},
): Promise<{ readonly settings: Settings; readonly folder: DataFolder }> {
  const { settings } = await readSettings({ data, config }, env)
  if (!makes) await checkFolder(settings.data ?? defaultDataPath(env))
  return { settings, folder: await openDataFolder(settings.data, env) }
}

async function checkFolder(path: string): Promise<void> {
  const found = await stat(join(path, 'vaults')).catch(() => undefined)
  if (found?.isDirectory() === true) return
  throw new CliError(
    'usage',
    `there is no data folder of a remote at ${printable(path)}: see --data`,
  )
}

function inUse(error: unknown, socketPath: string): unknown {
  if (!(error instanceof StoreError) || error.code !== 'store-in-use') return error
  const why = `a server has the data folder open, and nobody answers on ${printable(socketPath)}`
  return new StoreError('store-in-use', why, { cause: error })
}

function requestOf(url: string, { method = 'GET', headers = {}, body }: Asked = {}): Request {
  if (body === undefined) return new Request(url, { method, headers })
  if (typeof body === 'string') return new Request(url, { method, headers, body })
  const stream = Readable.toWeb(Readable.from(body, { objectMode: false })) as ReadableStream
  return new Request(url, { method, headers, body: stream, duplex: 'half' } as RequestInit)
}

/** One request over the socket. What comes back may be read while it is still being made. */
function overSocket(
  socketPath: string,
  [path, asked = {}]: [path: string, asked?: Asked | undefined],
): Promise<Response> {
  const { method = 'GET', headers = {}, body } = asked
  return new Promise<Response>((resolve, reject) => {
    const sent = requestOverHttp({ socketPath, path, method, headers }, (answer) => {
      const isEmpty = answer.statusCode === 304
      if (isEmpty) answer.resume()
      const stream = isEmpty ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>)
      const init = { status: answer.statusCode ?? 500, headers: plainHeaders(answer.headers) }
      checked(new Response(stream, init)).then(resolve, reject)
    })
    sent.once('error', (cause) => reject(gone(cause)))
    if (body === undefined || typeof body === 'string') sent.end(body)
    // A server that refuses answers before it has read everything, and that answer counts.
    else pipeline(Readable.from(body, { objectMode: false }), sent).catch(() => undefined)
  })
}

function plainHeaders(headers: Readonly<Record<string, string | string[] | undefined>>): Headers {
  const plain = new Headers()
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string') plain.set(name, value)
  }
  return plain
}

function gone(cause: unknown): CliError {
  return new CliError('remote-gone', 'the server of the remote went away meanwhile', { cause })
}

async function checked(answer: Response): Promise<Response> {
  if (answer.ok || answer.status === 304) return answer
  const problem = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string }
  throw new AdminRefusal(problem.code ?? 'internal', problem.detail ?? `status ${answer.status}`)
}

/** What an answer holds, as JSON. */
export async function jsonOf<T>(answer: Promise<Response>): Promise<T> {
  return (await (await answer).json()) as T
}

/** Each line of an answer, as it comes. A failure on the way is thrown by its code. */
export async function* linesOf<T>(answer: Promise<Response>): AsyncGenerator<T> {
  let rest = ''
  for await (const text of textOf(await answer)) {
    const lines = `${rest}${text}`.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield parsed<T>(line)
  }
  if (rest !== '') throw gone(undefined)
}

function parsed<T>(line: string): T {
  const one = JSON.parse(line) as { problem?: { code: string; detail: string } }
  if (one.problem !== undefined) throw new AdminRefusal(one.problem.code, one.problem.detail)
  return one as T
}

async function* textOf(answer: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  for await (const chunk of bodyOf(answer)) yield decoder.decode(chunk, { stream: true })
}

/** The bytes of an answer. One that is cut off throws. */
export async function* bodyOf(answer: Response): AsyncGenerator<Uint8Array> {
  if (answer.body === null) return
  const reader = answer.body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        throw gone(cause)
      })
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}
