/**
 * What two devices wrote may be too much for one record, or one transaction: then neither the queue
 * nor the pull stands still, and nobody's words are lost.
 */
import type { Collection, Transaction, Vault } from '@blindcopy/client'
import { createMemoryStore } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { expectCalm, makeFleet, readEverywhere } from './fleet.ts'

type Note = Record<string, string>
const LARGE = 600_000
const large = (letter: string): string => letter.repeat(LARGE)

const merged = (vault: Vault): Collection<Note> =>
  vault.collection<Note>('notes', { conflict: 'merge' })

describe('a merge that no envelope holds', () => {
  it('keeps the confirmed version, and the refused one in the conflict log', async () => {
    const fleet = await makeFleet(2)
    fleet.declare(merged)
    await merged(fleet.vault(0)).put('n', { title: 't' })
    await fleet.settle()
    await merged(fleet.vault(0)).update('n', { a: large('a') })
    fleet.pass()
    await merged(fleet.vault(1)).update('n', { b: large('b') })
    await merged(fleet.vault(1)).put('other', { x: 'y' })
    await fleet.sync(0, 1)
    await fleet.settle()
    const kept = (await readEverywhere(fleet, merged, 'n')) as Note
    expect(Object.keys(kept).sort()).toEqual(['a', 'title'])
    expect(await readEverywhere(fleet, merged, 'other')).toEqual({ x: 'y' })
    const listed = await fleet.vault(1).conflicts.list()
    expect(listed).toMatchObject([{ kind: 'open', key: 'n', lost: { b: large('b') } }])
    expectCalm(fleet)
  })

  it('is no merge where a lost remote brings two acknowledged versions together', async () => {
    const fleet = await makeFleet(2)
    fleet.declare(merged)
    await merged(fleet.vault(0)).put('n', { title: 't' })
    await fleet.settle()
    await merged(fleet.vault(0)).update('n', { a: large('a') })
    await fleet.sync(0)
    fleet.world.restartRemote({ store: createMemoryStore() })
    fleet.pass()
    await merged(fleet.vault(1)).update('n', { b: large('b') })
    await fleet.sync(1)
    await fleet.sync(0)
    await fleet.settle()
    const kept = (await readEverywhere(fleet, merged, 'n')) as Note
    expect(Object.keys(kept).sort()).toEqual(['b', 'title'])
    const logged = await Promise.all(fleet.members.map(({ vault }) => vault.conflicts.list()))
    expect(logged.flat().map(({ lost }) => Object.keys(lost ?? {}).sort())).toContainEqual([
      'a',
      'title',
    ])
    expectCalm(fleet)
  })
})

describe('an answer of an app that no envelope holds', () => {
  it('leaves the conflict to the person when a policy gives it', async () => {
    const fleet = await makeFleet(2)
    const notes = (vault: Vault): Collection<Note> =>
      vault.collection<Note>('notes', {
        conflict: { custom: () => ({ all: large('x').repeat(3) }) },
      })
    fleet.declare(notes)
    await notes(fleet.vault(0)).put('n', { a: '1' })
    await notes(fleet.vault(1)).put('n', { b: '2' })
    await notes(fleet.vault(1)).put('other', { x: 'y' })
    await fleet.sync(0, 1)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ a: '1' })
    expect(await readEverywhere(fleet, notes, 'other')).toEqual({ x: 'y' })
    expect(await fleet.vault(1).conflicts.list()).toMatchObject([
      { kind: 'open', lost: { b: '2' } },
    ])
    expectCalm(fleet)
  })

  it('rolls a mutation back that grows beyond it when it runs again', async () => {
    const fleet = await makeFleet(2)
    const notes = (vault: Vault): Collection<Note> => vault.collection<Note>('notes')
    fleet.declare((vault) => {
      const append = async (transaction: Transaction, { text }: { text: string }) => {
        const list = transaction.collection(notes(vault))
        const before = (await list.get('n'))?.all ?? ''
        await list.put('n', { all: before + text })
      }
      vault.mutations({ append })
    })
    const append = (n: number, text: string) => fleet.vault(n).mutate('append', { text })
    await append(0, large('a'))
    await append(1, large('b'))
    await notes(fleet.vault(1)).put('other', { x: 'y' })
    await fleet.sync(0, 1)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'n')).toEqual({ all: large('a') })
    expect(await readEverywhere(fleet, notes, 'other')).toEqual({ x: 'y' })
    expect(await fleet.vault(1).conflicts.list()).toMatchObject([{ kind: 'rolled-back' }])
    expectCalm(fleet)
  })
})
