/**
 * Pairing as an app sees it: a device of the vault invites, another that is to become one joins,
 * and both people see the same six digits before either says yes (design 14, decision 0025).
 *
 * What does the work is loaded when it is first used: most vaults pair once or never.
 */

import type { DeviceKeys } from '@blindcopy/vault'
import type { Platform } from '../../platform.ts'
import type { Access } from '../../records/access.ts'
import type { Transport } from '../../sync/transport.ts'
import type { MailboxTransport } from '../../transport/mailbox-transport.ts'
import type { KeyStore } from '../key-store.ts'
import type { Membership } from '../membership.ts'

export type InviteOptions = {
  /** A code to be scanned or pasted (the default), or six words to be typed. */
  readonly form?: 'code' | 'words' | undefined
}

/** Waits ten minutes for one newcomer. */
export type Invitation = {
  /** What the newcomer scans or pastes; undefined where words were asked for. */
  readonly code?: string | undefined
  /** What it types, beside the address of the remote. */
  readonly words?: string | undefined
  /** The address of the remote, as the newcomer must give it with the words. */
  readonly remote: string
  /** By this device's clock. */
  readonly expiresMs: number
  /**
   * The device that has answered. Throws `pairing-expired`, `pairing-contested` when two devices
   * have, `pairing-failed` when what came is not of one that has the code, and the reason of the
   * signal.
   */
  newcomer(signal?: AbortSignal): Promise<Newcomer>
  /** Takes the invitation back. */
  cancel(): Promise<void>
}

/** A device that asks to join. Nothing has been given to it yet. */
export type Newcomer = {
  /** As it calls itself: anything a stranger may have written. */
  readonly name: string
  /** Six digits. The other device must show the same. */
  readonly digits: string
  /**
   * Adds it to the vault. Throws as `newcomer` does; after `network` it may be tried again, and
   * adds it once.
   */
  approve(): Promise<void>
  deny(): Promise<void>
}

export type VaultPairing = {
  /** Throws `network`, or what the remote refuses. */
  invite(options?: InviteOptions): Promise<Invitation>
}

/** What the person at the newcomer compares with the other screen. */
export type PairingQuestion = {
  readonly digits: string
  readonly vaultId: string
  /** The device that invites. */
  readonly inviterId: string
}

type JoinBy =
  | { readonly code: string; readonly words?: undefined; readonly remote?: undefined }
  | { readonly words: string; readonly remote: string; readonly code?: undefined }

export type JoinOptions = JoinBy & {
  /** The folder of the vault (in a browser: its name). It must not exist or be empty. */
  readonly path: string
  readonly deviceName?: string | undefined
  readonly passphrase?: string | undefined
  /** As of `restoreVault`. */
  readonly keyStore?: KeyStore | undefined
  /** Asks the person whether the other device shows the same digits. */
  readonly confirm: (question: PairingQuestion) => Promise<boolean>
  readonly signal?: AbortSignal | undefined
}

/** What an invitation needs of the vault. */
export type PairingParts = {
  readonly platform: Pick<Platform, 'nowMs' | 'random' | 'setTimer'>
  readonly membership: Pick<Membership, 'keychain'> & { readonly device: DeviceKeys }
  readonly registrationToken: () => Promise<string | undefined>
  readonly transport: PairingTransport
  readonly remote: string
  /** An invitation ends when the vault is locked or closed. */
  readonly access: Access
  readonly newestCheckpoint: () => Promise<Uint8Array | null>
  /** Takes entries of the keychain that are at the remote. */
  readonly follow: (entries: readonly Uint8Array[]) => Promise<void>
}

export type PairingTransport = Transport & MailboxTransport

export function pairingOf(parts: PairingParts): VaultPairing {
  return {
    async invite(options = {}) {
      parts.access.check()
      const { invite } = await import('./invitation.ts')
      return invite(parts, options)
    },
  }
}
