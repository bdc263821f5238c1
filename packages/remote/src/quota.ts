/**
 * Quota: what one vault may hold, and what is refused beyond it.
 *
 * A vault that is full goes on being served, and what makes it smaller is always taken, however far
 * above its quota it is. The delete of a small record makes it larger, by its log entry: deletes
 * have a reserve above the quota, which edits do not touch. History never stands against a push: it
 * is given up first (history.ts).
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
  /** It brings no content: each of its ops deletes what is there, or came too late. */
  readonly isEmptying: boolean
}

export const QUOTA_BYTES = 18
/**
 * One part in so many of the quota. A record takes at least 350 bytes with its part of the log, and
 * its delete 67 more: so all of a full vault can be deleted, one record after the other.
 */
const RESERVE = 4

export const quotaOf = ({ quota }: Pick<VaultState, 'quota'>, limits: RemoteLimits): Quota =>
  quota ?? limits.quota

/** Why a vault that holds so much takes no such transaction; undefined when it does. */
export function findExcess(
  quota: Quota,
  held: { readonly count: number; readonly bytes: number },
  { records, envelopeBytes, logBytes, isEmptying }: Growth,
): ProtocolError | undefined {
  if (records > 0 && held.count + records > quota.recordsMax) {
    return exceeded('records', quota.recordsMax)
  }
  const addedBytes = envelopeBytes + logBytes
  if (addedBytes <= 0) return undefined
  const bytesMax = quota.bytesMax + (isEmptying ? Math.floor(quota.bytesMax / RESERVE) : 0)
  return held.bytes + addedBytes > bytesMax ? exceeded('bytes', quota.bytesMax) : undefined
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

/** Deleted records go on counting, so deleting helps with bytes alone. */
const REMEDIES = {
  bytes: 'delete what is not needed, or ask whoever runs the remote',
  records: 'deleted ones count too: ask whoever runs the remote',
  devices: 'remove one that is not used, or ask whoever runs the remote',
} as const

function exceeded(what: keyof typeof REMEDIES, max: number): ProtocolError {
  const why = `the vault is full here (${what}): ${REMEDIES[what]}`
  return new ProtocolError('quota-exceeded', why, { details: { what, max } })
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
