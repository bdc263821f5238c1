/**
 * Devices of a remote that is administrated under their feet: restored, reset, moved to another
 * host, spoiled and repaired. They heal by themselves, hold the same afterwards, and lose nothing
 * that any of them held.
 *
 * Lessons: A11, A12, C1, C6.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Vault } from '@blindcopy/client'
import { openLevelStore, type Store } from '@blindcopy/secondary'
import { describe, expect, it, onTestFinished } from 'vitest'
import { makeWorld, type World } from '../simulation/world.ts'
import { codesOf, expectInStep, notes, put } from './recovery.ts'

type Scene = {
  readonly world: World
  readonly recoveryPhrase: string
  readonly vaults: readonly [Vault, Vault]
}

async function openStore(): Promise<Store> {
  const folder = mkdtempSync(join(tmpdir(), 'blindcopy-test-'))
  const store = await openLevelStore({ path: folder })
  onTestFinished(async () => {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return store
}

/** Two devices in step, with records written, changed and deleted, on a LevelDB. */
async function begin(seed: number): Promise<Scene> {
  const world = makeWorld(seed, { store: await openStore() })
  const [first, second] = [world.makeDevice(), world.makeDevice()]
  const { vault, recoveryPhrase } = await first.create({ deviceName: 'phone' })
  await vault.sync.once()
  const other = await second.restore(recoveryPhrase, { deviceName: 'laptop' })
  for (let i = 0; i < 12; i++) {
    await put(vault, `n${i}`, `of the phone ${i}`)
    await vault.sync.once()
  }
  await put(vault, 'n1', 'changed')
  await notes(vault).delete('n2')
  await vault.sync.once()
  await other.sync.once()
  await vault.sync.once()
  return { world, recoveryPhrase, vaults: [vault, other] }
}

async function admin(world: World, path: string, init: RequestInit = {}): Promise<string> {
  const answer = await world.remote.admin.request(path, init)
  const text = await answer.text()
  expect(answer.status, text).toBe(200)
  return text
}

async function backup(world: World): Promise<Uint8Array<ArrayBuffer>> {
  const answer = await world.remote.admin.request('/backup')
  return new Uint8Array(await answer.arrayBuffer())
}

const idOf = async (world: World): Promise<string> =>
  (JSON.parse(await admin(world, '/vaults')) as { id: string }).id

async function expectSound(world: World): Promise<void> {
  const lines = (await admin(world, '/check', { method: 'POST' })).trim().split('\n')
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ defects: [] })
}

describe('a remote that is restored from its own backup', () => {
  it('gets back what was written since, from whichever device has it', async () => {
    const { world, vaults } = await begin(1100)
    const [phone, laptop] = vaults
    const file = await backup(world)
    await put(phone, 'since', 'of the phone')
    await notes(phone).delete('n3')
    await phone.sync.once()
    await put(laptop, 'later', 'of the laptop')
    await put(laptop, 'n4', 'of the laptop')
    await laptop.sync.once()
    await put(laptop, 'unsent', 'not sent yet')
    const id = await idOf(world)
    await admin(world, `/vaults/${id}`, { method: 'DELETE' })
    const restored = await admin(world, '/restore', { method: 'POST', body: file })
    expect(JSON.parse(restored)).toMatchObject({ vaults: [{ outcome: 'restored' }] })
    await expectSound(world)
    const text = await expectInStep(world, vaults)
    for (const kept of ['since', 'later', 'unsent', 'changed']) expect(text).toContain(kept)
    for (const gone of ['"n2"', '"n3"']) expect(text).not.toContain(gone)
    for (const vault of vaults) expect(codesOf(vault)).toContain('healed')
    await expectSound(world)
  })

  it('knows a device again that was let in since, whichever comes first', async () => {
    for (const order of ['old first', 'new first']) {
      const { world, vaults, recoveryPhrase } = await begin(1105)
      const file = await backup(world)
      const newcomer = await world.makeDevice().restore(recoveryPhrase, { deviceName: 'new' })
      await put(newcomer, 'of-new', 'of the newcomer')
      await newcomer.sync.once()
      await vaults[0].sync.once()
      await admin(world, `/vaults/${await idOf(world)}`, { method: 'DELETE' })
      await admin(world, '/restore', { method: 'POST', body: file })
      const all = order === 'old first' ? [...vaults, newcomer] : [newcomer, ...vaults]
      expect(await expectInStep(world, all), order).toContain('of-new')
      await expectSound(world)
    }
  })

  it('on another host serves them all, at once and for newcomers', async () => {
    const { world, vaults, recoveryPhrase } = await begin(1110)
    const file = await backup(world)
    await put(vaults[0], 'since', 'of the phone')
    await vaults[0].sync.once()
    const moved = await openStore()
    world.restartRemote({ store: moved })
    await admin(world, '/restore', { method: 'POST', body: file })
    const text = await expectInStep(world, vaults)
    expect(text).toContain('since')
    const newcomer = await world.makeDevice().restore(recoveryPhrase)
    expect(await expectInStep(world, [...vaults, newcomer])).toBe(text)
    await expectSound(world)
    expect((await vaults[0].verify()).isSound).toBe(true)
    expect((await vaults[1].verify()).isSound).toBe(true)
  })
})

