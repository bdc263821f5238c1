/**
 * Every policy at once, under everything that may happen to a device: random writes, deletes,
 * transactions and mutations of three devices, killed after any batch that reaches their disk, with
 * answers lost and pushes repeated. In the end all hold the same, every increment counts once, and
 * no disk keeps anything that nobody needs.
 */
import type { Transaction, Vault } from '@blindcopy/client'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exportOf, openNetwork } from '../simulation/world.ts'
import { expectCalm, type Fleet, type Member, makeFleet, PROPERTY_MS } from './fleet.ts'

type Note = Record<string, unknown>
const lww = (vault: Vault) => vault.collection<Note>('lww')
const merged = (vault: Vault) => vault.collection<Note>('merged', { conflict: 'merge' })
const manual = (vault: Vault) => vault.collection<Note>('manual', { conflict: 'manual' })
const custom = (vault: Vault) =>
  vault.collection<{ texts: string[] }>('custom', {
    conflict: {
      custom: ({ local, remote }) => ({
        texts: [...new Set([...(local?.texts ?? []), ...(remote?.texts ?? [])])].sort(),
      }),
    },
  })
const counters = (vault: Vault) => vault.collection<{ n: number }>('counters')

function declare(vault: Vault): void {
  for (const collectionOf of [merged, manual, custom]) collectionOf(vault)
  vault.mutations({
    add: async (tx: Transaction, by: number) => {
      const all = tx.collection(counters(vault))
      await all.put('k', { n: ((await all.get('k'))?.n ?? 0) + by })
    },
  })
}

const key = fc.constantFrom('a', 'b')
const n = fc.nat(2)
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('write' as const), n, key, what: fc.nat(6) }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('sync' as const), n }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('crash' as const), n, after: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('lose' as const), n }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('repeat' as const), n }) },
)

/** Returns what it adds to the counter. */
async function write(vault: Vault, at: { i: number; key: string; what: number }): Promise<number> {
  const { i, key, what } = at
  if (what === 0) await lww(vault).put(key, { i })
  if (what === 1) await lww(vault).delete(key)
  if (what === 2) {
    const fields = (await merged(vault).get(key)) ?? {}
    await merged(vault).put(key, { ...fields, [`f${i % 3}`]: i })
  }
  if (what === 3) await manual(vault).put(key, { i })
  if (what === 4) {
    const texts = (await custom(vault).get(key))?.texts ?? []
    await custom(vault).put(key, { texts: [...texts, `${i}`].sort() })
  }
  if (what === 5) await vault.mutate('add', 2 ** i)
  if (what === 6) {
    await vault.transaction(async (tx) => {
      await tx.collection(lww(vault)).put(key, { i })
      await tx.collection(merged(vault)).put(key, { [`f${i % 3}`]: i })
      if (i % 2 === 0) await tx.collection(custom(vault)).put(key, { texts: [`${i}`] })
    })
  }
  return what === 5 ? 2 ** i : 0
}

/** Exchanges; the process ends when its `after`-th batch from now has reached the disk. */
async function syncAndCrash(fleet: Fleet, n: number, after: number): Promise<void> {
  const { device } = fleet.members[n] as Member
  let left = after
  const ended = new Promise<void>((resolve) => {
    device.disk.onWrite = () => {
      if (left-- > 0) return
      device.kill()
      resolve()
    }
  })
  await Promise.race([fleet.sync(n).catch(() => undefined), ended])
  device.disk.onWrite = () => undefined
  await fleet.reopen(n)
}

function fault(fleet: Fleet, n: number, type: 'lose' | 'repeat'): void {
  const { network } = (fleet.members[n] as Member).device
  network.fetch = async (request, carry) => {
    if (!request.url.endsWith('/v1/push')) return carry(request)
    network.fetch = openNetwork().fetch
    if (type === 'repeat') await carry(request.clone() as Request)
    const answer = await carry(request)
    if (type === 'lose') throw new TypeError('fetch failed')
    return answer
  }
}

/** How many keys stand in each section of a disk. */
async function sectionsOf({ device }: Member): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const [key] of await device.disk.entries()) {
    const section = String.fromCharCode(key[0] as number)
    counts[section] = (counts[section] ?? 0) + 1
  }
  return counts
}

describe('devices that write under every policy', () => {
  it(
    'hold the same in the end, count everything once, and keep nothing that is over',
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 24 }), async (steps) => {
          const fleet = await makeFleet(3)
          fleet.declare(declare)
          let sum = 0
          for (const [i, one] of steps.entries()) {
            fleet.pass()
            if (one.type === 'write') sum += await write(fleet.vault(one.n), { ...one, i })
            else if (one.type === 'sync') await fleet.sync(one.n).catch(() => undefined)
            else if (one.type === 'crash') await syncAndCrash(fleet, one.n, one.after)
            else fault(fleet, one.n, one.type)
          }
          for (const { device } of fleet.members) device.network.fetch = openNetwork().fetch
          await fleet.settle()
          const [first] = fleet.members as [Member]
          const expected = await exportOf(first.vault)
          const shown = expected === '' ? 0 : expected.split('\n').length
          const { r: records = 0 } = await sectionsOf(first)
          for (const member of fleet.members) {
            expect(await exportOf(member.vault)).toBe(expected)
            expect((await counters(member.vault).get('k'))?.n ?? 0).toBe(sum)
            const { m: _meta, k: _keychain, x: _log, ...sections } = await sectionsOf(member)
            expect(sections).toEqual({
              ...(shown === 0 ? {} : { c: shown }),
              ...(records === 0 ? {} : { r: records, v: records }),
            })
          }
          expectCalm(fleet)
        }),
        { numRuns: process.env.SLOW ? 150 : 20 },
      )
    },
    PROPERTY_MS,
  )
})
