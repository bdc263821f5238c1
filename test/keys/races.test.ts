/**
 * Two devices that change the list of devices at the same moment: one is first, the other is told
 * (409), looks again at what has become of what it wanted, and does what is left of it. Both end
 * with one list, whatever they wanted and whoever was first.
 *
 * Lessons: B3. Threats: 3, 4.
 */
import { codeOf } from '@blindcopy/client'
import { parseKeychainEntry } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import type { Carry } from '../simulation/world.ts'
import {
  expectSame,
  type Held,
  idOf,
  join,
  makeFleet,
  passMinutes,
  put,
  storedChain,
  syncAll,
  textOf,
} from './keys.ts'

const isAppend = (request: Request): boolean =>
  request.method === 'POST' && new URL(request.url).pathname === '/v1/keychain'

/** The first append of each device waits until all of them are about to append. */
function meet(held: readonly Held[]): { readonly statuses: number[] } {
  const statuses: number[] = []
  let waiting = held.length
  let open: () => void = () => undefined
  const allAreHere = new Promise<void>((resolve) => {
    open = resolve
  })
  for (const { device } of held) {
    let isFirst = true
    device.network.fetch = async (request: Request, carry: Carry) => {
      if (!isAppend(request)) return carry(request)
      if (isFirst) {
        isFirst = false
        if (--waiting === 0) open()
        await allAreHere
      }
      const response = await carry(request)
      statuses.push(response.status)
      return response
    }
  }
  return { statuses }
}

type Wish = (self: Held, third: Held) => Promise<unknown>

const wishes: Record<string, Wish> = {
  rotate: ({ vault }) => vault.keys.rotate(),
  revoke: ({ vault }, third) => vault.keys.revoke([idOf(third)]),
  add: ({ vault }) => vault.keys.createShares({ threshold: 2, count: 2 }),
}

const pairsOf = (names: readonly string[]): [string, string][] =>
  names.flatMap((one) => names.map((other): [string, string] => [one, other]))

describe('at the same moment', () => {
  it.each(pairsOf(Object.keys(wishes)))('%s and %s', async (one, other) => {
    const { world, held } = await makeFleet(7601, 3)
    const [first, second, third] = held as [Held, Held, Held]
    await put(third.vault, 'before', 'of the third')
    await expectSame(held)
    await put(first.vault, 'waits', 'of the first')
    await put(second.vault, 'waits too', 'of the second')
    const length = (await storedChain(first)).length
    const { statuses } = meet([first, second])
    await Promise.all([(wishes[one] as Wish)(first, third), (wishes[other] as Wish)(second, third)])
    // One was first. The other wrote again, but where nothing was left to do.
    const isDone = one === 'revoke' && other === 'revoke'
    expect([...statuses].sort()).toEqual(isDone ? [200, 409] : [200, 200, 409])
    const isRevoked = one === 'revoke' || other === 'revoke'
    const left = isRevoked ? [first, second] : [first, second, third]
    await expectSame(left)
    const chain = await storedChain(first)
    for (const device of left) expect(await storedChain(device)).toEqual(chain)
    const added = chain.slice(length).map((entry) => parseKeychainEntry(entry).payload.type)
    const count = (name: string): number => [one, other].filter((wish) => wish === name).length
    const counted = (type: string): number => added.filter((found) => found === type).length
    expect(counted('member-add')).toBe(count('add'))
    expect(counted('member-revoke')).toBe(Math.min(1, count('revoke')))
    expect(counted('epoch')).toBe(count('rotate') + Math.min(1, count('revoke')))
    expect(await textOf(second.vault, 'waits')).toBe('of the first')
    expect(await textOf(first.vault, 'waits too')).toBe('of the second')
    expect(world.faults).toEqual([])
  })

  it('each revokes the other: one is left, and its word stands', async () => {
    const { held } = await makeFleet(7602, 3)
    const [first, second, third] = held as [Held, Held, Held]
    meet([first, second])
    const ended = await Promise.allSettled([
      first.vault.keys.revoke([idOf(second)]),
      second.vault.keys.revoke([idOf(first)]),
    ])
    expect(ended.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const isFirst = ended[0]?.status === 'fulfilled'
    const [winner, loser] = isFirst ? [first, second] : [second, first]
    const rejected = ended.find((one) => one.status === 'rejected') as PromiseRejectedResult
    expect(codeOf(rejected.reason)).toBe('not-a-member')
    await expectSame([winner, third])
    expect(winner.vault.keys.status().revoked.map(({ deviceId }) => deviceId)).toEqual([
      idOf(loser),
    ])
  })

  it('whoever was added by the revoked meanwhile goes with it', async () => {
    const { world, held } = await makeFleet(7603, 3)
    const [first, second, thief] = held as [Held, Held, Held]
    // While the first decides, the thief lets somebody in.
    const { fetch } = first.device.network
    let keyId = ''
    first.device.network.fetch = async (request, carry) => {
      if (isAppend(request) && keyId === '') {
        passMinutes(world)
        keyId = (await thief.vault.keys.createShares({ threshold: 2, count: 2 })).keyId
      }
      return fetch(request, carry)
    }
    const gone = await first.vault.keys.revoke([idOf(thief)])
    expect(gone.map(({ deviceId }) => deviceId)).toEqual([idOf(thief), keyId])
    await expectSame([first, second])
    expect(first.vault.keys.status().recoveryKeys).toEqual([])
  })

  it('a device joins by the phrase while another takes one out', async () => {
    const { world, held, recoveryPhrase } = await makeFleet(7604, 3)
    const [first, second, third] = held as [Held, Held, Held]
    const [newcomer] = await Promise.all([
      join(world, recoveryPhrase, 'new'),
      first.vault.keys.revoke([idOf(third)]),
    ])
    await put(first.vault, 'after', 'for all who are left')
    await expectSame([first, second, newcomer])
    expect(await textOf(newcomer.vault, 'after')).toBe('for all who are left')
  })

  it('eight devices rotate: each does, in some order, and no write is lost', async () => {
    const { world, held } = await makeFleet(7605, 8)
    for (const { vault, name } of held) await put(vault, name, 'waits')
    const { statuses } = meet(held)
    await Promise.all(held.map(({ vault }) => vault.keys.rotate()))
    expect(statuses.filter((status) => status === 200)).toHaveLength(8)
    await syncAll(held, 1)
    await expectSame(held)
    const [first] = held as [Held]
    expect(first.vault.keys.status().epoch).toBe(9)
    for (const { name } of held) expect(await textOf(first.vault, name)).toBe('waits')
    expect(world.faults).toEqual([])
  })
})
