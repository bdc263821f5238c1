/**
 * A remote that has bounds, as a device meets them: what does not fit waits for the person and holds
 * up nothing, and who asks too often waits as long as it is told.
 */
import type { Vault } from '@blindcopy/client'
import { LIMITS_DEFAULT, type RemoteLimits } from '@blindcopy/remote'
import { expect, it } from 'vitest'
import { makeWorld, turn } from '../simulation/world.ts'

const limitsOf = (changes: Partial<RemoteLimits>): { limits: RemoteLimits } => ({
  limits: { ...LIMITS_DEFAULT, ...changes },
})

const notes = (vault: Vault) => vault.collection<{ text: string }>('notes')

it('a full vault: what does not fit is kept under attention, and goes when there is room', async () => {
  const quota = { ...LIMITS_DEFAULT.quota, bytesMax: 12_000 }
  const world = makeWorld(8101, limitsOf({ quota }))
  const { vault, recoveryPhrase } = await world.makeDevice().create()
  await notes(vault).put('first', { text: 'x'.repeat(4_000) })
  await vault.sync.once()
  await notes(vault).put('too large', { text: 'y'.repeat(8_000) })
  await notes(vault).put('small', { text: 'flows' })
  await vault.sync.once()
  expect(vault.sync.status).toMatchObject({ phase: 'resting', pending: 0, attention: 1 })
  const [refused] = await vault.attention.list()
  expect(refused).toMatchObject({ code: 'quota-exceeded' })
  expect(await notes(vault).get('too large')).toEqual({ text: 'y'.repeat(8_000) })

  const other = await world.makeDevice().restore(recoveryPhrase)
  await other.sync.once()
  expect(await notes(other).get('small')).toEqual({ text: 'flows' })
  expect(await notes(other).get('too large')).toBeUndefined()

  await notes(vault).delete('first')
  await vault.sync.once()
  await vault.attention.retry()
  await vault.sync.once()
  expect(vault.sync.status).toMatchObject({ pending: 0, attention: 0 })
  await other.sync.once()
  expect(await notes(other).get('too large')).toEqual({ text: 'y'.repeat(8_000) })
  expect(await notes(other).get('first')).toBeUndefined()
})

it('too many pushes: the device waits as long as it is told, and loses nothing', async () => {
  const rates = { ...LIMITS_DEFAULT.rates, pushesPerSecond: 1 }
  const world = makeWorld(8102, limitsOf({ rates }))
  const device = world.makeDevice()
  const { vault, recoveryPhrase } = await device.create()
  const statuses: number[] = []
  device.network.fetch = async (request, carry) => {
    const response = await carry(request)
    if (request.url.endsWith('/v1/push')) statuses.push(response.status)
    return response
  }
  vault.sync.start()
  for (let i = 0; i < 40; i++) {
    await notes(vault).put(`n${i}`, { text: String(i) })
    for (let turns = 0; turns < 40; turns++) await turn()
  }
  expect(statuses).toContain(429)
  const refusedBefore = statuses.filter((status) => status === 429).length
  for (let second = 0; second < 120 && vault.sync.status.pending > 0; second++) {
    world.clock.ms += 1_000
    device.fireTimers()
    for (let turns = 0; turns < 40; turns++) await turn()
  }
  expect(vault.sync.status).toMatchObject({ pending: 0, attention: 0, problem: null })
  // It did not ask again and again meanwhile.
  expect(statuses.filter((status) => status === 429).length - refusedBefore).toBeLessThan(5)
  const other = await world.makeDevice().restore(recoveryPhrase)
  await other.sync.once()
  for (let i = 0; i < 40; i++) {
    expect(await notes(other).get(`n${i}`)).toEqual({ text: String(i) })
  }
  expect(world.faults).toEqual([])
})
