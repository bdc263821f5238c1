/**
 * The one error of the command line itself: what was asked for makes no sense, or cannot be done
 * here. What is below has errors of its own; failure.ts says what each code means for the person.
 */

export type CliErrorCode =
  /** An unknown command or option, a missing or senseless argument. */
  | 'usage'
  /** A record that was given as text is not JSON, or not JSON of a record. */
  | 'invalid-json'
  /** A file to import has a line that is no record; nothing of the file was written. */
  | 'invalid-line'
  /** A file or folder to import is not there, or cannot be read. */
  | 'unreadable'
  /** A file is there already, and would be written over. */
  | 'file-exists'
  /** A file cannot be written. */
  | 'unwritable'
  /** A setting of a remote is wrong; the sentence says where it stands and what is allowed. */
  | 'setting-refused'
  /** The port is taken. */
  | 'address-in-use'
  /** The host or the port is not this program's to listen on. */
  | 'address-refused'
  /** The remote refused some transactions; they are kept. */
  | 'needs-attention'
  /** Devices of the vault have signed what contradicts each other. */
  | 'unsound'
  /** What a remote holds, or a backup of one, does not fit together. */
  | 'remote-unsound'
  /** The server of a remote ended while it was asked. */
  | 'remote-gone'
  /** The person stopped the program. */
  | 'interrupted'

export class CliError extends Error {
  readonly code: CliErrorCode

  constructor(code: CliErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'CliError'
    this.code = code
  }
}

/** What a person is told who gave a token: that one is asked for would not say that it is wrong. */
export const TOKEN_REFUSED =
  'the remote does not take this registration token: it is misspelt, or of another remote'

/** Sync has stopped or failed, told by the code of what ended it. */
export class SyncFailure extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'SyncFailure'
    this.code = code
  }
}
