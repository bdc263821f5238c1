/**
 * A device's folder that was put back from an older copy, or copied and used twice: nothing is
 * lost, no timestamp is given twice, and the person is told.
 *
 * Lessons: A15, A23. Threats: 19.
 */
import { envelopeRecordId, envelopeTimestamp, formatHex } from '@blindcopy/protocol'
import { expect, it } from 'vitest'
import { makePair } from '../hostile/adversary.ts'
import { codesOf, expectInStep, put } from './recovery.ts'

it('a folder put back from an older copy catches up, and loses nothing', async () => {
  const { world, writerVault, victim, victimVault } = await makePair(920, { a: { text: 'a' } })
  const older = await victim.disk.copy()
  await put(victimVault, 'since', 'written after the copy')
  await victimVault.sync.once()
  await put(writerVault, 'a', 'changed')
  await writerVault.sync.once()
  await victimVault.close()
  const again = world.makeDevice({ disk: older })
  const againVault = await again.open()
  await put(againVault, 'again', 'written after it was put back')
  const all = await expectInStep(world, [againVault, writerVault])
  expect(all).toContain('written after the copy')
  expect(all).toContain('written after it was put back')
  expect(codesOf(againVault)).toContain('folder-copied')
})

it('a folder used twice gives no timestamp twice', async () => {
  const { world, writerVault, victim, victimVault } = await makePair(921, { a: { text: 'a' } })
  const twin = world.makeDevice({ disk: await victim.disk.copy() })
  const twinVault = await twin.open()
  const given: string[] = []
  for (const device of [victim, twin]) {
    device.disk.onWrite = (batch) => {
      for (const op of batch) {
        if (op.type !== 'put' || op.key[0] !== 0x76) continue
        const envelope = op.value as Parameters<typeof envelopeTimestamp>[0]
        const name = formatHex(envelopeTimestamp(envelope)) + formatHex(envelopeRecordId(envelope))
        given.push(name)
      }
    }
  }
  for (let i = 0; i < 20; i++) {
    await put(victimVault, `victim-${i}`, 'x')
    await put(twinVault, `twin-${i}`, 'x')
  }
  expect(new Set(given).size).toBe(given.length)
  expect(given).toHaveLength(40)
  const all = await expectInStep(world, [victimVault, twinVault, writerVault])
  for (let i = 0; i < 20; i++) {
    expect(all).toContain(`victim-${i}`)
    expect(all).toContain(`twin-${i}`)
  }
})
