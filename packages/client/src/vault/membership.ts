/**
 * Membership: this device's place in a vault. Holds the device keys, the pinned keychain and the
 * keys it unlocks, and follows the keychain as the remote serves it.
 *
 * A served entry that stands where a pinned one stands must be the same bytes, by its hash; a new
 * one must follow by the keychain's rules; only the root may put a branch in the place of entries
 * that are pinned. So a remote can neither drop a member nor slip one in. A device that the chain
 * takes out, or whose keys a member has spoiled, keeps what it had unlocked, reads on, and writes
 * no more.
 */
import {
  equalBytes,
  findRevoked,
  formatHex,
  type Keychain,
  type Member,
  type MemberId,
  mergeKeychain,
  newestEpoch,
  parseKeychainEntry,
  replayKeychain,
  settledBefore,
  type VaultId,
} from '@blindcopy/protocol'
import {
  type DeviceKeys,
  type Keyring,
  openKeyring,
  openMemberName,
  VaultError,
  verifySignature,
} from '@blindcopy/vault'
import { ClientError, codeOf } from '../error.ts'
import type { KeychainFollower, TakenEntries } from '../local/keychain-store.ts'
import { closedError, lockedError } from '../records/access.ts'

export type DeviceInfo = {
  readonly memberId: Uint8Array
  readonly kind: 'device' | 'recovery'
  readonly name: string
  readonly addedMs: number
  /** Of the member that added it, or of the root. */
  readonly addedBy: Uint8Array
  readonly isThis: boolean
}

/** Why this device may not write any more. */
export type MembershipTrouble = 'device-revoked' | 'key-mismatch'

/** What the person is told when the keychain has changed. */
export type KeychainChange = {
  /** Entries were replaced by a branch of the root's. */
  readonly isReplaced: boolean
}

export class Membership {
  /** Of this device, also while it is locked. */
  readonly memberId: MemberId
  #keychain: Keychain
  /** Undefined while the vault is locked, and once it is closed. */
  #held: { readonly device: DeviceKeys; readonly keyring: Keyring } | undefined
  #trouble: MembershipTrouble | undefined
  #isClosed = false
  /** As they were stored when the vault was opened, replaced ones included. */
  readonly #entries: readonly Uint8Array[]
  /** Where each entry is stored, by its hash: in the order in which they came. */
  readonly #places = new Map<string, number>()
  /** Taken, and not known to be on the disk: by where they are stored. */
  readonly #unstored = new Map<number, Uint8Array>()
  readonly #listeners = new Set<(change: KeychainChange) => void>()
  /** What stores what is taken. */
  readonly follower: Required<KeychainFollower> = {
    takeKeychain: (entries) => this.take(entries),
    keychainStored: (taken) => {
      for (const { index } of taken) this.#unstored.delete(index)
    },
  }

  private constructor(device: DeviceKeys, entries: readonly Uint8Array[], keychain: Keychain) {
    this.memberId = device.memberId
    this.#keychain = keychain
    this.#entries = entries
    this.#hold(device)
    for (const entry of entries) this.#placeOf(entry)
  }

  /**
   * Checks the whole chain, its entries in the order in which they came, and that the device's keys
   * open it. Throws before anything is written.
   */
  static open(options: {
    vaultId: VaultId
    entries: readonly Uint8Array[]
    device: DeviceKeys
  }): Membership {
    const { vaultId, entries, device } = options
    return new Membership(device, entries, replayKeychain(vaultId, entries, verifySignature))
  }

  get keychain(): Keychain {
    return this.#keychain
  }

  /** How many entries are stored, those that were replaced included. */
  get storedCount(): number {
    return this.#places.size
  }

  get trouble(): MembershipTrouble | undefined {
    return this.#trouble
  }

  /** Throws `locked` or `closed`. Borrowed for the call at hand: it is wiped when that happens. */
  get keyring(): Keyring {
    return this.#keys.keyring
  }

