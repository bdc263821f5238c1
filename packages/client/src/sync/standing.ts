/**
 * Standing: what this device's place in the vault lets it do (design 14). One that the keychain has
 * taken out stops by name; one whose newest keys a member has spoiled goes on taking what comes,
 * and sends nothing until another device has rotated them.
 */
import { ClientError, codeOf } from '../error.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import { type Failure, remedyOf } from './failure.ts'
import type { SyncIdentity } from './identity.ts'

export type Trouble = ReturnType<NonNullable<SyncIdentity['membershipTrouble']>>

/** Whether what waits may be sealed under an epoch that this device knows to be over. */
export function isSealedOld({ state }: LocalSecondary, identity: SyncIdentity): boolean {
  const { pendingCount, resealedFor } = state.outbox
  return pendingCount > 0 && resealedFor < identity.newestEpoch()
}

export function revokedError(cause?: unknown): ClientError {
  return new ClientError('device-revoked', 'this device was removed from the vault', { cause })
}

/** What the remote refuses a device for that knows the reason. */
export function standingError(error: unknown, trouble: Trouble): unknown {
  const isOut = trouble === 'device-revoked' && codeOf(error) === 'not-a-member'
  return isOut ? revokedError(error) : error
}

const LACKS_KEYS =
  'the newest keys of the vault do not open on this device: it takes what comes, and sends nothing'

/** Sync goes on; null for nothing. */
export function standingFailure(trouble: Trouble): Failure | null {
  if (trouble !== 'key-mismatch') return null
  return { code: trouble, message: LACKS_KEYS, remedy: remedyOf(trouble) }
}
