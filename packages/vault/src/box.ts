/**
 * Box: a small sealed thing other than an envelope, and how every nonce of this package is made.
 *
 *   offset  size  field
 *        0    24  nonce
 *       24     …  ciphertext and a 16-byte tag
 *
 * A nonce is BLAKE2b-192 over 24 random bytes, the associated data and the plaintext: 192 bits are
 * safe to draw at random (doc.libsodium.org, "XChaCha20-Poly1305 construction"), and the hash keeps a
 * process that was cloned with its pool of randomness from sealing two things under one nonce. No
 * function hands a nonce in or out.
 */
import { concat, NONCE_BYTES } from '@blindcopy/protocol'
import { tampered } from './error.ts'
import type { RandomBytes } from './random.ts'
import type { BoxKey } from './secret.ts'
import { aeadOpen, aeadSeal, blake2b } from './sodium.ts'

export type BoxPlace = { readonly key: BoxKey; readonly associatedData: Uint8Array }

export function sealBox(plaintext: Uint8Array, place: BoxPlace, random: RandomBytes): Uint8Array {
  const { associatedData } = place
  const nonce = hedgedNonce(concat(random(NONCE_BYTES), associatedData, plaintext))
  const ciphertext = aeadSeal(plaintext, { key: place.key.bytes, nonce, associatedData })
  return concat(nonce, ciphertext)
}

/** Throws `tampered`. */
export function openBox(sealed: Uint8Array, place: BoxPlace): Uint8Array {
  if (sealed.length < NONCE_BYTES) throw tampered()
  const plaintext = aeadOpen(sealed.subarray(NONCE_BYTES), {
    key: place.key.bytes,
    nonce: sealed.subarray(0, NONCE_BYTES),
    associatedData: place.associatedData,
  })
  if (plaintext === undefined) throw tampered()
  return plaintext
}

/** `seed` is 24 random bytes, the associated data and the plaintext, one after the other. */
export function hedgedNonce(seed: Uint8Array): Uint8Array {
  return blake2b(NONCE_BYTES, seed, null)
}
