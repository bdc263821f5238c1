/**
 * Schema versions between real devices: older records are read as the app wants them, newer ones
 * are left as they are, and nobody makes a record older than it is without saying so.
 */
import type { Collection, Fields, Vault } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { expectCalm, type Fleet, makeFleet, readEverywhere } from './fleet.ts'

type Old = { name: string }
type New = { first: string; last: string }
const migrate = ({ name, ...rest }: Fields): Fields => {
  const [first = '', last = ''] = String(name).split(' ')
  return { first, last, ...rest }
}

const old = (vault: Vault): Collection<Old> => vault.collection<Old>('people', { version: 1 })
const updated = (vault: Vault): Collection<New> =>
  vault.collection<New>('people', { version: 2, migrate, indexes: ['last'] })
const undeclared = (vault: Vault): Collection<Fields> => vault.collection('people')

async function withPeople(): Promise<Fleet> {
  const fleet = await makeFleet(2)
  await old(fleet.vault(0)).put('ada', { name: 'Ada Lovelace' })
  await old(fleet.vault(0)).put('alan', { name: 'Alan Turing' })
  await fleet.settle()
  return fleet
}

describe('records of an older version', () => {
  it('are read as the newer app wants them, wherever they are read', async () => {
    const fleet = await withPeople()
    const vault = fleet.vault(1)
    const people = updated(vault)
    const ada = { first: 'Ada', last: 'Lovelace' }
    expect(await people.get('ada')).toEqual(ada)
    expect(await people.list()).toHaveLength(2)
    const found = await people.query({ where: { last: 'Turing' } })
    expect(found).toMatchObject([{ key: 'alan', fields: { first: 'Alan' } }])
    const watched = await people.watch({ where: { last: 'Lovelace' } }).next()
    expect(watched.value).toMatchObject([{ key: 'ada', fields: ada }])
    await vault.transaction(async (tx) => {
      expect(await tx.collection(people).get('ada')).toEqual(ada)
      await tx.collection(people).update('ada', { last: 'King' })
    })
    await fleet.settle()
    expect(await updated(fleet.vault(0)).get('ada')).toEqual({ first: 'Ada', last: 'King' })
    expect(await people.deferred()).toEqual([])
  })
})

describe('records of a newer version', () => {
  it('are left out, listed as deferred and refused, and appear when the app is updated', async () => {
    const fleet = await withPeople()
    await updated(fleet.vault(1)).put('grace', { first: 'Grace', last: 'Hopper' })
    await fleet.settle()
    const people = old(fleet.vault(0))
    expect((await people.list()).map(({ key }) => key).sort()).toEqual(['ada', 'alan'])
    expect(await people.deferred()).toEqual(['grace'])
    const newer = { code: 'schema-newer' }
    await expect(people.get('grace')).rejects.toMatchObject(newer)
    await expect(people.put('grace', { name: 'G' })).rejects.toMatchObject(newer)
    await expect(people.update('grace', { name: 'G' })).rejects.toMatchObject(newer)
    await expect(people.delete('grace')).rejects.toMatchObject(newer)
    await fleet.reopen(0)
    expect(await updated(fleet.vault(0)).get('grace')).toEqual({ first: 'Grace', last: 'Hopper' })
    expect(await updated(fleet.vault(0)).list()).toHaveLength(3)
    expectCalm(fleet)
  })
})

describe('who declares no version', () => {
  it('keeps that of a record it writes over, and writes none where there is none', async () => {
    const fleet = await withPeople()
    await updated(fleet.vault(1)).put('grace', { first: 'Grace', last: 'Hopper' })
    await fleet.settle()
    await fleet.reopen(0)
    const plain = undeclared(fleet.vault(0))
    await plain.put('grace', { first: 'Grace', last: 'Murray' })
    await plain.put('ada', { name: 'Ada King' })
    await plain.put('new', { name: 'Some One' })
    await fleet.settle()
    expect(await old(fleet.vault(1)).deferred()).toEqual(['grace'])
    const people = updated(fleet.vault(1))
    expect(await people.get('grace')).toEqual({ first: 'Grace', last: 'Murray' })
    expect(await people.get('ada')).toEqual({ first: 'Ada', last: 'King' })
    expect(await people.get('new')).toEqual({ first: 'Some', last: 'One' })
  })

  it('keeps it too when the first record with a version comes while it writes', async () => {
    const fleet = await makeFleet(2)
    await updated(fleet.vault(0)).put('ada', { first: 'Ada', last: 'Lovelace' })
    await fleet.sync(0)
    await Promise.all([
      fleet.sync(1),
      ...Array.from({ length: 20 }, (_, n) => undeclared(fleet.vault(1)).put('other', { n })),
    ])
    await undeclared(fleet.vault(1)).put('ada', { first: 'Ada', last: 'King' })
    await fleet.settle()
    expect(await old(fleet.vault(0)).deferred()).toContain('ada')
  })
})

describe('an older edit that meets a newer schema', () => {
  it('stays open, and is written as the newer app wants it once that resolves it', async () => {
    const fleet = await makeFleet(2)
    const manualOld = (vault: Vault) =>
      vault.collection<Old>('merged', { version: 1, conflict: 'merge' })
    const manualNew = (vault: Vault) =>
      vault.collection<New>('merged', { version: 2, migrate, conflict: 'merge' })
    await manualOld(fleet.vault(0)).put('ada', { name: 'Ada Lovelace' })
    await fleet.settle()
    await manualNew(fleet.vault(0)).update('ada', { last: 'King' })
    manualOld(fleet.vault(1))
    await manualOld(fleet.vault(1)).update('ada', { name: 'Ada Byron' })
    await fleet.sync(0, 1)
    const [conflict] = await fleet.vault(1).conflicts.list()
    expect(conflict).toMatchObject({ kind: 'open', reason: 'schema-newer' })
    fleet.declare(manualNew)
    expect(await readEverywhere(fleet, manualNew, 'ada')).toEqual({ first: 'Ada', last: 'King' })
    await fleet.vault(1).conflicts.resolve(conflict?.id ?? '', 'mine')
    await fleet.settle()
    expect(await readEverywhere(fleet, manualNew, 'ada')).toEqual({ first: 'Ada', last: 'Byron' })
    expectCalm(fleet)
  })

  it('is merged when the app that knows both resolves it', async () => {
    const fleet = await makeFleet(2)
    const v1 = (vault: Vault) =>
      vault.collection<Fields>('merged', { version: 1, conflict: 'merge' })
    const v2 = (vault: Vault) =>
      vault.collection<Fields>('merged', { version: 2, migrate, conflict: 'merge' })
    await v1(fleet.vault(0)).put('ada', { name: 'Ada Lovelace' })
    await fleet.settle()
    await v1(fleet.vault(0)).update('ada', { born: 1815 })
    await fleet.sync(0)
    await v2(fleet.vault(1)).update('ada', { died: 1852 })
    await fleet.sync(1)
    fleet.declare(v2)
    await fleet.settle()
    expect(await readEverywhere(fleet, v2, 'ada')).toEqual({
      first: 'Ada',
      last: 'Lovelace',
      born: 1815,
      died: 1852,
    })
    expectCalm(fleet)
  })
})
