/**
 * Secret: bytes that never print themselves, and whose kind is part of their type.
 *
 * Most keys here have 32 bytes; a branded name is what keeps an IdKey from sealing a record. The
 * bytes stand in a private field, so no inspector, JSON, template literal, error report or
 * structured clone can reach them. `wipe` clears them as far as JavaScript allows: the engine may
 * have moved copies before, and libsodium's heap keeps freed ones until they are overwritten.
 */
import { assert } from '@blindcopy/protocol'

export class Secret<Name extends string> {
  readonly name: Name
  readonly #bytes: Uint8Array
  #isWiped = false

  /** Takes the bytes over: the caller keeps no reference to them. */
  constructor(name: Name, bytes: Uint8Array) {
    this.name = name
    this.#bytes = bytes
  }

  /** For the call at hand only: never kept, never changed. */
  get bytes(): Uint8Array {
    assert(!this.#isWiped, 'a secret is not used after it was wiped')
    return this.#bytes
  }

  copy(): Secret<Name> {
    return new Secret(this.name, this.bytes.slice())
  }

  wipe(): void {
    this.#bytes.fill(0)
    this.#isWiped = true
  }

  toString(): string {
    return `[secret ${this.name}]`
  }

  toJSON(): string {
    return this.toString()
  }
}

// The name under which Node's util.inspect, and so console.log, asks an object for its text. Set
// here, for a computed name in the class has no type that can be declared.
Object.defineProperty(Secret.prototype, Symbol.for('nodejs.util.inspect.custom'), {
  value(this: Secret<string>): string {
    return this.toString()
  },
})

/** What the 24 words spell; everything of the root is derived from it. */
export type RootSecret = Secret<'RootSecret'>
export type SigningSeed = Secret<'SigningSeed'>
export type KemSeed = Secret<'KemSeed'>
/** Ed25519 in libsodium's form: the seed, then the public key. 64 bytes. */
export type SigningSecretKey = Secret<'SigningSecretKey'>
/** X-Wing: the 32-byte seed that decapsulation expands. */
export type KemSecretKey = Secret<'KemSecretKey'>
export type SharedSecret = Secret<'SharedSecret'>
export type EpochKey = Secret<'EpochKey'>
export type IdKey = Secret<'IdKey'>
export type SealingKey = Secret<'SealingKey'>
export type CollectionTagKey = Secret<'CollectionTagKey'>
/** What a key file or a set of shares holds; everything of that recovery key is derived from it. */
export type RecoverySeed = Secret<'RecoverySeed'>
export type VaultProofKey = Secret<'VaultProofKey'>
/** What a key store keeps, or makes again, to open a key file with. */
export type StoreSecret = Secret<'StoreSecret'>
/** Of such a secret and the salt of a file, with a stretched passphrase where it has one. */
export type StoreKey = Secret<'StoreKey'>
/** What Argon2id makes of a passphrase. */
export type PassphraseKey = Secret<'PassphraseKey'>
/** What both devices make of a pairing code or of pairing words. */
export type PairingSecret = Secret<'PairingSecret'>
/** The key of one small sealed thing: a wrap, an older epoch's key, a name, a key file. */
export type BoxKey = Secret<'BoxKey'>
export type CommitmentKey = Secret<'CommitmentKey'>
/** Of the sums in checkpoints. */
export type FingerprintKey = Secret<'FingerprintKey'>

export const SECRET_BYTES = 32