  /** To seal with: throws `device-revoked` or `key-mismatch` too, for one who may only read. */
  get writingKeyring(): Keyring {
    if (this.#trouble === undefined) return this.keyring
    throw troubleError(this.#trouble)
  }

  /** Throws `locked` or `closed`. */
  get device(): DeviceKeys {
    return this.#keys.device
  }

  get #keys(): { readonly device: DeviceKeys; readonly keyring: Keyring } {
    if (this.#held !== undefined) return this.#held
    throw this.#isClosed ? closedError() : lockedError()
  }

  #hold(device: DeviceKeys): void {
    const keyring = openAny(this.#keychain, this.#entries, device)
    this.lock()
    this.#held = { device, keyring }
    this.#trouble = troubleOf(this.#keychain, device.memberId, keyring)
  }

  /** Clears all keys; what is public stays, and is followed. */
  lock(): void {
    this.#held?.keyring.wipe()
    this.#held?.device.wipe()
    this.#held = undefined
  }

  /** Takes the keys over. Throws `vault-damaged` for those of another device, or `key-mismatch`. */
  unlock(device: DeviceKeys): void {
    try {
      if (this.#isClosed) throw closedError()
      if (!equalBytes(device.memberId, this.memberId)) {
        throw new ClientError('vault-damaged', 'the keys in the folder are those of another device')
      }
      this.#hold(device)
    } catch (error) {
      device.wipe()
      throw error
    }
  }

  /** Clears all keys, for good. */
  close(): void {
    this.#isClosed = true
    this.lock()
  }

  /** Tells of entries that were taken. */
  onChange(listener: (change: KeychainChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Follows served entries; returns what is to be stored, with its places: also what was taken
   * before, if that write failed. Throws `keychain-forked` or `keychain-invalid`, and then it takes
   * nothing.
   */
  take(entries: readonly Uint8Array[]): TakenEntries {
    const { keychain, added, replaced } = mergeKeychain(this.#keychain, entries, verifySignature)
    if (added.length > 0) this.#follow(keychain)
    for (const entry of entries) {
      const { size } = this.#places
      const place = this.#placeOf(entry)
      if (place === size) this.#unstored.set(place, entry)
    }
    const taken = [...this.#unstored].map(([index, entry]) => ({ index, entry }))
    const change = { isReplaced: replaced !== undefined }
    if (added.length > 0) for (const listener of this.#listeners) listener(change)
    return taken
  }

  #follow(keychain: Keychain): void {
    const hasNewKeys = keychain.greatestEpoch !== this.#keychain.greatestEpoch
    this.#keychain = keychain
    if (hasNewKeys && this.#held !== undefined) {
      const { device, keyring } = this.#held
      this.#held = { device, keyring: reopened(keychain, device, keyring) }
    }
    this.#trouble = troubleOf(keychain, this.memberId, this.#held?.keyring)
  }

  #placeOf(entry: Uint8Array): number {
    const hash = formatHex(parseKeychainEntry(entry).hash)
    const place = this.#places.get(hash) ?? this.#places.size
    this.#places.set(hash, place)
    return place
  }

  devices(): DeviceInfo[] {
    return [...this.#keychain.membersById.values()].map((member) => ({
      memberId: member.memberId,
      kind: member.kind,
      name: this.nameOf(member),
      addedMs: member.addedMs,
      addedBy: member.addedBy,
      isThis: equalBytes(member.memberId, this.memberId),
    }))
  }

  /**
   * Empty when it does not open: a name that a member spoiled must not hide the rest of the list.
   */
  nameOf(member: Member): string {
    try {
      return openMemberName(this.keyring, member) ?? ''
    } catch (error) {
      if (error instanceof VaultError) return ''
      throw error
    }
  }
}

function troubleError(trouble: MembershipTrouble): Error {
  return trouble === 'device-revoked'
    ? new ClientError(
        trouble,
        'this device was removed from the vault: what it holds can be read here, and nothing new is written',
      )
    : new VaultError(
        trouble,
        'the newest keys of the vault do not open on this device: rotate the keys on another device, then sync',
      )
}

/** For a device that a branch of the root's has left out: what it could open before that came. */
function openAny(keychain: Keychain, entries: readonly Uint8Array[], holder: DeviceKeys): Keyring {
  try {
    return openNewest(keychain, holder)
  } catch (error) {
    if (keychain.replaced.size === 0 || codeOf(error) !== 'key-mismatch') throw error
    const former = beforeReplacement(keychain, entries)
    if (former === undefined) throw error
    return openNewest(former, holder)
  }
}

/** The chain that the entries led to before the last of them that replaced others. */
function beforeReplacement(
  { vaultId }: Keychain,
  entries: readonly Uint8Array[],
): Keychain | undefined {
  const types = entries.map((entry) => parseKeychainEntry(entry).payload.type)
  const last = types.lastIndexOf('replace')
  return last < 1 ? undefined : replayKeychain(vaultId, entries.slice(0, last), () => true)
}

/**
 * The newest keys that are for this device: where it was taken out, or a member has spoiled its
 * wrap, those of an earlier part of the chain. Throws `key-mismatch` when there are none.
 */
function openNewest(keychain: Keychain, holder: DeviceKeys): Keyring {
  const revoked = findRevoked(keychain, holder.memberId)
  const ends = keychain.epochs.map(({ entryIndex }) => entryIndex).reverse()
  const tried = [revoked?.revokedIndex ?? keychain.hashes.length, ...ends]
  let mismatch: unknown
  for (const end of tried) {
    try {
      const opened = end === keychain.hashes.length ? keychain : settledBefore(keychain, end)
      return openKeyring({ keychain: opened, holder })
    } catch (error) {
      if (!(error instanceof VaultError) || error.code !== 'key-mismatch') throw error
      mismatch ??= error
    }
  }
  throw mismatch
}

/** The keyring as it was, where the new keys are not for this device. */
function reopened(keychain: Keychain, holder: DeviceKeys, keyring: Keyring): Keyring {
  try {
    const opened = openKeyring({ keychain, holder })
    keyring.wipe()
    return opened
  } catch (error) {
    if (error instanceof VaultError && error.code === 'key-mismatch') return keyring
    throw error
  }
}

/** Without a keyring, what can be told without keys. */
function troubleOf(
  keychain: Keychain,
  memberId: MemberId,
  keyring: Keyring | undefined,
): MembershipTrouble | undefined {
  if (!keychain.membersById.has(formatHex(memberId))) return 'device-revoked'
  const newest = newestEpoch(keychain)
  const isBehind = keyring !== undefined && newest !== undefined && !keyring.has(newest.epoch)
  return isBehind ? 'key-mismatch' : undefined
}
