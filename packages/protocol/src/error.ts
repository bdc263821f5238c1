/**
 * The codes of everything that can be refused on the wire or while reading bytes, and the one error
 * of this package.
 *
 * A code is forever: people search for it, clients branch on it. Each stands in docs/protocol.md
 * with its cause and what to do about it (kept true by test/tidy.test.ts).
 */

export type ProtocolErrorCode =
  // Bytes, text and messages
  | 'malformed'
  | 'too-large'
  | 'unsupported-version'
  | 'unsupported-protocol'
  | 'not-carried'
  // Clock
  | 'clock-drift'
  | 'clock-exhausted'
  // Keychain
  | 'keychain-invalid'
  | 'keychain-forked'
  | 'keychain-race'
  | 'keychain-unsupported'
  // Login and registration
  | 'session-required'
  | 'challenge-failed'
  | 'not-a-member'
  | 'unknown-vault'
  | 'origin-refused'
  | 'registration-required'
  | 'registration-closed'
  // Data requests
  | 'sync-id-mismatch'
  | 'epoch-old'
  | 'epoch-unknown'
  | 'wrong-author'
  | 'checkpoint-refused'
  | 'checkpoint-old'
  // Pairing
  | 'mailbox-unknown'
  | 'mailbox-taken'
  | 'not-found'
  | 'too-many-requests'
  | 'busy'
  | 'storage-full'
  | 'quota-exceeded'
  | 'internal'

/** Broken or hostile input, or a refusal by the other end. `details` never holds a secret. */
export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: ProtocolErrorCode,
    message: string,
    options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ProtocolError'
    this.code = code
    this.details = options.details ?? {}
  }
}

/** States what must be true here; a failure is our own bug, never the other end's. */
export function assert(condition: unknown, sentence: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${sentence}`)
}

/** Ends an exhaustive switch: the compiler refuses a case that was forgotten. */
export function unreachable(value: never): never {
  throw new Error(`assertion failed: unreachable case ${String(value)}`)
}
