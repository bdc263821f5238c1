/**
 * The keys of a device under changing protection: what is proved before, what stands in the folder
 * after, and what a failure at any point leaves. The folder is one in memory; the disk's own crash
 * points are in test/e2e/device-keys.test.ts.
 */
import { pooledRandom } from '@blindcopy/vault'
import { beforeEach, describe, expect, it } from 'vitest'
import { ClientError, codeOf } from '../error.ts'
import { type TestPlatform, testPlatform } from '../platform.fixture.ts'
import { keyStoreCases } from './key-store.suite.ts'
import type { KeyStore } from './key-store.ts'
import type { Vault } from './vault.ts'
import { createVaultOn, openVaultOn } from './vault-doors.ts'

const REMOTE = 'http://127.0.0.1:9'
const random = pooledRandom()
let platform: TestPlatform
const codeWhen = (job: Promise<unknown>): Promise<string | undefined> =>
  job.then(() => 'it went well', codeOf)

/** A key store in memory, which can be told to fail. */
type MemoryKeyStore = KeyStore & { readonly kept: Map<string, Uint8Array>; failure?: unknown }

function memoryKeyStore(id = 'memory', kept = new Map<string, Uint8Array>()): MemoryKeyStore {
  const failing = (): void => {
    if (store.failure !== undefined) throw store.failure
  }
  const store: MemoryKeyStore = {
    id,
    kept,
    async create() {
      failing()
      const [secret, handle] = [random(32), random(8)]
      kept.set(handle.join(), secret.slice())
      return { secret, handle }
    },
    async load(_vault, handle) {
      failing()
      const secret = kept.get(handle.join())
      if (secret !== undefined) return secret.slice()
      throw new ClientError('key-store-empty', 'there is none')
    },
    async remove(_vault, handle) {
      failing()
      kept.delete(handle.join())
    },
  }
  return store
}

beforeEach(() => {
  platform = testPlatform()
})

const make = async (options: { passphrase?: string; keyStore?: KeyStore } = {}): Promise<Vault> => {
  const { vault } = await createVaultOn(platform, { path: 'v', remote: REMOTE, ...options })
  await vault.collection('notes').put('kept', { n: 1 })
  return vault
}
const keysFile = (): Uint8Array => platform.folders.get('v')?.files.get('keys') as Uint8Array

/** Opens, reads, and closes; the code when it does not open. */
async function opens(options: { passphrase?: string; keyStore?: KeyStore } = {}): Promise<unknown> {
  try {
    const vault = await openVaultOn(platform, { path: 'v', ...options })
    const kept = await vault.collection('notes').get('kept')
    await vault.close()
    return kept
  } catch (error) {
    return codeOf(error)
  }
}
const KEPT = { n: 1 }

describe('a passphrase', () => {
  it('is set, changed and removed, and the one before opens nothing', async () => {
    const vault = await make()
    const { protection } = vault
    await protection.changePassphrase({ next: 'first' })
    expect(await protection.state()).toEqual({ passphrase: true, keyStore: null })
    expect([await opens(), await opens({ passphrase: 'first' })]).toEqual([
      'passphrase-required',
      KEPT,
    ])
    await protection.changePassphrase({ current: 'first', next: 'second' })
    expect(await opens({ passphrase: 'first' })).toBe('passphrase-wrong')
    expect(await opens({ passphrase: 'second' })).toEqual(KEPT)
    await protection.changePassphrase({ current: 'second' })
    expect(await opens()).toEqual(KEPT)
    expect(await protection.state()).toEqual({ passphrase: false, keyStore: null })
    await vault.close()
  })

  it('is wanted again though the vault is open, and nothing changes without it', async () => {
    const vault = await make({ passphrase: 'right' })
    const before = keysFile()
    const { protection } = vault
    for (const [change, code] of [
      [{ next: 'new' }, 'passphrase-required'],
      [{}, 'passphrase-required'],
      [{ current: 'wrong', next: 'new' }, 'passphrase-wrong'],
      [{ current: 'wrong' }, 'passphrase-wrong'],
      [{ current: 'right', next: '' }, 'passphrase-required'],
      [{ current: 'right', next: 5 as never }, 'invalid-argument'],
      [{ current: 'right', next: null as never }, 'invalid-argument'],
    ] as const) {
      const changed = Promise.resolve().then(() => protection.changePassphrase(change))
      expect(await codeWhen(changed)).toBe(code)
    }
    expect(keysFile()).toEqual(before)
    await vault.close()
    expect(await opens({ passphrase: 'right' })).toEqual(KEPT)
  })

  it('may be of any text, long or in any script, and is the same in either spelling', async () => {
    const vault = await make()
    let current: string | undefined
    for (const next of [
      ' ',
      'x'.repeat(100_000),
      'caf\u00e9 \u{1F511} 記録',
      '\u1100\u1161\u11a8',
    ]) {
      await vault.protection.changePassphrase({ current: current?.normalize('NFD'), next })
      current = next
      expect(await opens({ passphrase: next.normalize('NFD') })).toEqual(KEPT)
      expect(await opens({ passphrase: `${next} ` })).toBe('passphrase-wrong')
    }
    await vault.close()
  })

  it('stays as it was when the folder cannot be written, or holds other keys', async () => {
    const vault = await make({ passphrase: 'old' })
    const folder = platform.folders.get('v')
    const { writeKeys } = folder as { writeKeys: (bytes: Uint8Array) => Promise<void> }
    Object.assign(folder ?? {}, { writeKeys: () => Promise.reject(new Error('the disk failed')) })
    const change = () => vault.protection.changePassphrase({ current: 'old', next: 'new' })
    await expect(change()).rejects.toThrow('the disk failed')
    Object.assign(folder ?? {}, { writeKeys })
    expect(await opens({ passphrase: 'old' })).toEqual(KEPT)
    const other = await createVaultOn(platform, { path: 'o', remote: REMOTE, passphrase: 'old' })
    await other.vault.close()
    const strange = platform.folders.get('o')?.files.get('keys') as Uint8Array
    const own = keysFile()
    for (const [bytes, code] of [
      [strange, 'vault-damaged'],
      [own.subarray(0, 50), 'key-file-damaged'],
    ] as const) {
      folder?.files.set('keys', bytes)
      expect(await codeWhen(change())).toBe(code)
      expect(folder?.files.get('keys')).toEqual(bytes)
      expect(await opens({ passphrase: 'old' })).toBe(code)
    }
    await vault.close()
  })

  it('of two changes at once is that of one of them, and the other is told', async () => {
    const vault = await make({ passphrase: 'old' })
    const codes = await Promise.all(
      ['a', 'b'].map((next) =>
        codeWhen(vault.protection.changePassphrase({ current: 'old', next })),
      ),
    )
    expect(codes).toEqual(['it went well', 'passphrase-wrong'])
    expect(await opens({ passphrase: 'a' })).toEqual(KEPT)
    await vault.close()
  })
})

