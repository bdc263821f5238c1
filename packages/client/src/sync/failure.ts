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
  'sync-id-mismatch',
])

export const isPassing = (error: unknown): boolean => PASSING.has(codeOf(error) ?? '')

/** What a person may end on any device of the vault: whoever stays on looks again. */
const ENDED_ANYWHERE: ReadonlySet<string> = new Set([
  'keychain-forked',
  'registration-required',
  'registration-closed',
])

export const mayEndElsewhere = (error: unknown): boolean => ENDED_ANYWHERE.has(codeOf(error) ?? '')

/** A header of HTTP says it, or the refusal itself, which is all that a live socket has. */
export function retryAfterOf(error: unknown): number | undefined {
  if (!(error instanceof ProtocolError)) return undefined
  const { retryAfterMs, retryAfterSeconds } = error.details
  const fromRefusal = typeof retryAfterSeconds === 'number' ? retryAfterSeconds * 1_000 : undefined
  const askedMs = retryAfterMs ?? fromRefusal
  return typeof askedMs === 'number' && askedMs >= 0 ? askedMs : undefined
}

/** What the person reads: what happened, and what they can do about it. */
export type Failure = { readonly code: string; readonly message: string; readonly remedy: string }

export function describeFailure(error: unknown): Failure {
  const code = codeOf(error) ?? 'internal'
  const text = error instanceof Error ? error.message : String(error)
  if (isSignedFork(error)) return { code, message: text, remedy: SIGNED_FORK }
  return { code, message: MESSAGES[code] ?? text, remedy: remedyOf(code) }
}

/** A device has signed the other list, and no remote shows one that could be joined. */
const isSignedFork = (error: unknown): boolean =>
  error instanceof ProtocolError &&
  error.code === 'keychain-forked' &&
  typeof error.details.deviceId === 'string'

const SIGNED_FORK =
  'ask whoever uses that device; if nobody you trust does, remove it (blindcopy devices revoke), and sync goes on; else end the fork with the recovery phrase there (blindcopy keys end-fork)'

export const remedyOf = (code: string): string =>
  REMEDIES[code] ?? (PASSING.has(code) ? WAIT : 'start sync again; if it stays, report it')

const WAIT = 'nothing: it is tried again by itself'

const MESSAGES: Readonly<Record<string, string>> = {
  'registration-required':
    'the remote does not have this vault, and takes a new one only with its registration token',
  'registration-closed': 'the remote does not have this vault, and takes no new ones',
  'not-a-member': 'this device is no longer a member of the vault; sync has stopped',
  'device-revoked': 'this device was removed from the vault; sync has stopped',
  'keychain-forked':
    'the remote shows another list of devices than this device has seen; sync has stopped and nothing was taken from it',
}

const REMEDIES: Readonly<Record<string, string>> = {
  'registration-required':
    'ask whoever runs the remote for its registration token, and give it: sync then goes on by itself',
  'registration-closed': 'ask whoever runs the remote to open registration, or use another remote',
  'not-a-member':
    'on another device of the vault, see whether this one was removed; what it holds stays readable here',
  'keychain-forked':
    'compare the list of devices with another device (blindcopy devices); then end the fork with the recovery phrase (blindcopy keys end-fork)',
  'device-revoked':
    'nothing can be done on this device: what it holds stays readable here; to use the vault again, add it as a new device in a new folder',
  'key-mismatch': 'rotate the keys on another device (blindcopy keys rotate), then sync here again',
  'history-forked':
    'run "blindcopy verify" here and on the other device and see who is told something else; if you trust the remote again, "blindcopy sync --reconcile" lets this device go on, and drops nothing',
  'history-differs':
    'run "blindcopy verify" here and on the other device; "blindcopy sync --reconcile" lets this device compare all it holds with the remote and go on, and drops nothing',
  network: 'see whether this device is online and the remote runs; it is tried again by itself',
  'not-a-remote': 'check the address of the remote, and whether the network asks for a login',
  'storage-full':
    'ask whoever runs the remote for room; nothing here is lost, and it is tried again',
  'quota-exceeded':
    'delete what is not needed, or ask whoever runs the remote for more room; then send it again',
  'unsupported-protocol': 'update this app, or the remote',
  integrity:
    'nothing here was changed; if it stays, ask whoever runs the remote to check its storage',
  'clock-wrong': 'set the clock of this device, or accept the time of the remote',
  'vault-damaged': 'make a copy of the folder, then restore the vault into a new one',
  'one-way': 'sync both ways once',
}

/** Sync was asked for, and cannot go on until the person acts. */
export function stoppedError(problem: Failure, cause: unknown): ClientError {
  const { code, message, remedy } = problem
  return new ClientError('sync-stopped', `sync has stopped (${code}): ${message}: ${remedy}`, {
    cause,
    details: { problem: code },
  })
}

/** A version that the remote does not take back. */
export function cannotBring(code: string): Failure {
  return {
    code,
    message: 'a record that this device holds could not be brought back to the remote',
    remedy: 'it stays here and is offered again; if it stays refused, write the record once more',
  }
}
