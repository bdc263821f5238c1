/**
 * Last write wins, between real devices: the newer write stands, and the one that lost is kept by
 * its author, and by a device that met it while its own was unsent. Who writes what it has seen
 * loses nothing, ever.
 */
import type { Collection, Vault } from '@blindcopy/client'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { expectCalm, makeFleet, PROPERTY_MS, readEverywhere } from './fleet.ts'

type Note = { text: string }
const notes = (vault: Vault): Collection<Note> => vault.collection<Note>('notes')

describe('of two writes offline', () => {
  it('the older is kept by its author when the newer was pushed without a look at it', async () => {
    const fleet = await makeFleet(2)
    await notes(fleet.vault(0)).put('k', { text: 'older' })
    await fleet.sync(0)
    fleet.pass()
    await notes(fleet.vault(1)).put('k', { text: 'newer' })
    // The push is over before anything is pulled.
    await fleet.vault(1).sync.once({ direction: 'push' })
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'k')).toEqual({ text: 'newer' })
    expect(await fleet.vault(0).conflicts.list()).toMatchObject([{ lost: { text: 'older' } }])
    expectCalm(fleet)
  })

  it.each([
    { first: 0, second: 1, keepers: [0, 1] },
    { first: 1, second: 0, keepers: [0] },
  ])('the newer stands and the older is kept (sync $first, $second)', async (order) => {
    const fleet = await makeFleet(2)
    await notes(fleet.vault(0)).put('k', { text: 'older' })
    fleet.pass()
    await notes(fleet.vault(1)).put('k', { text: 'newer' })
    await fleet.sync(order.first, order.second)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'k')).toEqual({ text: 'newer' })
    const logged = await Promise.all(fleet.members.map(({ vault }) => vault.conflicts.list()))
    // By its author, and by the device that had a write unsent when it met it.
    const keepers = logged.flatMap((conflicts, i) => (conflicts.length > 0 ? [i] : []))
    expect(keepers).toEqual(order.keepers)
    for (const conflicts of logged) {
      expect(conflicts.length).toBeLessThanOrEqual(1)
      for (const { kind, lost } of conflicts) {
        expect([kind, lost]).toEqual(['overwritten', { text: 'older' }])
      }
    }
    expectCalm(fleet)
  })

  it('the older is kept once, also when it is the push that finds out', async () => {
    const fleet = await makeFleet(2)
    const { network } = fleet.members[0]?.device ?? {}
    await notes(fleet.vault(0)).put('k', { text: 'older' })
    fleet.pass()
    await notes(fleet.vault(1)).put('k', { text: 'newer' })
    if (network === undefined) throw new Error('there is no device')
    const was = network.fetch
    network.fetch = async (request, carry) => {
      if (request.url.endsWith('/v1/push')) {
        network.fetch = was
        await fleet.sync(1)
      }
      return carry(request)
    }
    await fleet.sync(0)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'k')).toEqual({ text: 'newer' })
    expect(await fleet.vault(0).conflicts.list()).toMatchObject([{ lost: { text: 'older' } }])
    expect(await fleet.vault(1).conflicts.list()).toEqual([])
    expectCalm(fleet)
  })

  it('only the last of each device counts: what it replaced itself did not lose', async () => {
    const fleet = await makeFleet(2)
    const vault = fleet.vault(0)
    await vault.transaction(async (tx) => {
      await tx.collection(notes(vault)).put('k', { text: 'first' })
      await tx.collection(notes(vault)).put('other', { text: 'x' })
    })
    await notes(vault).put('k', { text: 'second' })
    fleet.pass()
    await notes(fleet.vault(1)).put('k', { text: 'newer' })
    await fleet.sync(1, 0)
    await fleet.settle()
    expect(await vault.conflicts.list()).toMatchObject([{ lost: { text: 'second' } }])
    expectCalm(fleet)
  })
})

describe('writes that have all seen what they replace', () => {
  it(
    'are no conflicts, whoever writes and whatever is lost or reopened between',
    async () => {
      const turn = fc.record({
        n: fc.nat(2),
        key: fc.constantFrom('a', 'b'),
        act: fc.constantFrom('put', 'put', 'delete', 'both'),
        reopens: fc.boolean(),
        losesAnswer: fc.boolean(),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(turn, { maxLength: 10 }), async (turns) => {
          const fleet = await makeFleet(3)
          for (const [i, { n, key, act, reopens, losesAnswer }] of turns.entries()) {
            fleet.pass()
            await fleet.sync(n)
            const vault = fleet.vault(n)
            if (act === 'delete') await notes(vault).delete(key)
            else await notes(vault).put(key, { text: `${i}` })
            if (act === 'both') {
              await vault.transaction(async (tx) => {
                for (const k of ['a', 'b'])
                  await tx.collection(notes(vault)).put(k, { text: `${i}` })
              })
              await notes(vault).put(key, { text: `${i} again` })
            }
            if (losesAnswer) {
              const network = fleet.members[n]?.device.network
              if (network === undefined) throw new Error('there is no device')
              const was = network.fetch
              network.fetch = async (request, carry) => {
                const answer = await carry(request)
                if (!request.url.endsWith('/v1/push')) return answer
                network.fetch = was
                throw new TypeError('fetch failed')
              }
              await fleet.sync(n).catch(() => undefined)
              network.fetch = was
            }
            if (reopens) await fleet.reopen(n)
            await fleet.sync(n)
          }
          await fleet.settle()
          for (const { vault } of fleet.members) expect(await vault.conflicts.list()).toEqual([])
          expectCalm(fleet)
        }),
        { numRuns: process.env.SLOW ? 150 : 15 },
      )
    },
    PROPERTY_MS,
  )
})

describe('the conflict log', () => {
  it('keeps 1,000 versions that lost, the newest, and every open one', async () => {
    const fleet = await makeFleet(2)
    const manual = (vault: Vault) => vault.collection<Note>('manual', { conflict: 'manual' })
    fleet.declare(manual)
    for (let i = 0; i < 3; i++) {
      for (const n of [0, 1]) await manual(fleet.vault(n)).put(`m${i}`, { text: `${n}` })
    }
    await fleet.sync(0, 1)
    const [mine, theirs] = [fleet.vault(1), fleet.vault(0)]
    for (let round = 0; round < 3; round++) {
      for (const vault of [mine, theirs]) {
        fleet.pass()
        await vault.transaction(async (tx) => {
          for (let i = 0; i < 400; i++) {
            await tx.collection(notes(vault)).put(`${i}`, { text: `${round}` })
          }
        })
      }
      await fleet.sync(0, 1)
    }
    const listed = await mine.conflicts.list()
    expect(listed.filter(({ kind }) => kind === 'open')).toHaveLength(3)
    const closed = listed.filter(({ kind }) => kind === 'overwritten')
    expect(closed.length).toBeLessThanOrEqual(1_000)
    expect(closed.length).toBeGreaterThanOrEqual(900)
    expect(closed.filter(({ lost }) => (lost as Note).text === '2')).toHaveLength(400)
    expect(mine.sync.status.conflicts).toBe(listed.length)
  })
})
