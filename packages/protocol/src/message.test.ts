/**
 * Messages: the pin of their schemas, and that nothing is taken which a schema does not name.
 */

import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { ZodMiniType } from 'zod/mini'
import { encodeUint32 } from './bytes.ts'
import { CheckpointAnswer, CheckpointsAnswer } from './checkpoint-message.ts'
import { encodeCbor } from './codec.ts'
import {
  ENVELOPE_BYTES_MAX,
  KEYCHAIN_ENTRIES_MAX,
  RECONCILE_BYTES_MAX,
  RECONCILE_RECORDS_MAX,
  RECORDS_BY_ID_MAX,
  TRANSACTION_RECORDS_MAX,
} from './limits.ts'
import { MailboxAnswer, MailboxWriteAnswer, MailboxWriteRequest } from './mailbox-message.ts'
import {
  Capabilities,
  ChallengeAnswer,
  ChallengeRequest,
  ChangesFrame,
  CreateAnswer,
  CreateRequest,
  HistoryAnswer,
  HistoryRequest,
  KeychainAnswer,
  KeychainAppendAnswer,
  KeychainAppendRequest,
  LiveFrame,
  LiveHello,
  MESSAGES,
  Problem,
  PushAnswer,
  PushRequest,
  ReconcileAnswer,
  ReconcileRequest,
  RecordsAnswer,
  RecordsRequest,
  SessionAnswer,
  SessionRequest,
  STATUS_BY_CODE,
} from './message.ts'
import { checkMessage, encodeMessage, parseMessage } from './message-check.ts'
import { PROTOCOL_VERSION } from './version.ts'

const bytes = (size: number): Uint8Array => new Uint8Array(size).fill(7)
const malformed = expect.objectContaining({ code: 'malformed' })

describe('MESSAGES', () => {
  /**
   * When this fails, a message has changed, and programs in use speak the old one.
   *
   *   - You did not mean to change the wire: undo the change.
   *   - You did: raise PROTOCOL_VERSION in version.ts with a line of history there, describe the
   *     change in docs/protocol.md, see that both ends still answer the versions they claim, and
   *     then put the new version and hash here, together.
   *   - Only the zod package was updated, and the schemas are as they were: compare the two JSON
   *     texts by eye, then replace the hash alone.
   *
   * Until the first release the hash may be replaced without a new version.
   */
  it('are those of the protocol version', () => {
    const schemas = Object.entries(MESSAGES).map(([name, schema]) => [
      name,
      z.toJSONSchema(schema, { unrepresentable: 'any' }),
    ])
    const pin = createHash('sha256').update(JSON.stringify(schemas)).digest('hex')
    expect({ version: PROTOCOL_VERSION, pin }).toEqual({
      version: 1,
      pin: '435782c2341cc27b98345a4e0d3bc9a3f702773d896dda26b82f63b01f1ceda2',
    })
  })

  it('show the size of every id in what is pinned', () => {
    const text = JSON.stringify(z.toJSONSchema(SessionRequest, { unrepresentable: 'any' }))
    for (const size of ['VaultId: 32', 'MemberId: 8', 'Nonce: 32', 'Signature: 64']) {
      expect(text).toContain(size)
    }
  })
})

const position = [3, bytes(32)]
const limits = {
  envelopeBytes: 1,
  transactionBytes: 2,
  transactionRecords: 3,
  pushBytes: 4,
  pageBytes: 5,
  reconcileBytes: 1,
}