describe('a key store', () => {
  it.each(
    (() => {
      const kept = new Map<string, Uint8Array>()
      return keyStoreCases(() => memoryKeyStore('memory', kept), random)
    })(),
  )('in memory $name', ({ run }) => run())

  it('closes the keys from the beginning, and nothing opens them without it', async () => {
    const keyStore = memoryKeyStore()
    const vault = await make({ keyStore })
    expect(await vault.protection.state()).toEqual({ passphrase: false, keyStore: 'memory' })
    await vault.lock()
    await vault.unlock()
    expect(await vault.collection('notes').get('kept')).toEqual(KEPT)
    await vault.close()
    expect(await opens({ keyStore })).toEqual(KEPT)
    expect(await opens()).toBe('key-store-required')
    expect(await opens({ keyStore: memoryKeyStore('other') })).toBe('key-store-required')
    expect(await opens({ keyStore: memoryKeyStore() })).toBe('key-store-empty')
    const mixed = new Map([...keyStore.kept].map(([handle]) => [handle, random(32)]))
    expect(await opens({ keyStore: memoryKeyStore('memory', mixed) })).toBe('key-store-wrong')
    const short = new Map([...keyStore.kept].map(([handle]) => [handle, random(16)]))
    expect(await opens({ keyStore: memoryKeyStore('memory', short) })).toBe('key-store-wrong')
  })

  it('goes together with a passphrase, each changed without the other', async () => {
    const [one, two] = [memoryKeyStore('one'), memoryKeyStore('two')]
    const vault = await make({ keyStore: one, passphrase: 'p' })
    expect(await opens({ keyStore: one })).toBe('passphrase-required')
    expect(await opens({ passphrase: 'p' })).toBe('key-store-required')
    await vault.protection.changePassphrase({ current: 'p', next: 'q' })
    expect(await opens({ keyStore: one, passphrase: 'q' })).toEqual(KEPT)
    expect(await codeWhen(vault.protection.changeKeyStore({ passphrase: 'p', next: two }))).toBe(
      'passphrase-wrong',
    )
    expect(two.kept.size).toBe(0)
    const changed = await vault.protection.changeKeyStore({ passphrase: 'q', next: two })
    expect(changed).toEqual({ isOldForgotten: true })
    expect([one.kept.size, two.kept.size]).toEqual([0, 1])
    expect(await opens({ keyStore: one, passphrase: 'q' })).toBe('key-store-required')
    expect(await opens({ keyStore: two, passphrase: 'q' })).toEqual(KEPT)
    await vault.protection.changePassphrase({ current: 'q' })
    expect(await opens({ keyStore: two })).toEqual(KEPT)
    await vault.protection.changeKeyStore({})
    expect([two.kept.size, await opens()]).toEqual([0, KEPT])
    await vault.close()
  })

  it('that fails changes nothing, keeps nothing, and tells no more than it should', async () => {
    const [old, next] = [memoryKeyStore('old'), memoryKeyStore('next')]
    const vault = await make({ keyStore: old })
    const before = keysFile()
    next.failure = new Error('secret words of a stranger')
    const failed = await vault.protection.changeKeyStore({ next }).catch((error: Error) => error)
    expect(codeOf(failed)).toBe('key-store-failed')
    expect(`${failed} ${(failed as Error).cause}`).not.toContain('secret words')
    delete next.failure
    const folder = platform.folders.get('v')
    const { writeKeys } = folder as { writeKeys: (bytes: Uint8Array) => Promise<void> }
    Object.assign(folder ?? {}, { writeKeys: () => Promise.reject(new Error('the disk failed')) })
    await expect(vault.protection.changeKeyStore({ next })).rejects.toThrow('the disk failed')
    Object.assign(folder ?? {}, { writeKeys })
    expect(next.kept.size).toBe(0)
    expect(keysFile()).toEqual(before)
    expect(await opens({ keyStore: old })).toEqual(KEPT)
    await vault.close()
  })

  it('leaves nothing behind when the vault it was asked for is not made', async () => {
    const keyStore = memoryKeyStore()
    const folder = platform.openFolder('v')
    folder.finish = () => Promise.reject(new Error('the disk failed'))
    await expect(make({ keyStore })).rejects.toThrow('the disk failed')
    expect(keyStore.kept.size).toBe(0)
  })
})
