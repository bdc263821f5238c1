/**
 * What the simulator has found, each as the shortest story that shows it. The seeds that found them
 * are of an earlier state of the simulator: they mean another story by now.
 */
import type { Fields, Transaction, Vault } from '@blindcopy/client'
import { createMemoryStore } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { type Device, exportOf, makeWorld, unreachable, until, type World } from './world.ts'

type Counter = { ids: number[] }

const HOUR_MS = 3_600_000
const isInStep = ({ phase, pending }: Vault['sync']['status']): boolean =>
  phase === 'live' && pending === 0

/** Two devices of one vault, in step. */
async function makeTwo(): Promise<{
  world: World
  first: Device
  second: Device
  mine: Vault
  theirs: Vault
}> {
  const world = makeWorld(11)
  const [first, second] = [world.makeDevice(), world.makeDevice()]
  const { vault: mine, recoveryPhrase } = await first.create()
  declare(mine)
  await mine.sync.once()
  const theirs = await second.restore(recoveryPhrase)
  declare(theirs)
  await theirs.sync.once()
  return { world, first, second, mine, theirs }
}

/** What an app does at every opening. */
function declare(vault: Vault): void {
  vault.collection('choices', { conflict: 'manual' })
  vault.collection('cards', { conflict: 'merge' })
  vault.mutations({
    add: async (transaction: Transaction, id: number) => {
      const counters = transaction.collection(vault.collection<Counter>('counters'))
      const { ids } = (await counters.get('c')) ?? { ids: [] }
      await counters.put('c', { ids: [...ids, id] })
    },
  })
}

const idsOf = async (vault: Vault): Promise<number[]> =>
  (await vault.collection<Counter>('counters').get('c'))?.ids.sort() ?? []

const pathOf = (request: Request): string => new URL(request.url).pathname

async function closeAll(...vaults: readonly Vault[]): Promise<void> {
  for (const vault of vaults) await vault.close()
}

