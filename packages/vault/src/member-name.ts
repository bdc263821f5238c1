/**
 * The name of a member, such as "phone", as the keychain holds it: the remote sees only its bucket.
 *
 *   offset  size  field
 *        0     4  epoch whose subkey seals it, big-endian
 *        4    24  nonce
 *       28     …  length (2 bytes) ‖ UTF-8 ‖ zeros, in buckets of 64 bytes, sealed with a 16-byte
 * tag
 *
 * Bound to vault, member and epoch, so that names cannot be swapped between members.
 */
import {
  concat,
  decodeUint32,
  decodeUtf8,
  encodeUint32,
  encodeUtf8,
  type Member,
  type MemberId,
  ProtocolError,
  type VaultId,
} from '@blindcopy/protocol'
import { openBox, sealBox } from './box.ts'
import { derive } from './derivation.ts'
import { tampered } from './error.ts'
import type { Keyring } from './keyring.ts'
import type { RandomBytes } from './random.ts'
import type { EpochKey } from './secret.ts'

const LABEL = encodeUtf8('blindcopy.member-name.v1')
const EPOCH_BYTES = 4
const LENGTH_BYTES = 2
const BUCKET_BYTES = 64
/** Four buckets; with nonce and tag well below what an entry may hold (512 bytes). */
export const MEMBER_NAME_BYTES_MAX: number = 4 * BUCKET_BYTES - LENGTH_BYTES

export type MemberNamePlace = {
  readonly vaultId: VaultId
  readonly memberId: MemberId
  readonly epoch: number
}

/** Throws `too-large` (of the protocol) for a name of more than 254 bytes. */
export function sealMemberName(
  name: string,
  epochKey: EpochKey,
  place: MemberNamePlace,
  random: RandomBytes,
): Uint8Array {
  const text = encodeUtf8(name)
  if (text.length > MEMBER_NAME_BYTES_MAX) {
    throw new ProtocolError('too-large', `a name has more than ${MEMBER_NAME_BYTES_MAX} bytes`)
  }
  const sizeBytes = Math.ceil((LENGTH_BYTES + text.length) / BUCKET_BYTES) * BUCKET_BYTES
  const padded = new Uint8Array(sizeBytes)
  new DataView(padded.buffer).setUint16(0, text.length)
  padded.set(text, LENGTH_BYTES)
  const key = derive('epochMemberName', epochKey)
  const sealed = sealBox(padded, { key, associatedData: associatedDataOf(place) }, random)
  key.wipe()
  return concat(encodeUint32(place.epoch), sealed)
}

/**
 * Undefined while the keyring lacks the epoch it was sealed under. Throws `tampered`: show the
 * member without its name then, for a name that any member can spoil must not hide the rest of the
 * list.
 */
export function openMemberName(
  keyring: Keyring,
  member: Pick<Member, 'memberId' | 'sealedName'>,
): string | undefined {
  const { memberId, sealedName } = member
  if (sealedName.length < EPOCH_BYTES) throw tampered()
  const epoch = decodeUint32(sealedName)
  const epochKey = keyring.epochKey(epoch)
  if (epochKey === undefined) return undefined
  const key = derive('epochMemberName', epochKey)
  const associatedData = associatedDataOf({ vaultId: keyring.vaultId, memberId, epoch })
  try {
    return unpad(openBox(sealedName.subarray(EPOCH_BYTES), { key, associatedData }))
  } catch {
    throw tampered()
  } finally {
    key.wipe()
  }
}

function unpad(padded: Uint8Array): string {
  const length = ((padded[0] ?? 0) << 8) | (padded[1] ?? 0)
  const end = LENGTH_BYTES + length
  const isExact = padded.length === Math.ceil(end / BUCKET_BYTES) * BUCKET_BYTES
  if (!isExact || padded.subarray(end).some((byte) => byte !== 0)) throw tampered()
  return decodeUtf8(padded.subarray(LENGTH_BYTES, end))
}

function associatedDataOf({ vaultId, memberId, epoch }: MemberNamePlace): Uint8Array {
  return concat(LABEL, vaultId, memberId, encodeUint32(epoch))
}
