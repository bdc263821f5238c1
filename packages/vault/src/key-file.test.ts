/**
 * A key file gives back what was put in, and tells a wrong passphrase, and a wrong secret of a key
 * store, from a damaged file.
 * Argon2id with real parameters takes a quarter of a second, so damage is tried with small ones.
 */
import { readFileSync } from 'node:fs'
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
  type DeviceKeyFile,
  decodeDeviceKeyFile,
  decodeDeviceKeyFileWithin,
  encodeDeviceKeyFile,
  encodeDeviceKeyFileWith,
  type KeyFileLock,
  type KeyFileOpening,
  readDeviceKeyFileHead,
} from './key-file.ts'
import { parseStoreSecret, STORE_HANDLE_BYTES_MAX } from './key-file-keys.ts'
import { pooledRandom } from './random.ts'
import { codeOf, codeOfAsync, fixedRandom, foundTestVault } from './vault.fixture.ts'

const { device, root } = foundTestVault('key file')
const { vaultId } = root
const random = pooledRandom()
const SMALL = { passes: 1, memoryKib: 8 }
const SMALL_BOUNDS = { floor: SMALL, ceiling: { passes: 4, memoryKib: 64 } }
const PASSPHRASE = 'correct horse é battery'
const CHECKSUM_LABEL = encodeUtf8('blindcopy.key-file.v1')

const file: DeviceKeyFile = { deviceKeys: device, vaultId }
const plain = () => encodeDeviceKeyFile(file, {}, random)
const encodeSmall = (lock: KeyFileLock = { passphrase: PASSPHRASE }) =>
  encodeDeviceKeyFileWith(SMALL, file, lock, random)
const decodeSmall = (bytes: Uint8Array, passphrase?: string) =>
  decodeDeviceKeyFileWithin(SMALL_BOUNDS, bytes, { passphrase })

/** What someone who can write the file would do after changing it. */
function withGoodChecksum(bytes: Uint8Array): Uint8Array {
  const body = bytes.subarray(0, bytes.length - 32)
  return concat(body, sha256(concat(CHECKSUM_LABEL, body)))
}

function expectSame(store: DeviceKeyFile) {
  expect(equalBytes(store.vaultId, vaultId)).toBe(true)
  const { deviceKeys } = store
  expect(equalBytes(deviceKeys.deviceId, device.deviceId)).toBe(true)
  expect(equalBytes(deviceKeys.kemKey, device.kemKey)).toBe(true)
  expect(equalBytes(deviceKeys.kemSeed.bytes, device.kemSeed.bytes)).toBe(true)
  const message = encodeUtf8('signed')
  expect(equalBytes(deviceKeys.sign(message), device.sign(message))).toBe(true)
}

describe('a plain key file', () => {
  it('gives back the keys, with or without a passphrase that it does not need', async () => {
    const bytes = await plain()
    expectSame(await decodeDeviceKeyFile(bytes))
    expectSame(await decodeDeviceKeyFile(bytes, { passphrase: 'not needed' }))
  })

  it('is damaged when any one bit is flipped, or at any other length', async () => {
    const bytes = await plain()
    for (let offset = 0; offset < bytes.length; offset++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = bytes.with(offset, (bytes[offset] ?? 0) ^ (1 << bit))
        expect(await codeOfAsync(decodeDeviceKeyFile(changed))).toBe('key-file-damaged')
      }
      const cut = decodeDeviceKeyFile(bytes.subarray(0, offset))
      expect(await codeOfAsync(cut)).toBe('key-file-damaged')
    }
    const grown = withGoodChecksum(concat(bytes, new Uint8Array(1)))
    expect(await codeOfAsync(decodeDeviceKeyFile(grown))).toBe('key-file-damaged')
  })

  it('refuses another magic, version or form under a good checksum', async () => {
    const bytes = await plain()
    for (const [offset, byte] of [
      [0, 0],
      [8, 2],
      [9, 1],
      [9, 2],
      [9, 3],
      [9, 4],
    ] as const) {
      const changed = withGoodChecksum(bytes.with(offset, byte))
      expect(await codeOfAsync(decodeDeviceKeyFile(changed, { passphrase: 'x' }))).toBe(
        'key-file-damaged',
      )
    }
  })
})

