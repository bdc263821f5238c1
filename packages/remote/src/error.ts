/**
 * The one error of the administration of a remote: what whoever runs it asked for cannot be done.
 * What devices are told is a `ProtocolError`. The codes are documented, with their remedies, in
 * docs/protocol.md.
 */

export type AdminErrorCode =
  /** No vault of this remote has an id that begins so. */
  | 'no-such-vault'
  /** Several vaults have an id that begins so. */
  | 'vault-ambiguous'
  /** The vault of a backup is here, with a history that the backup does not go on from. */
  | 'vault-there'
  /** A part of a backup is not what was written, or a vault in it cannot be restored. */
  | 'backup-damaged'
  /** A backup ends before its end. */
  | 'backup-cut'
  /** What is damaged cannot be put right from what is left. */
  | 'unmendable'
  /** The socket of the administration cannot be made: its path, or its folder. */
  | 'admin-socket-refused'
  /** Another process answers on the socket of the administration. */
  | 'admin-socket-in-use'

export class AdminError extends Error {
  readonly code: AdminErrorCode

  constructor(code: AdminErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'AdminError'
    this.code = code
  }
}
