/**
 * Carrier: what carrying versions between devices needs of an open vault, and how a keychain that
 * another device brings is judged before any of it is taken.
 */
import {
  checkSignature,
  equalBytes,
  extendKeychain,
  findMember,
  type Keychain,
  type MemberId,
  ProtocolError,
  parseKeychainEntry,
  type Signature,
  type VaultId,
} from '@blindcopy/protocol'
import { verifySignature } from '@blindcopy/vault'
import type { OpenArrival } from '../local/arrival.ts'
import { storeKeychain } from '../local/healing.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { FileMeetings } from '../local/pulled-log.ts'
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
  /** Versions that came and do not open with the keys of this device: nothing is kept of them. */
  readonly unopened: number
  /** Versions that are listed until they can be shown (`vault.quarantined`). */
  readonly aside: number
}

/** Runs `work` with an intake, and reports what came of it. */
export async function withIntake(
  carrier: Carrier,
  work: (intake: CarriedIntake) => Promise<{ readonly sent: number }>,
): Promise<CarriedReport> {
  const intake = new CarriedIntake(carrier)
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
  let keychain = pinned
  for (const entry of entries) {
    const { index, hash } = parseKeychainEntry(entry)
    const known = keychain.hashes[index]
    if (known === undefined) keychain = extendKeychain(keychain, [entry], verifySignature)
    else if (!equalBytes(known, hash)) throw forkedKeychain()
  }
  return keychain
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
  const known = membership.keychain.hashes.length
  const isNews = entries.some((entry) => parseKeychainEntry(entry).index >= known)
  if (isNews) await storeKeychain(local.state, membership.take(entries))
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
