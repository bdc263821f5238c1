/**
 * What can go wrong between two devices that pair, each with what to do about it. None of these
 * sentences holds anything of a code, of words or of keys.
 */
import { ClientError } from '../../error.ts'

export function pairingExpired(cause?: unknown): ClientError {
  return new ClientError(
    'pairing-expired',
    'no invitation of this code waits at the remote: it has expired, was used or taken back, or the code or the address is another; let the other device invite again',
    { cause },
  )
}

export function pairingContested(cause?: unknown): ClientError {
  return new ClientError(
    'pairing-contested',
    'two devices have answered this invitation, so it is worth nothing: somebody else may have seen the code. Invite again, where nobody looks on',
    { cause },
  )
}

export function pairingDenied(why: string): ClientError {
  return new ClientError('pairing-denied', why)
}

export function pairingFailed(why: string, cause?: unknown): ClientError {
  return new ClientError('pairing-failed', `${why}: nothing was joined; invite again`, { cause })
}
