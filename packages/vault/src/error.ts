/**
 * The codes of everything this package refuses, and its one error.
 *
 * A code is forever: people search for it, clients branch on it. No message, cause or field of
 * these errors holds a key, a word of a phrase, a passphrase or plaintext; whatever fails while an
 * envelope is opened has one code and one text, so that nobody learns from the error what was wrong
 * with it.
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
  /** The keys at hand do not open what the keychain commits to. */
  | 'key-mismatch'
  | 'record-too-large'
  /** Argon2id parameters below the floor or above the ceiling that are compiled in. */
  | 'parameters-refused'

export class VaultError extends Error {
  readonly code: VaultErrorCode

  constructor(code: VaultErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'VaultError'
    this.code = code
  }
}

/** The only way this package reports something that was sealed and does not open. */
export function tampered(): VaultError {
  return new VaultError('tampered', 'it does not open: it was changed, or sealed with other keys')
}