/** One good message of each kind. */
const GOOD: readonly (readonly [string, ZodMiniType, unknown])[] = [
  [
    'Capabilities',
    Capabilities,
    { protocol: { min: 1, max: 1 }, limits, registration: 'token', origins: ['https://a.example'] },
  ],
  ['ChallengeRequest', ChallengeRequest, { vaultId: bytes(32) }],
  ['ChallengeAnswer', ChallengeAnswer, { nonce: bytes(32), expiresMs: 1_795_132_800_000 }],
  [
    'SessionRequest',
    SessionRequest,
    {
      vaultId: bytes(32),
      memberId: bytes(8),
      nonce: bytes(32),
      expiresMs: 5,
      origin: 'https://a.example',
      signature: bytes(64),
    },
  ],
  [
    'SessionAnswer',
    SessionAnswer,
    { token: 't', expiresMs: 5, syncId: bytes(16), head: position, keychainLength: 1 },
  ],
  [
    'CreateRequest',
    CreateRequest,
    {
      vaultId: bytes(32),
      entries: [bytes(9)],
      memberId: bytes(8),
      nonce: bytes(32),
      greatestMs: 0,
      origin: 'https://a.example',
      signature: bytes(64),
      registrationToken: 'r',
    },
  ],
  ['CreateAnswer', CreateAnswer, { syncId: bytes(16), head: position, entries: [] }],
  ['KeychainAnswer', KeychainAnswer, { entries: [bytes(9)] }],
  ['KeychainAppendRequest', KeychainAppendRequest, { previous: bytes(32), entries: [bytes(9)] }],
  ['KeychainAppendAnswer', KeychainAppendAnswer, { seq: 1, chain: bytes(32) }],
  [
    'PushRequest',
    PushRequest,
    {
      transactions: [
        [bytes(16), [[bytes(400)], [bytes(400), bytes(16)]]],
        [null, [[bytes(400)]]],
      ],
    },
  ],
  [
    'PushAnswer',
    PushAnswer,
    {
      verdicts: [
        { type: 'applied', seq: 1, chain: bytes(32), stale: [[0, bytes(16)]] },
        {
          type: 'conflict',
          current: [
            [0, bytes(400)],
            [1, null],
          ],
        },
        { type: 'refused', code: 'epoch-old', message: 'm', details: { epoch: 2, why: 'old' } },
      ],
    },
  ],
  ['RecordsRequest', RecordsRequest, { ids: [bytes(16)] }],
  ['RecordsAnswer', RecordsAnswer, { envelopes: [bytes(400), null] }],
  ['HistoryRequest', HistoryRequest, { id: bytes(16), before: bytes(16) }],
  ['HistoryRequest of all', HistoryRequest, { id: bytes(16), before: null }],
  ['HistoryAnswer', HistoryAnswer, { versions: [[5, bytes(400)]], next: null, retentionMs: 9 }],
  ['ReconcileRequest', ReconcileRequest, { count: 1, fingerprint: bytes(16), nodes: bytes(3) }],
  [
    'ReconcileAnswer',
    ReconcileAnswer,
    { head: position, count: 1, fingerprint: bytes(16), answers: bytes(35) },
  ],
  [
    'ChangesFrame: transaction',
    ChangesFrame,
    [0, 1, bytes(32), bytes(16), [bytes(400)], bytes(64)],
  ],
  ['ChangesFrame: transaction without id', ChangesFrame, [0, 1, bytes(32), null, [], bytes(0)]],
  ['ChangesFrame: keychain', ChangesFrame, [1, 2, bytes(32), [bytes(9)]]],
  ['ChangesFrame: end', ChangesFrame, [2, 3, bytes(32), 4, bytes(16)]],
  ['LiveFrame: heartbeat', LiveFrame, [3, 1_795_132_800_000]],
  ['LiveFrame: ready', LiveFrame, [4, 1, bytes(32)]],
  ['LiveFrame: refused', LiveFrame, [5, 'session-required', 'm', { a: 1 }]],
  ['LiveFrame: checkpoint', LiveFrame, [6, bytes(300)]],
  ['CheckpointsAnswer', CheckpointsAnswer, { checkpoints: [bytes(300)] }],
  ['CheckpointAnswer', CheckpointAnswer, { number: 7 }],
  [
    'MailboxWriteRequest',
    MailboxWriteRequest,
    { mailboxId: bytes(16), slot: 0, message: bytes(9) },
  ],
  ['MailboxWriteAnswer', MailboxWriteAnswer, { expiresMs: 5 }],
  [
    'MailboxAnswer',
    MailboxAnswer,
    { expiresMs: 5, contested: 0, messages: [bytes(9), bytes(9), null, null] },
  ],
  ['LiveHello', LiveHello, { protocol: 1, token: 't', syncId: bytes(16), cursor: position }],
]

