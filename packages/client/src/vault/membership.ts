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

export type DeviceInfo = {
  readonly memberId: Uint8Array
  readonly kind: 'device' | 'recovery'
  readonly name: string
  readonly addedMs: number
  readonly isThis: boolean
}

export class Membership {
  readonly device: DeviceKeys
  #keychain: Keychain
  #keyring: Keyring
  #isClosed = false

  private constructor(device: DeviceKeys, keychain: Keychain) {
    this.device = device
    this.#keychain = keychain
    this.#keyring = openKeyring({ keychain, holder: device })
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

  /** Throws `closed`. */
  get keyring(): Keyring {
    if (!this.#isClosed) return this.#keyring
    throw new ClientError('closed', 'the vault is closed: open it again')
  }

  /** Clears all keys. */
  close(): void {
    this.#isClosed = true
    this.#keyring.wipe()
    this.device.wipe()
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
    if (hasNewEpoch) this.#keyring = openKeyring({ keychain, holder: this.device })
    this.#keychain = keychain
    return taken
  }

  devices(): DeviceInfo[] {
    return [...this.#keychain.membersById.values()].map((member) => ({
      memberId: member.memberId,
      kind: member.kind,
      name: this.#nameOf(member),
      addedMs: member.addedMs,
      isThis: equalBytes(member.memberId, this.device.memberId),
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
