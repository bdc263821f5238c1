/**
 * The one error of this package. The codes are documented, with their remedies, in
 * docs/protocol.md.
 */

export type StoreErrorCode =
  /** Another process, or another tab, holds the folder. */
  | 'store-in-use'
  /** The disk refuses writes: permissions, or a read-only file system. */
  | 'store-read-only'
  /** No space is left, or a file size limit was reached. Nothing of the batch was applied. */
  | 'store-full'
  /** What stands on the disk is not what was written. */
  | 'store-corrupt'
  /** Used after it was closed. */
  | 'store-closed'
  /** Any other failure of the store; the cause says which. */
  | 'store-failed'

export class StoreError extends Error {
  readonly code: StoreErrorCode

  constructor(code: StoreErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
  }
}
