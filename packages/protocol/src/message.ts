/**
 * Messages: what travels, each as a strict schema and a type of one name. Bodies are CBOR; lists
 * with many members are positional, so that a record costs few bytes beside its envelope.
 *
 * Schema by schema this file follows the routes of docs/protocol.md. A field that is not here is
 * refused, on both ends. The hash of all schemas is pinned by message.test.ts.
 */
import * as z from 'zod/mini'
import { CheckpointAnswer, CheckpointsAnswer, checkpointBytes } from './checkpoint-message.ts'
import type { ProtocolErrorCode } from './error.ts'
import { TIMESTAMP_BYTES, type Timestamp } from './hlc.ts'
import {
  type Brand,
  HASH_BYTES,
  type Hash,
  MEMBER_ID_BYTES,
  type MemberId,
  RECORD_ID_BYTES,
  type RecordId,
  SIGNATURE_BYTES,
  SIGNING_PUBLIC_KEY_BYTES,
  type Signature,
  type SigningPublicKey,
  SYNC_ID_BYTES,
  type SyncId,
  VAULT_ID_BYTES,
  type VaultId,
} from './ids.ts'
import {
  KEYCHAIN_ENTRIES_MAX,
  RECONCILE_BYTES_MAX,
  RECONCILE_RECORDS_MAX,
  RECORDS_BY_ID_MAX,
  TRANSACTION_RECORDS_MAX,
} from './limits.ts'
import { FINGERPRINT_BYTES, PAIR_BYTES } from './log.ts'
import { MailboxAnswer, MailboxWriteAnswer, MailboxWriteRequest } from './mailbox-message.ts'

const bytes = z
  .custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes expected')
  .check(z.describe('bytes'))

function sized<Name extends string>(name: Name, size: number) {
  const message = `${name}: ${size} bytes expected`
  // The description makes the size part of what message.test.ts pins.
  return z
    .custom<Brand<Name>>((value) => value instanceof Uint8Array && value.length === size, message)
    .check(z.describe(message))
}

const vaultId: z.ZodMiniType<VaultId> = sized('VaultId', VAULT_ID_BYTES)
const memberId: z.ZodMiniType<MemberId> = sized('MemberId', MEMBER_ID_BYTES)
const signingKey: z.ZodMiniType<SigningPublicKey> = sized(
  'SigningPublicKey',
  SIGNING_PUBLIC_KEY_BYTES,
)
const recordId: z.ZodMiniType<RecordId> = sized('RecordId', RECORD_ID_BYTES)
const syncId: z.ZodMiniType<SyncId> = sized('SyncId', SYNC_ID_BYTES)
const hash: z.ZodMiniType<Hash> = sized('Hash', HASH_BYTES)
const signature: z.ZodMiniType<Signature> = sized('Signature', SIGNATURE_BYTES)
const timestamp: z.ZodMiniType<Timestamp> = sized('Timestamp', TIMESTAMP_BYTES)
const nonce = sized('Nonce', 32)
const fingerprint = sized('Fingerprint', FINGERPRINT_BYTES)
const count = z.int().check(z.nonnegative())
const origin = z.string().check(z.minLength(1), z.maxLength(512))
const entries = z.array(bytes).check(z.maxLength(KEYCHAIN_ENTRIES_MAX))
const position = z.tuple([count, hash])

/** `GET /v1/capabilities` */
export const Capabilities = z.strictObject({
  protocol: z.strictObject({ min: count, max: count }),
  limits: z.strictObject({
    envelopeBytes: count,
    transactionBytes: count,
    transactionRecords: count,
    pushBytes: count,
    pageBytes: count,
    reconcileBytes: count,
  }),
  registration: z.enum(['open', 'token', 'closed']),
  origins: z.array(origin),
})
export type Capabilities = z.infer<typeof Capabilities>

/**
 * `POST /v1/challenge`: for a login or for the creation of a vault. Who restores with a recovery
 * key alone names its signing key, and is told the vault.
 */
export const ChallengeRequest = z.union([
  z.strictObject({ vaultId }),
  z.strictObject({ signingKey }),
])
export type ChallengeRequest = z.infer<typeof ChallengeRequest>
export const ChallengeAnswer = z.strictObject({
  nonce,
  expiresMs: count,
  vaultId: z.optional(vaultId),
})
export type ChallengeAnswer = z.infer<typeof ChallengeAnswer>

/** `POST /v1/session`: the signature is over `loginSignedBytes`. */
export const SessionRequest = z.strictObject({
  vaultId,
  memberId,
  nonce,
  expiresMs: count,
  origin,
  signature,
})
export type SessionRequest = z.infer<typeof SessionRequest>
export const SessionAnswer = z.strictObject({
  token: z.string(),
  expiresMs: count,
  syncId,
  head: position,
  keychainLength: count,
})
export type SessionAnswer = z.infer<typeof SessionAnswer>

