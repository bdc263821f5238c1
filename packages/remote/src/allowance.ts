/**
 * Allowance: what each member of a vault has used today of the things that are counted by the day.
 *
 *   day 4 ‖ (member id 8 ‖ SyncIds begun 2 ‖ keychain entries appended 2)…
 *
 * It is part of the vault's state, so a restarted server does not forget it. The day is the
 * remote's (UTC); with a new day the list is empty again, which keeps it short.
 */
import {
  decodeUint32,
  encodeUint32,
  formatHex,
  KEYCHAIN_APPENDS_A_DAY_MAX,
  MEMBER_ID_BYTES,
  type MemberId,
  ProtocolError,
} from '@blindcopy/protocol'

export type Allowance = { readonly day: number; readonly spentById: ReadonlyMap<string, Spent> }
type Spent = { readonly memberId: MemberId; readonly syncIds: number; readonly appends: number }
export type Counted = 'syncIds' | 'appends'

export const ALLOWANCE_NONE: Allowance = { day: 0, spentById: new Map() }

/** A member whose cursor is unknown makes everybody reconcile: seldom is enough. */
export const SYNC_IDS_A_DAY_MAX = 4
const MAXIMA = { syncIds: SYNC_IDS_A_DAY_MAX, appends: KEYCHAIN_APPENDS_A_DAY_MAX } as const
const DAY_MS = 24 * 60 * 60_000
const MEMBER_BYTES = MEMBER_ID_BYTES + 4

export type Spending = {
  readonly memberId: MemberId
  readonly what: Counted
  readonly amount: number
  readonly nowMs: number
}

/** What is left after it. Throws `too-many-requests` when that would be less than nothing. */
export function spend(allowance: Allowance, spending: Spending): Allowance {
  const { memberId, what, amount, nowMs } = spending
  if (amount === 0) return allowance
  const day = Math.floor(nowMs / DAY_MS)
  const spentById = new Map(day === allowance.day ? allowance.spentById : [])
  const id = formatHex(memberId)
  const before = spentById.get(id) ?? { memberId, syncIds: 0, appends: 0 }
  const used = before[what] + amount
  if (used > MAXIMA[what]) {
    const retryAfterSeconds = Math.ceil(((day + 1) * DAY_MS - nowMs) / 1000)
    throw new ProtocolError('too-many-requests', `this device did this too often today`, {
      details: { retryAfterSeconds },
    })
  }
  spentById.set(id, { ...before, [what]: used })
  return { day, spentById }
}

export function encodeAllowance({ day, spentById }: Allowance): Uint8Array {
  const bytes = new Uint8Array(4 + spentById.size * MEMBER_BYTES)
  const view = new DataView(bytes.buffer)
  bytes.set(encodeUint32(day))
  let offset = 4
  for (const { memberId, syncIds, appends } of spentById.values()) {
    bytes.set(memberId, offset)
    view.setUint16(offset + MEMBER_ID_BYTES, syncIds)
    view.setUint16(offset + MEMBER_ID_BYTES + 2, appends)
    offset += MEMBER_BYTES
  }
  return bytes
}

export function decodeAllowance(bytes: Uint8Array): Allowance {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const spentById = new Map<string, Spent>()
  for (let offset = 4; offset < bytes.length; offset += MEMBER_BYTES) {
    const memberId = bytes.slice(offset, offset + MEMBER_ID_BYTES) as MemberId
    const syncIds = view.getUint16(offset + MEMBER_ID_BYTES)
    const appends = view.getUint16(offset + MEMBER_ID_BYTES + 2)
    spentById.set(formatHex(memberId), { memberId, syncIds, appends })
  }
  return { day: decodeUint32(bytes), spentById }
}
