/**
 * Vault state: what the remote knows of one vault beside its records, in one value.
 *
 *   version 2 ‖ SyncId 16 ‖ seq 8 ‖ chain 32 ‖ count 8 ‖ fingerprint 16 ‖ greatest ms 8
 *   ‖ keychain length 4 ‖ keychain bytes 8 ‖ bytes 8 ‖ history count 8 ‖ history bytes 8
 *   ‖ created ms 8 ‖ pushed ms 8 ‖ quota: bytes 8 ‖ records 8 ‖ devices 2 (all 0: as configured)
 *   ‖ day 4 ‖ (member id 8 ‖ SyncIds 2 ‖ appends 2)…
 *
 * Count, fingerprint and sizes are kept with every write, so that an answer costs no scan. A state
 * is never changed, only replaced.
 */
import {
  decodeUint32,
  decodeUint64,
  encodeUint32,
  encodeUint64,
  FINGERPRINT_BYTES,
  type LogPosition,
  parseHash,
  parseSyncId,
  type SyncId,
} from '@blindcopy/protocol'
import { ALLOWANCE_NONE, type Allowance, decodeAllowance, encodeAllowance } from './allowance.ts'
import { decodeQuota, encodeQuota, type Quota } from './quota.ts'

export type VaultState = {
  readonly syncId: SyncId
  readonly head: LogPosition
  readonly count: number
  readonly fingerprint: Uint8Array
  /** Of every version that is or was stored, or that a member stated it holds (design 4). */
  readonly greatestMs: number
  readonly keychainLength: number
  readonly keychainBytes: number
  /** Of live envelopes and log entries, without their keys. */
  readonly bytes: number
  /** Superseded versions that are kept, and the bytes of their envelopes. */
  readonly historyCount: number
  readonly historyBytes: number
  readonly createdMs: number
  /** Of the last push that wrote something; 0 before the first. */
  readonly pushedMs: number
  /** What this vault may hold, where it differs from what is configured for all. */
  readonly quota: Quota | undefined
  readonly allowance: Allowance
}

/** A vault before its first entry. */
export function beginState(begin: {
  readonly syncId: SyncId
  readonly head: LogPosition
  readonly greatestMs: number
  readonly createdMs: number
}): VaultState {
  return {
    ...begin,
    count: 0,
    fingerprint: new Uint8Array(FINGERPRINT_BYTES),
    keychainLength: 0,
    keychainBytes: 0,
    bytes: 0,
    historyCount: 0,
    historyBytes: 0,
    pushedMs: 0,
    quota: undefined,
    allowance: ALLOWANCE_NONE,
  }
}

const STATE_VERSION = 2
const QUOTA_AT = 141
const FIXED_BYTES = 159

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
  bytes.set(encodeUint64(state.bytes), 101)
  bytes.set(encodeUint64(state.historyCount), 109)
  bytes.set(encodeUint64(state.historyBytes), 117)
  bytes.set(encodeUint64(state.createdMs), 125)
  bytes.set(encodeUint64(state.pushedMs), 133)
  if (state.quota !== undefined) bytes.set(encodeQuota(state.quota), QUOTA_AT)
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
    bytes: decodeUint64(bytes, 101),
    historyCount: decodeUint64(bytes, 109),
    historyBytes: decodeUint64(bytes, 117),
    createdMs: decodeUint64(bytes, 125),
    pushedMs: decodeUint64(bytes, 133),
    quota: decodeQuota(bytes.subarray(QUOTA_AT, FIXED_BYTES)),
    allowance: decodeAllowance(bytes.subarray(FIXED_BYTES)),
  }
}