describe('a key file under a passphrase', () => {
  it('gives back the keys, and holds none of them in the open', async () => {
    const bytes = await encodeDeviceKeyFile(file, { passphrase: PASSPHRASE }, random)
    expectSame(await decodeDeviceKeyFile(bytes, { passphrase: PASSPHRASE }))
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
    expect(await codeOfAsync(encodeSmall({ passphrase: '' }))).toBe('passphrase-required')
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
      return codeOfAsync(decodeDeviceKeyFile(withGoodChecksum(changed), { passphrase: PASSPHRASE }))
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

const SECRET = random(32)
const storeSecret = () => parseStoreSecret(SECRET.slice())
const HANDLE = encodeUtf8('where it is')
const underStore = (passphrase?: string): KeyFileLock => ({
  passphrase,
  keyStore: { id: 'test-store', handle: HANDLE, secret: storeSecret() },
})
const openSmall = (bytes: Uint8Array, opening: KeyFileOpening) =>
  decodeDeviceKeyFileWithin(SMALL_BOUNDS, bytes, opening)
const codeOfOpening = (bytes: Uint8Array, opening: KeyFileOpening) =>
  codeOfAsync(openSmall(bytes, opening))

describe('a key file under a key store', () => {
  it('gives back the keys, says where its secret is, and holds none of them in the open', async () => {
    const bytes = await encodeSmall(underStore())
    expectSame(await openSmall(bytes, { storeSecret: storeSecret() }))
    expect(readDeviceKeyFileHead(bytes)).toEqual({
      hasPassphrase: false,
      keptAt: { id: 'test-store', handle: HANDLE },
    })
    const text = formatHex(bytes)
    for (const secret of [device.signingSeed.bytes, device.kemSeed.bytes, vaultId, SECRET]) {
      expect(text).not.toContain(formatHex(secret))
    }
  })

  it('tells a missing and a wrong secret', async () => {
    const bytes = await encodeSmall(underStore())
    const wrong = parseStoreSecret(SECRET.with(31, (SECRET[31] ?? 0) ^ 1))
    expect(await codeOfOpening(bytes, {})).toBe('key-store-required')
    expect(await codeOfOpening(bytes, { passphrase: PASSPHRASE })).toBe('key-store-required')
    expect(await codeOfOpening(bytes, { storeSecret: wrong })).toBe('key-store-wrong')
  })

  it('with a passphrase wants both, and says which of the two is wrong', async () => {
    const bytes = await encodeSmall(underStore(PASSPHRASE))
    const [right, wrong] = [storeSecret(), parseStoreSecret(random(32))]
    expectSame(await openSmall(bytes, { passphrase: PASSPHRASE, storeSecret: right }))
    expect(readDeviceKeyFileHead(bytes)).toMatchObject({ hasPassphrase: true })
    const codes = [
      [{ passphrase: PASSPHRASE }, 'key-store-required'],
      [{ storeSecret: right }, 'passphrase-required'],
      [{ passphrase: '', storeSecret: right }, 'passphrase-required'],
      [{ passphrase: 'other', storeSecret: right }, 'passphrase-wrong'],
      [{ passphrase: PASSPHRASE, storeSecret: wrong }, 'key-store-wrong'],
      [{ passphrase: 'other', storeSecret: wrong }, 'key-store-wrong'],
    ] as const
    for (const [opening, code] of codes) expect(await codeOfOpening(bytes, opening)).toBe(code)
  })

  it.each([undefined, PASSPHRASE])(
    'is damaged when any byte is changed, and never opens when its checksum is mended too',
    async (passphrase) => {
      const bytes = await encodeSmall(underStore(passphrase))
      const opening = { passphrase: PASSPHRASE, storeSecret: storeSecret() }
      const refusals = new Set([
        'key-file-damaged',
        'key-store-wrong',
        'passphrase-wrong',
        'parameters-refused',
      ])
      for (let offset = 0; offset < bytes.length; offset++) {
        const changed = bytes.with(offset, (bytes[offset] ?? 0) ^ 1)
        expect(await codeOfOpening(changed, opening)).toBe('key-file-damaged')
        expect(await codeOfOpening(bytes.subarray(0, offset), opening)).toBe('key-file-damaged')
        if (offset >= bytes.length - 32) continue
        const code = await codeOfOpening(withGoodChecksum(changed), opening)
        expect(refusals, `${offset}: ${code}`).toContain(code)
      }
    },
  )

  it('cannot be made to ask another key store, or with another handle', async () => {
    const bytes = await encodeSmall(underStore())
    const at = Buffer.from(bytes).indexOf('where it is')
    const moved = withGoodChecksum(bytes.with(at, 0x57))
    expect(readDeviceKeyFileHead(moved).keptAt?.handle).toEqual(encodeUtf8('Where it is'))
    expect(await codeOfOpening(moved, { storeSecret: storeSecret() })).toBe('key-store-wrong')
  })

  it('takes ids and handles up to their bounds, and none beyond', async () => {
    const secret = storeSecret()
    const make = (id: string, handle: Uint8Array) =>
      encodeSmall({ keyStore: { id, handle, secret } })
    const longest = new Uint8Array(STORE_HANDLE_BYTES_MAX).fill(7)
    const bytes = await make('a'.repeat(32), longest)
    expect(readDeviceKeyFileHead(bytes).keptAt).toEqual({ id: 'a'.repeat(32), handle: longest })
    expectSame(await openSmall(await make('x', new Uint8Array(0)), { storeSecret: secret }))
    for (const [id, handle] of [
      ['', HANDLE],
      ['a'.repeat(33), HANDLE],
      ['Upper', HANDLE],
      ['ä', HANDLE],
      ['x', new Uint8Array(STORE_HANDLE_BYTES_MAX + 1)],
    ] as const) {
      expect(await codeOfAsync(make(id, handle))).toBe('key-store-wrong')
    }
    for (const size of [0, 31, 33]) {
      expect(codeOf(() => parseStoreSecret(new Uint8Array(size)))).toBe('key-store-wrong')
    }
  })
})

describe('keys while a file is made and opened', () => {
  it('are wiped where they were only on the way', async () => {
    const bytes = new Uint8Array(31).fill(9)
    codeOf(() => parseStoreSecret(bytes))
    expect(bytes.every((byte) => byte === 0)).toBe(true)
  })
})

describe('device-key-file.json', () => {
  type Case = Record<'name' | 'expect' | 'bytes' | 'comment', string> &
    Partial<Record<'random' | 'passphrase' | 'secret' | 'handle' | 'id', string>> &
    Partial<Record<'vaultId' | 'signingSeed' | 'kemSeed', string>>
  const url = new URL('../../../test/vectors/device-key-file.json', import.meta.url)
  const { cases } = JSON.parse(readFileSync(url, 'utf8')) as { cases: Case[] }
  const bytesOf = (hex = ''): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))

  it('has at least as many refusals as successes', () => {
    const opens = cases.filter(({ expect }) => expect === 'opens').length
    expect(opens).toBe(4)
    expect(cases.length - opens).toBeGreaterThan(opens)
  })

  it.each(cases)('$name: $expect $comment', async (vector) => {
    const { passphrase, secret } = vector
    const keep = () => (secret === undefined ? undefined : parseStoreSecret(bytesOf(secret)))
    const opening = { passphrase, storeSecret: keep() }
    const opened = openSmall(bytesOf(vector.bytes), opening)
    if (vector.expect !== 'opens') {
      expect(await codeOfAsync(opened)).toBe(vector.expect)
      return
    }
    const { deviceKeys, vaultId: found } = await opened
    expect(formatHex(found)).toBe(vector.vaultId)
    expect(formatHex(deviceKeys.signingSeed.bytes)).toBe(vector.signingSeed)
    expect(formatHex(deviceKeys.kemSeed.bytes)).toBe(vector.kemSeed)
    const kept = keep()
    const keyStore = kept && {
      id: vector.id ?? '',
      handle: bytesOf(vector.handle),
      secret: kept,
    }
    const again = encodeDeviceKeyFileWith(
      SMALL,
      { deviceKeys, vaultId: found },
      { passphrase, keyStore },
      fixedRandom(vector.random ?? ''),
    )
    expect(formatHex(await again)).toBe(vector.bytes)
  })
})
