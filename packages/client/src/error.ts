/**
 * The one error of this package, and the doors where errors of the layers below become ones a
 * person can act on. Every code stands in docs/protocol.md with its remedy.
 */

export type ClientErrorCode =
  /** The folder holds no vault, or holds other files. */
  | 'not-a-vault'
  /** The folder already holds a vault. */
  | 'vault-exists'
  /** Another process has the vault open. */
  | 'vault-in-use'
  /** The vault's own files do not fit together. */
  | 'vault-damaged'
  | 'invalid-argument'
  /** A collection name that is kept for the system. */
  | 'reserved-name'
  /** The app's schema refused a value. */
  | 'schema-refused'
  /** The record was written by a later version of the app. */
  | 'schema-newer'
  | 'not-found'
  | 'already-exists'
  /** What a transaction read was changed again and again while it ran. */
  | 'transaction-conflict'
  | 'transaction-too-large'
  | 'closed'
  /** The vault is open, and locked: its keys are not in memory. */
  | 'locked'
  /** The key store could not be used, or was refused. */
  | 'key-store-failed'
  /** The key store no longer has the secret that the keys of this device are closed with. */
  | 'key-store-empty'
  /** The remote could not be reached. */
  | 'network'
  /** Something answered, and it is not a Blindcopy remote. */
  | 'not-a-remote'
  /** The phrase is well formed, and the remote holds no vault of it. */
  | 'wrong-phrase'
  /** The bundle, or the device at the other end, is of another vault. */
  | 'wrong-vault'
  /** The bundle is cut, or not what was written. */
  | 'bundle-damaged'
  /** A part of the backup is not what was written. */
  | 'backup-damaged'
  /** The backup ends before its end. */
  | 'backup-cut'
  /** The text is no emergency kit, or one that was changed. */
  | 'kit-damaged'
  /** Sync has stopped until the person acts; `problem` says why. */
  | 'sync-stopped'
  /** The remote refused a write that was awaited; it needs attention. */
  | 'write-refused'
  /** What the remote served contradicts itself or what this device knows. Nothing was changed. */
  | 'integrity'
  /** The keychain has taken this device out: it reads on, and writes nothing. */
  | 'device-revoked'
  /** What was asked for would leave the vault without a way in. */
  | 'last-way-in'
  /** The remote has no vault with this recovery key. */
  | 'key-unknown'
  /** The key opens a vault, and was revoked since it was made. */
  | 'key-revoked'
  /** The keychain of the remote or of a backup does not have what the key was made with. */
  | 'keychain-outdated'
  | 'unsupported-platform'
  // Pairing
  /** No invitation of the code waits any more, or never did. */
  | 'pairing-expired'
  /** One of the two people has said no. */
  | 'pairing-denied'
  /** Two devices have answered one invitation. */
  | 'pairing-contested'
  /** What came from the other end or from the remote is not what was agreed on. */
  | 'pairing-failed'
  /** Another device has signed another history than the remote shows here. */
  | 'history-forked'
  /** Another device has signed another set of records at the same place of the history. */
  | 'history-differs'

export class ClientError extends Error {
  readonly code: ClientErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: ClientErrorCode,
    message: string,
    options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ClientError'
    this.code = code
    this.details = options.details ?? {}
  }
}

/** The stable code of an error of any of our packages, or undefined for a stranger's. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
