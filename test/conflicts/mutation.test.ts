/**
 * Custom mutations between real devices: what they do is done once, on the newest state, however
 * often messages are lost, repeated, and devices reopened in between; or it is taken back and said.
 */
import type { Collection, Transaction, Vault } from '@blindcopy/client'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openNetwork } from '../simulation/world.ts'
import { expectCalm, type Fleet, headOf, makeFleet, PROPERTY_MS, readEverywhere } from './fleet.ts'

type Counter = { n: number }
const counters = (vault: Vault): Collection<Counter> => vault.collection<Counter>('counters')

function declareCounters(vault: Vault): void {
  const add = async (tx: Transaction, { key, by }: { key: string; by: number }): Promise<void> => {
    const found = await tx.collection(counters(vault)).get(key)
    await tx.collection(counters(vault)).put(key, { n: (found?.n ?? 0) + by })
  }
  const move = async (tx: Transaction, by: number): Promise<void> => {
    const all = tx.collection(counters(vault))
    const [from, to] = [await all.get('from'), await all.get('to')]
    if ((from?.n ?? 0) < by) throw new Error('there is not enough left')
    await all.put('from', { n: (from?.n ?? 0) - by })
    await all.put('to', { n: (to?.n ?? 0) + by })
  }
  vault.mutations({ add, move })
}

async function makeCounters(count: number): Promise<Fleet> {
  const fleet = await makeFleet(count)
  fleet.declare(declareCounters)
  return fleet
}

/** The answer to the next push is lost: the remote has taken it, and the device does not know. */
function loseNextAnswer(fleet: Fleet, n: number): void {
  const { network } = fleet.members[n]?.device ?? {}
  if (network === undefined) throw new Error('there is no such device')
  const was = network.fetch
  network.fetch = async (request, carry) => {
    const answer = await carry(request)
    if (!request.url.endsWith('/v1/push')) return answer
    network.fetch = was
    throw new TypeError('fetch failed')
  }
}

/** The next push arrives twice. */
function repeatNextPush(fleet: Fleet, n: number): void {
  const { network } = fleet.members[n]?.device ?? {}
  if (network === undefined) throw new Error('there is no such device')
  const was = network.fetch
  network.fetch = async (request, carry) => {
    if (!request.url.endsWith('/v1/push')) return carry(request)
    network.fetch = was
    await carry(request.clone() as Request)
    return carry(request)
  }
}

describe('increments of three devices', () => {
  it(
    'sum exactly, with lost answers, repeats and reopening between',
    async () => {
      const n = fc.nat(2)
      const step = fc.oneof(
        { weight: 3, arbitrary: fc.record({ type: fc.constant('add' as const), n }) },
        { weight: 2, arbitrary: fc.record({ type: fc.constant('sync' as const), n }) },
        fc.record({ type: fc.constantFrom('lose' as const, 'repeat' as const), n }),
        fc.record({ type: fc.constant('reopen' as const), n }),
      )
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 16 }), async (steps) => {
          const fleet = await makeCounters(3)
          let sum = 0
          for (const [i, { type, n }] of steps.entries()) {
            fleet.pass()
            if (type === 'add') {
              sum += 2 ** i
              await fleet.vault(n).mutate('add', { key: 'k', by: 2 ** i })
            } else if (type === 'sync') await fleet.sync(n).catch(() => undefined)
            else if (type === 'reopen') await fleet.reopen(n)
            else {
              if (type === 'lose') loseNextAnswer(fleet, n)
              else repeatNextPush(fleet, n)
              await fleet.sync(n).catch(() => undefined)
            }
          }
          for (const { device } of fleet.members) device.network.fetch = openNetwork().fetch
          await fleet.settle()
          expect(await readEverywhere(fleet, counters, 'k')).toEqual(
            sum === 0 ? undefined : { n: sum },
          )
          for (const { vault } of fleet.members) expect(await vault.conflicts.list()).toEqual([])
          expectCalm(fleet)
        }),
        { numRuns: process.env.SLOW ? 100 : 15 },
      )
    },
    PROPERTY_MS,
  )

  it('go through, however many of one device wait behind one that is refused', async () => {
    const fleet = await makeCounters(2)
    await fleet.vault(0).mutate('add', { key: 'k', by: 1_000 })
    await fleet.sync(0)
    for (let n = 0; n < 40; n++) await fleet.vault(1).mutate('add', { key: 'k', by: 1 })
    const before = await headOf(fleet)
    await fleet.settle()
    expect(await readEverywhere(fleet, counters, 'k')).toEqual({ n: 1_040 })
    expect((await headOf(fleet)) - before).toBe(40)
    expectCalm(fleet)
  })

  it('go through plain writes of the same record, before and after them', async () => {
    const fleet = await makeCounters(2)
    const vault = fleet.vault(1)
    await fleet.vault(0).mutate('add', { key: 'k', by: 100 })
    await fleet.sync(0)
    await vault.mutate('add', { key: 'k', by: 1 })
    fleet.pass()
    await counters(vault).put('k', { n: 50 })
    await vault.mutate('add', { key: 'k', by: 1 })
    await fleet.settle()
    expect(await readEverywhere(fleet, counters, 'k')).toEqual({ n: 51 })
    expectCalm(fleet)
  })
})

