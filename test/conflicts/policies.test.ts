/**
 * Conflict policies that ask: manual, where a person decides, and custom, where a function of the
 * app does. Whatever it answers or fails to answer, both versions stay until somebody has chosen.
 */
import type { Collection, ConflictChange, ConflictSides, Vault } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { expectCalm, type Fleet, headOf, makeFleet, readEverywhere } from './fleet.ts'

type Note = { text: string }
type Resolve = (sides: ConflictSides<Note>) => Note | null

const manual = (vault: Vault): Collection<Note> =>
  vault.collection<Note>('manual', { conflict: 'manual' })
const plain = (vault: Vault): Collection<Note> => vault.collection<Note>('plain')
const customBy =
  (custom: Resolve) =>
  (vault: Vault): Collection<Note> =>
    vault.collection<Note>('custom', { conflict: { custom } })

async function clash(
  collectionOf: (vault: Vault) => Collection<Note>,
): Promise<{ fleet: Fleet; mine: Vault }> {
  const fleet = await makeFleet(2)
  fleet.declare(collectionOf)
  await collectionOf(fleet.vault(0)).put('k', { text: 'base' })
  await fleet.settle()
  await collectionOf(fleet.vault(0)).put('k', { text: 'theirs' })
  fleet.pass()
  await collectionOf(fleet.vault(1)).put('k', { text: 'mine' })
  await fleet.sync(0, 1)
  return { fleet, mine: fleet.vault(1) }
}

describe('a manual conflict', () => {
  it('shows what the remote holds, and lists what was written here', async () => {
    const { fleet, mine } = await clash(manual)
    await fleet.settle()
    expect(await readEverywhere(fleet, manual, 'k')).toEqual({ text: 'theirs' })
    expect(await mine.conflicts.list()).toMatchObject([
      { kind: 'open', key: 'k', lost: { text: 'mine' }, current: { text: 'theirs' } },
    ])
    expect(await fleet.vault(0).conflicts.list()).toEqual([])
    expectCalm(fleet)
  })

  it.each([
    ['mine', 'mine'],
    ['theirs', 'theirs'],
    [{ fields: { text: 'both' } }, 'both'],
  ] as const)('is resolved by %o', async (choice, text) => {
    const { fleet } = await clash(manual)
    await fleet.reopen(1)
    const [conflict] = await fleet.vault(1).conflicts.list()
    await fleet.vault(1).conflicts.resolve(conflict?.id ?? '', choice)
    await fleet.settle()
    expect(await readEverywhere(fleet, manual, 'k')).toEqual({ text })
    expect(await fleet.vault(1).conflicts.list()).toEqual([])
    expectCalm(fleet)
  })

  it('is resolved by deleting the record', async () => {
    const { fleet, mine } = await clash(manual)
    const [conflict] = await mine.conflicts.list()
    await mine.conflicts.resolve(conflict?.id ?? '', { fields: null })
    await fleet.settle()
    expect(await readEverywhere(fleet, manual, 'k')).toBeUndefined()
  })

  it('refuses a choice that is none, and stays open', async () => {
    const { mine } = await clash(manual)
    const [conflict] = await mine.conflicts.list()
    const { conflicts } = mine
    const id = conflict?.id ?? ''
    for (const choice of ['both', undefined, null, {}, { fields: 'text' }, { fields: undefined }]) {
      await expect(conflicts.resolve(id, choice as never)).rejects.toMatchObject({
        code: 'invalid-argument',
      })
    }
    await expect(conflicts.resolve(`${id}x`, 'mine')).rejects.toMatchObject({
      code: 'invalid-argument',
    })
    expect(await conflicts.list()).toHaveLength(1)
    expect(await manual(mine).get('k')).toEqual({ text: 'theirs' })
  })

  it('takes the whole transaction back, which is resolved record by record', async () => {
    const fleet = await makeFleet(2)
    fleet.declare(manual)
    await manual(fleet.vault(0)).put('k', { text: 'theirs' })
    await fleet.sync(0)
    const mine = fleet.vault(1)
    await mine.transaction(async (tx) => {
      await tx.collection(manual(mine)).put('k', { text: 'mine' })
      await tx.collection(plain(mine)).put('p', { text: 'with it' })
    })
    await fleet.sync(1)
    await fleet.settle()
    expect(await readEverywhere(fleet, plain, 'p')).toBeUndefined()
    const listed = await mine.conflicts.list()
    expect(listed.map(({ key, kind }) => [key, kind]).sort()).toEqual([
      ['k', 'open'],
      ['p', 'open'],
    ])
    for (const { id } of listed) await mine.conflicts.resolve(id, 'mine')
    await fleet.settle()
    expect(await readEverywhere(fleet, plain, 'p')).toEqual({ text: 'with it' })
    expect(await readEverywhere(fleet, manual, 'k')).toEqual({ text: 'mine' })
    expectCalm(fleet)
  })

  it('may be one of two on a record, and each is resolved by itself', async () => {
    const { fleet, mine } = await clash(manual)
    await manual(mine).put('k', { text: 'mine again' })
    await manual(fleet.vault(0)).put('k', { text: 'theirs again' })
    await fleet.sync(0, 1)
    const listed = await mine.conflicts.list()
    expect(listed.map(({ lost }) => lost)).toEqual([{ text: 'mine' }, { text: 'mine again' }])
    await mine.conflicts.resolve(listed[0]?.id ?? '', 'theirs')
    await mine.conflicts.resolve(listed[1]?.id ?? '', 'mine')
    await fleet.settle()
    expect(await readEverywhere(fleet, manual, 'k')).toEqual({ text: 'mine again' })
    expect(await mine.conflicts.list()).toEqual([])
    expectCalm(fleet)
  })

  it('stays open while later edits of the shown version go their way', async () => {
    const { fleet, mine } = await clash(manual)
    await manual(mine).put('k', { text: 'edited' })
    await fleet.settle()
    expect(await readEverywhere(fleet, manual, 'k')).toEqual({ text: 'edited' })
    expect(await mine.conflicts.list()).toMatchObject([{ lost: { text: 'mine' } }])
    expectCalm(fleet)
  })
})

