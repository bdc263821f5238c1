/**
 * Locking takes every key, and what was decrypted, out of memory, whatever is under way; unlocking
 * goes on where it was. Each secret that is used is remembered by its very bytes, which are looked
 * at afterwards.
 */
import { generateDeviceKeys, pooledRandom, type Secret } from '@blindcopy/vault'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { codeOf } from '../error.ts'
import { type TestPlatform, testPlatform } from '../platform.fixture.ts'
import type { Vault } from './vault.ts'
import { createVaultOn, openVaultOn } from './vault-doors.ts'

const REMOTE = 'http://127.0.0.1:9'
const PASSPHRASE = 'correct horse'
const NOTE = { title: 'plain', n: 1 }

/** The bytes of all secrets that are read while a test runs, of whatever kind. */
const used = new Set<Uint8Array>()
const secretPrototype = Object.getPrototypeOf(
  generateDeviceKeys(pooledRandom()).signingSeed,
) as Secret<string>
const original = Object.getOwnPropertyDescriptor(secretPrototype, 'bytes')
const isWiped = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)
const codeWhen = (job: () => unknown): Promise<string | undefined> =>
  Promise.resolve()
    .then(job)
    .then(() => 'it went well', codeOf)

let platform: TestPlatform
let vault: Vault

beforeEach(async () => {
  used.clear()
  Object.defineProperty(secretPrototype, 'bytes', {
    configurable: true,
    get(this: Secret<string>): Uint8Array {
      const bytes = original?.get?.call(this) as Uint8Array
      used.add(bytes)
      return bytes
    },
  })
  platform = testPlatform()
  const options = { path: 'phone', remote: REMOTE, passphrase: PASSPHRASE }
  vault = (await createVaultOn(platform, options)).vault
  await vault.collection('notes').put('kept', NOTE)
})

afterEach(async () => {
  await vault.close()
  Object.defineProperty(secretPrototype, 'bytes', original as PropertyDescriptor)
})

describe('a locked vault', () => {
  it('has wiped every secret that was used', async () => {
    expect([...used].filter((bytes) => !isWiped(bytes)).length).toBeGreaterThan(4)
    await vault.lock()
    expect(vault.isLocked).toBe(true)
    expect([...used].filter((bytes) => !isWiped(bytes))).toEqual([])
  })

  it('wipes them all when it is unlocked and locked again, and when it is closed', async () => {
    await vault.lock()
    await vault.unlock({ passphrase: PASSPHRASE })
    expect(await vault.collection('notes').get('kept')).toEqual(NOTE)
    expect([...used].some((bytes) => !isWiped(bytes))).toBe(true)
    await vault.lock()
    expect([...used].filter((bytes) => !isWiped(bytes))).toEqual([])
    await vault.unlock({ passphrase: PASSPHRASE })
    await vault.close()
    expect([...used].filter((bytes) => !isWiped(bytes))).toEqual([])
  })

  it('refuses every read and every write with one code, and tells how it stands', async () => {
    const notes = vault.collection('notes', { indexes: ['n'] })
    await notes.query({ where: { n: 1 } })
    await vault.lock()
    const jobs: Record<string, () => unknown> = {
      get: () => notes.get('kept'),
      put: () => notes.put('other', NOTE),
      update: () => notes.update('kept', { n: 2 }),
      delete: () => notes.delete('kept'),
      add: () => notes.add(NOTE),
      list: () => notes.list(),
      query: () => notes.query({ where: { n: 1 } }),
      none: () => notes.query({ limit: 0 }),
      keys: () => notes.query({ where: { $key: 'kept' } as never }),
      explain: () => notes.explain({ where: { n: 1 } }),
      deferred: () => notes.deferred(),
      watch: () => notes.watch().next(),
      iterate: () => notes[Symbol.asyncIterator]().next(),
      collection: () => vault.collection('other'),
      transaction: () => vault.transaction(async () => undefined),
      mutations: () => vault.mutations({}),
      mutate: () => vault.mutate('m', null),
      records: () => vault.records().next(),
      devices: () => vault.devices(),
      quarantined: () => vault.quarantined(),
      remoteView: () => vault.remoteView(),
      durable: () => vault.durable('local'),
      conflicts: () => vault.conflicts.list(),
      attention: () => vault.attention.list(),
      once: () => vault.sync.once(),
      start: () => vault.sync.start(),
      token: () => vault.setRegistrationToken('token'),
      bundle: () => vault.exportBundle(),
      passphrase: () => vault.protection.changePassphrase({ current: PASSPHRASE }),
      keyStore: () => vault.protection.changeKeyStore({ passphrase: PASSPHRASE }),
    }
    for (const [name, job] of Object.entries(jobs)) {
      expect([name, await codeWhen(job)]).toEqual([name, 'locked'])
    }
    expect(vault.sync.status.phase).toBe('resting')
    expect(await vault.protection.state()).toEqual({ passphrase: true, keyStore: null })
  })

  it('unlocks with its passphrase only, and stays locked otherwise', async () => {
    await vault.lock()
    expect(await codeWhen(() => vault.unlock())).toBe('passphrase-required')
    expect(await codeWhen(() => vault.unlock({ passphrase: 'wrong' }))).toBe('passphrase-wrong')
    expect(vault.isLocked).toBe(true)
    expect([...used].filter((bytes) => !isWiped(bytes))).toEqual([])
    await vault.unlock({ passphrase: PASSPHRASE })
    expect(vault.isLocked).toBe(false)
    expect(await vault.collection('notes').get('kept')).toEqual(NOTE)
  })

  it('takes no keys of another vault or device that were put into its folder', async () => {
    const other = await createVaultOn(platform, { path: 'other', remote: REMOTE })
    await other.vault.close()
    await vault.lock()
    const [own, strange] = ['phone', 'other'].map((path) => platform.folders.get(path)?.files)
    const kept = own?.get('keys') as Uint8Array
    own?.set('keys', strange?.get('keys') as Uint8Array)
    expect(await codeWhen(() => vault.unlock())).toBe('vault-damaged')
    own?.set('keys', kept.subarray(0, 100))
    const cut = () => vault.unlock({ passphrase: PASSPHRASE })
    expect(await codeWhen(cut)).toBe('key-file-damaged')
    own?.set('keys', kept)
    await vault.unlock({ passphrase: PASSPHRASE })
    expect(await vault.collection('notes').get('kept')).toEqual(NOTE)
  })

  it('is closed like any other, and then says that it is closed', async () => {
    const notes = vault.collection('notes')
    await vault.lock()
    await vault.close()
    for (const job of [() => notes.get('kept'), () => vault.lock(), () => vault.unlock()]) {
      expect(await codeWhen(job)).toBe('closed')
    }
    expect(vault.isLocked).toBe(false)
    vault = await openVaultOn(platform, { path: 'phone', passphrase: PASSPHRASE })
    expect(await vault.collection('notes').get('kept')).toEqual(NOTE)
  })
})

