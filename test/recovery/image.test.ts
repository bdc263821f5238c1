/**
 * A remote that was put back from an older image: what it lost comes back from the devices, with
 * and without new writes of another device since, with and without a new SyncId; a device that the
 * image does not know is made known again.
 *
 * Lessons: A12, C1, C6. Threats: 22, 26, 28.
 */
import type { Store } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { makePair, type Pair } from '../hostile/adversary.ts'
import { copyOf, makeWorld } from '../simulation/world.ts'
import { codesOf, expectInStep, notes, put } from './recovery.ts'

/** Two devices in step; `image` is the remote before both went on writing. */
async function makeAged(seed: number): Promise<Pair & { image: Store }> {
  const pair = await makePair(seed, { kept: { text: 'kept' }, gone: { text: 'gone' } })
  const { world, writerVault, victimVault } = pair
  const image = await copyOf(world.store)
  await put(writerVault, 'kept', 'changed by the writer')
  await put(writerVault, 'new', 'of the writer')
  await notes(writerVault).delete('gone')
  await writerVault.sync.once()
  await victimVault.sync.once()
  await put(victimVault, 'late', 'of the victim')
  await victimVault.sync.once()
  await writerVault.sync.once()
  return { ...pair, image }
}

describe('an image put back', () => {
  it('gets back what it lost, from whichever device comes first', async () => {
    for (const first of [0, 1]) {
      const { world, writerVault, victimVault, image } = await makeAged(910 + first)
      const vaults = [writerVault, victimVault]
      world.restartRemote({ store: image })
      await vaults[first]?.sync.once()
      const all = await expectInStep(world, vaults)
      expect(all).toContain('of the victim')
      expect(all).toContain('changed by the writer')
      expect(all).not.toContain('gone')
      for (const vault of vaults) expect(codesOf(vault)).toEqual(['healed'])
    }
  })

  it('keeps what others wrote to it since', async () => {
    const { world, writerVault, victim, victimVault, recoveryPhrase, image } = await makeAged(913)
    world.restartRemote({ store: image })
    const third = world.makeDevice()
    const thirdVault = await third.restore(recoveryPhrase)
    await thirdVault.sync.once()
    // On what the image holds, and about as much as it lost.
    world.clock.ms += 1_000
    await put(thirdVault, 'kept', 'changed by the third')
    await put(thirdVault, 'third', 'of the third')
    for (let i = 0; i < 8; i++) await thirdVault.sync.once()
    const all = await expectInStep(world, [victimVault, writerVault, thirdVault])
    expect(all).toContain('of the third')
    expect(all).toContain('changed by the third')
    expect(all).toContain('of the victim')
    expect(all).not.toContain('gone')
    // What the remote had acknowledged and lost, and the third device never saw, is not gone.
    expect(writerVault.sync.status.conflicts).toBeGreaterThan(0)
    expect(victim.skewMs).toBe(0)
  })

  it('is healed by a device that is still within its log, without a new SyncId', async () => {
    const { world, writerVault, victimVault } = await makePair(914, { kept: { text: 'kept' } })
    const image = await copyOf(world.store)
    // Nothing came after the cursor of either device: the image is what they know.
    world.restartRemote({ store: image })
    await put(writerVault, 'more', 'written since')
    const all = await expectInStep(world, [writerVault, victimVault])
    expect(all).toContain('written since')
    expect(codesOf(writerVault)).toEqual([])
  })

  it('that does not know a device takes it back with the keychain', async () => {
    const world = makeWorld(915)
    const first = world.makeDevice()
    const { vault, recoveryPhrase } = await first.create()
    await put(vault, 'one', 'one')
    await vault.sync.once()
    const image = await copyOf(world.store)
    const second = world.makeDevice()
    const secondVault = await second.restore(recoveryPhrase)
    await secondVault.sync.once()
    await put(secondVault, 'two', 'two')
    await secondVault.sync.once()
    await vault.sync.once()
    for (const order of [
      [secondVault, vault],
      [vault, secondVault],
    ]) {
      world.restartRemote({ store: await copyOf(image) })
      const all = await expectInStep(world, order)
      expect(all).toContain('two')
    }
    expect(secondVault.devices()).toHaveLength(2)
  })
})
