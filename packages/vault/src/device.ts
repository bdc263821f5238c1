/**
 * The key pairs of one device: random, made on it, never sent anywhere. key-file.ts keeps them.
 *
 * They are not derived from the root, so that a lost device is revoked without a new phrase, and a
 * stolen one tells nothing about the root.
 */
import type { MemberId } from '@blindcopy/protocol'
import { type MemberKeys, memberKeysOf } from './member-keys.ts'
import type { RandomBytes } from './random.ts'
import { type KemSeed, SECRET_BYTES, Secret, type SigningSeed } from './secret.ts'

export type DeviceKeys = MemberKeys & { readonly deviceId: MemberId }

export function generateDeviceKeys(random: RandomBytes): DeviceKeys {
  return deviceKeysOf(
    new Secret('SigningSeed', random(SECRET_BYTES)),
    new Secret('KemSeed', random(SECRET_BYTES)),
  )
}

export function deviceKeysOf(signingSeed: SigningSeed, kemSeed: KemSeed): DeviceKeys {
  const keys = memberKeysOf(signingSeed, kemSeed)
  return { ...keys, deviceId: keys.memberId }
}
