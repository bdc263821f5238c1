/**
 * The key of an older epoch, sealed inside the entry that begins a newer one, under a subkey of the
 * newer key: who holds the newest reads all older ones, never the reverse. Its associated data
 * names vault, both epochs and the entry before, so a seal is worth nothing elsewhere.
 */
import {
  assert,
  concat,
  encodeUint32,
  encodeUtf8,
  type Hash,
  SEALED_EPOCH_BYTES,
  type VaultId,
} from '@blindcopy/protocol'
import { openBox, sealBox } from './box.ts'
import { derive } from './derivation.ts'
import type { RandomBytes } from './random.ts'
import { type EpochKey, Secret } from './secret.ts'

const LABEL = encodeUtf8('blindcopy.older-epoch.v1')

export type OlderEpochPlace = {
  readonly vaultId: VaultId
  /** The epoch whose entry holds the seal. */
  readonly epoch: number
  readonly olderEpoch: number
  /** The hash of the entry before that one. */
  readonly previous: Hash
}

export function sealOlderEpoch(
  older: EpochKey,
  newer: EpochKey,
  place: OlderEpochPlace,
  random: RandomBytes,
): Uint8Array {
  const key = derive('epochOlder', newer)
  const sealed = sealBox(older.bytes, { key, associatedData: associatedDataOf(place) }, random)
  key.wipe()
  assert(sealed.length === SEALED_EPOCH_BYTES, 'a sealed epoch has the size the protocol states')
  return sealed
}

/** Throws `tampered`. */
export function openOlderEpoch(
  sealed: Uint8Array,
  newer: EpochKey,
  place: OlderEpochPlace,
): EpochKey {
  const key = derive('epochOlder', newer)
  try {
    return new Secret('EpochKey', openBox(sealed, { key, associatedData: associatedDataOf(place) }))
  } finally {
    key.wipe()
  }
}

function associatedDataOf(place: OlderEpochPlace): Uint8Array {
  return concat(
    LABEL,
    place.vaultId,
    encodeUint32(place.epoch),
    encodeUint32(place.olderEpoch),
    place.previous,
  )
}
