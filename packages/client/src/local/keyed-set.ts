/**
 * Keyed set: the fingerprint of the confirmed versions that this device signs in a checkpoint.
 *
 * It begins with the empty set, and each batch that confirms a few versions carries it on, in the
 * same write: about a microsecond a version, a fifth of what one scan of the rows would cost that a
 * new device needs for the first checkpoint it compares. A batch of very many drops it, as does a
 * new epoch, whose key makes other hashes: the next checkpoint scans (keyed-count.ts). The hash is
 * given from outside: no key is here.
 */
import {
  concat,
  decodeUint32,
  encodeUint32,
  equalBytes,
  KEYED_SUM_BYTES,
  KeyedSum,
  sha256,
} from '@blindcopy/protocol'
import { metaKey, type Store, type StoreOp } from '@blindcopy/secondary'
import type { RowBatch } from './row-batch.ts'

/** What a version counts as, under the key of one epoch. */
export type PairHash = { readonly epoch: number; hash(pair: Uint8Array): Uint8Array }

export type KeyedSet = { readonly epoch: number; readonly sum: Uint8Array }

/** A batch that changes more is not followed. */
const FOLLOWED_MAX = 2_000
const KEY = metaKey('keyed-set')
const CONTENT_BYTES = 4 + KEYED_SUM_BYTES
const CHECK_BYTES = 8

/** Other devices stop for a wrong sum: one that the disk has spoiled must not be signed. */
const checkOf = (content: Uint8Array): Uint8Array => sha256(content).subarray(0, CHECK_BYTES)

export function putKeyedSet(set: KeyedSet | null): StoreOp {
  if (set === null) return { type: 'delete', key: KEY }
  const content = concat(encodeUint32(set.epoch), set.sum)
  return { type: 'put', key: KEY, value: concat(content, checkOf(content)) }
}

export async function readKeyedSet(store: Store): Promise<KeyedSet | null> {
  const value = await store.get(KEY)
  if (value === undefined || value.length !== CONTENT_BYTES + CHECK_BYTES) return null
  const content = value.slice(0, CONTENT_BYTES)
  if (!equalBytes(value.subarray(CONTENT_BYTES), checkOf(content))) return null
  return { epoch: decodeUint32(content), sum: content.subarray(4) }
}

/** What is carried on: the set, or with nothing confirmed yet the empty one. */
export function followedSet(
  set: KeyedSet | null,
  confirmedCount: number,
  pairHash: (() => PairHash | null) | undefined,
): KeyedSet | null {
  if (set !== null || confirmedCount > 0) return set
  const epoch = pairHash?.()?.epoch
  return epoch === undefined ? null : { epoch, sum: new Uint8Array(KEYED_SUM_BYTES) }
}

/** The set once a batch is written; null when it is to be counted anew. */
export function followKeyedSet(
  set: KeyedSet | null,
  batch: RowBatch,
  pairHash: (() => PairHash | null) | undefined,
): KeyedSet | null {
  const { confirmedPairs } = batch
  if (set === null || confirmedPairs === null || confirmedPairs.length === 0) return set
  if (pairHash === undefined || confirmedPairs.length > FOLLOWED_MAX) return null
  // Without keys, while the vault is locked, nothing can be carried on.
  const hashing = pairHash()
  if (hashing?.epoch !== set.epoch) return null
  const { epoch, hash } = hashing
  const sum = new KeyedSum(set.sum)
  for (const { pair, isAdded } of confirmedPairs) {
    if (isAdded) sum.add(hash(pair))
    else sum.remove(hash(pair))
  }
  return { epoch, sum: sum.toBytes() }
}
