/**
 * A bundle that meets writes which wait, and then the remote: under every policy both devices and
 * the remote come to the same, nothing stays aside, and nobody's words are gone.
 *
 * Lessons: A8, A9, A14; C5.
 */
import type { Collection, CollectionOptions, Schema, Vault } from '@blindcopy/client'
import type { Fields } from '@blindcopy/protocol'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { makePair } from '../hostile/adversary.ts'
import { expectInStep, notes } from './recovery.ts'

const POLICIES: Readonly<Record<string, CollectionOptions<Schema<Fields>>['conflict']>> = {
  lww: 'lww',
  merge: 'merge',
  manual: 'manual',
  custom: { custom: ({ local, remote }) => ({ ...remote, ...local }) },
}

function of(vault: Vault, name: string): Collection<Fields> {
  return vault.collection<Fields>(name, { conflict: POLICIES[name] ?? 'lww' })
}

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
      const kept: unknown[] = [await of(a, name).get('n')]
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

it('any writes, bundles and syncs end alike everywhere', async () => {
  const step = fc.record({
    device: fc.nat(1),
    type: fc.constantFrom('put', 'put', 'put', 'delete', 'carry', 'carry', 'sync'),
    name: fc.constantFrom(...Object.keys(POLICIES)),
    key: fc.constantFrom('k0', 'k1'),
    n: fc.nat(9),
  })
  let seed = 5_000
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      const { world, writerVault, victimVault } = await makePair(seed++, { shared: { text: 'x' } })
      const vaults = [writerVault, victimVault] as const
      for (const { device, type, name, key, n } of steps) {
        const vault = vaults[device as 0 | 1]
        const target = of(vault, name)
        const field = { [`f${n % 3}`]: `${device}${n}` }
        if (type === 'put') await target.put(key, { ...(await target.get(key)), ...field })
        if (type === 'delete') await target.delete(key)
        if (type === 'carry') await carry(vault, vaults[device === 0 ? 1 : 0])
        if (type === 'sync') await vault.sync.once()
      }
      for (let round = 0; round < 3; round++) for (const vault of vaults) await vault.sync.once()
      await expectInStep(world, vaults)
      for (const vault of vaults) await vault.close()
    }),
    { numRuns: process.env.SLOW === '1' ? 500 : 40 },
  )
}, 120_000)
