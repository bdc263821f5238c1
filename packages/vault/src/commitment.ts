/**
 * What genesis and each epoch entry publish about their keys, so that a member that unwraps
 * something knows whether it is what the chain means: keyed hashes that tell nothing without the
 * key, and that no two sets of keys share (BLAKE2b-256 resists collisions in key and message).
 *
 *   of the id key   BLAKE2b-256(key = subkey of idKey, label ‖ VaultId)
 *   of an epoch     BLAKE2b-256(key = subkey of the epoch key, label ‖ VaultId ‖ epoch ‖ idKey)
 *
 * XChaCha20-Poly1305 by itself does not commit to its key (Albertini et al., "How to Abuse and Fix
 * Authenticated Encryption Without Key Commitment", 2022).
 */
import {
  concat,
  encodeUint32,
  encodeUtf8,
  HASH_BYTES,
  type Hash,
  type VaultId,
} from '@blindcopy/protocol'
import { derive } from './derivation.ts'
import { blake2b } from './raw-sodium.ts'
import type { EpochKey, IdKey } from './secret.ts'

const ID_KEY_LABEL = encodeUtf8('blindcopy.id-key-commitment.v1')
const EPOCH_LABEL = encodeUtf8('blindcopy.epoch-commitment.v1')

export function commitToIdKey(vaultId: VaultId, idKey: IdKey): Hash {
  const key = derive('idCommitment', idKey)
  const commitment = blake2b(HASH_BYTES, concat(ID_KEY_LABEL, vaultId), key.bytes)
  key.wipe()
  return commitment as Hash
}

export type EpochPlace = { readonly vaultId: VaultId; readonly epoch: number }

export function commitToEpoch(place: EpochPlace, epochKey: EpochKey, idKey: IdKey): Hash {
  const key = derive('epochCommitment', epochKey)
  const message = concat(EPOCH_LABEL, place.vaultId, encodeUint32(place.epoch), idKey.bytes)
  const commitment = blake2b(HASH_BYTES, message, key.bytes)
  key.wipe()
  message.fill(0)
  return commitment as Hash
}
