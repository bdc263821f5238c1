/**
 * The codes of everything this package refuses, and its one error.
 *
 * A code is forever: people search for it, clients branch on it. No message, cause or field of
 * these errors holds a key, a passphrase, plaintext, or a word of a phrase or share, but what a
 * wrong one may have been; whatever fails while an envelope is opened has one code and one text, so
 * that nobody learns from the error what was wrong with it.
 */

export type VaultErrorCode =
  /** A tag, a record id or the inner content does not fit. Trying again cannot help. */
  | 'tampered'
  /** Not 24 words, or a word that is not listed. */
  | 'phrase-malformed'
  /** All words are listed, but they are not a phrase together: one is wrong or out of place. */
  | 'phrase-checksum'
  | 'passphrase-wrong'
  | 'passphrase-required'
  | 'key-file-damaged'
  /** The key file is closed with a key store that was not given. */
  | 'key-store-required'
  /** The key store gave another secret than the one the key file is closed with. */
  | 'key-store-wrong'
  /** The keys at hand do not open what the keychain commits to. */
  | 'key-mismatch'
  | 'record-too-large'
  /** Argon2id parameters below the floor or above the ceiling that are compiled in. */
  | 'parameters-refused'
  /** Argon2id asks for more memory than this device gives. */
  | 'memory-refused'
  /** No pairing code, or not six words of the list. */
  | 'pairing-code-malformed'
  // Recovery: key files and shares
  | 'passphrase-weak'
  | 'recovery-file-damaged'
  /** It is whole, and is something else than what was asked for; the details say what. */
  | 'recovery-kind-wrong'
  /** A key file or share of a later version of this program. */
  | 'recovery-newer'
  /** Not 2 ≤ threshold ≤ count ≤ 16. */
  | 'share-count-refused'
  /** Not the words of a share. */
  | 'share-malformed'
  /** All words are listed, but they are not a share together. */
  | 'share-checksum'
  /** Of different sets, or one that does not fit the others. */
  | 'shares-mixed'
  /** One number, two contents. */
  | 'shares-conflict'
  | 'shares-too-few'

/**
 * `details` are for programs that help to type: the places of words, and what may have stood there.
 */
export class VaultError extends Error {
  readonly code: VaultErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: VaultErrorCode,
    message: string,
    options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'VaultError'
    this.code = code
    this.details = options.details ?? {}
  }
}

/** The only way this package reports something that was sealed and does not open. */
export function tampered(): VaultError {
  return new VaultError('tampered', 'it does not open: it was changed, or sealed with other keys')
}
