/**
 * A bundle that meets writes which wait, and then the remote: under every policy both devices and
 * the remote come to the same, nothing stays aside, and nobody's words are gone.
 *
 * Lessons: A8, A9, A14; C5.
 */
import type { CollectionOptions, Vault } from '@blindcopy/client'
import type { Fields } from '@blindcopy/protocol'
import { expect, it } from 'vitest'
import { makePair } from '../hostile/adversary.ts'
import { expectInStep, notes } from './recovery.ts'

type Conflict = NonNullable<CollectionOptions<never>['conflict']>

const POLICIES: Readonly<Record<string, Conflict>> = {
  lww: 'lww',
  merge: 'merge',
  manual: 'manual',
  custom: {
    custom: ({ local, remote }: never) => ({ ...(remote as Fields), ...(local as Fields) }),
  },
}

const of = (vault: Vault, name: string) =>
  vault.collection(name, { conflict: POLICIES[name] as Conflict } as never)

async function carry(from: Vault, to: Vault): Promise<void> {
  const chunks: Uint8Array[] = []
  for await (const chunk of from.exportBundle()) chunks.push(chunk)
  await to.importBundle(async function* () {
    yield* chunks
  })
}

const orders = ['a to b', 'b to a', 'both ways', 'both ways, twice'] as const

for (const [i, order] of orders.entries()) {
  it(`carried ${order}, then synced, ends alike everywhere`, async () => {
    const {
      world,
      writerVault: a,
      victimVault: b,
    } = await makePair(990 + i, {
      shared: { text: 'x' },
    })
    for (const name of Object.keys(POLICIES)) await of(a, name).put('n', { first: 'of a' })
    await a.sync.once()
    await b.sync.once()
    for (const name of Object.keys(POLICIES)) {
      await of(a, name).put('n', { first: 'of a', mine: 'a' })
      await of(b, name).put('n', { first: 'of a', yours: 'b' })
      await of(b, name).put('new', { only: 'b' })
    }
    await notes(b).delete('shared')
    for (let round = order === 'both ways, twice' ? 2 : 1; round > 0; round--) {
      if (order !== 'b to a') await carry(a, b)
      if (order !== 'a to b') await carry(b, a)
    }
    for (let round = 0; round < 3; round++) for (const vault of [a, b]) await vault.sync.once()
    const text = await expectInStep(world, [a, b])
    expect(text).not.toContain('shared')
    expect(await of(a, 'merge').get('n')).toEqual({ first: 'of a', mine: 'a', yours: 'b' })
    expect(await of(a, 'custom').get('n')).toEqual({ first: 'of a', mine: 'a', yours: 'b' })
    for (const name of ['lww', 'manual']) {
      const kept = [await of(a, name).get('n')]
      for (const vault of [a, b]) {
        for (const conflict of await vault.conflicts.list()) {
          if (conflict.collection === name) kept.push(conflict.lost)
        }
      }
      expect(kept, name).toContainEqual({ first: 'of a', mine: 'a' })
      expect(kept, name).toContainEqual({ first: 'of a', yours: 'b' })
    }
  })
}
