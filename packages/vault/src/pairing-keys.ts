/**
 * Pairing keys: what both devices derive from a code or from words, and the sealing of what they
 * say to each other through the mailbox.
 *
 *   of a code    secret = BLAKE2b-256(key = its 16 bytes, "blindcopy.pairing-code.v1" ‖ origin)
 *   of words     secret = Argon2id(words, salt), 64 MiB, 3 passes
 *                salt = first 16 bytes of SHA-256("blindcopy.pairing-words.v1" ‖ origin)
 *
 * Two rows of derivation.ts give the id of the mailbox (its first 16 bytes), which the remote sees,
 * and the sealing key, of which that id tells nothing. Words hold 66 bits: Argon2id is what makes
 * it too dear for a remote to find them from what it sees, and the origin in the salt what keeps
 * one search from serving against two remotes.
 *
 *   message = box of length(4) ‖ CBOR ‖ zeros to a multiple of 2 KiB
 *   associated data: "blindcopy.pairing-message.v1" ‖ mailbox id ‖ slot(1)
 */
import {
  concat,
  decodePairingMessage,
  decodeUint32,
  encodePairingMessage,
  encodeUint32,
  encodeUtf8,
  MAILBOX_ID_BYTES,
  type MailboxId,
  type MailboxSlot,
  type PairingMessage,
  sha256,
  slotOf,
} from '@blindcopy/protocol'
import { ARGON2ID_BOUNDS, SALT_BYTES, stretchPassphrase } from './argon2id.ts'
import { openBox, sealBox } from './box.ts'
import { derive } from './derivation.ts'
import { tampered } from './error.ts'
import type { PairingCodeSecret } from './pairing-code.ts'
import type { RandomBytes } from './random.ts'
import { blake2b } from './raw-sodium.ts'
import { type BoxKey, type PairingSecret, SECRET_BYTES, Secret } from './secret.ts'

export type PairingKeys = {
  readonly mailboxId: MailboxId
  readonly sealingKey: BoxKey
}

const CODE_LABEL = encodeUtf8('blindcopy.pairing-code.v1')
const WORDS_LABEL = encodeUtf8('blindcopy.pairing-words.v1')
const MESSAGE_LABEL = encodeUtf8('blindcopy.pairing-message.v1')
const LENGTH_BYTES = 4
const BUCKET_BYTES = 2_048

/** `origin` as both devices know the remote: scheme, host and port. Takes the secret over. */
export function pairingKeysOfCode(secret: PairingCodeSecret, origin: string): PairingKeys {
  const message = concat(CODE_LABEL, encodeUtf8(origin))
  const keys = keysOf(new Secret('PairingSecret', blake2b(SECRET_BYTES, message, secret.bytes)))
  secret.wipe()
  return keys
}

/** Of words in their one spelling. Throws `memory-refused`. */
export async function pairingKeysOfWords(words: string, origin: string): Promise<PairingKeys> {
  const salt = sha256(concat(WORDS_LABEL, encodeUtf8(origin))).slice(0, SALT_BYTES)
  const stretched = await stretchPassphrase(words, salt, ARGON2ID_BOUNDS.floor)
  const keys = keysOf(new Secret('PairingSecret', stretched.bytes.slice()))
  stretched.wipe()
  return keys
}

function keysOf(secret: PairingSecret): PairingKeys {
  const mailbox = derive('pairingMailbox', secret)
  const keys = {
    mailboxId: mailbox.bytes.slice(0, MAILBOX_ID_BYTES) as MailboxId,
    sealingKey: derive('pairingSealing', secret),
  }
  mailbox.wipe()
  secret.wipe()
  return keys
}

/** Throws `too-large` of the protocol. */
export function sealPairingMessage(
  message: PairingMessage,
  keys: PairingKeys,
  random: RandomBytes,
): Uint8Array {
  const text = encodePairingMessage(message)
  const sizeBytes = Math.ceil((LENGTH_BYTES + text.length) / BUCKET_BYTES) * BUCKET_BYTES
  const padded = new Uint8Array(sizeBytes)
  padded.set(encodeUint32(text.length))
  padded.set(text, LENGTH_BYTES)
  const sealed = sealBox(padded, placeOf(slotOf(message), keys), random)
  padded.fill(0)
  return sealed
}

/** Throws `tampered`, whatever is wrong with it. */
export function openPairingMessage(
  sealed: Uint8Array,
  slot: MailboxSlot,
  keys: PairingKeys,
): PairingMessage {
  const padded = openBox(sealed, placeOf(slot, keys))
  try {
    const end = LENGTH_BYTES + decodeUint32(padded)
    const isExact = padded.length === Math.ceil(end / BUCKET_BYTES) * BUCKET_BYTES
    if (!isExact || padded.subarray(end).some((byte) => byte !== 0)) throw tampered()
    return decodePairingMessage(slot, padded.subarray(LENGTH_BYTES, end))
  } catch {
    throw tampered()
  }
}

const placeOf = (slot: MailboxSlot, { mailboxId, sealingKey }: PairingKeys) => ({
  key: sealingKey,
  associatedData: concat(MESSAGE_LABEL, mailboxId, Uint8Array.of(slot)),
})
