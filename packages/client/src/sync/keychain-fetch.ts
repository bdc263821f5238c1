/**
 * Keychain fetch: what the remote's list of devices has that this device lacks.
 *
 * Asked for is what stands from the head that is held here on. Where that head does not stand there
 * any more, the root has put a branch in its place, or the remote has less: then the whole list is
 * needed.
 */
import { equalBytes } from '@blindcopy/protocol'
import { codeOf } from '../error.ts'
import { storeKeychain } from '../local/keychain-store.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { SyncIdentity } from './identity.ts'
import type { DataRequest, Transport } from './transport.ts'

export async function fetchKeychain(
  transport: Pick<Transport, 'keychain'>,
  token: string,
  held: readonly Uint8Array[],
): Promise<readonly Uint8Array[]> {
  const from = Math.max(0, held.length - 1)
  const [first, ...further] = await transport.keychain(token, from)
  const head = held[from]
  const stands = first !== undefined && head !== undefined && equalBytes(first, head)
  return stands ? further : transport.keychain(token, 0)
}

type Context = {
  readonly local: LocalSecondary
  readonly transport: Transport
  readonly identity: SyncIdentity
  readonly data: DataRequest | (() => DataRequest)
}

/** Entries that were appended since: some may stand in the log before where the cursor will be. */
export async function renewKeychain(context: Context): Promise<void> {
  const { local, transport, identity, data } = context
  const { token } = typeof data === 'function' ? data() : data
  const entries = await fetchKeychain(transport, token, identity.keychainEntries())
  await storeKeychain(local.state, identity, entries)
}

/**
 * Over a fork that the root has ended: the log still begins with the branch that gave way, and one
 * who stood on another sees two lists there. The list as it is now takes it along, and then the
 * log goes by.
 */
export async function overFork<T>(context: Context, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (codeOf(error) !== 'keychain-forked') throw error
    await renewKeychain(context)
    return work()
  }
}
