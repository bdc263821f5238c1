/**
 * Fixture: a remote with a clock of its own, and members that speak to it as a client would, made
 * of node:crypto keys and random wraps (the remote cannot tell). Only tests import it.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
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
  encodeKeychainBody,
  encodeKeychainEntry,
  encodeTimestamp,
  FrameReader,
  formatCursor,
  formatSyncId,
  HASH_NONE,
  type Hash,
  HEADER_CURSOR,
  HEADER_SYNC_ID,
  type KemPublicKey,
  type KeychainPayload,
  keychainEntryHash,
  keychainSignedBytes,
  LIVE_FRAME_BYTES_MAX,
  type LogPosition,
  loginSignedBytes,
  type MemberId,
  memberIdOf,
  memberProofBytes,
  Problem,
  PushAnswer,
  parseMessage,
  type RecordId,
  SEALED_EPOCH_BYTES,
  SessionAnswer,
  type Signature,
  type SigningPublicKey,
  type SyncId,
  type Timestamp,
  type VaultId,
  type Verdict,
  vaultIdOf,
  WRAP_BYTES,
} from '@blindcopy/protocol'
import { createMemoryStore, type Entry, type Store } from '@blindcopy/secondary'
import type { Hono } from 'hono'
import { verifySignature } from './node.ts'
import { createRemote, type Remote, type RemoteOptions } from './remote.ts'

export const ORIGIN = 'https://remote.example'
export const START_MS = 1_700_000_000_000

export const random = (sizeBytes: number): Uint8Array => new Uint8Array(randomBytes(sizeBytes))

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

export type Signer = {
  readonly signingKey: SigningPublicKey
  readonly kemKey: KemPublicKey
  readonly memberId: MemberId
  sign(message: Uint8Array): Signature
}

export function makeSigner(): Signer {
  const pair = generateKeyPairSync('ed25519')
  const signingKey = rawKey(pair.publicKey)
  return {
    signingKey,
    kemKey: random(1216) as KemPublicKey,
    memberId: memberIdOf(signingKey),
    sign: (message) =>
      new Uint8Array(sign(null, message, pair.privateKey)) as Uint8Array as Signature,
  }
}

const rawKey = (key: KeyObject): SigningPublicKey =>
  new Uint8Array(key.export({ format: 'der', type: 'spki' }).subarray(12)) as SigningPublicKey

/** A vault's keychain as its members hold it. */
export class Chain {
  readonly root: Signer
  readonly vaultId: VaultId
  readonly entries: Uint8Array[] = []
  readonly members: Signer[] = []
  head: Hash = HASH_NONE
  epoch = 0

  constructor(root: Signer = makeSigner()) {
    this.root = root
    this.vaultId = vaultIdOf(root.signingKey, root.kemKey)
    this.append(root, {
      type: 'genesis',
      rootSigningKey: root.signingKey,
      rootKemKey: root.kemKey,
      idKeyCommitment: random(32) as Hash,
    })
  }

  append(signer: Signer, payload: KeychainPayload): Uint8Array {
    const place = {
      index: this.entries.length,
      previous: this.head,
      signer: signer.memberId,
      timeMs: START_MS,
    }
    const body = encodeKeychainBody(place, payload)
    const signature = signer.sign(keychainSignedBytes(this.vaultId, body))
    const entry = encodeKeychainEntry(body, signature)
    this.entries.push(entry)
    this.head = keychainEntryHash(body.slice(), signature)
    return entry
  }

  addDevice(by: Signer, device: Signer = makeSigner()): Signer {
    this.append(by, {
      type: 'member-add',
      kind: 'device',
      signingKey: device.signingKey,
      kemKey: device.kemKey,
      proof: device.sign(memberProofBytes(this.vaultId, device)),
      sealedName: random(40),
      wrap: this.epoch === 0 ? null : random(WRAP_BYTES),
      vaultProof: null,
    })
    this.members.push(device)
    return device
  }

  addEpoch(by: Signer): void {
    const older = this.epoch
    this.epoch++
    this.append(by, {
      type: 'epoch',
      epoch: this.epoch,
      commitment: random(32) as Hash,
      wraps: this.members.map(({ memberId }) => ({ memberId, wrap: random(WRAP_BYTES) })),
      rootWrap: random(WRAP_BYTES),
      sealedEpochs: older === 0 ? [] : [{ epoch: older, sealed: random(SEALED_EPOCH_BYTES) }],
    })
  }

  /** The same vault seen elsewhere: what is appended there does not show here. */
  fork(): Chain {
    const other = new Chain(this.root)
    other.entries.splice(0, other.entries.length, ...this.entries)
    other.members.push(...this.members)
    other.head = this.head
    other.epoch = this.epoch
    return other
  }
}

/** A vault of one device, ready to write. */
export function makeChain(): { chain: Chain; device: Signer } {
  const chain = new Chain()
  const device = chain.addDevice(chain.root)
  chain.addEpoch(device)
  return { chain, device }
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
}

/** An envelope of the right form around random bytes. */
export function makeEnvelope(facts: EnvelopeFacts): Envelope {
  const header = encodeBoundHeader({
    tombstone: false,
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
