/**
 * Membership: this device's place in a vault. Holds the device keys, the pinned keychain and the
 * keys it unlocks, and follows the keychain as the remote serves it.
 *
 * A served entry that stands where a pinned one stands must be the same bytes, by its hash; a new
 * one must follow by the keychain's rules. So a remote can neither drop a member nor slip one in.
 */
import {
  equalBytes,
  extendKeychain,
  type Keychain,
  type Member,
  type MemberId,
  newestEpoch,
  ProtocolError,
  parseKeychainEntry,
  type VaultId,
  validateKeychain,
} from '@blindcopy/protocol'
import {
  type DeviceKeys,
  type Keyring,
  openKeyring,
  openMemberName,
  VaultError,
  verifySignature,
} from '@blindcopy/vault'
import { ClientError } from '../error.ts'
import { closedError, lockedError } from '../records/access.ts'

export type DeviceInfo = {
  readonly memberId: Uint8Array
  readonly kind: 'device' | 'recovery'
  readonly name: string
  readonly addedMs: number
  readonly isThis: boolean
}

export class Membership {
  /** Of this device, also while it is locked. */
  readonly memberId: MemberId
  #keychain: Keychain
  /** Undefined while the vault is locked, and once it is closed. */
  #held: { readonly device: DeviceKeys; readonly keyring: Keyring } | undefined
  #isClosed = false

  private constructor(device: DeviceKeys, keychain: Keychain) {
    this.memberId = device.memberId
    this.#keychain = keychain
    this.#held = { device, keyring: openKeyring({ keychain, holder: device }) }
  }

  /**
   * Checks the whole chain and that the device's keys open it. Throws before anything is written.
   */
  static open(options: {
    vaultId: VaultId
    entries: readonly Uint8Array[]
    device: DeviceKeys
  }): Membership {
    const keychain = validateKeychain(options.vaultId, options.entries, verifySignature)
    return new Membership(options.device, keychain)
  }

  get keychain(): Keychain {
    return this.#keychain
  }

  /** Throws `locked` or `closed`. Borrowed for the call at hand: it is wiped when that happens. */
  get keyring(): Keyring {
    return this.#keys.keyring
  }

  /** Throws `locked` or `closed`. */
  get device(): DeviceKeys {
    return this.#keys.device
  }

  get #keys(): { readonly device: DeviceKeys; readonly keyring: Keyring } {
    if (this.#held !== undefined) return this.#held
    throw this.#isClosed ? closedError() : lockedError()
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
      const keyring = openKeyring({ keychain: this.#keychain, holder: device })
      this.lock()
      this.#held = { device, keyring }
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

  /**
   * Follows served entries; returns them with their index, for storing. Those that are pinned too:
   * what was pinned before may not have been stored, if that write failed.
   */
  take(entries: readonly Uint8Array[]): { index: number; entry: Uint8Array }[] {
    const taken: { index: number; entry: Uint8Array }[] = []
    let keychain = this.#keychain
    for (const entry of entries) {
      const { index, hash } = parseKeychainEntry(entry)
      const pinned = keychain.hashes[index]
      if (pinned === undefined) {
        keychain = extendKeychain(keychain, [entry], verifySignature)
      } else if (!equalBytes(pinned, hash)) {
        throw new ProtocolError('keychain-forked', 'the remote shows another keychain than before')
      }
      taken.push({ index, entry })
    }
    const hasNewEpoch = newestEpoch(keychain)?.epoch !== newestEpoch(this.#keychain)?.epoch
    if (hasNewEpoch && this.#held !== undefined) {
      const { device, keyring } = this.#held
      this.#held = { device, keyring: openKeyring({ keychain, holder: device }) }
      keyring.wipe()
    }
    this.#keychain = keychain
    return taken
  }

  devices(): DeviceInfo[] {
    return [...this.#keychain.membersById.values()].map((member) => ({
      memberId: member.memberId,
      kind: member.kind,
      name: this.#nameOf(member),
      addedMs: member.addedMs,
      isThis: equalBytes(member.memberId, this.memberId),
    }))
  }

  /**
   * Empty when it does not open: a name that a member spoiled must not hide the rest of the list.
   */
  #nameOf(member: Member): string {
    try {
      return openMemberName(this.keyring, member) ?? ''
    } catch (error) {
      if (error instanceof VaultError) return ''
      throw error
    }
  }
}