describe('parseMessage', () => {
  it.each(GOOD)('undoes encodeMessage: %s', (_name, schema, message) => {
    expect(parseMessage(schema, encodeMessage(schema, message))).toEqual(message)
  })

  it('has a good message of every kind here', () => {
    const tried = new Set<ZodMiniType>(GOOD.map(([, schema]) => schema))
    const untried = Object.values(MESSAGES).filter((schema) => !tried.has(schema))
    // Problem travels as JSON; see below.
    expect(untried).toEqual([Problem])
  })

  it.each(GOOD)('refuses a field that is not named: %s', (_name, schema, message) => {
    for (const more of changesOf(message, (part) => withMore(part))) {
      expect(() => parseMessage(schema, encodeCbor(more))).toThrowError(malformed)
    }
  })

  it.each(GOOD)(
    'refuses ids, hashes and signatures of another size: %s',
    (_name, schema, message) => {
      const sizes = new Set([8, 16, 32, 64])
      const isSized = (part: unknown): part is Uint8Array =>
        part instanceof Uint8Array && sizes.has(part.length)
      for (const change of [-1, 1]) {
        for (const wrong of changesOf(message, (part) =>
          isSized(part) ? [bytes(part.length + change)] : [],
        )) {
          expect(() => parseMessage(schema, encodeCbor(wrong))).toThrowError(malformed)
        }
      }
    },
  )

  it.each(GOOD)('refuses every part of another type: %s', (_name, schema, message) => {
    for (const wrong of changesOf(message, (part) => (part === null ? [true] : [true, -1, 1.5]))) {
      expect(() => parseMessage(schema, encodeCbor(wrong))).toThrowError(malformed)
    }
  })

  it('names the first place that is wrong', () => {
    const wrong = { vaultId: bytes(32), memberId: bytes(9) }
    expect(() => checkMessage(SessionRequest, wrong)).toThrowError(/^memberId: MemberId: 8 bytes/)
    expect(() => checkMessage(ChallengeRequest, 5)).toThrowError(/^the message: /)
    const pairs = [
      [MailboxWriteAnswer, { expiresMs: '5' }, 'expiresMs: number expected'],
      [MailboxWriteAnswer, { expiresMs: -1 }, 'expiresMs: at least 0 expected'],
      [MailboxWriteAnswer, { expiresMs: 5, more: 1 }, 'the message: unknown field more'],
      [MailboxWriteAnswer, 5, 'the message: object expected'],
      [MailboxAnswer, { expiresMs: 5, contested: 2, messages: [] }, 'contested: wrong form'],
    ] as const
    for (const [schema, value, sentence] of pairs) {
      expect(() => checkMessage<unknown>(schema, value)).toThrowError(sentence)
    }
  })

  it('refuses a byte string of any size in the place of a message, at once', () => {
    // One field for each byte would take gigabytes, and minutes.
    const body = new Uint8Array(64 * 1024 * 1024)
    body.set([0x5a, ...encodeUint32(body.length - 5)])
    for (const [, schema] of GOOD) {
      expect(() => parseMessage(schema, body)).toThrowError(malformed)
    }
  })

  it('says little, whatever it was sent', () => {
    for (const wrong of [
      { vaultId: bytes(32), ['x'.repeat(100_000)]: 1 },
      { ['y'.repeat(999)]: 1 },
    ]) {
      expect(() => checkMessage(ChallengeRequest, wrong)).toThrowError(/^.{10,200}$/s)
    }
  })

  it('refuses bytes that are no message at all', () => {
    for (const hex of ['', 'ff', 'a0', '80', '9f']) {
      expect(() => parseMessage(ChallengeRequest, Buffer.from(hex, 'hex'))).toThrowError(malformed)
    }
  })

  it('takes a millisecond stamp as a float or as an integer of 64 bits', () => {
    const expiresMs = 1_795_132_800_000
    const float = encodeCbor({ nonce: bytes(32), expiresMs })
    const at = float.length - 9
    expect(float[at]).toBe(0xfb)
    const integer = float.slice()
    integer[at] = 0x1b
    new DataView(integer.buffer).setBigUint64(at + 1, BigInt(expiresMs))
    expect(parseMessage(ChallengeAnswer, float).expiresMs).toBe(expiresMs)
    expect(parseMessage(ChallengeAnswer, integer).expiresMs).toBe(expiresMs)
  })
})

