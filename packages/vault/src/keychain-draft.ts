/**
 * Keychain draft: entries being written at the end of a chain, each signed and put through the
 * rules at once, so that what comes out is a chain that both ends take.
 */
import {
  appendEntries,
  checkSettled,
  encodeKeychainBody,
  encodeKeychainEntry,
  HASH_NONE,
  type Hash,
  type Keychain,
  type KeychainPayload,
  type KeychainPlace,
  keychainHead,
  keychainSignedBytes,
  type VaultId,
  validateKeychain,
} from '@blindcopy/protocol'
import type { Signer } from './member-keys.ts'
import type { Root } from './root.ts'
import { verifySignature } from './sodium.ts'

export class KeychainDraft {
  readonly #signer: Signer
  readonly #nowMs: number
  readonly #entries: Uint8Array[] = []
  #keychain: Keychain

  constructor(parts: {
    readonly keychain: Keychain
    readonly signer: Signer
    readonly nowMs: number
  }) {
    this.#keychain = parts.keychain
    this.#signer = parts.signer
    this.#nowMs = parts.nowMs
  }

  /** With what was appended so far. */
  get keychain(): Keychain {
    return this.#keychain
  }

  /** Throws `keychain-invalid`. */
  append(payload: KeychainPayload): void {
    const place = {
      index: this.#keychain.hashes.length,
      previous: keychainHead(this.#keychain),
      signer: this.#signer.memberId,
      timeMs: this.#nowMs,
    }
    const entry = signEntry(this.#keychain.vaultId, { place, payload, signer: this.#signer })
    this.#keychain = appendEntries(this.#keychain, [entry], verifySignature)
    this.#entries.push(entry)
  }

  /** What was appended, and the chain with it. Throws `keychain-invalid` for a missing epoch. */
  finish(): { readonly entries: readonly Uint8Array[]; readonly keychain: Keychain } {
    return { entries: this.#entries, keychain: checkSettled(this.#keychain) }
  }
}

/** A draft that begins with the genesis of the root's vault. */
export function foundDraft(
  root: Root,
  { idKeyCommitment, nowMs }: { readonly idKeyCommitment: Hash; readonly nowMs: number },
): KeychainDraft {
  const { vaultId, signingKey, kemKey, memberId } = root
  const place = { index: 0, previous: HASH_NONE, signer: memberId, timeMs: nowMs }
  const payload: KeychainPayload = {
    type: 'genesis',
    rootSigningKey: signingKey,
    rootKemKey: kemKey,
    idKeyCommitment,
  }
  const genesis = signEntry(vaultId, { place, payload, signer: root })
  const keychain = validateKeychain(vaultId, [genesis], verifySignature)
  return new KeychainDraft({ keychain, signer: root, nowMs })
}

function signEntry(
  vaultId: VaultId,
  { place, payload, signer }: { place: KeychainPlace; payload: KeychainPayload; signer: Signer },
): Uint8Array {
  // Copies: cbor-x gives views onto a buffer that it goes on filling.
  const body = encodeKeychainBody(place, payload).slice()
  const signature = signer.sign(keychainSignedBytes(vaultId, body))
  return encodeKeychainEntry(body, signature).slice()
}
