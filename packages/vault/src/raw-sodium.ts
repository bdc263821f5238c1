/**
 * BLAKE2b and XChaCha20-Poly1305 on libsodium's own memory: what every record passes through.
 *
 * The wrappers allocate for each argument, there and here, and leave plaintext and keys behind in
 * freed memory. One scratch, reused and wiped after each call, made sealing and opening a note
 * about a third faster. Its rules: nothing outside this file sees its address or a view onto it, no
 * call begins before the last one has ended, and it is all zeros between calls.
 *
 *   seal   key (32) ‖ seed ‖ associated data ‖ plaintext ‖ nonce ‖ ciphertext and tag
 *   open   key (32) ‖ associated data ‖ nonce ‖ ciphertext and tag, the plaintext in its place
 *   hash   key (up to 64) ‖ hash (up to 64) ‖ message
 *
 * Sources: doc.libsodium.org, "XChaCha20-Poly1305 construction" and "Generic hashing"; RFC 7693.
 */
import { assert, NONCE_BYTES, TAG_BYTES } from '@blindcopy/protocol'
import { compiledSodium } from './sodium.ts'

/** C signatures, with addresses as numbers; 64-bit lengths come as two halves of 32 bits. */
type Compiled = {
  /** Another view whenever the memory has grown. */
  readonly HEAPU8: Uint8Array
  _malloc(size: number): number
  _free(address: number): void
  _crypto_generichash(
    out: number,
    outSize: number,
    message: number,
    messageSize: number,
    messageSizeHigh: number,
    key: number,
    keySize: number,
  ): number
  _crypto_aead_xchacha20poly1305_ietf_encrypt(...args: readonly (number | null)[]): number
  _crypto_aead_xchacha20poly1305_ietf_decrypt(...args: readonly (number | null)[]): number
}

const compiled = compiledSodium as Compiled
const KEY_BYTES = 32
const HASH_ROOM_BYTES = 64
/** Enough for a note; a greater need makes it grow for good, to at most some 3 MiB. */
const SCRATCH_BYTES_MIN = 16 * 1024

let scratch = 0
let scratchBytes = 0

function reserve(size: number): number {
  if (size > scratchBytes) {
    const larger = Math.max(SCRATCH_BYTES_MIN, 2 ** Math.ceil(Math.log2(size)))
    const address = compiled._malloc(larger)
    assert(address !== 0, 'libsodium has memory for its scratch')
    // Zeros, as between all calls: nothing is left behind in what is given back.
    if (scratch !== 0) compiled._free(scratch)
    scratch = address
    scratchBytes = larger
  }
  return scratch
}

/** 16 to 64 bytes, keyed with 16 to 64 bytes or not at all. */
export function blake2b(size: number, message: Uint8Array, key: Uint8Array | null): Uint8Array {
  const start = reserve(2 * HASH_ROOM_BYTES + message.length)
  const heap = compiled.HEAPU8
  const out = start + HASH_ROOM_BYTES
  const text = out + HASH_ROOM_BYTES
  if (key !== null) heap.set(key, start)
  heap.set(message, text)
  const keyAddress = key === null ? 0 : start
  const keySize = key === null ? 0 : key.length
  const failed = compiled._crypto_generichash(
    out,
    size,
    text,
    message.length,
    0,
    keyAddress,
    keySize,
  )
  const hash = heap.slice(out, out + size)
  heap.fill(0, start, text + message.length)
  assert(failed === 0, 'sizes of a hash are within its bounds')
  return hash
}

/**
 * Seals the end of `work`, which is 24 random bytes, the associated data, and from
 * `plaintextOffset` the plaintext, and writes nonce, ciphertext and tag to the end of `target`. The
 * nonce is BLAKE2b-192 over all of `work` (box.ts says why).
 */
export function sealHedged(
  target: Uint8Array,
  work: Uint8Array,
  plaintextOffset: number,
  key: Uint8Array,
): void {
  assert(key.length === KEY_BYTES, 'a sealing key has 32 bytes')
  const sealedBytes = NONCE_BYTES + work.length - plaintextOffset + TAG_BYTES
  const start = reserve(KEY_BYTES + work.length + sealedBytes)
  const heap = compiled.HEAPU8
  const seed = start + KEY_BYTES
  const nonce = seed + work.length
  heap.set(key, start)
  heap.set(work, seed)
  const unhashed = compiled._crypto_generichash(nonce, NONCE_BYTES, seed, work.length, 0, 0, 0)
  const unsealed = compiled._crypto_aead_xchacha20poly1305_ietf_encrypt(
    nonce + NONCE_BYTES,
    null,
    seed + plaintextOffset,
    work.length - plaintextOffset,
    0,
    seed + NONCE_BYTES,
    plaintextOffset - NONCE_BYTES,
    0,
    null,
    nonce,
    start,
  )
  target.set(heap.subarray(nonce, nonce + sealedBytes), target.length - sealedBytes)
  heap.fill(0, start, nonce + sealedBytes)
  assert(unhashed === 0 && unsealed === 0, 'sealing does not fail')
}

/**
 * The inverse: `sealed` is nonce, ciphertext and tag. Fills the start of `target`, and returns the
 * size of the plaintext, or undefined when the tag does not fit.
 */
export function openHedged(
  target: Uint8Array,
  sealed: Uint8Array,
  associatedData: Uint8Array,
  key: Uint8Array,
): number | undefined {
  assert(key.length === KEY_BYTES, 'a sealing key has 32 bytes')
  const plaintextBytes = sealed.length - NONCE_BYTES - TAG_BYTES
  if (plaintextBytes < 0) return undefined
  const start = reserve(KEY_BYTES + associatedData.length + sealed.length)
  const heap = compiled.HEAPU8
  const associated = start + KEY_BYTES
  const nonce = associated + associatedData.length
  const text = nonce + NONCE_BYTES
  heap.set(key, start)
  heap.set(associatedData, associated)
  heap.set(sealed, nonce)
  const failed = compiled._crypto_aead_xchacha20poly1305_ietf_decrypt(
    text,
    null,
    null,
    text,
    plaintextBytes + TAG_BYTES,
    0,
    associated,
    associatedData.length,
    0,
    nonce,
    start,
  )
  if (failed === 0) target.set(heap.subarray(text, text + plaintextBytes), 0)
  heap.fill(0, start, nonce + sealed.length)
  return failed === 0 ? plaintextBytes : undefined
}