describe('a remote whose vault goes on from what is there', () => {
  it('takes the newer export in the place of the older', async () => {
    const { world, vaults } = await begin(1120)
    const first = await backup(world)
    await put(vaults[0], 'since', 'of the phone')
    await vaults[0].sync.once()
    const second = await backup(world)
    const id = await idOf(world)
    world.restartRemote({ store: await openStore() })
    await admin(world, '/restore', { method: 'POST', body: first })
    await admin(world, `/restore?replace=${id}`, { method: 'POST', body: second })
    expect(await expectInStep(world, vaults)).toContain('since')
    await expectSound(world)
  })
})

describe('a vault that is reset', () => {
  it('is filled again by its devices, with nothing lost', async () => {
    const { world, vaults } = await begin(1130)
    const before = await expectInStep(world, vaults)
    await put(vaults[1], 'unsent', 'not sent yet')
    await admin(world, `/vaults/${await idOf(world)}/reset`, { method: 'POST' })
    const text = await expectInStep(world, vaults)
    for (const line of before.split('\n')) expect(text).toContain(line)
    expect(text).toContain('unsent')
    await expectSound(world)
  })

  it('only in its SyncId is compared, and nothing is sent again', async () => {
    const { world, vaults } = await begin(1140)
    const before = await expectInStep(world, vaults)
    const { seq } = JSON.parse(await admin(world, '/vaults')) as { seq: number }
    await admin(world, `/vaults/${await idOf(world)}/reset?keep=1`, { method: 'POST' })
    expect(await expectInStep(world, vaults)).toBe(before)
    expect(JSON.parse(await admin(world, '/vaults'))).toMatchObject({ seq })
  })
})

describe('a vault that is deleted', () => {
  it('comes back with the first device that has it', async () => {
    const { world, vaults } = await begin(1150)
    const before = await expectInStep(world, vaults)
    await admin(world, `/vaults/${await idOf(world)}`, { method: 'DELETE' })
    expect(await expectInStep(world, vaults)).toBe(before)
    await expectSound(world)
  })
})

describe('a vault that was spoiled and repaired', () => {
  const letters = { e: 'envelopes', r: 'the index', t: 'the ids of transactions' } as const
  for (const [letter, what] of Object.entries(letters)) {
    it(`is whole again once its devices have come: every third row of ${what}`, async () => {
      const { world, vaults, recoveryPhrase } = await begin(1160)
      const before = await expectInStep(world, vaults)
      const gone: Uint8Array[] = []
      for await (const page of world.store.keyPages({})) {
        const rows = page.filter((key) => key[32] === letter.charCodeAt(0))
        gone.push(...rows.filter((_, i) => i % 3 === 0))
      }
      expect(gone.length).toBeGreaterThan(2)
      await world.store.write(
        gone.map((key) => ({ type: 'delete', key })),
        { sync: true },
      )
      world.restartRemote()
      await admin(world, '/repair', { method: 'POST' })
      await expectSound(world)
      expect(await expectInStep(world, vaults)).toBe(before)
      const newcomer = await world.makeDevice().restore(recoveryPhrase)
      expect(await expectInStep(world, [...vaults, newcomer])).toBe(before)
      await expectSound(world)
    })
  }
})
