/**
 * Merge, between real devices: different fields of one record all survive, whatever the order in
 * which devices write and sync; of one field the newer write stands and the older is kept.
 */
import type { Collection, Vault } from '@blindcopy/client'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { expectCalm, type Fleet, headOf, makeFleet, PROPERTY_MS, readEverywhere } from './fleet.ts'

type Note = Record<string, number>
const notes = (vault: Vault): Collection<Note> =>
  vault.collection<Note>('notes', { conflict: 'merge' })

async function makeNotes(count: number): Promise<Fleet> {
  const fleet = await makeFleet(count)
  fleet.declare(notes)
  return fleet
}

async function withNote(count: number, fields: Note): Promise<Fleet> {
  const fleet = await makeNotes(count)
  await notes(fleet.vault(0)).put('n', fields)
  await fleet.sync(...fleet.members.keys())
  return fleet
}

const runs = (numRuns: number) => ({ numRuns: process.env.SLOW ? numRuns * 7 : numRuns })

describe('three devices that edit different fields offline', () => {
  it(
    'keep all edits in every order, and stop writing',
    async () => {
      const step = fc.oneof(
        fc.record({ type: fc.constant('edit' as const), n: fc.nat(2) }),
        fc.record({ type: fc.constant('sync' as const), n: fc.nat(2) }),
        fc.record({ type: fc.constant('reopen' as const), n: fc.nat(2) }),
      )
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
          const fleet = await withNote(3, { f0: 0, f1: 0, f2: 0 })
          const expected: Note = { f0: 0, f1: 0, f2: 0 }
          const before = await headOf(fleet)
          let edits = 0
          for (const { type, n } of steps) {
            fleet.pass()
            if (type === 'sync') await fleet.sync(n)
            else if (type === 'reopen') await fleet.reopen(n)
            else {
              expected[`f${n}`] = ++edits
              await notes(fleet.vault(n)).update('n', { [`f${n}`]: edits })
            }
          }
          await fleet.settle()
          expect(await readEverywhere(fleet, notes, 'n')).toEqual(expected)
          // Each edit is one version; only who is refused writes again.
          expect((await headOf(fleet)) - before).toBeLessThanOrEqual(edits)
          for (const { vault } of fleet.members) expect(await vault.conflicts.list()).toEqual([])
          expectCalm(fleet)
        }),
        runs(15),
      )
    },
    PROPERTY_MS,
  )
})

describe('two devices that edit the same field offline', () => {
  it.each([
    [0, 1],
    [1, 0],
  ])('keep the newer one, and the older in the conflict log (sync %i first)', async (a, b) => {
    const fleet = await withNote(2, { x: 0, y: 0 })
    await notes(fleet.vault(0)).update('n', { x: 1 })
    fleet.pass()
    await notes(fleet.vault(1)).update('n', { x: 2 })
    await fleet.sync(a, b)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ x: 2, y: 0 })
    const logged = await Promise.all(fleet.members.map(({ vault }) => vault.conflicts.list()))
    expect(logged.flat()).toMatchObject([{ kind: 'overwritten', key: 'n', lost: { x: 1 } }])
    expectCalm(fleet)
  })
})

describe('a delete and an edit that did not know of each other', () => {
  it('end in the edited record when the edit is newer, as its editor held it', async () => {
    const fleet = await withNote(2, { x: 0, y: 0 })
    await notes(fleet.vault(0)).delete('n')
    fleet.pass()
    await notes(fleet.vault(1)).update('n', { x: 1 })
    await fleet.sync(0, 1)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ x: 1, y: 0 })
    expectCalm(fleet)
  })

  it.each([
    [0, 1],
    [1, 0],
  ])('end deleted when the delete is newer, the edit kept (sync %i first)', async (a, b) => {
    const fleet = await withNote(2, { x: 0, y: 0 })
    await notes(fleet.vault(1)).update('n', { x: 1 })
    fleet.pass()
    await notes(fleet.vault(0)).delete('n')
    await fleet.sync(a, b)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toBeUndefined()
    const logged = await Promise.all(fleet.members.map(({ vault }) => vault.conflicts.list()))
    expect(logged.flat()).toMatchObject([{ kind: 'overwritten', lost: { x: 1 } }])
    const holder = logged.findIndex((list) => list.length > 0)
    const [conflict] = logged[holder] ?? []
    await fleet.vault(holder).conflicts.restore(conflict?.id ?? '')
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ x: 1, y: 0 })
  })
})

describe('a merged record', () => {
  it('is created on two devices at once, and holds what both have put', async () => {
    const fleet = await makeNotes(2)
    await notes(fleet.vault(0)).put('n', { a: 1 })
    fleet.pass()
    await notes(fleet.vault(1)).put('n', { b: 2 })
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ a: 1, b: 2 })
    expectCalm(fleet)
  })

  it('may hold nothing, and still takes an edit', async () => {
    const fleet = await withNote(2, { a: 1 })
    await notes(fleet.vault(0)).put('n', {})
    fleet.pass()
    await notes(fleet.vault(1)).update('n', { b: 2 })
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ b: 2 })
    expectCalm(fleet)
  })

  it('was written under another policy before: edits since are merged', async () => {
    const fleet = await makeFleet(3)
    const plain = (vault: Vault) => vault.collection<Note>('notes')
    await plain(fleet.vault(0)).put('n', { a: 0, b: 0 })
    await fleet.settle()
    await plain(fleet.vault(2)).put('n', { a: 0, b: 0, c: 3 })
    fleet.declare(notes)
    fleet.pass()
    await notes(fleet.vault(0)).update('n', { a: 1 })
    await notes(fleet.vault(1)).update('n', { b: 1 })
    await notes(fleet.vault(2)).update('n', { c: 4 })
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toMatchObject({ c: 4 })
    expectCalm(fleet)
  })

  it('is edited several times offline, sent in parts and refused: nothing of it is lost', async () => {
    const fleet = await withNote(2, { a: 0, b: 0 })
    await notes(fleet.vault(0)).update('n', { a: 1 })
    fleet.pass()
    const [left, right] = [fleet.vault(1), fleet.vault(1)]
    await notes(left).update('n', { b: 1 })
    // Not dropped for the next: it writes another record too.
    await left.transaction(async (tx) => {
      await tx.collection(notes(left)).update('n', { c: 2 })
      await tx.collection(notes(left)).put('other', { z: 1 })
    })
    await notes(right).update('n', { d: 3 })
    await fleet.sync(0, 1)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ a: 1, b: 1, c: 2, d: 3 })
    expect(await readEverywhere(fleet, notes, 'other')).toEqual({ z: 1 })
    expectCalm(fleet)
  })
})

describe('a later write of a device', () => {
  it('stands, though an earlier one that it was written on had to be merged', async () => {
    const fleet = await withNote(2, { a: 0 })
    const plain = (vault: Vault) => vault.collection<Note>('plain')
    await notes(fleet.vault(0)).update('n', { a: 9 })
    await fleet.sync(0)
    const vault = fleet.vault(1)
    await vault.transaction(async (tx) => {
      await tx.collection(notes(vault)).update('n', { b: 1 })
      await tx.collection(plain(vault)).put('p', { text: 1 })
    })
    fleet.pass()
    await plain(vault).put('p', { text: 2 })
    fleet.pass()
    await fleet.sync(1)
    await fleet.settle()
    expect(await readEverywhere(fleet, plain, 'p')).toEqual({ text: 2 })
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ a: 9, b: 1 })
    expect(await vault.conflicts.list()).toEqual([])
    expectCalm(fleet)
  })
})
