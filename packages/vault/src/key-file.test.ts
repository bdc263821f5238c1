/**
 * A key store gives back what was put in, and tells a wrong passphrase from a damaged file.
 * Argon2id with real parameters takes a quarter of a second, so damage is tried with small ones.
 */
import {
  concat,
  encodeUint32,
  encodeUtf8,
  equalBytes,
  formatHex,
  sha256,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { ARGON2ID_BOUNDS } from './argon2id.ts'
import {
  decodeKeyStore,
  decodeKeyStoreWithin,
  encodeKeyStore,
  encodeKeyStoreWith,
  type KeyStore,
} from './key-file.ts'
import { pooledRandom } from './random.ts'
import { codeOfAsync, foundTestVault } from './vault.fixture.ts'

const { device, root } = foundTestVault('key file')
const { vaultId } = root
const random = pooledRandom()
const SMALL = { passes: 1, memoryKib: 8 }
const SMALL_BOUNDS = { floor: SMALL, ceiling: { passes: 4, memoryKib: 64 } }
const PASSPHRASE = 'correct horse é battery'
const CHECKSUM_LABEL = encodeUtf8('blindcopy.key-file.v1')

const encodeSmall = () =>
  encodeKeyStoreWith(SMALL, { deviceKeys: device, vaultId }, PASSPHRASE, random)
const decodeSmall = (bytes: Uint8Array, passphrase?: string) =>
  decodeKeyStoreWithin(SMALL_BOUNDS, bytes, passphrase)

/** What someone who can write the file would do after changing it. */
function withGoodChecksum(bytes: Uint8Array): Uint8Array {
  const body = bytes.subarray(0, bytes.length - 32)
  return concat(body, sha256(concat(CHECKSUM_LABEL, body)))
}

function expectSame(store: KeyStore) {
  expect(equalBytes(store.vaultId, vaultId)).toBe(true)
  const { deviceKeys } = store
  expect(equalBytes(deviceKeys.deviceId, device.deviceId)).toBe(true)
  expect(equalBytes(deviceKeys.kemKey, device.kemKey)).toBe(true)
  expect(equalBytes(deviceKeys.kemSeed.bytes, device.kemSeed.bytes)).toBe(true)
  const message = encodeUtf8('signed')
  expect(equalBytes(deviceKeys.sign(message), device.sign(message))).toBe(true)
}

describe('a plain key store', () => {
  it('gives back the keys, with or without a passphrase that it does not need', async () => {
    const bytes = await encodeKeyStore(device, vaultId, undefined, random)
    expectSame(await decodeKeyStore(bytes))
    expectSame(await decodeKeyStore(bytes, 'not needed'))
  })

  it('is damaged when any one bit is flipped, or at any other length', async () => {
    const bytes = await encodeKeyStore(device, vaultId, undefined, random)
    for (let offset = 0; offset < bytes.length; offset++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = bytes.with(offset, (bytes[offset] ?? 0) ^ (1 << bit))
        expect(await codeOfAsync(decodeKeyStore(changed))).toBe('key-file-damaged')
      }
      const cut = decodeKeyStore(bytes.subarray(0, offset))
      expect(await codeOfAsync(cut)).toBe('key-file-damaged')
    }
    const grown = withGoodChecksum(concat(bytes, new Uint8Array(1)))
    expect(await codeOfAsync(decodeKeyStore(grown))).toBe('key-file-damaged')
  })

  it('refuses another magic, version or form under a good checksum', async () => {
    const bytes = await encodeKeyStore(device, vaultId, undefined, random)
    for (const [offset, byte] of [
      [0, 0],
      [8, 2],
      [9, 1],
      [9, 2],
    ] as const) {
      const changed = withGoodChecksum(bytes.with(offset, byte))
      expect(await codeOfAsync(decodeKeyStore(changed, 'x'))).toBe('key-file-damaged')
    }
  })
})

describe('a key store under a passphrase', () => {
  it('gives back the keys, and holds none of them in the open', async () => {
    const bytes = await encodeKeyStore(device, vaultId, PASSPHRASE, random)
    expectSame(await decodeKeyStore(bytes, PASSPHRASE))
    const text = formatHex(bytes)
    for (const secret of [device.signingSeed, device.kemSeed]) {
      expect(text).not.toContain(formatHex(secret.bytes))
    }
    expect(text).not.toContain(formatHex(vaultId))
  })

  it('tells a missing and a wrong passphrase', async () => {
    const bytes = await encodeSmall()
    expectSame(await decodeSmall(bytes, PASSPHRASE))
    expectSame(await decodeSmall(bytes, PASSPHRASE.normalize('NFD')))
    expect(await codeOfAsync(decodeSmall(bytes))).toBe('passphrase-required')
    expect(await codeOfAsync(decodeSmall(bytes, ''))).toBe('passphrase-required')
    expect(await codeOfAsync(decodeSmall(bytes, `${PASSPHRASE} `))).toBe('passphrase-wrong')
    const store = { deviceKeys: device, vaultId }
    const empty = encodeKeyStoreWith(SMALL, store, '', random)
    expect(await codeOfAsync(empty)).toBe('passphrase-required')
  })

  it('is damaged, whatever the passphrase, when any byte is changed', async () => {
    const bytes = await encodeSmall()
    for (let offset = 0; offset < bytes.length; offset++) {
      const changed = bytes.with(offset, (bytes[offset] ?? 0) ^ 0x40)
      expect(await codeOfAsync(decodeSmall(changed, PASSPHRASE))).toBe('key-file-damaged')
      expect(await codeOfAsync(decodeSmall(changed, 'wrong'))).toBe('key-file-damaged')
    }
  })

  it('never opens when it was changed by someone who mended its checksum', async () => {
    const bytes = await encodeSmall()
    for (let offset = 10; offset < bytes.length - 32; offset++) {
      const changed = withGoodChecksum(bytes.with(offset, (bytes[offset] ?? 0) ^ 1))
      const code = await codeOfAsync(decodeSmall(changed, PASSPHRASE))
      if (offset < 18) expect(code).toMatch(/^(parameters-refused|passphrase-wrong)$/)
      else expect(code).toBe(offset < 66 ? 'passphrase-wrong' : 'key-file-damaged')
    }
  })

  it('refuses parameters below the floor and above the ceiling, at the limit and one beyond', async () => {
    const { floor, ceiling } = ARGON2ID_BOUNDS
    const bytes = await encodeSmall()
    const refusal = (passes: number, memoryKib: number) => {
      const changed = bytes.slice()
      changed.set(concat(encodeUint32(passes), encodeUint32(memoryKib)), 10)
      return codeOfAsync(decodeKeyStore(withGoodChecksum(changed), PASSPHRASE))
    }
    const wrong = [
      [floor.passes - 1, floor.memoryKib],
      [floor.passes, floor.memoryKib - 1],
      [ceiling.passes + 1, floor.memoryKib],
      [floor.passes, ceiling.memoryKib + 1],
      [0xffff_ffff, 0xffff_ffff],
      [0, 0],
    ] as const
    for (const [passes, memoryKib] of wrong) {
      expect(await refusal(passes, memoryKib)).toBe('parameters-refused')
    }
    expect(await refusal(floor.passes, floor.memoryKib)).toBe('passphrase-wrong')
  })
})