describe('lists', () => {
  const many = <T>(count: number, item: T): T[] => new Array<T>(count).fill(item)
  it.each<[string, ZodMiniType, number, (count: number) => unknown]>([
    ['entries', KeychainAnswer, KEYCHAIN_ENTRIES_MAX, (n) => ({ entries: many(n, bytes(1)) })],
    ['record ids', RecordsRequest, RECORDS_BY_ID_MAX, (n) => ({ ids: many(n, bytes(16)) })],
    [
      'ops of a transaction',
      PushRequest,
      TRANSACTION_RECORDS_MAX,
      (n) => ({ transactions: [[bytes(16), many(n, [bytes(1)])]] }),
    ],
    [
      'envelopes of a frame',
      ChangesFrame,
      TRANSACTION_RECORDS_MAX,
      (n) => [0, 1, bytes(32), null, many(n, bytes(1)), bytes(0)],
    ],
  ])('are taken at the limit and refused one beyond: %s', (_name, schema, limit, build) => {
    expect(() => checkMessage(schema, build(limit))).not.toThrow()
    expect(() => checkMessage(schema, build(limit + 1))).toThrowError(malformed)
  })

  it.each<[string, number, (n: number) => unknown]>([
    ['bytes', RECONCILE_BYTES_MAX, (n) => ({ nodes: bytes(n) })],
    ['records', RECONCILE_RECORDS_MAX, (n) => ({ count: n })],
  ])(
    'of a reconciliation are taken at the limit of %s and refused one beyond',
    (_name, n, change) => {
      const request = { count: 1, fingerprint: bytes(16), nodes: bytes(3) }
      const build = (size: number): unknown => ({ ...request, ...(change(size) as object) })
      expect(() => checkMessage(ReconcileRequest, build(n))).not.toThrow()
      expect(() => checkMessage(ReconcileRequest, build(n + 1))).toThrowError(malformed)
    },
  )

  it('are refused empty where a message would say nothing', () => {
    expect(() => checkMessage(PushRequest, { transactions: [] })).toThrowError(malformed)
    expect(() => checkMessage(PushRequest, { transactions: [[null, []]] })).toThrowError(malformed)
  })

  it('of pairs are whole', () => {
    for (const size of [1, 31, 33]) {
      const frame = [0, 1, bytes(32), null, [], bytes(size)]
      expect(() => checkMessage(ChangesFrame, frame)).toThrowError(malformed)
    }
  })

  it('leave the size of an envelope to parseEnvelope', () => {
    const op = [bytes(ENVELOPE_BYTES_MAX + 1)]
    expect(() => checkMessage(PushRequest, { transactions: [[null, [op]]] })).not.toThrow()
  })
})

describe('ChangesFrame and LiveFrame', () => {
  it('do not take each other’s frames', () => {
    expect(() => checkMessage(ChangesFrame, [3, 5])).toThrowError(malformed)
    expect(() => checkMessage(LiveFrame, [2, 3, bytes(32), 4, bytes(16)])).toThrowError(malformed)
    expect(() => checkMessage(LiveFrame, [6, 1])).toThrowError(malformed)
  })
})

describe('Problem', () => {
  it('takes details beside its own members, and needs each of those', () => {
    const problem = { type: 'about:blank', title: 't', status: 409, code: 'c', detail: 'd' }
    expect(checkMessage(Problem, { ...problem, syncId: 's' })).toMatchObject({ syncId: 's' })
    for (const name of Object.keys(problem)) {
      expect(() => checkMessage(Problem, { ...problem, [name]: undefined })).toThrowError(malformed)
    }
  })
})

describe('STATUS_BY_CODE', () => {
  it('holds only statuses of refusal', () => {
    for (const status of Object.values(STATUS_BY_CODE)) {
      expect(status).toBeGreaterThanOrEqual(400)
      expect(status).toBeLessThan(600)
    }
  })
})

/** The message with one part after the other replaced by each of what `replace` gives for it. */
function changesOf(message: unknown, replace: (part: unknown) => unknown[]): unknown[] {
  const changes = [...replace(message)]
  if (message instanceof Uint8Array || typeof message !== 'object' || message === null)
    return changes
  // What a refusal tells beside its code is open.
  if ('code' in message || (Array.isArray(message) && message[0] === 5)) return changes
  for (const [key, part] of Object.entries(message)) {
    for (const changed of changesOf(part, replace)) {
      if (Array.isArray(message)) changes.push(message.with(Number(key), changed))
      else changes.push({ ...message, [key]: changed })
    }
  }
  return changes
}

/** An object with a field more, or a tuple with an item more; lists of one kind may be longer. */
function withMore(part: unknown): unknown[] {
  if (part instanceof Uint8Array || typeof part !== 'object' || part === null) return []
  return Array.isArray(part) ? [[...part, true]] : [{ ...part, more: 1 }]
}
