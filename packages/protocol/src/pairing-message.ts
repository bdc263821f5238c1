/**
 * Pairing messages: what an inviting device and a newcomer say to each other through a mailbox, in
 * the clear (packages/vault seals them), and the digits that both people compare (design 14).
 *
 *   slot  message  CBOR, positional
 *      0  invite   [0, vaultId, keychain head, keychain length, signing key, KEM key, commitment]
 *      1  join     [1, signing key, KEM key, proof, name, nonce]
 *      2  reveal   [2, nonce]
 *      3  approve  [3, keychain head, newest checkpoint | null]
 *      3  deny     [4, reason]
 *
 * The inviter commits to its nonce before it sees the newcomer's, and the newcomer says its own
 * before it sees the inviter's. So whoever stands between them with the code in hand has one try to
 * make both ends show the same digits, one chance in a million, however much it computes. All that
 * either end will rely on is said before the nonces are known, and is part of the transcript.
 */
import * as z from 'zod/mini'
import { concat, encodeUint64, encodeUtf8, equalBytes } from './bytes.ts'
import { decodeCbor, encodeCbor } from './codec.ts'
import { ProtocolError } from './error.ts'
import { sha256 } from './hash.ts'
import {
  type Brand,
  HASH_BYTES,
  type Hash,
  KEM_PUBLIC_KEY_BYTES,
  type KemPublicKey,
  SIGNATURE_BYTES,
  SIGNING_PUBLIC_KEY_BYTES,
  type Signature,
  type SigningPublicKey,
  VAULT_ID_BYTES,
  type VaultId,
} from './ids.ts'
import { CHECKPOINT_BYTES_MAX, KEYCHAIN_ENTRIES_MAX, PAIRING_NAME_BYTES_MAX } from './limits.ts'
import { MAILBOX_SLOTS, type MailboxId, type MailboxSlot } from './mailbox-message.ts'

export const PAIRING_NONCE_BYTES = 32
const REASON_BYTES_MAX = 64

export type PairingInvite = {
  readonly type: 'invite'
  readonly vaultId: VaultId
  /** Of the keychain as the inviter held it when it made the invitation. */
  readonly keychainHead: Hash
  readonly keychainLength: number
  readonly signingKey: SigningPublicKey
  readonly kemKey: KemPublicKey
  /** `pairingCommitment` of the inviter's nonce. */
  readonly commitment: Hash
}
export type PairingJoin = {
  readonly type: 'join'
  readonly signingKey: SigningPublicKey
  readonly kemKey: KemPublicKey
  /** The newcomer's, over `memberProofBytes`. */
  readonly proof: Signature
  readonly name: string
  readonly nonce: Uint8Array
}
export type PairingReveal = { readonly type: 'reveal'; readonly nonce: Uint8Array }
export type PairingApprove = {
  readonly type: 'approve'
  /** After the newcomer was added. */
  readonly keychainHead: Hash
  /** As its device signed it; null where there is none. */
  readonly checkpoint: Uint8Array | null
}
export type PairingDeny = { readonly type: 'deny'; readonly reason: string }
export type PairingMessage =
  | PairingInvite
  | PairingJoin
  | PairingReveal
  | PairingApprove
  | PairingDeny

function sized<Name extends string>(name: Name, size: number): z.ZodMiniType<Brand<Name>> {
  return z
    .custom<Brand<Name>>((value) => value instanceof Uint8Array && value.length === size)
    .check(z.describe(name))
}

const textOf = (bytesMax: number): z.ZodMiniType<string> =>
  z.string().check(z.refine((text) => encodeUtf8(text).length <= bytesMax))

const hash = sized('Hash', HASH_BYTES)
const signingKey = sized('SigningPublicKey', SIGNING_PUBLIC_KEY_BYTES)
const kemKey = sized('KemPublicKey', KEM_PUBLIC_KEY_BYTES)
const nonce = sized('Nonce', PAIRING_NONCE_BYTES)
const checkpoint = z.custom<Uint8Array>(
  (value) => value instanceof Uint8Array && value.length <= CHECKPOINT_BYTES_MAX,
)

const SCHEMA = z.union([
  z.tuple([
    z.literal(0),
    sized('VaultId', VAULT_ID_BYTES),
    hash,
    z.int().check(z.positive(), z.maximum(KEYCHAIN_ENTRIES_MAX)),
    signingKey,
    kemKey,
    hash,
  ]),
  z.tuple([
    z.literal(1),
    signingKey,
    kemKey,
    sized('Signature', SIGNATURE_BYTES),
    textOf(PAIRING_NAME_BYTES_MAX),
    nonce,
  ]),
  z.tuple([z.literal(2), nonce]),
  z.tuple([z.literal(3), hash, z.nullable(checkpoint)]),
  z.tuple([z.literal(4), textOf(REASON_BYTES_MAX)]),
])

