/**
 * Failure: which failures pass by themselves, and which only the person can end.
 */
import { ProtocolError } from '@blindcopy/protocol'
import { ClientError, codeOf } from '../error.ts'

/** Worth another attempt: the network, the remote's state, an answer damaged on the way. */
const PASSING: ReadonlySet<string> = new Set([
  'network',
  'not-a-remote',
  'integrity',
  'malformed',
  'busy',
  'too-many-requests',
  'storage-full',
  'internal',
  'challenge-failed',
  'session-required',
])

export const isPassing = (error: unknown): boolean => PASSING.has(codeOf(error) ?? '')

export function retryAfterOf(error: unknown): number | undefined {
  if (!(error instanceof ProtocolError)) return undefined
  const { retryAfterMs } = error.details
  return typeof retryAfterMs === 'number' && retryAfterMs >= 0 ? retryAfterMs : undefined
}

/** What the person reads: the sentence of the error, and what it means for their data. */
export function describeFailure(error: unknown): { code: string; message: string } {
  const code = codeOf(error)
  const text = error instanceof Error ? error.message : String(error)
  if (code === undefined) return { code: 'internal', message: text }
  return { code, message: REMEDIES[code] ?? text }
}

const REMEDIES: Readonly<Record<string, string>> = {
  'sync-id-mismatch':
    'the remote was reset, restored or replaced since this device last synced; nothing here was changed and local writes go on, but sync has stopped',
  'unknown-vault':
    'the remote no longer has this vault; nothing here was changed and local writes go on, but sync has stopped',
  'registration-required':
    'the remote takes a new vault only with its registration token: ask whoever runs it, then give it with the next sync',
  'registration-closed':
    'the remote takes no new vaults: ask whoever runs it to open registration, or use another remote',
  'not-a-member': 'this device is no longer a member of the vault; sync has stopped',
  'keychain-forked':
    'the remote shows another list of devices than this device has seen; sync has stopped and nothing was taken from it',
}

/** Sync was asked for, and cannot go on until the person acts. */
export function stoppedError(
  problem: { code: string; message: string },
  cause: unknown,
): ClientError {
  return new ClientError('sync-stopped', `sync has stopped (${problem.code}): ${problem.message}`, {
    cause,
    details: { problem: problem.code },
  })
}
