/**
 * Keychain desk: appends entries at the remote, and takes them here once they are there.
 *
 *   log in ─▶ fetch what is new and take it ─▶ write entries for the chain as it is ─▶ append
 *     ▲                                                    another was first: again ◀──┘
 *
 * What was decided for one chain is decided again for the next: who was to be revoked may be gone,
 * and who was to be kept may have added somebody.
 */
import { type Keychain, keychainHead } from '@blindcopy/protocol'
import type { Keyring } from '@blindcopy/vault'
import { codeOf } from '../error.ts'
import { storeKeychain } from '../local/keychain-store.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { SyncIdentity } from '../sync/identity.ts'
import { fetchKeychain } from '../sync/keychain-fetch.ts'
import { openSession } from '../sync/login.ts'
import type { Transport } from '../sync/transport.ts'
import type { Membership } from './membership.ts'

export type KeychainDesk = {
  readonly membership: Membership
  readonly local: LocalSecondary
  readonly transport: Transport
  readonly identity: SyncIdentity
}

export type KeychainState = { readonly keychain: Keychain; readonly keyring: Keyring }

const ATTEMPTS_MAX = 10
/** A lost answer: the same bytes again succeed if they are there. */
const REPEATS_MAX = 2

/**
 * Appends what `write` makes of the keychain as the remote has it; none for nothing to do. Returns
 * what was appended. Throws `network` and what the remote refuses; then nothing was taken.
 */
export async function appendAtRemote(
  desk: KeychainDesk,
  write: (state: KeychainState) => readonly Uint8Array[],
): Promise<readonly Uint8Array[]> {
  const { membership, transport, identity } = desk
  const { token } = await openSession(transport, identity)
  for (let attempt = 1; ; attempt++) {
    await refresh(desk, token)
    const { keychain } = membership
    const entries = write({ keychain, keyring: membership.writingKeyring })
    if (entries.length === 0) return entries
    try {
      const previous = keychainHead(keychain)
      await repeated(() => transport.appendKeychain(token, { previous, entries: [...entries] }))
      await take(desk, entries)
      return entries
    } catch (error) {
      if (codeOf(error) !== 'keychain-race' || attempt >= ATTEMPTS_MAX) throw error
    }
  }
}

/** Takes what the remote's keychain has beyond the one that is pinned. */
async function refresh(desk: KeychainDesk, token: string): Promise<void> {
  const { membership, transport } = desk
  await take(desk, await fetchKeychain(transport, token, membership.keychain.entries))
}

/** Follows entries, and stores them. */
export async function take(
  { membership, local }: Pick<KeychainDesk, 'membership' | 'local'>,
  entries: readonly Uint8Array[],
): Promise<void> {
  await storeKeychain(local.state, membership.follower, entries)
}

/** Once more where the answer was lost: what is there already succeeds again. */
export async function repeated<T>(ask: () => Promise<T>): Promise<T> {
  for (let repeats = 0; ; repeats++) {
    try {
      return await ask()
    } catch (error) {
      if (codeOf(error) !== 'network' || repeats >= REPEATS_MAX) throw error
    }
  }
}
