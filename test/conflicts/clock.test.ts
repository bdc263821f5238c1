/**
 * A clock that is wrong by hours, put right: what waits keeps its order and its content, stands
 * above all that it replaces, and nobody else is the worse for it.
 */
import type { Collection, Transaction, Vault } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { expectCalm, type Fleet, makeFleet, readEverywhere } from './fleet.ts'

type Note = Record<string, number>
const HOUR_MS = 3_600_000
const notes = (vault: Vault): Collection<Note> => vault.collection<Note>('notes')
const merged = (vault: Vault): Collection<Note> =>
  vault.collection<Note>('merged', { conflict: 'merge' })
const counters = (vault: Vault): Collection<{ n: number }> => vault.collection('counters')

function declare(vault: Vault): void {
  merged(vault)
  vault.mutations({
    add: async (tx: Transaction, by: number) => {
      const found = await tx.collection(counters(vault)).get('k')
      await tx.collection(counters(vault)).put('k', { n: (found?.n ?? 0) + by })
    },
  })
}

async function makeSkewed(skewMs: number): Promise<Fleet> {
  const fleet = await makeFleet(3)
  fleet.declare(declare)
  await merged(fleet.vault(1)).put('m', { a: 0, b: 0 })
  await notes(fleet.vault(1)).put('n', { v: 0 })
  await fleet.vault(1).mutate('add', 1)
  await fleet.settle()
  const { device } = fleet.members[0] ?? {}
  if (device === undefined) throw new Error('there is no device')
  device.skewMs = skewMs
  await fleet.reopen(0)
  return fleet
}

describe.each([
  ['ahead', 3 * HOUR_MS],
  ['behind', -3 * HOUR_MS],
])('a clock three hours %s', (_, skewMs) => {
  it('loses nothing of what waits, and keeps its order', async () => {
    const fleet = await makeSkewed(skewMs)
    const vault = fleet.vault(0)
    await merged(vault).update('m', { a: 1 })
    await vault.transaction(async (tx) => {
      await tx.collection(merged(vault)).update('m', { a: 2 })
      await tx.collection(notes(vault)).put('n', { v: 1 })
    })
    await notes(vault).put('n', { v: 2 })
    await vault.mutate('add', 10)
    await merged(vault).update('m', { c: 3 })
    await merged(fleet.vault(1)).update('m', { b: 9 })
    await fleet.vault(1).mutate('add', 100)
    await fleet.sync(1)
    await fleet.settle()
    expect(await readEverywhere(fleet, merged, 'm')).toEqual({ a: 2, b: 9, c: 3 })
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ v: 2 })
    expect(await readEverywhere(fleet, counters, 'k')).toEqual({ n: 111 })
    for (const member of fleet.members) {
      expect(member.vault.sync.status).toMatchObject({ pending: 0, attention: 0 })
    }
    // Others can still write, and what they write now is newer.
    fleet.pass(1_000)
    await notes(fleet.vault(2)).put('n', { v: 5 })
    await merged(fleet.vault(2)).update('m', { a: 7 })
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ v: 5 })
    expect(await readEverywhere(fleet, merged, 'm')).toEqual({ a: 7, b: 9, c: 3 })
  })
})

describe('a write that was stamped hours ahead', () => {
  it('does not win over what another device really wrote later', async () => {
    const fleet = await makeSkewed(3 * HOUR_MS)
    await notes(fleet.vault(0)).put('n', { v: 1 })
    fleet.pass(60_000)
    await notes(fleet.vault(1)).put('n', { v: 2 })
    await fleet.sync(1, 0)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ v: 2 })
    const lost = await fleet.vault(0).conflicts.list()
    expect(lost).toMatchObject([{ kind: 'overwritten', lost: { v: 1 } }])
  })

  it('is right about what it really wrote later', async () => {
    const fleet = await makeSkewed(3 * HOUR_MS)
    await notes(fleet.vault(1)).put('n', { v: 2 })
    fleet.pass(60_000)
    await notes(fleet.vault(0)).put('n', { v: 1 })
    await fleet.sync(1, 0)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ v: 1 })
    expectCalm({ ...fleet, members: fleet.members.slice(1) })
  })
})
