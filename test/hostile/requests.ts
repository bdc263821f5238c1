/**
 * Requests: one good request of every kind that a client sends, to a remote with two vaults, and
 * what is held up against each answer: refused with one documented code and nothing of what is
 * stored changed, or taken for what it says.
 */
import {
  ChallengeRequest,
  CONTENT_TYPE_PROBLEM,
  CreateRequest,
  createSignedBytes,
  KEYCHAIN_APPEND_BYTES_MAX,
  KEYCHAIN_BYTES_MAX,
  KeychainAppendRequest,
  LIMITS,
  LiveFrame,
  LiveHello,
  LOGIN_BYTES_MAX,
  loginSignedBytes,
  MAILBOX_MESSAGE_BYTES_MAX,
  MailboxWriteRequest,
  PROTOCOL_VERSION,
  PushRequest,
  parseMessage,
  RECONCILE_BYTES_MAX,
  REQUEST_BYTES_MAX,
  ReconcileRequest,
  RecordsRequest,
  SessionRequest,
  STATUS_BY_CODE,
  sha256,
} from '@blindcopy/protocol'
import { expect } from 'vitest'
import {
  type Answer,
  ask,
  Device,
  dump,
  makeChain,
  makeEnvelope,
  ORIGIN,
  openVault,
  random,
  record,
} from '../../packages/remote/src/remote.fixture.ts'

export type Schema = Parameters<typeof parseMessage>[0]

/** A message that is sent to a route. */
export type Sent = {
  readonly path: string
  readonly schema: Schema
  readonly bytesMax: number
  readonly isData: boolean
  /** A good one; signed anew, with a nonce of its own, where that is needed. */
  make(device: Device): Promise<Record<string, unknown>>
  headers(device: Device): Record<string, string>
}

const stranger = { isData: false, headers: () => ({}) }
const member = {
  isData: false,
  headers: ({ token }: Device) => ({ Authorization: `Bearer ${token}` }),
}
const data = { isData: true, headers: (device: Device) => device.headers }

export const SENT: readonly Sent[] = [
  {
    ...stranger,
    path: '/v1/challenge',
    schema: ChallengeRequest,
    bytesMax: LOGIN_BYTES_MAX,
    make: async ({ chain }) => ({ vaultId: chain.vaultId }),
  },
  {
    ...stranger,
    path: '/v1/session',
    schema: SessionRequest,
    bytesMax: LOGIN_BYTES_MAX,
    make: async (device) => {
      const { nonce, expiresMs } = await device.challenge()
      const { vaultId } = device.chain
      const { memberId } = device.signer
      const statement = { vaultId, memberId, nonce, expiresMs, origin: ORIGIN }
      return { ...statement, signature: device.signer.sign(loginSignedBytes(statement)) }
    },
  },
  {
    ...stranger,
    path: '/v1/vaults',
    schema: CreateRequest,
    bytesMax: KEYCHAIN_BYTES_MAX + REQUEST_BYTES_MAX,
    make: makeCreate,
  },
  {
    ...member,
    path: '/v1/keychain',
    schema: KeychainAppendRequest,
    bytesMax: KEYCHAIN_APPEND_BYTES_MAX,
    make: async ({ chain, signer }) => {
      const longer = chain.fork()
      longer.addDevice(signer)
      return { previous: chain.head, entries: longer.entries.slice(-1) }
    },
  },
  {
    ...member,
    path: '/v1/mailboxes',
    schema: MailboxWriteRequest,
    bytesMax: MAILBOX_MESSAGE_BYTES_MAX + 128,
    make: async () => ({ mailboxId: random(16), slot: 0, message: random(500) }),
  },
  {
    ...data,
    path: '/v1/push',
    schema: PushRequest,
    bytesMax: LIMITS.pushBytes,
    make: async (device) => {
      const [one, two] = [device.stamp(), device.stamp()]
      const at = (number: number, timestamp: typeof one) =>
        makeEnvelope({ recordId: record(number), timestamp })
      const healed = [null, [[at(7, two)]]]
      const set = [at(3, one), new Uint8Array(16)]
      return { transactions: [[one, [[at(2, one)], set]], healed] }
    },
  },
  {
    ...data,
    path: '/v1/records',
    schema: RecordsRequest,
    bytesMax: REQUEST_BYTES_MAX,
    make: async () => ({ ids: [record(1), record(2), record(99)] }),
  },
  {
    ...data,
    path: '/v1/reconcile',
    schema: ReconcileRequest,
    bytesMax: RECONCILE_BYTES_MAX,
    // Three nodes of three depths: one asked for its children, two for their pairs.
    make: async () => ({
      count: 3,
      fingerprint: new Uint8Array(16).fill(9),
      nodes: Uint8Array.of(0x81, 0x00, 0x02, 0x1f, 0x83, 0x20, 0x10),
    }),
  },
]