describe('a custom policy', () => {
  const seen: ConflictSides<Note>[] = []
  const join: Resolve = (sides) => {
    seen.push(sides)
    const texts = [sides.local?.text, sides.remote?.text].filter((text) => text !== undefined)
    return { text: [...new Set(texts)].sort().join('+') }
  }

  it('is given base, local and remote, and its answer is what everybody has', async () => {
    seen.length = 0
    const { fleet } = await clash(customBy(join))
    await fleet.settle()
    expect(await readEverywhere(fleet, customBy(join), 'k')).toEqual({ text: 'mine+theirs' })
    expect(seen).toEqual([
      { base: { text: 'base' }, local: { text: 'mine' }, remote: { text: 'theirs' }, key: 'k' },
    ])
    expectCalm(fleet)
  })

  it('is given no base where there was none', async () => {
    seen.length = 0
    const fleet = await makeFleet(2)
    fleet.declare(customBy(join))
    for (const n of [0, 1]) await customBy(join)(fleet.vault(n)).put('k', { text: `${n}` })
    await fleet.settle()
    expect(seen).toEqual([{ base: null, local: { text: '1' }, remote: { text: '0' }, key: 'k' }])
    expect(await readEverywhere(fleet, customBy(join), 'k')).toEqual({ text: '0+1' })
  })

  it('resolves a chain of writes that wait, each on the outcome of the one before', async () => {
    const fleet = await makeFleet(2)
    const custom = customBy(join)
    fleet.declare(custom)
    await custom(fleet.vault(0)).put('k', { text: 'theirs' })
    await fleet.sync(0)
    const mine = fleet.vault(1)
    await custom(mine).put('k', { text: 'first' })
    await mine.transaction(async (tx) => {
      await tx.collection(custom(mine)).put('k', { text: 'second' })
      await tx.collection(custom(mine)).put('other', { text: 'x' })
    })
    await mine.transaction(async (tx) => {
      await tx.collection(custom(mine)).put('k', { text: 'third' })
      await tx.collection(custom(mine)).put('another', { text: 'y' })
    })
    await fleet.settle()
    expect(await readEverywhere(fleet, custom, 'k')).toEqual({ text: 'second+theirs+third' })
    expect(await readEverywhere(fleet, custom, 'another')).toEqual({ text: 'y' })
    expectCalm(fleet)
  })

  it('that answers what the remote holds writes nothing', async () => {
    const theirs: Resolve = ({ remote }) => remote
    const { fleet } = await clash(customBy(theirs))
    const before = await headOf(fleet)
    await fleet.settle()
    expect(await headOf(fleet)).toBe(before)
    expect(await readEverywhere(fleet, customBy(theirs), 'k')).toEqual({ text: 'theirs' })
    expectCalm(fleet)
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no idea')
      },
      'no idea',
    ],
    ['answers nothing', () => undefined as unknown as Note, 'the resolver answered nothing'],
    ['answers a promise', () => Promise.resolve({ text: 'x' }) as unknown as Note, 'promise'],
  ] satisfies [string, Resolve, string][])(
    'that %s leaves the conflict open, with the reason',
    async (_, resolve, reason) => {
      const { fleet, mine } = await clash(customBy(resolve))
      await fleet.settle()
      const listed = await mine.conflicts.list()
      expect(listed).toMatchObject([{ kind: 'open', lost: { text: 'mine' } }])
      expect(listed[0]?.reason).toContain(reason)
      expect(await readEverywhere(fleet, customBy(resolve), 'k')).toEqual({ text: 'theirs' })
      expectCalm(fleet)
    },
  )

  it('that is not declared when it is needed leaves the conflict open', async () => {
    const fleet = await makeFleet(2)
    const custom = customBy(join)
    await custom(fleet.vault(0)).put('k', { text: 'theirs' })
    await fleet.sync(0)
    await custom(fleet.vault(1)).put('k', { text: 'mine' })
    await fleet.reopen(1)
    await fleet.sync(1)
    expect(await fleet.vault(1).conflicts.list()).toMatchObject([
      { kind: 'open', lost: { text: 'mine' }, current: { text: 'theirs' } },
    ])
    expectCalm(fleet)
  })
})

describe('who listens for conflicts', () => {
  it('is told once of each, merged ones included, and not when it no longer listens', async () => {
    const fleet = await makeFleet(2)
    fleet.declare(manual)
    const changes: ConflictChange[] = []
    const end = fleet.vault(1).conflicts.onChange((change) => changes.push(change))
    const mine = fleet.vault(1)
    await manual(fleet.vault(0)).put('k', { text: 'theirs' })
    await plain(fleet.vault(0)).put('p', { text: 'newer' })
    await plain(mine).put('p', { text: 'older' })
    await manual(mine).put('k', { text: 'mine' })
    fleet.pass()
    await plain(fleet.vault(0)).put('p', { text: 'newest' })
    await fleet.sync(0, 1)
    await fleet.settle()
    const told = changes.map(({ kind, collection, key }) => [kind, collection, key]).sort()
    expect(told).toEqual([
      ['open', 'manual', 'k'],
      ['overwritten', 'plain', 'p'],
    ])
    end()
    await plain(mine).put('p', { text: 'older' })
    fleet.pass()
    await plain(fleet.vault(0)).put('p', { text: 'newer' })
    await fleet.sync(0, 1)
    expect(changes).toHaveLength(2)
  })
})
