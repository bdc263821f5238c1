/**
 * Vault lock: takes the keys out of memory while the vault stays open, and gets them back.
 *
 * Locking ends what holds plaintext (live queries, indexes), stops sync, lets the writes under way
 * end, and wipes the keys. A step of sync that waits for the network is not waited for long: it
 * finds no keys afterwards, fails, and has stored nothing. What an app was given is the app's.
 */
import type { LocalSecondary } from '../local/local-secondary.ts'
import { Mutex } from '../local/mutex.ts'
import type { Access } from '../records/access.ts'
import { accessError, closedError } from '../records/access.ts'
import type { Sealer } from '../records/sealer.ts'
import type { DeviceKeyKeeper } from './device-keys.ts'
import type { Membership } from './membership.ts'
import type { SyncControl } from './vault-sync.ts'

/** How long the keys stay for what is under way. */
const PATIENCE_MS = 3_000

export type VaultLock = {
  /**
   * Takes the keys out of memory: live queries end, sync stops, and until `unlock` whatever reads
   * or writes throws `locked`. In a browser: of this tab, the others stay as they are.
   */
  lock(): Promise<void>
  /**
   * Goes on after `lock`, with sync if it was started. Throws `passphrase-wrong` and the like, and
   * stays locked. Where the vault is not locked the passphrase is checked all the same.
   */
  unlock(options?: { readonly passphrase?: string | undefined }): Promise<void>
}

export function vaultLockOf(parts: {
  readonly access: Access
  readonly membership: Membership
  readonly keeper: DeviceKeyKeeper
  readonly sealer: Sealer
  readonly local: LocalSecondary
  readonly sync: SyncControl
  readonly setTimer: (callback: () => void, delayMs: number) => () => void
}): VaultLock {
  const { access, membership, keeper, sealer, local, sync, setTimer } = parts
  // One after the other: two calls at once end in the state that the later one asked for.
  const turns = new Mutex()
  const lock = async (): Promise<void> => {
    if (access.state === 'closed') throw closedError()
    if (access.state === 'locked') return
    access.lock()
    let cancel = (): void => undefined
    const tooLong = new Promise<void>((resolve) => {
      cancel = setTimer(resolve, PATIENCE_MS)
    })
    const atRest = sync.pause().then(() => local.settled())
    await Promise.race([atRest.catch(() => undefined), tooLong])
    cancel()
    membership.lock()
    sealer.forget()
  }
  const unlock = async (passphrase: string | undefined): Promise<void> => {
    if (access.state === 'closed') throw closedError()
    const device = await keeper.open(passphrase)
    const state: string = access.state
    if (state !== 'locked') {
      // Open already: the passphrase was right, and no more was asked. Or closed meanwhile.
      device.wipe()
      if (state === 'closed') throw accessError(access.ended)
      return
    }
    membership.unlock(device)
    access.unlock()
    sync.resume()
  }
  return {
    lock: () => turns.run(lock),
    unlock: ({ passphrase } = {}) => turns.run(() => unlock(passphrase)),
  }
}
