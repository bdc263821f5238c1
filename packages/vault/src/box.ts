/**
 * Box: a sealed thing, and how every nonce of this package is made. An envelope from its nonce on
 * is a box too (seal.ts).
 *
 *   offset  size  field
 *        0    24  nonce
 *       24     …  ciphertext and a 16-byte tag
 *
 * A nonce is BLAKE2b-192 over 24 random bytes, the associated data and the plaintext: 192 bits are
 * safe to draw at random (doc.libsodium.org, "XChaCha20-Poly1305 construction"), and the hash keeps
 * a process that was cloned with its pool of randomness from sealing two things under one nonce. No
 * function hands a nonce in or out.
 */
import { concat, NONCE_BYTES, TAG_BYTES } from '@blindcopy/protocol'
import { tampered } from './error.ts'
import type { RandomBytes } from './random.ts'
import { openHedged, sealHedged } from './raw-sodium.ts'
import type { BoxKey } from './secret.ts'

export type BoxPlace = { readonly key: BoxKey; readonly associatedData: Uint8Array }

export function sealBox(plaintext: Uint8Array, place: BoxPlace, random: RandomBytes): Uint8Array {
  const work = concat(random(NONCE_BYTES), place.associatedData, plaintext)
  const box = new Uint8Array(NONCE_BYTES + plaintext.length + TAG_BYTES)
  sealHedged(box, work, NONCE_BYTES + place.associatedData.length, place.key.bytes)
  work.fill(0)
  return box
}

/** Throws `tampered`. */
export function openBox(box: Uint8Array, place: BoxPlace): Uint8Array {
  const plaintext = new Uint8Array(Math.max(0, box.length - NONCE_BYTES - TAG_BYTES))
  const size = openHedged(plaintext, box, place.associatedData, place.key.bytes)
  if (size === undefined) throw tampered()
  return plaintext
}
