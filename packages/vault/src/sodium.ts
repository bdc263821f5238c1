/**
 * The one door to libsodium. Everything above it is synchronous, because readiness is awaited here.
 *
 * The wrappers take strings where bytes are meant and throw plain errors: these functions take
 * bytes only, and give `undefined` where a tag or a key does not fit, which their callers turn into
 * the error that is theirs. What every record passes through stands in raw-sodium.ts.
 *
 * Sources: doc.libsodium.org, pages "Key derivation" and "Public-key signatures"; X-Wing:
 * draft-connolly-cfrg-xwing-kem.
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

/**
 * The compiled library under the wrappers, which their types do not show; raw-sodium.ts says why.
 */
export const compiledSodium: unknown = (sodium as unknown as { libsodium: unknown }).libsodium

export type SubkeyPlace = { readonly context: string; readonly number: number }

export function deriveSubkey(key: Uint8Array, place: SubkeyPlace, size: number): Uint8Array {
  return sodium.crypto_kdf_derive_from_key(size, place.number, place.context, key)
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

/**
 * Plain Ed25519 of libsodium, for the rules of the protocol package, which put a strict test first.
 */
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
