/**
 * Fixture: a remote with a clock of its own, and members that speak to it as a client would, made
 * of node:crypto keys and random wraps (the remote cannot tell). Only tests import it.
 */
import {
  ChallengeAnswer,
  type ChangesFrame,
  ChangesFrame as ChangesFrameSchema,
  CreateAnswer,
  concat,
  createSignedBytes,
  type Envelope,
  encodeBoundHeader,
  encodeCbor,
  encodeTimestamp,
  FrameReader,
  formatCursor,
  formatSyncId,
  HASH_NONE,
  HEADER_CURSOR,
  HEADER_SYNC_ID,
  KeychainAppendAnswer,
  LIVE_FRAME_BYTES_MAX,
  type LogPosition,
  loginSignedBytes,
  Problem,
  PushAnswer,
  parseKeychainEntry,
  parseMessage,
  type RecordId,
  SessionAnswer,
  type SyncId,
  type Timestamp,
  type Verdict,
} from '@blindcopy/protocol'
import { createMemoryStore, type Entry, type Store } from '@blindcopy/secondary'
import type { Hono } from 'hono'
import { type Chain, makeChain, random, type Signer, START_MS } from './chain.fixture.ts'
import { verifySignature } from './node.ts'
import { createRemote, type Remote, type RemoteOptions } from './remote.ts'

export { Chain, makeChain, makeSigner, random, type Signer, START_MS } from './chain.fixture.ts'

export const ORIGIN = 'https://remote.example'

export type Bench = {
  readonly store: Store
  readonly clock: { ms: number }
  readonly faults: unknown[]
  remote: Remote
  /** Another process on the same store. */
  restart(): void
}

export function openBench(options: Partial<RemoteOptions> = {}): Bench {
  const store = options.store ?? createMemoryStore()
  const clock = { ms: START_MS }
  const faults: unknown[] = []
  const start = (): Remote =>
    createRemote({
      store,
      verify: verifySignature,
      origins: [ORIGIN],
      registration: { mode: 'open' },
      nowMs: () => clock.ms,
      random,
      onFault: (error) => faults.push(error),
      ...options,
    })
  const bench: Bench = {
    store,
    clock,
    faults,
    remote: start(),
    restart() {
      bench.remote.close()
      bench.remote = start()
    },
  }
  return bench
}

/** Everything that is stored, to compare before and after a refusal. */
export async function dump(store: Store): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const page of store.pages({})) entries.push(...page)
  return entries
}

export type Answer = {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Uint8Array
  /** Of a refusal. */
  readonly problem: Problem | undefined
}

export async function ask(app: Hono, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await app.request(path, init)
  const bytes = new Uint8Array(await response.arrayBuffer())
  const isProblem = response.headers.get('Content-Type') === 'application/problem+json'
  const problem = isProblem ? Problem.parse(JSON.parse(new TextDecoder().decode(bytes))) : undefined
  return { status: response.status, headers: response.headers, bytes, problem }
}

export const post = (app: Hono, path: string, message: unknown): Promise<Answer> =>
  ask(app, path, { method: 'POST', body: bodyOf(message) })

export const bodyOf = (message: unknown): Uint8Array<ArrayBuffer> =>
  new Uint8Array(encodeCbor(message))

export function must<T>(schema: Parameters<typeof parseMessage<T>>[0], answer: Answer): T {
  if (answer.problem !== undefined) {
    throw new Error(`${answer.problem.code}: ${answer.problem.detail}`)
  }
  return parseMessage(schema, answer.bytes)
}

/**
 * A device that talks to the remote. Its cursor is a plain field: it moves when a test moves it.
 */
export class Device {
  readonly bench: Bench
  readonly chain: Chain
  readonly signer: Signer
  token = ''
  syncId: SyncId = new Uint8Array(16) as SyncId
  cursor: LogPosition = { seq: 0, chain: HASH_NONE }
  #counter = 0
  readonly #tail = random(4)

  constructor(bench: Bench, chain: Chain, signer: Signer) {
    this.bench = bench
    this.chain = chain
    this.signer = signer
  }

  get app(): Hono {
    return this.bench.remote.app
  }

  async challenge(): Promise<ChallengeAnswer> {
    const { vaultId } = this.chain
    return must(ChallengeAnswer, await post(this.app, '/v1/challenge', { vaultId }))
  }

  async create(changes: Record<string, unknown> = {}): Promise<Answer> {
    const { nonce } = await this.challenge()
    const statement = {
      vaultId: this.chain.vaultId,
      memberId: this.signer.memberId,
      nonce,
      greatestMs: 0,
      origin: ORIGIN,
      entries: [...this.chain.entries],
      keychainHead: this.chain.head,
      ...changes,
    }
    const { keychainHead: _, ...request } = statement
    const signature = this.signer.sign(createSignedBytes(statement))
    return post(this.app, '/v1/vaults', { signature, ...request })
  }

