/**
 * Wrap: the keys of an epoch, closed to one member.
 *
 *   offset  size  field
 *        0  1120  X-Wing ciphertext (ML-KEM-768 and X25519; draft-connolly-cfrg-xwing-kem)
 *     1120    24  nonce
 *     1144    64  epoch key ‖ idKey, sealed
 *     1208    16  tag
 *
 * A wrap recorded today stays closed to a later quantum computer. The sealing key is
 * BLAKE2b-256(key = shared secret, label); the associated data is label ‖ VaultId ‖ epoch ‖ member
 * id ‖ hash of the entry before, so that a wrap is worth nothing in another place. Frozen by
 * test/vectors/wrap.json.
 */
import {
  assert,
  concat,
  encodeUint32,
  encodeUtf8,
  type Hash,
  type KemPublicKey,
  type MemberId,
  type VaultId,
  WRAP_BYTES,
} from '@blindcopy/protocol'
import { openBox, sealBox } from './box.ts'
import { VaultError } from './error.ts'
import type { KemHolder } from './member-keys.ts'
import type { RandomBytes } from './random.ts'
import { blake2b } from './raw-sodium.ts'
import { type BoxKey, type EpochKey, type IdKey, SECRET_BYTES, Secret } from './secret.ts'
import { encapsulate, KEM_CIPHERTEXT_BYTES, KEM_RANDOM_BYTES } from './sodium.ts'

const LABEL = encodeUtf8('blindcopy.wrap.v1')

export type WrappedKeys = { readonly epochKey: EpochKey; readonly idKey: IdKey }

/** Where a wrap stands: the entry that holds it, and for whom. */
export type WrapPlace = {
  readonly vaultId: VaultId
  readonly epoch: number
  /** The hash of the entry before the one that holds the wrap. */
  readonly previous: Hash
}

export type Recipient = { readonly memberId: MemberId; readonly kemKey: KemPublicKey }

/** Undefined when the recipient's KEM key is no key at all. */
export function wrapKeys(
  keys: WrappedKeys,
  recipient: Recipient,
  place: WrapPlace,
  random: RandomBytes,
): Uint8Array | undefined {
  const associatedData = associatedDataOf(place, recipient.memberId)
  const plaintext = concat(keys.epochKey.bytes, keys.idKey.bytes)
  // Hedged like a nonce: a cloned pool of randomness never encapsulates the same way for two
  // things.
  const seed = concat(random(KEM_RANDOM_BYTES), associatedData, plaintext)
  const randomness = blake2b(KEM_RANDOM_BYTES, seed, null)
  const encapsulation = encapsulate(recipient.kemKey, randomness)
  seed.fill(0)
  randomness.fill(0)
  if (encapsulation === undefined) return undefined
  const key = boxKeyOf(encapsulation.sharedSecret)
  const wrap = concat(encapsulation.ciphertext, sealBox(plaintext, { key, associatedData }, random))
  plaintext.fill(0)
  key.wipe()
  assert(wrap.length === WRAP_BYTES, 'a wrap has the size the protocol states')
  return wrap
}

/** Throws `key-mismatch` when it was not made for this holder in this place, or was changed. */
export function unwrapKeys(wrap: Uint8Array, holder: KemHolder, place: WrapPlace): WrappedKeys {
  const shared = holder.decapsulate(wrap.subarray(0, KEM_CIPHERTEXT_BYTES))
  if (wrap.length !== WRAP_BYTES || shared === undefined) throw wrapMismatch()
  const key = boxKeyOf(shared.bytes)
  const associatedData = associatedDataOf(place, holder.memberId)
  try {
    const plaintext = openBox(wrap.subarray(KEM_CIPHERTEXT_BYTES), { key, associatedData })
    const epochKey: EpochKey = new Secret('EpochKey', plaintext.slice(0, SECRET_BYTES))
    const idKey: IdKey = new Secret('IdKey', plaintext.slice(SECRET_BYTES))
    plaintext.fill(0)
    return { epochKey, idKey }
  } catch {
    throw wrapMismatch()
  } finally {
    key.wipe()
    shared.wipe()
  }
}

function boxKeyOf(sharedSecret: Uint8Array): BoxKey {
  return new Secret('BoxKey', blake2b(SECRET_BYTES, LABEL, sharedSecret))
}

function associatedDataOf(place: WrapPlace, memberId: MemberId): Uint8Array {
  return concat(LABEL, place.vaultId, encodeUint32(place.epoch), memberId, place.previous)
}

function wrapMismatch(): VaultError {
  return new VaultError(
    'key-mismatch',
    'the vault keys that were wrapped for this member do not open',
  )
}
