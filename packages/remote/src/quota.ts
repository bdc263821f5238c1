/**
 * Quota: what one vault may hold, and what is refused beyond it.
 *
 * A vault that is full goes on being served, and what makes it smaller is taken: a delete writes an
 * envelope and a log entry too, so ops that replace an envelope with one no larger have a reserve
 * above the quota. History never stands against a push: it is given up first (history.ts).
 */
import { decodeUint64, encodeUint64, type Keychain, ProtocolError } from '@blindcopy/protocol'
import type { RemoteLimits } from './limits.ts'
import type { VaultState } from './vault-state.ts'

export type Quota = RemoteLimits['quota']

/** What a transaction would add, taken together. */
export type Growth = {
  readonly records: number
  /** Of envelopes: what it writes less what it replaces. */
  readonly envelopeBytes: number
  readonly logBytes: number
}

export const QUOTA_BYTES = 18
/** One part in so many of the quota. */
const RESERVE = 16

export const quotaOf = ({ quota }: Pick<VaultState, 'quota'>, limits: RemoteLimits): Quota =>
  quota ?? limits.quota

/** Why a vault that holds so much takes no such transaction; undefined when it does. */
export function findExcess(
  quota: Quota,
  held: { readonly count: number; readonly bytes: number },
  { records, envelopeBytes, logBytes }: Growth,
): ProtocolError | undefined {
  if (records > 0 && held.count + records > quota.recordsMax) {
    return exceeded('records', quota.recordsMax)
  }
  const isShrinking = records === 0 && envelopeBytes <= 0
  const bytesMax = quota.bytesMax + (isShrinking ? Math.floor(quota.bytesMax / RESERVE) : 0)
  const bytes = held.bytes + envelopeBytes + logBytes
  return bytes > bytesMax ? exceeded('bytes', quota.bytesMax) : undefined
}

/** Throws `quota-exceeded` when the entries bring more devices than the vault may have. */
export function checkDevices(quota: Quota, before: Keychain | undefined, after: Keychain): void {
  const devices = countDevices(after)
  const isMore = before === undefined || devices > countDevices(before)
  if (isMore && devices > quota.devicesMax) {
    throw exceeded('devices', quota.devicesMax)
  }
}

export const countDevices = ({ membersById }: Keychain): number =>
  [...membersById.values()].filter(({ kind }) => kind === 'device').length

function exceeded(what: 'bytes' | 'records' | 'devices', max: number): ProtocolError {
  return new ProtocolError(
    'quota-exceeded',
    `the vault is full here (${what}): delete what is not needed, or ask whoever runs the remote`,
    { details: { what, max } },
  )
}

/** A quota that is all zero says that there is none of its own. */
export function encodeQuota({ bytesMax, recordsMax, devicesMax }: Quota): Uint8Array {
  const bytes = new Uint8Array(QUOTA_BYTES)
  bytes.set(encodeUint64(bytesMax))
  bytes.set(encodeUint64(recordsMax), 8)
  new DataView(bytes.buffer).setUint16(16, devicesMax)
  return bytes
}

export function decodeQuota(bytes: Uint8Array): Quota | undefined {
  const bytesMax = decodeUint64(bytes)
  const recordsMax = decodeUint64(bytes, 8)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const devicesMax = view.getUint16(16)
  return bytesMax + recordsMax + devicesMax === 0 ? undefined : { bytesMax, recordsMax, devicesMax }
}
