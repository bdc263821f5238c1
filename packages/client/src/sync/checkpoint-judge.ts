/**
 * Checkpoint judge: what a checkpoint of another device says about the log that is served here
 * (design 16). Nothing is stored; checkpoint-desk.ts keeps what comes of it.
 *
 *   further than the cursor    ahead: judged when the log has come there
 *   at the cursor              its chain must be the cursor's
 *   before the cursor          the digests between must lead from its chain to the cursor's
 */
import {
  type Checkpoint,
  checkpointSignedBytes,
  checkSignature,
  equalBytes,
  findMember,
  formatHex,
  formatMemberId,
  type Keychain,
  type MemberId,
  ProtocolError,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import { keyedSetOf } from '../local/keyed-count.ts'
import type { KeyedSet } from '../local/keyed-set.ts'
import type { LocalState } from '../local/local-state.ts'
import { type KnownChains, leadsTo } from './checkpoint-link.ts'
import type { CheckpointIdentity } from './identity.ts'
import type { DataRequest, Transport } from './transport.ts'

/** `stranger`: of nobody who is a device of the vault now, which counts for nothing. */
export type Provenance = 'signed' | 'stranger' | 'false'

export function provenanceOf(
  checkpoint: Checkpoint,
  { keychain, verify }: CheckpointIdentity,
): Provenance {
  const { vaultId } = keychain()
  if (!equalBytes(checkpoint.vaultId, vaultId)) return 'false'
  const member = findMember(keychain(), checkpoint.memberId)
  if (member?.kind !== 'device') return 'stranger'
  const signed = checkpointSignedBytes(vaultId, checkpoint.body)
  const isGood = checkSignature(verify, signed, checkpoint.signature, member.signingKey)
  return isGood ? 'signed' : 'false'
}

export type Placement = 'ahead' | 'linked' | 'parted'

export type PlaceContext = {
  readonly transport: Transport
  readonly data: DataRequest
  /** Chains that lead to the cursor: of what was pulled, and of earlier walks. */
  readonly known: KnownChains
  /** Worth keeping on a walk: where other checkpoints stand. */
  readonly wanted: ReadonlySet<number>
}

/** Where a checkpoint under the present SyncId stands against `data.position`. */
export async function placeOf(
  { position }: Checkpoint,
  { transport, data, known, wanted }: PlaceContext,
): Promise<Placement> {
  const to = data.position
  if (position.seq > to.seq) return 'ahead'
  const chain = position.seq === to.seq ? to.chain : known.get(position.seq)
  if (chain !== undefined) return equalBytes(chain, position.chain) ? 'linked' : 'parted'
  const leads = await leadsTo(transport, data, { from: position, to, wanted, known })
  return leads ? 'linked' : 'parted'
}

/** Where the head of its keychain stands in the pinned one. */
export function keychainPlaceOf(
  { keychainLength, keychainHead }: Checkpoint,
  keychain: Keychain,
): 'held' | 'replaced' | 'ahead' | 'forked' {
  if (keychain.replaced.has(formatHex(keychainHead))) return 'replaced'
  const own = keychain.hashes[keychainLength - 1]
  if (own === undefined) return keychainLength > keychain.hashes.length ? 'ahead' : 'forked'
  return equalBytes(own, keychainHead) ? 'held' : 'forked'
}

/** What a device held at a place of the log. */
export type HeldSet = Pick<Checkpoint, 'count' | 'epoch' | 'fingerprint'>

/**
 * Whether a checkpoint at the cursor tells of the set that is held here. Where it does not, what is
 * held is counted again from the rows before anything is said.
 */
export async function tellsOfSet(checkpoint: HeldSet, state: LocalState): Promise<boolean> {
  const held = await keyedSetOf(state)
  if (held === null || tells(checkpoint, state, held)) return true
  const counted = await keyedSetOf(state, { isAnew: true })
  return counted === null || tells(checkpoint, state, counted)
}

/** Under another epoch's key nothing can be said. */
function tells(checkpoint: HeldSet, state: LocalState, { epoch, sum }: KeyedSet): boolean {
  if (checkpoint.epoch !== epoch) return true
  return checkpoint.count === state.confirmedSet.count && equalBytes(checkpoint.fingerprint, sum)
}

/** The same of two checkpoints at one place of the log. */
export function sameSet(one: HeldSet, other: HeldSet): boolean {
  if (one.epoch !== other.epoch) return true
  return one.count === other.count && equalBytes(one.fingerprint, other.fingerprint)
}

export function historyForked(memberId: MemberId): ClientError {
  return new ClientError(
    'history-forked',
    `the remote shows this device another history than device ${formatMemberId(memberId)} has signed; sync has stopped and what is here stays as it is`,
    { details: { deviceId: formatMemberId(memberId) } },
  )
}

export function historyDiffers(memberId: MemberId): ClientError {
  return new ClientError(
    'history-differs',
    `device ${formatMemberId(memberId)} holds other records at the same place of the history: the remote keeps something back from one of the two; sync has stopped and what is here stays as it is`,
    { details: { deviceId: formatMemberId(memberId) } },
  )
}

export function keychainForked(memberId: MemberId): ProtocolError {
  return new ProtocolError(
    'keychain-forked',
    `device ${formatMemberId(memberId)} has signed another list of devices than this device has seen; sync has stopped and nothing was taken from it`,
    { details: { deviceId: formatMemberId(memberId) } },
  )
}

/** The day tells how old it is, and stays true. */
export const nameOf = ({ memberId, timeMs }: Checkpoint): string =>
  `${formatMemberId(memberId)} (${new Date(timeMs).toISOString().slice(0, 10)})`