/** `POST /v1/vaults`: the signature is over `createSignedBytes`. */
export const CreateRequest = z.strictObject({
  vaultId,
  entries,
  memberId,
  nonce,
  greatestMs: count,
  origin,
  signature,
  registrationToken: z.optional(z.string().check(z.maxLength(256))),
})
export type CreateRequest = z.infer<typeof CreateRequest>
/** `entries` are those the remote holds beyond what was offered. */
export const CreateAnswer = z.strictObject({ syncId, head: position, entries })
export type CreateAnswer = z.infer<typeof CreateAnswer>

/** `GET /v1/keychain?from=n` */
export const KeychainAnswer = z.strictObject({ entries })
export type KeychainAnswer = z.infer<typeof KeychainAnswer>

/** `POST /v1/keychain`: refused with `keychain-race` unless the head is `previous`. */
export const KeychainAppendRequest = z.strictObject({ previous: hash, entries })
export type KeychainAppendRequest = z.infer<typeof KeychainAppendRequest>
export const KeychainAppendAnswer = z.strictObject({ seq: count, chain: hash })
export type KeychainAppendAnswer = z.infer<typeof KeychainAppendAnswer>

/** An envelope alone is plain last-write-wins; with a base it is compare-and-set. */
const pushOp = z.union([z.tuple([bytes]), z.tuple([bytes, timestamp])])

/**
 * `[id, ops]`. The id is the timestamp that all its ops share; without an id (reconciliation) the
 * ops may be of any time and author, and none has a base.
 */
const pushTransaction = z.tuple([
  z.nullable(timestamp),
  z.array(pushOp).check(z.minLength(1), z.maxLength(TRANSACTION_RECORDS_MAX)),
])
export type PushTransaction = z.infer<typeof pushTransaction>

/** `POST /v1/push` */
export const PushRequest = z.strictObject({
  transactions: z.array(pushTransaction).check(z.minLength(1)),
})
export type PushRequest = z.infer<typeof PushRequest>

/** Of an op that lost to the version the remote holds: which op, and which version. */
const staleOp = z.tuple([count, timestamp])
/** Of an op whose base is not what the remote holds: which op, and the envelope it does hold. */
const conflictOp = z.tuple([count, z.nullable(bytes)])

/** In the order of the transactions. Only `applied` changed anything. */
const verdict = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('applied'),
    seq: count,
    chain: hash,
    stale: z.array(staleOp),
  }),
  z.strictObject({ type: z.literal('conflict'), current: z.array(conflictOp) }),
  z.strictObject({
    type: z.literal('refused'),
    code: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.union([z.number(), z.string()])),
  }),
])
export type Verdict = z.infer<typeof verdict>

export const PushAnswer = z.strictObject({ verdicts: z.array(verdict) })
export type PushAnswer = z.infer<typeof PushAnswer>

/** `POST /v1/records`: the newest version of each, or undefined where there is none. */
export const RecordsRequest = z.strictObject({
  ids: z.array(recordId).check(z.maxLength(RECORDS_BY_ID_MAX)),
})
export type RecordsRequest = z.infer<typeof RecordsRequest>
export const RecordsAnswer = z.strictObject({ envelopes: z.array(z.nullable(bytes)) })
export type RecordsAnswer = z.infer<typeof RecordsAnswer>

/** `POST /v1/history`: superseded versions of a record; `before`: only older ones than this. */
export const HistoryRequest = z.strictObject({ id: recordId, before: z.nullable(timestamp) })
export type HistoryRequest = z.infer<typeof HistoryRequest>
/**
 * The newest first: when each was superseded (ms, by the remote's clock), and its envelope. `next`:
 * what to say as `before` for those that had no room; null when there are none.
 */
export const HistoryAnswer = z.strictObject({
  versions: z.array(z.tuple([count, bytes])),
  next: z.nullable(timestamp),
  retentionMs: count,
})
export type HistoryAnswer = z.infer<typeof HistoryAnswer>

const packed = z
  .custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length <= RECONCILE_BYTES_MAX,
    `at most ${RECONCILE_BYTES_MAX} bytes expected`,
  )
  .check(z.describe('packed bytes'))
const pairCount = count.check(z.maximum(RECONCILE_RECORDS_MAX))

/**
 * `POST /v1/reconcile`: the asker's set, and the nodes it asks about (`reconcile-node.ts`).
 */
export const ReconcileRequest = z.strictObject({ count: pairCount, fingerprint, nodes: packed })
export type ReconcileRequest = z.infer<typeof ReconcileRequest>
/**
 * The answerer's set, its log's head then, and answers to the first of the nodes, as many as fit;
 * none when both sets have one count and fingerprint.
 */
export const ReconcileAnswer = z.strictObject({
  head: position,
  count: pairCount,
  fingerprint,
  answers: packed,
})
export type ReconcileAnswer = z.infer<typeof ReconcileAnswer>