describe('locking', () => {
  it('ends live queries, one that nobody asks any more too, and new ones begin after it', async () => {
    const notes = vault.collection('notes')
    const [waiting, left] = [notes.watch(), notes.watch()]
    await waiting.next()
    await left.next()
    const ended = waiting.next()
    await vault.lock()
    expect(await ended).toEqual({ done: true, value: undefined })
    expect(await left.next()).toEqual({ done: true, value: undefined })
    await vault.unlock({ passphrase: PASSPHRASE })
    const again = notes.watch()
    expect((await again.next()).value).toEqual([{ key: 'kept', fields: NOTE }])
    await notes.put('more', NOTE)
    expect((await again.next()).value).toHaveLength(2)
    await again.return(undefined)
  })

  it('forgets what indexes hold, and builds them anew, with what was written since', async () => {
    const notes = vault.collection('notes', { indexes: ['n'] })
    for (let n = 2; n < 40; n++) await notes.put(`k${n}`, { title: 't', n })
    expect(await notes.explain({ where: { n: 7 } })).toMatchObject({ way: 'index', opened: 1 })
    await vault.lock()
    await vault.unlock({ passphrase: PASSPHRASE })
    await notes.put('late', { title: 'late', n: 7 })
    expect(await notes.query({ where: { n: 7 } })).toHaveLength(2)
    await notes.put('later', { title: 'later', n: 7 })
    expect(await notes.query({ where: { n: 7 } })).toHaveLength(3)
    expect(await notes.explain({ where: { n: 7 } })).toMatchObject({ way: 'index', opened: 3 })
  })

  it('lets writes under way end: each is there whole or was refused', async () => {
    const notes = vault.collection('notes')
    const writes = Array.from({ length: 50 }, (_, i) => codeWhen(() => notes.put(`w${i}`, NOTE)))
    const many = codeWhen(() =>
      vault.transaction(async (transaction) => {
        const target = transaction.collection(notes)
        for (let i = 0; i < 50; i++) await target.put(`t${i}`, NOTE)
      }),
    )
    await vault.lock()
    const codes = await Promise.all(writes)
    const manyCode = await many
    await vault.unlock({ passphrase: PASSPHRASE })
    for (const [i, code] of codes.entries()) {
      expect(['it went well', 'locked']).toContain(code)
      expect((await notes.get(`w${i}`)) !== undefined).toBe(code === 'it went well')
    }
    const listed = (await notes.list()).filter(({ key }) => key.startsWith('t'))
    expect(listed).toHaveLength(manyCode === 'it went well' ? 50 : 0)
  })

  it('ends in the state that was asked for last, however many ask at once', async () => {
    const unlock = () => vault.unlock({ passphrase: PASSPHRASE })
    await Promise.all([vault.lock(), unlock(), vault.lock()])
    expect(vault.isLocked).toBe(true)
    await Promise.all([unlock(), vault.lock(), unlock()])
    expect(vault.isLocked).toBe(false)
    expect(await codeWhen(() => vault.unlock({ passphrase: 'wrong' }))).toBe('passphrase-wrong')
    expect(await vault.collection('notes').get('kept')).toEqual(NOTE)
  })
})
