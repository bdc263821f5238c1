/**
 * Vault state: what the remote knows of one vault beside its records, in one value.
 *
 *   version 1 ‖ SyncId 16 ‖ seq 8 ‖ chain 32 ‖ count 8 ‖ fingerprint 16 ‖ greatest ms 8
 *   ‖ keychain length 4 ‖ keychain bytes 8 ‖ day 4 ‖ (member id 8 ‖ SyncIds 2 ‖ appends 2)…
 *
 * Count and fingerprint are of the live set and kept with every write, so that an answer costs no
 * scan. A state is never changed, only replaced.
 */
import {
  decodeUint32,
  decodeUint64,
  encodeUint32,
  encodeUint64,
  type LogPosition,
  parseHash,
  parseSyncId,
  type SyncId,
} from '@blindcopy/protocol'
import { type Allowance, decodeAllowance, encodeAllowance } from './allowance.ts'

export type VaultState = {
  readonly syncId: SyncId
  readonly head: LogPosition
  readonly count: number
  readonly fingerprint: Uint8Array
  /** Of every version that is or was stored, or that a member stated it holds (design 4). */
  readonly greatestMs: number
  readonly keychainLength: number
  readonly keychainBytes: number
  readonly allowance: Allowance
}

const STATE_VERSION = 1
const FIXED_BYTES = 101

export function encodeVaultState(state: VaultState): Uint8Array {
  const allowance = encodeAllowance(state.allowance)
  const bytes = new Uint8Array(FIXED_BYTES + allowance.length)
  bytes[0] = STATE_VERSION
  bytes.set(state.syncId, 1)
  bytes.set(encodeUint64(state.head.seq), 17)
  bytes.set(state.head.chain, 25)
  bytes.set(encodeUint64(state.count), 57)
  bytes.set(state.fingerprint, 65)
  bytes.set(encodeUint64(state.greatestMs), 81)
  bytes.set(encodeUint32(state.keychainLength), 89)
  bytes.set(encodeUint64(state.keychainBytes), 93)
  bytes.set(allowance, FIXED_BYTES)
  return bytes
}

export function decodeVaultState(bytes: Uint8Array): VaultState {
  // A store that a later program wrote: going on would destroy what it added.
  if (bytes[0] !== STATE_VERSION) throw new Error(`vault state of version ${bytes[0]}`)
  return {
    syncId: parseSyncId(bytes.slice(1, 17)),
    head: { seq: decodeUint64(bytes, 17), chain: parseHash(bytes.slice(25, 57)) },
    count: decodeUint64(bytes, 57),
    fingerprint: bytes.slice(65, 81),
    greatestMs: decodeUint64(bytes, 81),
    keychainLength: decodeUint32(bytes, 89),
    keychainBytes: decodeUint64(bytes, 93),
    allowance: decodeAllowance(bytes.subarray(FIXED_BYTES)),
  }
}
