/**
 * The one door to libsodium. Everything above it is synchronous, because readiness is awaited here.
 *
 * The wrappers take strings where bytes are meant and throw plain errors: these functions take bytes
 * only, and give `undefined` where a tag or a key does not fit, which their callers turn into the
 * error that is theirs. A funnel on the raw module with scratch of its own was measured at 17 %
 * faster, too little for the pointers it needs.
 *
 * Sources: doc.libsodium.org, pages "XChaCha20-Poly1305 construction", "Generic hashing",
 * "Key derivation", "Public-key signatures"; X-Wing: draft-connolly-cfrg-xwing-kem.
 */
import {
  type KemPublicKey,
  SIGNATURE_BYTES,
  SIGNING_PUBLIC_KEY_BYTES,
  type Signature,
  type SigningPublicKey,
  type VerifySignature,
} from '@blindcopy/protocol'
import sodium from 'libsodium-wrappers'

await sodium.ready

/** BLAKE2b (RFC 7693) of 16 to 64 bytes, keyed with 16 to 64 bytes or not at all. */
export function blake2b(size: number, message: Uint8Array, key: Uint8Array | null): Uint8Array {
  return sodium.crypto_generichash(size, message, key)
}

export type SubkeyPlace = { readonly context: string; readonly number: number }

export function deriveSubkey(key: Uint8Array, place: SubkeyPlace, size: number): Uint8Array {
  return sodium.crypto_kdf_derive_from_key(size, place.number, place.context, key)
}

export type AeadPlace = {
  readonly key: Uint8Array
  readonly nonce: Uint8Array
  readonly associatedData: Uint8Array
}

/** Ciphertext, then a 16-byte tag. */
export function aeadSeal(plaintext: Uint8Array, place: AeadPlace): Uint8Array {
  return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
    plaintext,
    place.associatedData,
    null,
    place.nonce,
    place.key,
  )
}

/** Undefined when the tag does not fit. */
export function aeadOpen(ciphertext: Uint8Array, place: AeadPlace): Uint8Array | undefined {
  try {
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
      null,
      ciphertext,
      place.associatedData,
      place.nonce,
      place.key,
    )
  } catch {
    return undefined
  }
}

export type SigningPair = {
  readonly publicKey: SigningPublicKey
  readonly secretKey: Uint8Array
}

export function signingPairOf(seed: Uint8Array): SigningPair {
  const { publicKey, privateKey } = sodium.crypto_sign_seed_keypair(seed)
  return { publicKey: publicKey as SigningPublicKey, secretKey: privateKey }
}

export function sign(message: Uint8Array, secretKey: Uint8Array): Signature {
  return sodium.crypto_sign_detached(message, secretKey) as Signature
}

/** Plain Ed25519 of libsodium, for the rules of the protocol package, which put a strict test first. */
export const verifySignature: VerifySignature = (message, signature, publicKey) => {
  if (signature.length !== SIGNATURE_BYTES) return false
  if (publicKey.length !== SIGNING_PUBLIC_KEY_BYTES) return false
  return sodium.crypto_sign_verify_detached(signature, message, publicKey)
}

export const KEM_CIPHERTEXT_BYTES = 1120
/** What one encapsulation draws: 32 bytes for ML-KEM-768 and 32 for X25519. */
export const KEM_RANDOM_BYTES = 64

export type KemPair = { readonly publicKey: KemPublicKey; readonly secretKey: Uint8Array }

export function kemPairOf(seed: Uint8Array): KemPair {
  const { publicKey, privateKey } = sodium.crypto_kem_xwing_seed_keypair(seed)
  return { publicKey: publicKey as KemPublicKey, secretKey: privateKey }
}

export type Encapsulation = { readonly ciphertext: Uint8Array; readonly sharedSecret: Uint8Array }

/** Undefined when the public key is not one. The randomness is ours, so that tests can fix it. */
export function encapsulate(
  publicKey: KemPublicKey,
  randomness: Uint8Array,
): Encapsulation | undefined {
  try {
    return sodium.crypto_kem_xwing_enc_deterministic(publicKey, randomness)
  } catch {
    return undefined
  }
}

/** A wrong ciphertext mostly gives another secret (implicit rejection), and sometimes nothing. */
export function decapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array | undefined {
  try {
    return sodium.crypto_kem_xwing_dec(ciphertext, secretKey)
  } catch {
    return undefined
  }
}
