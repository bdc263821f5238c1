/**
 * A device whose clock is wrong, by minutes, hours or years, stands still or jumps: what it writes
 * is put right before it leaves, it is told with both clocks, and nothing goes round in circles.
 *
 * Lessons: A13. Threats: 14.
 */
import { describe, expect, it } from 'vitest'
import { exchange } from '../hostile/adversary.ts'
import { type Device, makeWorld, type World } from '../simulation/world.ts'
import { codesOf, expectInStep, put } from './recovery.ts'

const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS

/** How many requests a device makes; more than so many in one exchange would be a circle. */
function countRequests(device: Device): () => number {
  let count = 0
  const { fetch } = device.network
  device.network.fetch = (request, carry) => {
    count++
    return fetch(request, carry)
  }
  return () => count
}

/** The next exchange logs in again. */
const restart = (world: World): void => world.restartRemote({ tokenKey: world.chance.bytes(32) })

describe('a clock that is wrong by hours', () => {
  for (const hours of [5, -5]) {
    it(`is corrected, and its writes arrive at their time: ${hours} hours`, async () => {
      const world = makeWorld(950)
      const wrong = world.makeDevice({ skewMs: hours * HOUR_MS })
      const { vault, recoveryPhrase } = await wrong.create()
      await put(vault, 'a', 'of the wrong clock')
      await vault.sync.once()
      expect(codesOf(vault)).toEqual(['clock-corrected'])
      expect(vault.sync.status.clock).toEqual({ offsetMs: -hours * HOUR_MS })
      const right = world.makeDevice()
      const rightVault = await right.restore(recoveryPhrase)
      await rightVault.sync.once()
      // Neither is ahead of the other: the later write wins, whoever makes it.
      world.clock.ms += 1_000
      await put(rightVault, 'a', 'second')
      await rightVault.sync.once()
      await vault.sync.once()
      world.clock.ms += 1_000
      await put(vault, 'a', 'third')
      expect(await expectInStep(world, [vault, rightVault])).toContain('third')
      expect(codesOf(rightVault)).toEqual([])
    })
  }
})

describe('a clock that is wrong by more than a day', () => {
  it('waits for the person: what is refused is kept, everything else goes on', async () => {
    const world = makeWorld(951)
    const wrong = world.makeDevice()
    const { vault, recoveryPhrase } = await wrong.create()
    await vault.sync.once()
    const other = world.makeDevice()
    const otherVault = await other.restore(recoveryPhrase)
    await put(otherVault, 'theirs', 'theirs')
    await otherVault.sync.once()
    wrong.skewMs = 2 * YEAR_MS
    await put(vault, 'mine', 'mine')
    restart(world)
    expect(await exchange(vault)).toBeUndefined()
    const { problem, pending, attention } = vault.sync.status
    expect({ code: problem?.code, pending, attention }).toEqual({
      code: 'clock-wrong',
      pending: 0,
      attention: 1,
    })
    expect(problem?.message).toContain(new Date(world.clock.ms).getUTCFullYear().toString())
    expect(await vault.collection('notes').get('theirs')).toEqual({ text: 'theirs' })

    await vault.sync.acceptClock()
    expect(await exchange(vault)).toBeUndefined()
    expect(vault.sync.status).toMatchObject({ problem: null, pending: 0, attention: 0 })
    expect(await expectInStep(world, [vault, otherVault])).toContain('mine')
  })
})

describe('a clock that jumps or stands still', () => {
  it('leads to no circle, and everything arrives', async () => {
    const world = makeWorld(952)
    const odd = world.makeDevice()
    const { vault, recoveryPhrase } = await odd.create()
    await vault.sync.once()
    const other = world.makeDevice()
    const otherVault = await other.restore(recoveryPhrase)
    const requests = countRequests(odd)
    for (let i = 0; i < 30; i++) {
      odd.skewMs = world.chance.below(44 * HOUR_MS) - 22 * HOUR_MS
      await put(vault, `k${i}`, 'x')
      if (world.chance.oneIn(2)) odd.skewMs = world.chance.below(44 * HOUR_MS) - 22 * HOUR_MS
      if (world.chance.oneIn(2)) restart(world)
      const before = requests()
      expect(await exchange(vault)).toBeUndefined()
      expect(requests() - before).toBeLessThan(20)
      expect(vault.sync.status).toMatchObject({ pending: 0, attention: 0 })
    }
    // Standing still while the world goes on.
    for (let i = 0; i < 10; i++) {
      world.clock.ms += HOUR_MS
      odd.skewMs -= HOUR_MS
      await put(vault, `frozen${i}`, 'x')
      restart(world)
      expect(await exchange(vault)).toBeUndefined()
    }
    odd.skewMs = 0
    restart(world)
    const all = await expectInStep(world, [vault, otherVault])
    expect(all.split('\n')).toHaveLength(40)
    expect(vault.sync.status.clock).toBeNull()
  })
})