describe('a mutation that cannot be applied to the newer state', () => {
  it('is rolled back with its reason, and what is shown is the newer state', async () => {
    const fleet = await makeCounters(2)
    await fleet.vault(0).mutate('add', { key: 'from', by: 10 })
    await fleet.settle()
    await fleet.vault(0).mutate('move', 8)
    await fleet.vault(1).mutate('move', 5)
    expect(await counters(fleet.vault(1)).get('to')).toEqual({ n: 5 })
    await fleet.sync(0, 1)
    await fleet.settle()
    expect(await readEverywhere(fleet, counters, 'from')).toEqual({ n: 2 })
    expect(await readEverywhere(fleet, counters, 'to')).toEqual({ n: 8 })
    const listed = await fleet.vault(1).conflicts.list()
    expect(listed.map(({ kind, key, reason }) => [kind, key, reason]).sort()).toEqual([
      ['rolled-back', 'from', 'there is not enough left'],
      ['rolled-back', 'to', 'there is not enough left'],
    ])
    expectCalm(fleet)
  })

  it('takes no other with it: a later one that still can runs', async () => {
    const fleet = await makeCounters(2)
    await fleet.vault(0).mutate('add', { key: 'from', by: 10 })
    await fleet.settle()
    await fleet.vault(0).mutate('move', 8)
    await fleet.vault(1).mutate('move', 5)
    await fleet.vault(1).mutate('move', 2)
    await fleet.sync(0, 1)
    await fleet.settle()
    expect(await readEverywhere(fleet, counters, 'to')).toEqual({ n: 10 })
    expect(await readEverywhere(fleet, counters, 'from')).toEqual({ n: 0 })
    expectCalm(fleet)
  })
})

describe('a mutation that the app has not declared when it must run again', () => {
  it('waits in attention, and goes when it is declared', async () => {
    const fleet = await makeCounters(2)
    await fleet.vault(0).mutate('add', { key: 'k', by: 1 })
    await fleet.sync(0)
    await fleet.vault(1).mutate('add', { key: 'k', by: 10 })
    fleet.declare(() => undefined)
    await fleet.reopen(1)
    await fleet.sync(1)
    const vault = fleet.vault(1)
    expect(await counters(vault).get('k')).toEqual({ n: 1 })
    expect(await vault.attention.list()).toMatchObject([
      { code: 'mutation-unknown', records: [{ key: 'k', fields: { n: 10 } }] },
    ])
    await fleet.reopen(1)
    expect(await fleet.vault(1).attention.list()).toHaveLength(1)
    fleet.declare(declareCounters)
    await fleet.settle()
    expect(await readEverywhere(fleet, counters, 'k')).toEqual({ n: 11 })
    expectCalm(fleet)
  })
})

describe('a mutation', () => {
  it('writes to no local-only collection, also when it became one after it ran', async () => {
    const fleet = await makeCounters(2)
    await fleet.vault(0).mutate('add', { key: 'k', by: 1 })
    await fleet.sync(0)
    await fleet.vault(1).mutate('add', { key: 'k', by: 10 })
    fleet.vault(1).collection('counters', { localOnly: true })
    await expect(fleet.vault(1).mutate('add', { key: 'k', by: 1 })).rejects.toMatchObject({
      code: 'invalid-argument',
    })
    await fleet.sync(1)
    await fleet.settle()
    expect(await counters(fleet.vault(0)).get('k')).toEqual({ n: 1 })
    expect(await fleet.vault(1).conflicts.list()).toMatchObject([{ kind: 'rolled-back' }])
  })

  it('that throws something without a text is rolled back all the same', async () => {
    const fleet = await makeCounters(2)
    let isUpset = false
    fleet.declare((vault) => {
      declareCounters(vault)
      const upset = async (tx: Transaction): Promise<void> => {
        if (isUpset) throw Object.create(null)
        await tx.collection(counters(vault)).put('k', { n: 5 })
      }
      vault.mutations({ upset })
    })
    await fleet.vault(0).mutate('add', { key: 'k', by: 1 })
    await fleet.sync(0)
    await fleet.vault(1).mutate('upset', null)
    isUpset = true
    await fleet.sync(1)
    expect(await fleet.vault(1).conflicts.list()).toMatchObject([{ kind: 'rolled-back' }])
    await fleet.settle()
    expect(await readEverywhere(fleet, counters, 'k')).toEqual({ n: 1 })
    expectCalm(fleet)
  })
})
