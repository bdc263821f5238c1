/**
 * A wrap opens for one member in one place, and nowhere else; so does the seal of an older epoch.
 */
import { equalBytes, type Hash, type KemPublicKey, WRAP_BYTES } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { generateDeviceKeys } from './device.ts'
import { openOlderEpoch, sealOlderEpoch } from './older-epoch.ts'
import { type EpochKey, type IdKey, Secret } from './secret.ts'
import { codeOf, fixedRandom, foundTestVault } from './vault.fixture.ts'
import { unwrapKeys, type WrapPlace, wrapKeys } from './wrap.ts'

const random = fixedRandom('wrap')
const device = generateDeviceKeys(random)
const stranger = generateDeviceKeys(random)
const epochKey: EpochKey = new Secret('EpochKey', random(32))
const idKey: IdKey = new Secret('IdKey', random(32))
const { vaultId } = foundTestVault().root
const place: WrapPlace = { vaultId, epoch: 3, previous: random(32) as Hash }
const otherHash = random(32) as Hash

function wrapFor(holder = device): Uint8Array {
  const wrap = wrapKeys({ epochKey, idKey }, holder, place, random)
  if (wrap === undefined) throw new Error('the key is usable')
  return wrap
}

describe('unwrapKeys', () => {
  it('inverts wrapKeys', () => {
    const wrap = wrapFor()
    expect(wrap).toHaveLength(WRAP_BYTES)
    const keys = unwrapKeys(wrap, device, place)
    expect(equalBytes(keys.epochKey.bytes, epochKey.bytes)).toBe(true)
    expect(equalBytes(keys.idKey.bytes, idKey.bytes)).toBe(true)
  })

  it('refuses another holder, vault, epoch, entry, and another member with the same key', () => {
    const wrap = wrapFor()
    const otherVault = foundTestVault('other').root.vaultId
    const renamed = { ...device, memberId: stranger.memberId }
    const codes = [
      codeOf(() => unwrapKeys(wrap, stranger, place)),
      codeOf(() => unwrapKeys(wrap, renamed, place)),
      codeOf(() => unwrapKeys(wrap, device, { ...place, vaultId: otherVault })),
      codeOf(() => unwrapKeys(wrap, device, { ...place, epoch: 4 })),
      codeOf(() => unwrapKeys(wrap, device, { ...place, previous: otherHash })),
    ]
    expect(new Set(codes)).toEqual(new Set(['key-mismatch']))
  })

  it('refuses a changed byte in every part, and every other length', () => {
    const wrap = wrapFor()
    for (let offset = 0; offset < WRAP_BYTES; offset += offset < 1100 ? 37 : 1) {
      const changed = wrap.slice()
      changed[offset] = (changed[offset] ?? 0) ^ 0x10
      expect(codeOf(() => unwrapKeys(changed, device, place))).toBe('key-mismatch')
    }
    for (const size of [0, 1119, 1120, WRAP_BYTES - 1]) {
      expect(codeOf(() => unwrapKeys(wrap.subarray(0, size), device, place))).toBe('key-mismatch')
    }
  })

  it('never repeats an encapsulation, even when randomness repeats for other keys', () => {
    const wrapOf = (key: EpochKey, at: WrapPlace) =>
      wrapKeys({ epochKey: key, idKey }, device, at, fixedRandom('cloned'))?.subarray(0, 1120)
    const first = wrapOf(epochKey, place)
    expect(wrapOf(epochKey, place)).toEqual(first)
    expect(wrapOf(new Secret('EpochKey', random(32)), place)).not.toEqual(first)
    expect(wrapOf(epochKey, { ...place, previous: otherHash })).not.toEqual(first)
  })
})

describe('wrapKeys', () => {
  it('tells when the key of the recipient is none', () => {
    for (const byte of [0, 255]) {
      const kemKey = new Uint8Array(1216).fill(byte) as Uint8Array as KemPublicKey
      const recipient = { memberId: device.memberId, kemKey }
      expect(wrapKeys({ epochKey, idKey }, recipient, place, random)).toBeUndefined()
    }
  })
})

describe('openOlderEpoch', () => {
  const older: EpochKey = new Secret('EpochKey', random(32))
  const sealPlace = { vaultId, epoch: 3, olderEpoch: 2, previous: place.previous }
  const sealed = sealOlderEpoch(older, epochKey, sealPlace, random)

  it('inverts sealOlderEpoch', () => {
    expect(equalBytes(openOlderEpoch(sealed, epochKey, sealPlace).bytes, older.bytes)).toBe(true)
  })

  it('refuses another key or place', () => {
    const wrong = [{ epoch: 4 }, { olderEpoch: 1 }, { previous: otherHash }]
    for (const change of wrong) {
      const at = { ...sealPlace, ...change }
      expect(codeOf(() => openOlderEpoch(sealed, epochKey, at))).toBe('tampered')
    }
    expect(codeOf(() => openOlderEpoch(sealed, older, sealPlace))).toBe('tampered')
  })
})
