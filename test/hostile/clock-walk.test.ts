/**
 * A remote that states another time at every login: no sum of steps leads a device's clock further
 * from its own than a person has agreed to.
 *
 * Threats: 14.
 */
import { describe, expect, it } from 'vitest'
import { makeWorld, type World } from '../simulation/world.ts'
import { exchange, put } from './adversary.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** Another process of the remote, whose clock is `aheadMs` ahead, and which asks for a new login. */
function restartAhead(world: World, aheadMs: number): void {
  world.restartRemote({
    nowMs: () => world.clock.ms + aheadMs,
    tokenKey: world.chance.bytes(32),
  })
}

describe('a remote whose clock moves on at every login', () => {
  it('leads a device no further than a day from its own clock', async () => {
    const world = makeWorld(341)
    const { vault } = await world.makeDevice().create()
    await vault.sync.once()
    for (let step = 1; step <= 20; step++) {
      restartAhead(world, step * 20 * HOUR_MS)
      await put(vault, `k${step}`, { text: 'x' })
      await exchange(vault)
      expect(Math.abs(vault.sync.status.clock?.offsetMs ?? 0)).toBeLessThanOrEqual(DAY_MS)
    }
    expect(vault.sync.status.problem).toMatchObject({ code: 'clock-wrong' })
    restartAhead(world, 0)
    expect(await exchange(vault)).toBeUndefined()
    expect(vault.sync.status).toMatchObject({ pending: 0, problem: null, clock: null })
  })

  it('is believed beyond that once for each time a person agrees', async () => {
    const world = makeWorld(342)
    const device = world.makeDevice()
    const { vault } = await device.create()
    await vault.sync.once()
    restartAhead(world, 100 * DAY_MS)
    await exchange(vault)
    await vault.sync.acceptClock()
    await exchange(vault)
    expect(vault.sync.status.clock).toEqual({ offsetMs: 100 * DAY_MS })
    for (const days of [110, 200, 100.9, 101.8, 102.7, 103.6]) {
      restartAhead(world, days * DAY_MS)
      await exchange(vault)
      expect(vault.sync.status.clock?.offsetMs ?? 0).toBeLessThanOrEqual(101 * DAY_MS)
    }
    // Nor does another process of the app forget what was agreed to.
    device.kill()
    const reopened = await device.open()
    for (const days of [101.8, 102.7]) {
      restartAhead(world, days * DAY_MS)
      await exchange(reopened)
      expect(reopened.sync.status.clock?.offsetMs ?? 0).toBeLessThanOrEqual(101 * DAY_MS)
    }
  })
})
