/**
 * A remote that has lost everything, or is another, empty one at the same address: any one device
 * rebuilds it, the others join, and what was deleted stays deleted. Nobody has to do anything.
 *
 * Lessons: A11, C1, C6. Threats: 26, 28.
 */
import { createMemoryStore } from '@blindcopy/secondary'
import { expect, it } from 'vitest'
import { exchange, get, makePair, put } from '../hostile/adversary.ts'
import { exportOf } from '../simulation/world.ts'

const codes = (vault: { sync: { status: { notices: readonly { code: string }[] } } }): string[] =>
  vault.sync.status.notices.map(({ code }) => code)

it('is rebuilt by one device, and the other joins', async () => {
  const { world, writerVault, victimVault } = await makePair(901, {
    one: { text: 'one' },
    two: { text: 'two' },
  })
  await writerVault.collection('notes').delete('two')
  await writerVault.sync.once()
  await victimVault.sync.once()
  const before = await exportOf(victimVault)
  await put(victimVault, 'offline', { text: 'not sent yet' })
  world.restartRemote({ store: createMemoryStore() })

  expect(await exchange(victimVault)).toBeUndefined()
  expect(victimVault.sync.status).toMatchObject({ pending: 0, problem: null })
  expect(codes(victimVault)).toEqual(['healed'])
  expect(await exchange(writerVault)).toBeUndefined()
  expect(codes(writerVault)).toEqual(['healed'])
  expect(await get(writerVault, 'offline')).toEqual({ text: 'not sent yet' })
  expect(await get(writerVault, 'two')).toBeUndefined()
  expect(await exportOf(writerVault)).toBe(await exportOf(victimVault))
  expect(await exportOf(victimVault)).toContain(before)
  await exchange(victimVault)
  expect(victimVault.sync.status.problem).toBeNull()
  expect(world.faults).toEqual([])
})
