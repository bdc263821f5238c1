/**
 * Carrier: what carrying versions between devices needs of an open vault, and how a keychain that
 * another device brings is judged before any of it is taken.
 */
import {
  checkSignature,
  findMember,
  type Keychain,
  knowsEntry,
  type MemberId,
  mergeKeychain,
  ProtocolError,
  parseKeychainEntry,
  type Signature,
  type VaultId,
} from '@blindcopy/protocol'
import { verifySignature } from '@blindcopy/vault'
import { codeOf } from '../error.ts'
import type { OpenArrival } from '../local/arrival.ts'
import type { FileMeetings } from '../local/arrival-batch.ts'
import { storeKeychain } from '../local/keychain-store.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { Membership } from '../vault/membership.ts'
import { CarriedIntake } from './carried.ts'

export type Carrier = {
  readonly vaultId: VaultId
  readonly local: LocalSecondary
  readonly membership: Membership
  readonly open: OpenArrival
  readonly fileMeetings: FileMeetings
  readonly random: (size: number) => Uint8Array
  readonly nowMs: () => number
  readonly setTimer: (callback: () => void, delayMs: number) => () => void
}

export type CarriedReport = {
  /** Versions that were given away. */
  readonly sent: number
  /** Versions that came and were not known here. */
  readonly received: number
  /** Versions that lost to others; they stand in the conflict log. */
  readonly conflicts: number
  /**
   * Versions that came and do not open with the keys of this device, or are sealed under an epoch
   * that is over and were not held here: nothing is kept of them.
   */
  readonly unopened: number
  /** Versions that are listed until they can be shown (`vault.quarantined`). */
  readonly aside: number
}

/** Runs `work` with an intake, and reports what came of it. */
export async function withIntake(
  carrier: Carrier,
  work: (intake: CarriedIntake) => Promise<{ readonly sent: number }>,
  options: { readonly isRestore: boolean } = { isRestore: false },
): Promise<CarriedReport> {
  const intake = new CarriedIntake({ ...carrier, ...options })
  let conflicts = 0
  const end = carrier.local.onConflict(({ kind }) => {
    if (kind !== 'merged') conflicts++
  })
  try {
    await intake.retryAside()
    const { sent } = await work(intake)
    await intake.finish()
    const { news, unopened, aside } = intake.counts
    return { sent, received: news, conflicts, unopened, aside }
  } finally {
    end()
  }
}

/**
 * The keychain as it would be with these entries; nothing is taken yet. Throws `keychain-forked`,
 * or what is wrong with an entry.
 */
export function candidateKeychain(pinned: Keychain, entries: readonly Uint8Array[]): Keychain {
  try {
    return mergeKeychain(pinned, entries, verifySignature).keychain
  } catch (error) {
    throw codeOf(error) === 'keychain-forked' ? forkedKeychain() : error
  }
}

export function forkedKeychain(): ProtocolError {
  return new ProtocolError(
    'keychain-forked',
    'the other device has another list of devices than this one: nothing was taken',
  )
}

/** Stores entries that were found sound. Pinned ones are stored again, which changes nothing. */
export async function takeKeychain(
  { membership, local }: Carrier,
  entries: readonly Uint8Array[],
): Promise<void> {
  const { keychain } = membership
  const isNews = entries.some((entry) => !knowsEntry(keychain, parseKeychainEntry(entry).hash))
  if (isNews) await storeKeychain(local.state, membership.follower, entries)
}

/** Whether a member of the chain has signed this. */
export function isSignedBy(
  keychain: Keychain,
  memberId: MemberId,
  signed: { readonly message: Uint8Array; readonly signature: Signature },
): boolean {
  const member = findMember(keychain, memberId)
  if (member === undefined) return false
  return checkSignature(verifySignature, signed.message, signed.signature, member.signingKey)
}
