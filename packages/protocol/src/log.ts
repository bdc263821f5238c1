/**
 * The hash chain over a vault's log, the digests it is made of, and the fingerprint of a set.
 *
 *   chain 0      = SHA-256("blindcopy.chain.v1" ‖ VaultId)
 *   chain n      = SHA-256(chain n-1 ‖ digest n)
 *   digest       = SHA-256(0x01 ‖ the transaction's pairs, sorted), stale ones included, or
 *                  SHA-256(0x02 ‖ the entry hashes of a keychain append)
 *   pair         = record id ‖ timestamp, 32 bytes: names one version of one record
 *   fingerprint  = the sum modulo 2^128 of the first 16 bytes of SHA-256(pair), over a set of pairs
 *
 * Equal seq and chain mean the same history. The chain finds a liar (design 16); the fingerprint
 * can be kept up to date in either order and finds honest faults.
 */
import { compareBytes, concat, encodeUtf8 } from './bytes.ts'
import { ProtocolError } from './error.ts'
import { sha256 } from './hash.ts'
import type { Timestamp } from './hlc.ts'
import type { Hash, RecordId, VaultId } from './ids.ts'

export const PAIR_BYTES = 32
export const FINGERPRINT_BYTES = 16

/** Where a log ends, or up to where a device has applied it. */
export type LogPosition = { readonly seq: number; readonly chain: Hash }

const CHAIN_LABEL = encodeUtf8('blindcopy.chain.v1')
const PAIRS_KIND = Uint8Array.of(1)
const ENTRIES_KIND = Uint8Array.of(2)

export function chainStart(vaultId: VaultId): Hash {
  return sha256(concat(CHAIN_LABEL, vaultId))
}

export function chainNext(chain: Hash, digest: Hash): Hash {
  return sha256(concat(chain, digest))
}

export function encodePair(recordId: RecordId, timestamp: Timestamp): Uint8Array {
  return concat(recordId, timestamp)
}

/** `pairs` may come in any order. */
export function transactionDigest(pairs: readonly Uint8Array[]): Hash {
  return sha256(concat(PAIRS_KIND, ...[...pairs].sort(compareBytes)))
}

export function keychainDigest(entryHashes: readonly Hash[]): Hash {
  return sha256(concat(ENTRIES_KIND, ...entryHashes))
}

/** A sum of pair hashes that versions are added to and taken from; `add` and `remove` change it. */
export class Fingerprint {
  readonly #lanes: Uint32Array

  constructor(bytes: Uint8Array = new Uint8Array(FINGERPRINT_BYTES)) {
    if (bytes.length !== FINGERPRINT_BYTES) {
      throw new ProtocolError('malformed', `fingerprint has ${bytes.length} bytes instead of 16`)
    }
    this.#lanes = Uint32Array.from({ length: 4 }, (_, i) => laneOf(bytes, i))
  }

  add(pair: Uint8Array): void {
    const other = sha256(pair)
    let carry = 0
    for (let i = 3; i >= 0; i--) {
      const sum = (this.#lanes[i] as number) + laneOf(other, i) + carry
      this.#lanes[i] = sum
      carry = sum > 0xffff_ffff ? 1 : 0
    }
  }

  remove(pair: Uint8Array): void {
    const other = sha256(pair)
    let borrow = 0
    for (let i = 3; i >= 0; i--) {
      const difference = (this.#lanes[i] as number) - laneOf(other, i) - borrow
      this.#lanes[i] = difference
      borrow = difference < 0 ? 1 : 0
    }
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(FINGERPRINT_BYTES)
    const view = new DataView(bytes.buffer)
    this.#lanes.forEach((lane, i) => {
      view.setUint32(i * 4, lane)
    })
    return bytes
  }
}

/** Four bytes, big-endian. Without a view: this runs once for each record that comes or goes. */
function laneOf(bytes: Uint8Array, index: number): number {
  const at = index * 4
  const low = ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8)
  return (bytes[at] as number) * 0x100_0000 + (low | (bytes[at + 3] as number))
}