/** Where a message stands. */
export function slotOf({ type }: PairingMessage): MailboxSlot {
  return type === 'approve' || type === 'deny' ? MAILBOX_SLOTS.verdict : MAILBOX_SLOTS[type]
}

/** Throws `too-large` for a name or a reason beyond its limit. */
export function encodePairingMessage(message: PairingMessage): Uint8Array {
  const items = itemsOf(message)
  if (!SCHEMA.safeParse(items).success) {
    throw new ProtocolError('too-large', 'a pairing message has a part that is longer than it may')
  }
  return encodeCbor(items).slice()
}

function itemsOf(message: PairingMessage): unknown[] {
  switch (message.type) {
    case 'invite': {
      const { vaultId, keychainHead, keychainLength, commitment } = message
      const { signingKey, kemKey } = message
      return [0, vaultId, keychainHead, keychainLength, signingKey, kemKey, commitment]
    }
    case 'join': {
      const { signingKey, kemKey, proof, name, nonce } = message
      return [1, signingKey, kemKey, proof, name, nonce]
    }
    case 'reveal':
      return [2, message.nonce]
    case 'approve':
      return [3, message.keychainHead, message.checkpoint]
    case 'deny':
      return [4, message.reason]
  }
}

/** Throws `malformed` for another form, and for a message that does not belong into this slot. */
export function decodePairingMessage(slot: MailboxSlot, encoded: Uint8Array): PairingMessage {
  const result = SCHEMA.safeParse(decodeCbor(encoded.slice()))
  const message = result.success ? messageOf(result.data) : undefined
  if (message !== undefined && slotOf(message) === slot) return message
  throw new ProtocolError('malformed', 'a pairing message has a wrong form, or stands elsewhere')
}

function messageOf(items: z.infer<typeof SCHEMA>): PairingMessage {
  switch (items[0]) {
    case 0: {
      const [, vaultId, keychainHead, keychainLength, signingKey, kemKey, commitment] = items
      const keychain = { keychainHead, keychainLength }
      return { type: 'invite', vaultId, ...keychain, signingKey, kemKey, commitment }
    }
    case 1: {
      const [, signingKey, kemKey, proof, name, nonce] = items
      return { type: 'join', signingKey, kemKey, proof, name, nonce }
    }
    case 2:
      return { type: 'reveal', nonce: items[1] }
    case 3:
      return { type: 'approve', keychainHead: items[1], checkpoint: items[2] }
    case 4:
      return { type: 'deny', reason: items[1] }
  }
}

const COMMITMENT_LABEL = encodeUtf8('blindcopy.pairing-commitment.v1')
const TRANSCRIPT_LABEL = encodeUtf8('blindcopy.pairing-transcript.v1')

/** Hides the nonce, and fits no other: 32 random bytes under SHA-256. */
export function pairingCommitment(vaultId: VaultId, nonce: Uint8Array): Hash {
  return sha256(concat(COMMITMENT_LABEL, vaultId, nonce))
}

export function isCommittedNonce(invite: PairingInvite, nonce: Uint8Array): boolean {
  return equalBytes(pairingCommitment(invite.vaultId, nonce), invite.commitment)
}

export type PairingTranscript = {
  readonly mailboxId: MailboxId
  readonly invite: PairingInvite
  readonly join: PairingJoin
  /** The inviter's, once it is revealed. */
  readonly nonce: Uint8Array
}

/**
 * SHA-256 over a fixed layout: all parts but the name have one length, and the name is hashed.
 */
export function pairingTranscript(transcript: PairingTranscript): Hash {
  const { mailboxId, invite, join, nonce } = transcript
  return sha256(
    concat(
      TRANSCRIPT_LABEL,
      invite.vaultId,
      mailboxId,
      invite.keychainHead,
      encodeUint64(invite.keychainLength),
      invite.signingKey,
      invite.kemKey,
      invite.commitment,
      join.signingKey,
      join.kemKey,
      join.proof,
      sha256(encodeUtf8(join.name)),
      nonce,
      join.nonce,
    ),
  )
}

const DIGITS = 6
/** 48 bits: what a number holds exactly, and so many more than the digits that none is likelier. */
const DRAWN_BYTES = 6

/** Six decimal digits of a transcript. */
export function pairingDigits(transcript: Hash): string {
  let drawn = 0
  for (const byte of transcript.subarray(0, DRAWN_BYTES)) drawn = drawn * 256 + byte
  return String(drawn % 10 ** DIGITS).padStart(DIGITS, '0')
}