describe('the simulator found that', () => {
  it('a burst of writes while live was sent though a later one had replaced it', async () => {
    const { first, mine, theirs } = await makeTwo()
    mine.sync.start()
    await until(first, mine, isInStep)
    const notes = mine.collection('notes')
    const writes = ['k1', 'k9', 'k1', 'k0'].map((key, v) => notes.put(key, { v }))
    await Promise.all(writes)
    await until(first, mine, isInStep)
    await notes.put('later', { v: 9 })
    await until(first, mine, isInStep)
    await theirs.sync.once()
    expect(await exportOf(theirs)).toBe(await exportOf(mine))
    await closeAll(mine, theirs)
  })

  it('a head check compared while a push had moved a record past the head', async () => {
    const { first, mine, theirs } = await makeTwo()
    await theirs.collection('notes').put('k', { v: 1 })
    await theirs.sync.once()
    const { fetch } = first.network
    first.network.fetch = async (request, carry) => {
      const response = await carry(request)
      if (pathOf(request) !== '/v1/changes') return response
      // The answer has begun: what it says of the head is said, its frames are not read yet.
      first.network.fetch = fetch
      await theirs.collection('notes').put('k', { v: 2 })
      await theirs.collection('notes').put('other', { v: 2 })
      await theirs.sync.once()
      return response
    }
    await mine.sync.once()
    expect(mine.sync.status.problem).toBe(null)
    await mine.sync.once()
    expect(mine.sync.status.problem).toBe(null)
    expect(await exportOf(mine)).toBe(await exportOf(theirs))
    await closeAll(mine, theirs)
  })

  it('an increment that was sent before a power cut counted twice', async () => {
    const { world, first, mine, theirs } = await makeTwo()
    await mine.mutate('add', 1)
    // All that is not synced to the disk is lost: that it was sent, and the answer.
    const before = await first.disk.copy()
    await mine.sync.once()
    await theirs.sync.once()
    await theirs.mutate('add', 2)
    await theirs.sync.once()
    first.kill()
    const again = await world.makeDevice({ disk: before }).open()
    declare(again)
    await again.sync.once()
    expect(await idsOf(again)).toEqual([1, 2])
    await theirs.sync.once()
    expect(await idsOf(theirs)).toEqual([1, 2])
    await closeAll(again, theirs)
  })

  it('a write that a power cut made look unsent met itself, and was deleted', async () => {
    const { world, first, mine, theirs } = await makeTwo()
    await mine.collection('choices').put('k', { v: 1 })
    const before = await first.disk.copy()
    await mine.sync.once()
    first.kill()
    const again = await world.makeDevice({ disk: before }).open()
    declare(again)
    await again.sync.once()
    expect(await again.collection('choices').get('k')).toEqual({ v: 1 })
    expect(await again.conflicts.list()).toEqual([])
    await closeAll(again, theirs)
  })

  it('a write lost to the version that it had replaced, when its clock was set right', async () => {
    const { world, first, mine, theirs } = await makeTwo()
    await mine.collection('notes').put('k', { v: 1 })
    await mine.sync.once()
    // The remote and the others go back to the right time; this device learns it when it logs in.
    world.clock.ms -= 3 * HOUR_MS
    first.skewMs = 3 * HOUR_MS
    first.kill()
    const again = await first.open()
    await again.collection('notes').put('k', { v: 2 })
    await again.sync.once()
    await theirs.sync.once()
    expect(await again.collection('notes').get('k')).toEqual({ v: 2 })
    expect(await theirs.collection('notes').get('k')).toEqual({ v: 2 })
    await closeAll(again, theirs)
  })

  it('of two unsent increments the second undid what the first was put on', async () => {
    const { first, mine, theirs } = await makeTwo()
    first.skewMs = 2 * HOUR_MS
    await mine.mutate('add', 1)
    await mine.mutate('add', 2)
    await theirs.mutate('add', 3)
    await theirs.sync.once()
    await mine.sync.once()
    await theirs.sync.once()
    expect(await idsOf(theirs)).toEqual([1, 2, 3])
    expect(await idsOf(mine)).toEqual([1, 2, 3])
    await closeAll(mine, theirs)
  })

  it('a write that waited vanished when another device healed the remote meanwhile', async () => {
    const { world, second, mine, theirs } = await makeTwo()
    await mine.collection('choices').put('k', { by: 'mine' })
    world.clock.ms += 1_000
    await theirs.collection('choices').put('k', { by: 'theirs' })
    await theirs.sync.once()
    world.restartRemote({ store: createMemoryStore() })
    const { fetch } = second.network
    second.network.fetch = async (request, carry) => {
      if (pathOf(request) === '/v1/push') {
        // The other has compared, and is about to bring what it has.
        second.network.fetch = fetch
        await mine.sync.once()
      }
      return carry(request)
    }
    await theirs.sync.once()
    for (const vault of [mine, theirs]) await vault.sync.once()
    const found: unknown[] = []
    for (const vault of [mine, theirs]) {
      found.push(await vault.collection<Fields>('choices').get('k'))
      for (const { lost } of await vault.conflicts.list()) found.push(lost)
    }
    expect(found).toContainEqual({ by: 'mine' })
    expect(found).toContainEqual({ by: 'theirs' })
    expect(await exportOf(mine)).toBe(await exportOf(theirs))
    await closeAll(mine, theirs)
  })

  it('an older version stayed shown after the answer to it had been lost', async () => {
    const { world, first, mine, theirs } = await makeTwo()
    await theirs.collection('cards').put('k', { a: 1 })
    await theirs.sync.once()
    await mine.sync.once()
    await mine.collection('cards').update('k', { b: 2 })
    first.network.fetch = async (request, carry) => {
      const response = await carry(request)
      return pathOf(request) === '/v1/push' ? unreachable() : response
    }
    await expect(mine.sync.once()).rejects.toThrow()
    first.network.fetch = (request, carry) => carry(request)
    await theirs.sync.once()
    await theirs.collection('cards').update('k', { c: 3 })
    await theirs.sync.once()
    world.restartRemote({ store: createMemoryStore() })
    await theirs.sync.once()
    await mine.sync.once()
    expect(await mine.collection('cards').get('k')).toEqual({ a: 1, b: 2, c: 3 })
    expect(await exportOf(mine)).toBe(await exportOf(theirs))
    await closeAll(mine, theirs)
  })

  it('a write lost unseen to one of a copy of its folder, when its clock was set right', async () => {
    const { world, first, mine, theirs } = await makeTwo()
    const copy = await world.makeDevice({ disk: await first.disk.copy() }).open()
    await copy.collection('notes').put('k', { by: 'the copy' })
    await copy.sync.once()
    world.clock.ms += 1_000
    await mine.collection('notes').put('k', { by: 'mine' })
    await mine.sync.once({ direction: 'pull' })
    // The remote goes back to the right time, and before the write of the copy.
    world.clock.ms -= 3 * HOUR_MS
    first.skewMs = 3 * HOUR_MS
    first.kill()
    const again = await first.open()
    await again.sync.once()
    const found: unknown[] = [await again.collection('notes').get('k')]
    for (const { lost } of await again.conflicts.list()) found.push(lost)
    expect(found).toContainEqual({ by: 'mine' })
    expect(found).toContainEqual({ by: 'the copy' })
    await closeAll(copy, again, theirs)
  })

  it('what a waiting increment stood on vanished, when a healing brought another', async () => {
    const { world, mine, theirs } = await makeTwo()
    await mine.mutate('add', 1)
    await mine.sync.once()
    await mine.mutate('add', 2)
    world.restartRemote({ store: createMemoryStore() })
    world.clock.ms += 1_000
    await theirs.mutate('add', 3)
    await theirs.sync.once()
    await mine.sync.once()
    expect(await idsOf(mine)).toEqual([2, 3])
    const lost = (await mine.conflicts.list()).map((conflict) => conflict.lost)
    expect(lost).toContainEqual({ ids: [1] })
    await closeAll(mine, theirs)
  })
})
