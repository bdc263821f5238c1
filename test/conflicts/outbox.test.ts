/**
 * The outbox, at the level of a vault: what may be dropped for a later write and what may not, and
 * that everything that waits is sent, however much it is and whatever is written meanwhile.
 */
import type { Collection, Vault } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { expectCalm, headOf, makeFleet, readEverywhere } from './fleet.ts'

type Note = { n: number }
const notes = (vault: Vault): Collection<Note> => vault.collection<Note>('notes')

async function putBoth(vault: Vault, keys: readonly string[], n: number): Promise<void> {
  await vault.transaction(async (tx) => {
    for (const key of keys) await tx.collection(notes(vault)).put(key, { n })
  })
}

describe('a write that waits unsent', () => {
  it('is dropped for a later one that writes all of its records', async () => {
    const fleet = await makeFleet(2)
    const vault = fleet.vault(0)
    const before = await headOf(fleet)
    for (let n = 0; n < 50; n++) await notes(vault).put('a', { n })
    await putBoth(vault, ['b', 'c'], 1)
    await putBoth(vault, ['a', 'b', 'c'], 2)
    expect(vault.sync.status.pending).toBe(1)
    await fleet.settle()
    expect((await headOf(fleet)) - before).toBe(1)
    expect(await readEverywhere(fleet, notes, 'a')).toEqual({ n: 2 })
    expectCalm(fleet)
  })

  it('stays when the later one leaves out one of its records', async () => {
    const fleet = await makeFleet(2)
    const vault = fleet.vault(0)
    await putBoth(vault, ['a', 'b'], 1)
    await notes(vault).put('a', { n: 2 })
    expect(vault.sync.status.pending).toBe(2)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'a')).toEqual({ n: 2 })
    expect(await readEverywhere(fleet, notes, 'b')).toEqual({ n: 1 })
    expectCalm(fleet)
  })

  it('stays when it is a mutation, or the later one is', async () => {
    const fleet = await makeFleet(1)
    const vault = fleet.vault(0)
    vault.mutations({ set: (tx, n: number) => tx.collection(notes(vault)).put('a', { n }) })
    await vault.mutate('set', 1)
    await notes(vault).put('a', { n: 2 })
    await vault.mutate('set', 3)
    expect(vault.sync.status.pending).toBe(3)
  })

  it('hands its base on: what was written meanwhile elsewhere is still met', async () => {
    const fleet = await makeFleet(2)
    const manual = (vault: Vault) => vault.collection<Note>('manual', { conflict: 'manual' })
    fleet.declare(manual)
    await manual(fleet.vault(0)).put('k', { n: 0 })
    await fleet.settle()
    await manual(fleet.vault(0)).put('k', { n: 1 })
    await manual(fleet.vault(1)).put('k', { n: 2 })
    await manual(fleet.vault(1)).put('k', { n: 3 })
    expect(fleet.vault(1).sync.status.pending).toBe(1)
    await fleet.settle()
    expect(await fleet.vault(1).conflicts.list()).toMatchObject([{ lost: { n: 3 } }])
    expect(await readEverywhere(fleet, manual, 'k')).toEqual({ n: 1 })
  })
})

describe('1,500 offline transactions that share a record', () => {
  it.each(['lww', 'merge'] as const)('all arrive (%s)', async (conflict) => {
    const fleet = await makeFleet(2)
    const shared = (vault: Vault) => vault.collection<Note>('shared', { conflict })
    fleet.declare(shared)
    await shared(fleet.vault(1)).put('one', { n: -1 })
    await fleet.sync(1)
    const vault = fleet.vault(0)
    for (let n = 0; n < 1_500; n++) {
      await vault.transaction(async (tx) => {
        await tx.collection(shared(vault)).put('one', { n })
        await tx.collection(shared(vault)).put(`own ${n}`, { n })
      })
    }
    expect(vault.sync.status.pending).toBe(1_500)
    const before = await headOf(fleet)
    await fleet.settle()
    expect((await headOf(fleet)) - before).toBe(1_500)
    expect(await readEverywhere(fleet, shared, 'one')).toEqual({ n: 1_499 })
    for (const member of fleet.members)
      expect(await shared(member.vault).list()).toHaveLength(1_501)
    expectCalm(fleet)
  })
})

describe('edits while a push is under way', () => {
  it('are sent after it, on top of it', async () => {
    const fleet = await makeFleet(2)
    const merged = (vault: Vault) =>
      vault.collection<Record<string, number>>('merged', { conflict: 'merge' })
    fleet.declare(merged)
    const vault = fleet.vault(0)
    const { network } = fleet.members[0]?.device ?? {}
    if (network === undefined) throw new Error('there is no device')
    const was = network.fetch
    let edits = 0
    network.fetch = async (request, carry) => {
      if (request.url.endsWith('/v1/push') && edits < 5) {
        edits++
        await merged(vault).update('k', { [`f${edits}`]: edits })
        await notes(vault).put('n', { n: edits })
      }
      return carry(request)
    }
    await merged(vault).put('k', { f0: 0 })
    await notes(vault).put('n', { n: 0 })
    await fleet.settle()
    network.fetch = was
    expect(edits).toBe(5)
    const expected = { f0: 0, f1: 1, f2: 2, f3: 3, f4: 4, f5: 5 }
    expect(await readEverywhere(fleet, merged, 'k')).toEqual(expected)
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ n: 5 })
    expect(await vault.conflicts.list()).toEqual([])
    expectCalm(fleet)
  })
})
