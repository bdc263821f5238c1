/**
 * Peer messages: what two devices of one vault say to each other over a byte stream, and the frames
 * of a bundle. Each is a CBOR array that begins with its kind, in a frame (frame.ts).
 *
 *   hello      [0, version, vaultId, nonce]       nothing else is said before both agree
 *   proof      [1, memberId, signature]           over `peerSignedBytes`
 *   standing   [2, length, head]                  of the keychain; [2, 0, null]: whoever signed the
 *                                                 proof is not known here yet
 *   keychain   [3, entries, isLast]
 *   reconcile  [4, request]      answer      [5, answer]
 *   get        [6, recordIds]    envelopes   [7, envelopes, isLast]
 *   offer      [8, envelopes]    taken       [9]
 *   done       [10]              failed      [11, code]
 *
 * A bundle is its header [20, version, vaultId, madeMs, count], then keychain and envelopes as
 * above, then its end [21, count, digest, memberId, signature] over `bundleSignedBytes`.
 *
 * A backup is its header [22, version, vaultId, madeMs, count, state], then the same, its end over
 * `backupSignedBytes`, with a check [23, digest] behind each frame but the end.
 *   state = [fingerprint, syncId | null, seq, chain, keychainLength, keychainHead]
 */
import * as z from 'zod/mini'
import { decodeCbor, encodeCbor } from './codec.ts'
import { ProtocolError } from './error.ts'
import {
  type Brand,
  HASH_BYTES,
  type Hash,
  MEMBER_ID_BYTES,
  type MemberId,
  RECORD_ID_BYTES,
  type RecordId,
  SIGNATURE_BYTES,
  type Signature,
  SYNC_ID_BYTES,
  type SyncId,
  VAULT_ID_BYTES,
  type VaultId,
} from './ids.ts'
import { KEYCHAIN_ENTRIES_MAX, TRANSACTION_BYTES_MAX, TRANSACTION_RECORDS_MAX } from './limits.ts'
import { FINGERPRINT_BYTES } from './log.ts'
import { ReconcileAnswer, ReconcileRequest } from './message.ts'
import { checkMessage } from './message-check.ts'

/** Of the exchange between two devices. */
export const PEER_VERSION = 1
/** Of a bundle. */
export const BUNDLE_VERSION = 1
/** Of a backup. */
export const BACKUP_VERSION = 1
export const PEER_NONCE_BYTES = 32
/** Envelopes of one message, in bytes; a single one may exceed it. */
export const PEER_BATCH_BYTES_MAX: number = TRANSACTION_BYTES_MAX
export const PEER_BATCH_RECORDS_MAX: number = TRANSACTION_RECORDS_MAX
/** One message of either, or one frame. */
export const PEER_MESSAGE_BYTES_MAX: number = TRANSACTION_BYTES_MAX + 1024 * 1024 + 64 * 1024
/** What may be said before both ends have shown that they are members. */
export const PEER_GREETING_BYTES_MAX = 1_024

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes expected')

function sized<Name extends string>(name: Name, size: number): z.ZodMiniType<Brand<Name>> {
  return z.custom<Brand<Name>>(
    (value) => value instanceof Uint8Array && value.length === size,
    `${name}: ${size} bytes expected`,
  )
}

const vaultId: z.ZodMiniType<VaultId> = sized('VaultId', VAULT_ID_BYTES)
const memberId: z.ZodMiniType<MemberId> = sized('MemberId', MEMBER_ID_BYTES)
const hash: z.ZodMiniType<Hash> = sized('Hash', HASH_BYTES)
const syncId: z.ZodMiniType<SyncId> = sized('SyncId', SYNC_ID_BYTES)
const fingerprint: z.ZodMiniType<Brand<'Fingerprint'>> = sized('Fingerprint', FINGERPRINT_BYTES)
const recordId: z.ZodMiniType<RecordId> = sized('RecordId', RECORD_ID_BYTES)
const signature: z.ZodMiniType<Signature> = sized('Signature', SIGNATURE_BYTES)
const count = z.int().check(z.nonnegative())
const envelopes = z.array(bytes).check(z.maxLength(PEER_BATCH_RECORDS_MAX))
const entries = z.array(bytes).check(z.maxLength(KEYCHAIN_ENTRIES_MAX))

/** Of the device when a backup was begun: what it holds, its place in the log, its keychain. */
const BackupState = z.tuple([fingerprint, z.nullable(syncId), count, hash, count, hash])

const SCHEMAS = {
  hello: z.tuple([z.literal(0), count, vaultId, sized('Nonce', PEER_NONCE_BYTES)]),
  proof: z.tuple([z.literal(1), memberId, signature]),
  standing: z.tuple([z.literal(2), count, z.nullable(hash)]),
  keychain: z.tuple([z.literal(3), entries, z.boolean()]),
  reconcile: z.tuple([z.literal(4), ReconcileRequest]),
  answer: z.tuple([z.literal(5), ReconcileAnswer]),
  get: z.tuple([z.literal(6), z.array(recordId).check(z.maxLength(PEER_BATCH_RECORDS_MAX))]),
  envelopes: z.tuple([z.literal(7), envelopes, z.boolean()]),
  offer: z.tuple([z.literal(8), envelopes]),
  taken: z.tuple([z.literal(9)]),
  done: z.tuple([z.literal(10)]),
  failed: z.tuple([z.literal(11), z.string().check(z.maxLength(64))]),
  header: z.tuple([z.literal(20), count, vaultId, count, count]),
  end: z.tuple([z.literal(21), count, hash, memberId, signature]),
  backup: z.tuple([z.literal(22), count, vaultId, count, count, BackupState]),
  check: z.tuple([z.literal(23), hash]),
} as const

export type PeerKind = keyof typeof SCHEMAS
type Contents = { readonly [Kind in PeerKind]: z.infer<(typeof SCHEMAS)[Kind]> }
/** What a message holds behind its kind. */
export type PeerContent<Kind extends PeerKind> = Contents[Kind] extends readonly [
  number,
  ...infer Content,
]
  ? Content
  : never
export type PeerMessage = {
  [Kind in PeerKind]: { readonly kind: Kind; readonly content: PeerContent<Kind> }
}[PeerKind]

const KIND_BY_NUMBER: ReadonlyMap<number, PeerKind> = new Map(
  (Object.keys(SCHEMAS) as PeerKind[]).map((kind) => [peerMessageNumber(kind), kind]),
)

/** What a message of this kind begins with. */
export function peerMessageNumber(kind: PeerKind): number {
  const [first] = SCHEMAS[kind].def.items
  return (first as z.ZodMiniLiteral<number>).def.values[0] as number
}

export function encodePeerMessage<Kind extends PeerKind>(
  kind: Kind,
  ...content: PeerContent<Kind>
): Uint8Array {
  return encodeCbor([peerMessageNumber(kind), ...(content as readonly unknown[])])
}

/** Throws `malformed`. Byte strings are views onto `encoded`. */
export function decodePeerMessage(encoded: Uint8Array): PeerMessage {
  const value = decodeCbor(encoded)
  const kind = Array.isArray(value) ? KIND_BY_NUMBER.get(value[0] as number) : undefined
  if (kind === undefined) throw new ProtocolError('malformed', 'a message of an unknown kind')
  const schema: z.ZodMiniType<readonly unknown[]> = SCHEMAS[kind]
  const [, ...content] = checkMessage(schema, value)
  return { kind, content } as unknown as PeerMessage
}
