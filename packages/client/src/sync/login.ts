/**
 * Login of the engine: a session, after giving the vault to a remote that does not have it, or not
 * with this device in it: it is new, was emptied, or was put back from before it was added.
 */
import { codeOf } from '../error.ts'
import type { SyncIdentity } from './identity.ts'
import { type LoggedIn, type LoginIdentity, logIn, registerVault } from './session.ts'
import type { Transport } from './transport.ts'

const UNKNOWN: ReadonlySet<string> = new Set(['unknown-vault', 'not-a-member'])

/** Throws `not-a-member` when the remote knows better than the keychain of this device. */
export async function openSession(
  transport: Transport,
  identity: LoginIdentity & Pick<SyncIdentity, 'keychainEntries' | 'registrationToken'>,
): Promise<LoggedIn> {
  try {
    return await logIn(transport, identity)
  } catch (error) {
    if (!UNKNOWN.has(codeOf(error) ?? '')) throw error
  }
  await registerVault(transport, identity, {
    entries: identity.keychainEntries(),
    // Stated once all that is confirmed was counted, before any of it is pushed.
    greatestMs: 0,
    registrationToken: await identity.registrationToken(),
  })
  return logIn(transport, identity)
}