/** A known vault offered again: it changes nothing, and every check is made. */
async function makeCreate(device: Device): Promise<Record<string, unknown>> {
  const { nonce } = await device.challenge()
  const { chain, signer } = device
  const statement = {
    vaultId: chain.vaultId,
    memberId: signer.memberId,
    nonce,
    greatestMs: 0,
    origin: ORIGIN,
    keychainHead: chain.head,
  }
  const { keychainHead: _, ...request } = statement
  const signature = signer.sign(createSignedBytes(statement))
  return { ...request, entries: [...chain.entries], signature, registrationToken: 'r' }
}

export type Two = { readonly ours: Device; readonly theirs: Device }

/** Two vaults on one remote, each with a record. */
export async function openTwoVaults(): Promise<Two> {
  const { bench, device: ours } = await openVault()
  const { chain, device: signer } = makeChain()
  const theirs = new Device(bench, chain, signer)
  await theirs.create()
  await theirs.join()
  for (const device of [ours, theirs]) {
    const id = device.stamp()
    await device.push([id, [[makeEnvelope({ recordId: record(1), timestamp: id })]]])
    await device.join()
  }
  return { ours, theirs }
}

export const send = (device: Device, sent: Sent, body: Uint8Array): Promise<Answer> =>
  ask(device.app, sent.path, {
    method: 'POST',
    headers: sent.headers(device),
    body: new Uint8Array(body),
  })

/** All that the remote has stored, by key, as text. */
export async function stored({ bench }: Device): Promise<Map<string, string>> {
  const entries = await dump(bench.store)
  return new Map(entries.map(([key, value]) => [hex(key), hex(sha256(value))]))
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The keys under which two states of the store differ. */
export function changedKeys(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): string[] {
  const keys = new Set([...before.keys(), ...after.keys()])
  return [...keys].filter((key) => before.get(key) !== after.get(key))
}

/** The code of a refusal; undefined when the request was taken. */
export function codeOfAnswer(answer: Answer, what: string): string | undefined {
  if (answer.problem === undefined) {
    expect(answer.status, what).toBe(200)
    return undefined
  }
  const { code, status, type, detail } = answer.problem
  expect(Object.keys(STATUS_BY_CODE), what).toContain(code)
  expect(code, what).not.toBe('internal')
  const statusOfCode = STATUS_BY_CODE[code as keyof typeof STATUS_BY_CODE]
  expect([status, answer.status], what).toEqual([statusOfCode, statusOfCode])
  expect(answer.headers.get('content-type'), what).toBe(CONTENT_TYPE_PROBLEM)
  expect([type, detail.length > 0], what).toEqual([`urn:blindcopy:problem:${code}`, true])
  return code
}

/** Sends something that must be refused with one of these codes, and must change nothing. */
export async function expectRefused(
  device: Device,
  request: () => Promise<Answer>,
  { what, codes }: { what: string; codes: readonly string[] },
): Promise<Answer> {
  const before = await stored(device)
  const answer = await request()
  expect(codes, `${what}: ${answer.problem?.detail}`).toContain(codeOfAnswer(answer, what))
  expect(changedKeys(before, await stored(device)), what).toEqual([])
  expect(device.bench.faults, what).toEqual([])
  return answer
}

/** A live socket made up here. */
export class HelloSocket {
  readonly frames: LiveFrame[] = []
  closed: number | undefined
  readonly bufferedBytes = 0
  readonly connection: ReturnType<Device['bench']['remote']['live']['open']>

  constructor(device: Device) {
    this.connection = device.bench.remote.live.open(this)
  }

  send(frame: Uint8Array): void {
    this.frames.push(parseMessage(LiveFrame, frame))
  }

  terminate(): void {
    this.close(1006)
  }

  close(code: number): void {
    this.closed ??= code
    this.connection.closed()
  }

  /** The code of the refusal it ended with; undefined while it is open. */
  get refusal(): string | undefined {
    const last = this.frames[this.frames.length - 1]
    return last?.[0] === 5 ? last[1] : undefined
  }
}

export const HELLO = {
  schema: LiveHello as Schema,
  make: ({ token, syncId, cursor }: Device) => ({
    protocol: PROTOCOL_VERSION,
    token,
    syncId,
    cursor: [cursor.seq, cursor.chain],
  }),
} as const
