/**
 * What the engine needs of a vault and is given as functions: it signs, opens and follows the
 * keychain without ever holding a key.
 */
import type {
  Envelope,
  Keychain,
  MemberId,
  Signature,
  VaultId,
  VerifySignature,
} from '@blindcopy/protocol'
import type { OpenArrival } from '../local/arrival.ts'
import type { KeychainFollower } from '../local/keychain-store.ts'
import type { DamagedRecords } from '../local/repair.ts'

/** What judging checkpoints of other devices needs. */
export type CheckpointIdentity = {
  /** As it is pinned now. */
  keychain(): Keychain
  readonly verify: VerifySignature
  /** Writes again what other devices could not open. Returns how many records. */
  rewriteNamed(): Promise<number>
  /** Puts aside what other devices know to have come too late. Returns how many versions. */
  putLateAside(): Promise<number>
}

/** Follows the keychain: `takeKeychain` throws `keychain-forked` or `keychain-invalid`. */
export type SyncIdentity = KeychainFollower & {
  /** Without it no checkpoint is made or judged. */
  readonly checkpoints?: CheckpointIdentity
  /** Stored versions that readers found spoiled: to be fetched again. */
  readonly damaged?: DamagedRecords
  /** Tries versions again that came by another way than the remote and wait for their time. */
  retryAside?(): Promise<void>
  readonly vaultId: VaultId
  readonly memberId: MemberId
  sign(message: Uint8Array): Signature
  readonly open: OpenArrival
  /** The same version sealed under the newest epoch; itself if it is. Throws `tampered`. */
  reseal(envelope: Envelope): Envelope
  /** The pinned chain, for a remote that does not have the vault yet. */
  keychainEntries(): readonly Uint8Array[]
  /** What is pushed must be sealed under this epoch. */
  newestEpoch(): number
  /** Why this device may not write any more. */
  membershipTrouble?(): 'device-revoked' | 'key-mismatch' | undefined
  /** What lets this vault register, if the person gave it. */
  registrationToken(): Promise<string | undefined>
}

export type Timers = {
  readonly nowMs: () => number
  /** Calls back once; returns how to call it off. */
  readonly setTimer: (callback: () => void, delayMs: number) => () => void
  readonly random: (size: number) => Uint8Array
}
