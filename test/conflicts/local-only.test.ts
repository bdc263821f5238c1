/**
 * Local-only collections: sealed and kept like any other, and never on the wire, whatever becomes
 * of the collection later.
 */
import type { Collection, Vault } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { expectCalm, headOf, makeFleet, readEverywhere } from './fleet.ts'

type Note = { n: number }
const local = (vault: Vault): Collection<Note> =>
  vault.collection<Note>('drafts', { localOnly: true })
const shared = (vault: Vault): Collection<Note> =>
  vault.collection<Note>('drafts', { localOnly: false })
const merged = (vault: Vault): Collection<Record<string, number>> =>
  vault.collection<Record<string, number>>('drafts', { conflict: 'merge' })
const mergedHere = (vault: Vault): Collection<Record<string, number>> =>
  vault.collection<Record<string, number>>('drafts', { conflict: 'merge', localOnly: true })
const notes = (vault: Vault): Collection<Note> => vault.collection<Note>('notes')

describe('a local-only collection', () => {
  it('stays on its device, counts as nothing that waits, and survives reopening', async () => {
    const fleet = await makeFleet(2)
    fleet.declare(local)
    const before = await headOf(fleet)
    await local(fleet.vault(0)).put('a', { n: 1 })
    await local(fleet.vault(0)).put('a', { n: 2 })
    await local(fleet.vault(0)).put('b', { n: 1 })
    await local(fleet.vault(0)).delete('b')
    expect(fleet.vault(0).sync.status.pending).toBe(0)
    await fleet.settle()
    expect(await headOf(fleet)).toBe(before)
    await fleet.reopen(0)
    expect(await local(fleet.vault(0)).list()).toEqual([{ key: 'a', fields: { n: 2 } }])
    expect(await local(fleet.vault(1)).list()).toEqual([])
    expectCalm(fleet)
  })

  it('may be part of a transaction whose other records are sent', async () => {
    const fleet = await makeFleet(2)
    fleet.declare(local)
    const vault = fleet.vault(0)
    await vault.transaction(async (tx) => {
      await tx.collection(local(vault)).put('a', { n: 1 })
      await tx.collection(notes(vault)).put('a', { n: 2 })
    })
    await fleet.settle()
    expect(await notes(fleet.vault(1)).get('a')).toEqual({ n: 2 })
    expect(await local(fleet.vault(1)).get('a')).toBeUndefined()
    // Nothing of it is missing to the other device.
    expect(fleet.vault(1).sync.status.notices).toEqual([])
    expectCalm(fleet)
  })

  it('that becomes shared sends a record when it is written next', async () => {
    const fleet = await makeFleet(2)
    await mergedHere(fleet.vault(0)).put('a', { x: 1 })
    await mergedHere(fleet.vault(0)).put('b', { x: 1 })
    fleet.declare(merged)
    await merged(fleet.vault(1)).put('a', { y: 2 })
    await fleet.sync(1)
    await merged(fleet.vault(0)).update('b', { y: 1 })
    await fleet.settle()
    expect(await readEverywhere(fleet, merged, 'b')).toEqual({ x: 1, y: 1 })
    expectCalm(fleet)
  })

  it('that was shared before sends nothing that is written since', async () => {
    const fleet = await makeFleet(2)
    await merged(fleet.vault(0)).put('a', { x: 0 })
    await fleet.settle()
    merged(fleet.vault(1))
    await mergedHere(fleet.vault(0)).update('a', { secret: 1 })
    const head = await headOf(fleet)
    fleet.pass()
    await merged(fleet.vault(1)).update('a', { y: 1 })
    await fleet.settle()
    expect(await merged(fleet.vault(1)).get('a')).toEqual({ x: 0, y: 1 })
    expect(await headOf(fleet)).toBe(head + 1)
    // It is not lost either: what took its place had not seen it.
    expect(await fleet.vault(0).conflicts.list()).toMatchObject([{ lost: { x: 0, secret: 1 } }])
    expectCalm(fleet)
  })

  it('that was shared lets a write go that waited to be sent when it is written again', async () => {
    const fleet = await makeFleet(2)
    await shared(fleet.vault(0)).put('a', { n: 1 })
    expect(fleet.vault(0).sync.status.pending).toBe(1)
    await local(fleet.vault(0)).put('a', { n: 2 })
    expect(fleet.vault(0).sync.status.pending).toBe(0)
    await fleet.settle()
    expect(await shared(fleet.vault(1)).get('a')).toBeUndefined()
    expect(await local(fleet.vault(0)).get('a')).toEqual({ n: 2 })
  })
})
