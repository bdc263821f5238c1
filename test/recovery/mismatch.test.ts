/**
 * Both ends hold different sets at the same head, though they should not: a disk has lost
 * something, or a count is wrong. It is found after the next pull, healed by reconciliation, and
 * told.
 *
 * Lessons: C1, C3. Threats: 25, 27.
 */
import type { StoreOp } from '@blindcopy/secondary'
import { expect, it } from 'vitest'
import { exchange, makePair, rewriteChanges } from '../hostile/adversary.ts'
import type { Disk } from '../simulation/world.ts'
import { codesOf, expectInStep } from './recovery.ts'

const ROW = 0x72
const META = 0x6d

const isCount = (key: Uint8Array): boolean =>
  key[0] === META && String.fromCharCode(...key.subarray(1)) === 'confirmed-set'

/** Changes entries of a disk behind the back of whoever has it open. */
async function spoil(disk: Disk, change: (key: Uint8Array, value: Uint8Array) => StoreOp | null) {
  const batch = (await disk.entries()).flatMap(([key, value]) => change(key, value) ?? [])
  expect(batch.length).toBeGreaterThan(0)
  await disk.records.write(batch, { sync: false })
}

it('records that a disk has lost come back, where the count has gone with them', async () => {
  const notes = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, { text: 'x' }]))
  const { world, victim, victimVault, writerVault } = await makePair(970, notes)
  await victimVault.close()
  let left = 3
  await spoil(victim.disk, (key) => {
    const isLost = isCount(key) || (key[0] === ROW && left-- > 0)
    return isLost ? { type: 'delete', key } : null
  })
  const again = await victim.open()
  expect(await exchange(again)).toBeUndefined()
  expect(codesOf(again)).toContain('mismatch-healed')
  expect(again.sync.status.problem).toBeNull()
  await expectInStep(world, [again, writerVault])
})

it('a count that a disk has wrong is counted again', async () => {
  const { world, victim, victimVault, writerVault } = await makePair(971, { a: { text: 'a' } })
  await victimVault.close()
  await spoil(victim.disk, (key, value) => {
    const wrong = value.slice()
    wrong[10] = (wrong[10] ?? 0) ^ 0xff
    return isCount(key) ? { type: 'put', key, value: wrong } : null
  })
  const again = await victim.open()
  expect(await exchange(again)).toBeUndefined()
  expect(codesOf(again)).toEqual(['mismatch-healed'])
  expect(again.sync.status.problem).toBeNull()
  await expectInStep(world, [again, writerVault])
})

it('a mismatch that stays is told, and not healed in a circle', async () => {
  const { world, victim, victimVault, writerVault } = await makePair(972, { a: { text: 'a' } })
  let reconciliations = 0
  rewriteChanges(victim, (frames) =>
    frames.map((frame) =>
      frame[0] === 2 ? [2, frame[1], frame[2], frame[3] + 1, frame[4]] : frame,
    ),
  )
  const { fetch } = victim.network
  victim.network.fetch = (request, carry) => {
    if (request.url.endsWith('/v1/reconcile')) reconciliations++
    return fetch(request, carry)
  }
  for (let i = 0; i < 10; i++) {
    expect(await exchange(victimVault)).toBeUndefined()
    expect(victimVault.sync.status.problem).toMatchObject({ code: 'integrity' })
    expect(victimVault.sync.status.problem?.remedy).not.toBe('')
  }
  expect(reconciliations).toBe(1)
  world.clock.ms += 61_000
  await exchange(victimVault)
  await exchange(victimVault)
  expect(reconciliations).toBe(2)
  victim.network.fetch = (request, carry) => carry(request)
  await expectInStep(world, [victimVault, writerVault])
})