/**
 * Frames of `GET /v1/changes` and of the live socket.
 *
 *   [0, seq, chain, id | null, envelopes, others]  one transaction: its live envelopes, and the
 *                                                  pairs (32 bytes each, joined) of its other ops
 *   [1, seq, chain, entries]                       one keychain append
 *   [2, seq, chain, count, fingerprint]            the end: the remote's head, and its live set
 *   [3, timeMs]                                    live: heartbeat
 *   [4, seq, chain]                                live: hello taken; the head at that moment
 *   [5, code, message, details]                    live: refused or closing
 *   [6, checkpoint]                                live: what another device has signed
 *
 * Frames 0 and 1 state the chain at their seq, so that a device can refuse one whose digest does
 * not fit before any of it takes effect.
 */
const pairs = z
  .custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length % PAIR_BYTES === 0,
    'pairs of 32 bytes expected',
  )
  .check(z.describe('pairs of 32 bytes'))
export const TransactionFrame = z.tuple([
  z.literal(0),
  count,
  hash,
  z.nullable(timestamp),
  z.array(bytes).check(z.maxLength(TRANSACTION_RECORDS_MAX)),
  pairs,
])
export type TransactionFrame = z.infer<typeof TransactionFrame>
export const KeychainFrame = z.tuple([z.literal(1), count, hash, entries])
export type KeychainFrame = z.infer<typeof KeychainFrame>
export const EndFrame = z.tuple([z.literal(2), count, hash, count, fingerprint])
export type EndFrame = z.infer<typeof EndFrame>
const heartbeatFrame = z.tuple([z.literal(3), count])
const readyFrame = z.tuple([z.literal(4), count, hash])
const refusedFrame = z.tuple([
  z.literal(5),
  z.string(),
  z.string(),
  z.record(z.string(), z.union([z.number(), z.string()])),
])
const checkpointFrame = z.tuple([z.literal(6), checkpointBytes])

export const ChangesFrame = z.union([TransactionFrame, KeychainFrame, EndFrame])
export type ChangesFrame = z.infer<typeof ChangesFrame>
export const LiveFrame = z.union([
  TransactionFrame,
  KeychainFrame,
  heartbeatFrame,
  readyFrame,
  refusedFrame,
  checkpointFrame,
])
export type LiveFrame = z.infer<typeof LiveFrame>

/** The first frame a client sends on the live socket. It may send another before its token ends. */
export const LiveHello = z.strictObject({
  protocol: count,
  token: z.string(),
  syncId,
  cursor: position,
})
export type LiveHello = z.infer<typeof LiveHello>

/** The body of every refusal: RFC 9457, as JSON. Members beyond these are details. */
export const Problem = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.number(),
  code: z.string(),
  detail: z.string(),
})
export type Problem = z.infer<typeof Problem>

/** Every schema by name, for the test that pins them. */
export const MESSAGES: Readonly<Record<string, z.ZodMiniType>> = {
  Capabilities,
  ChallengeRequest,
  ChallengeAnswer,
  SessionRequest,
  SessionAnswer,
  CreateRequest,
  CreateAnswer,
  KeychainAnswer,
  KeychainAppendRequest,
  KeychainAppendAnswer,
  PushRequest,
  PushAnswer,
  RecordsRequest,
  RecordsAnswer,
  HistoryRequest,
  HistoryAnswer,
  ReconcileRequest,
  ReconcileAnswer,
  CheckpointsAnswer,
  CheckpointAnswer,
  MailboxWriteRequest,
  MailboxWriteAnswer,
  MailboxAnswer,
  ChangesFrame,
  LiveFrame,
  LiveHello,
  Problem,
}

/** The HTTP status that each code travels under. */
export const STATUS_BY_CODE: Readonly<Record<ProtocolErrorCode, number>> = {
  malformed: 400,
  'too-large': 413,
  'unsupported-version': 400,
  'unsupported-protocol': 400,
  'not-carried': 400,
  'clock-drift': 422,
  'clock-exhausted': 422,
  'keychain-invalid': 422,
  'keychain-forked': 409,
  'keychain-race': 409,
  'keychain-unsupported': 422,
  'session-required': 401,
  'challenge-failed': 401,
  'not-a-member': 403,
  'unknown-vault': 404,
  'origin-refused': 403,
  'registration-required': 403,
  'registration-closed': 403,
  'sync-id-mismatch': 409,
  'epoch-old': 422,
  'epoch-unknown': 422,
  'wrong-author': 422,
  'checkpoint-refused': 422,
  'checkpoint-old': 409,
  'mailbox-unknown': 404,
  'mailbox-taken': 409,
  'not-found': 404,
  'too-many-requests': 429,
  busy: 503,
  'storage-full': 507,
  'quota-exceeded': 507,
  internal: 500,
}
