/**
 * What is wrong with sync is kept: whoever opens the vault next is told, until sync has gone well
 * (lessons C.3: nobody takes a vault for synced that is not).
 */
import { expect, it } from 'vitest'
import { makeWorld, refusal, unreachable } from '../simulation/world.ts'

it('a problem is told again when the vault is opened again, and ends with the first success', async () => {
  const world = makeWorld(5)
  const device = world.makeDevice()
  const { vault } = await device.create()
  await vault.sync.once()
  expect(vault.sync.status.problem).toBeNull()
  const { fetch } = device.network
  device.network.fetch = unreachable
  await refusal(vault.sync.once())
  const { problem } = vault.sync.status
  expect(problem).toMatchObject({ code: 'network' })
  await vault.close()

  const again = await device.open()
  expect(again.sync.status).toMatchObject({ phase: 'resting', problem })
  expect(again.sync.status.lastContactMs).toBe(world.clock.ms)
  device.network.fetch = fetch
  await again.sync.once()
  expect(again.sync.status.problem).toBeNull()
  await again.close()

  const last = await device.open()
  expect(last.sync.status.problem).toBeNull()
  await last.close()
})
