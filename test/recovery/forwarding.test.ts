/**
 * Versions that came here by another way than the remote are passed on to it, once, and then stand
 * like any other.
 *
 * Lessons: A6, A15.
 */
import { forwardRange } from '@blindcopy/secondary'
import { expect, it } from 'vitest'
import { exchange, get, makePair } from '../hostile/adversary.ts'
import { type Disk, unreachable } from '../simulation/world.ts'
import { codesOf, expectInStep, notes, put } from './recovery.ts'

async function marksOf({ records }: Disk): Promise<number> {
  let count = 0
  for await (const keys of records.keyPages(forwardRange())) count += keys.length
  return count
}

/** The victim holds by a bundle what the writer never sent. */
async function makeCarried(seed: number) {
  const pair = await makePair(seed, { held: { text: 'held' }, gone: { text: 'gone' } })
  const { victimVault, writerVault } = pair
  for (let i = 0; i < 5; i++) await put(writerVault, `k${i}`, 'carried')
  await put(writerVault, 'held', 'changed')
  await notes(writerVault).delete('gone')
  const bundle: Uint8Array[] = []
  for await (const chunk of writerVault.exportBundle()) bundle.push(chunk)
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield* bundle
  }
  await victimVault.importBundle(chunks)
  expect(await get(victimVault, 'k4')).toEqual({ text: 'carried' })
  return pair
}

it('what a bundle brought reaches the remote, and the device it came from', async () => {
  const { world, victim, victimVault, writer, writerVault } = await makeCarried(980)
  expect(await marksOf(victim.disk)).toBe(7)
  expect(await exchange(victimVault)).toBeUndefined()
  expect(await marksOf(victim.disk)).toBe(0)
  // The device that wrote it learns that it has arrived, and writes nothing twice.
  await writerVault.close()
  writer.disk.kill()
  const again = await writer.open()
  const all = await expectInStep(world, [again, victimVault])
  expect(all).toContain('carried')
  expect(all).not.toContain('gone')
  expect(codesOf(victimVault)).toEqual([])
})

it('is offered again after any request was lost', async () => {
  for (let k = 0, isCut = true; isCut; k++) {
    expect(k).toBeLessThan(30)
    const { world, victim, victimVault, writerVault } = await makeCarried(981 + k)
    let requests = 0
    isCut = false
    victim.network.fetch = async (request, carry) => {
      if (requests++ !== k) return carry(request)
      isCut = true
      await carry(request)
      return unreachable()
    }
    await victimVault.sync.once().catch(() => undefined)
    victim.network.fetch = (request, carry) => carry(request)
    await victimVault.close()
    victim.kill()
    const again = await victim.open()
    expect(await expectInStep(world, [again, writerVault])).toContain('carried')
    expect(await marksOf(victim.disk)).toBe(0)
  }
})