  async logIn(changes: Record<string, unknown> = {}): Promise<Answer> {
    const { nonce, expiresMs } = await this.challenge()
    const { vaultId } = this.chain
    const { memberId } = this.signer
    const statement = { vaultId, memberId, nonce, expiresMs, origin: ORIGIN, ...changes }
    const signature = this.signer.sign(loginSignedBytes(statement))
    return post(this.app, '/v1/session', { signature, ...statement })
  }

  /** Logs in and takes SyncId and head as its own. */
  async join(): Promise<this> {
    const answer = must(SessionAnswer, await this.logIn())
    this.token = answer.token
    this.syncId = answer.syncId
    this.cursor = { seq: answer.head[0], chain: answer.head[1] }
    return this
  }

  get headers(): Record<string, string> {
    return {
      Authorization: `Bearer ${this.token}`,
      [HEADER_SYNC_ID]: formatSyncId(this.syncId),
      [HEADER_CURSOR]: formatCursor(this.cursor),
    }
  }

  get(path: string): Promise<Answer> {
    return ask(this.app, path, { headers: this.headers })
  }

  post(path: string, message: unknown): Promise<Answer> {
    return ask(this.app, path, { method: 'POST', headers: this.headers, body: bodyOf(message) })
  }

  stamp(ms: number = this.bench.clock.ms): Timestamp {
    const identity = { deviceId: this.signer.memberId, tail: this.#tail }
    return encodeTimestamp({ milliseconds: ms, counter: this.#counter++ }, identity)
  }

  /** Appends entries of the keychain that follow one another. */
  append(entries: readonly Uint8Array[]): Promise<Answer> {
    const [first] = entries
    const previous = first === undefined ? this.chain.head : parseKeychainEntry(first).previous
    return this.post('/v1/keychain', { previous, entries })
  }

  async push(...transactions: unknown[]): Promise<Verdict[]> {
    return must(PushAnswer, await this.post('/v1/push', { transactions })).verdicts
  }

  /** Every frame from the cursor to the head, page after page. */
  async pull(query = ''): Promise<ChangesFrame[]> {
    const answer = await this.get(`/v1/changes${query}`)
    if (answer.problem !== undefined) throw new Error(answer.problem.code)
    return readFrames(answer.bytes)
  }
}

export function readFrames(bytes: Uint8Array): ChangesFrame[] {
  const reader = new FrameReader(LIVE_FRAME_BYTES_MAX)
  const frames = reader.push(bytes).map((item) => parseMessage(ChangesFrameSchema, item))
  if (!reader.isEmpty) throw new Error('the stream was cut')
  return frames
}

export type EnvelopeFacts = {
  readonly recordId: Uint8Array
  readonly timestamp: Timestamp
  readonly epoch?: number
  readonly sizeBytes?: number
  readonly tombstone?: boolean
}

/** An envelope of the right form around random bytes. */
export function makeEnvelope(facts: EnvelopeFacts): Envelope {
  const header = encodeBoundHeader({
    tombstone: facts.tombstone ?? false,
    epoch: facts.epoch ?? 1,
    recordId: facts.recordId as RecordId,
    timestamp: facts.timestamp,
  })
  return concat(header, random((facts.sizeBytes ?? 334) - header.length)) as Envelope
}

export const record = (number: number): RecordId => {
  const id = new Uint8Array(16)
  new DataView(id.buffer).setUint32(0, number * 2_654_435_761)
  new DataView(id.buffer).setUint32(12, number)
  return id as RecordId
}

/** A bench with one vault on it and its device logged in. */
export async function openVault(
  options: Partial<RemoteOptions> = {},
): Promise<{ bench: Bench; chain: Chain; device: Device }> {
  const bench = openBench(options)
  const { chain, device: signer } = makeChain()
  const device = new Device(bench, chain, signer)
  must(CreateAnswer, await device.create())
  return { bench, chain, device: await device.join() }
}

/** The same with a second device, added by the first and logged in. */
export async function openTwo(
  options: Partial<RemoteOptions> = {},
): Promise<{ bench: Bench; chain: Chain; device: Device; other: Device }> {
  const opened = await openVault(options)
  const { bench, chain, device } = opened
  const signer = chain.addDevice(device.signer)
  must(KeychainAppendAnswer, await device.append(chain.entries.slice(-1)))
  return { ...opened, other: await new Device(bench, chain, signer).join() }
}
