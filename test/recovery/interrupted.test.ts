/**
 * A healing that is cut at every request and killed at every write: it goes on, and ends as if
 * nothing had happened. Two devices that heal an empty remote at the same moment both end well.
 *
 * Lessons: A15, A19, C1. Threats: 26.
 */
import { createMemoryStore } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { makePair, type Pair } from '../hostile/adversary.ts'
import { type Disk, exportOf, refusal, unreachable } from '../simulation/world.ts'
import { expectInStep, notes, put } from './recovery.ts'

/** Two devices with different parts of what a lost remote had, and writes that wait. */
async function makeApart(seed: number): Promise<Pair> {
  const pair = await makePair(seed, {})
  const { writerVault, victimVault } = pair
  for (let i = 0; i < 5; i++) await put(writerVault, `w${i}`, 'writer')
  await notes(writerVault).delete('w0')
  await writerVault.sync.once()
  await victimVault.sync.once()
  await put(writerVault, 'w1', 'changed')
  await writerVault.sync.once()
  await put(victimVault, 'v', 'victim')
  await victimVault.sync.once()
  await put(victimVault, 'waits', 'not sent')
  return pair
}

const EXPECTED = ['w1', 'w2', 'w3', 'w4', 'v', 'waits']

async function expectHealed({ world, writerVault }: Pair, vault: Pair['victimVault']) {
  const all = await expectInStep(world, [vault, writerVault])
  for (const key of EXPECTED) expect(all).toContain(`"${key}"`)
  expect(all).toContain('changed')
  expect(all).not.toContain('"w0"')
}

describe('a healing', () => {
  it('goes on after any request of it was lost, or its answer', async () => {
    for (const isAnswerLost of [false, true]) {
      for (let k = 0, isCut = true; isCut; k++) {
        expect(k).toBeLessThan(60)
        const pair = await makeApart(930 + k)
        const { world, writerVault, victim, victimVault } = pair
        world.restartRemote({ store: createMemoryStore() })
        // Part of it is there again when the victim comes.
        if (k % 2 === 0) await writerVault.sync.once()
        let requests = 0
        isCut = false
        victim.network.fetch = async (request, carry) => {
          if (requests++ !== k) return carry(request)
          isCut = true
          if (isAnswerLost) await carry(request)
          return unreachable()
        }
        await victimVault.sync.once().catch(() => undefined)
        victim.network.fetch = (request, carry) => carry(request)
        await expectHealed(pair, victimVault)
      }
    }
  }, 60_000)

  it('goes on after it was killed at any write', async () => {
    for (let k = 0, isKilled = true; isKilled; k++) {
      expect(k).toBeLessThan(60)
      const pair = await makeApart(1_030 + k)
      const { world, writerVault, victim, victimVault } = pair
      world.restartRemote({ store: createMemoryStore() })
      if (k % 2 === 0) await writerVault.sync.once()
      isKilled = await killAt(victim.disk, k, async () => {
        await refusal(victimVault.sync.once()).catch(() => undefined)
      })
      victim.kill()
      await expectHealed(pair, await victim.open())
    }
  }, 60_000)
})

/** From the k-th write on nothing reaches the disk. Returns whether it came to that. */
async function killAt(disk: Disk, k: number, work: () => Promise<void>): Promise<boolean> {
  let writes = 0
  const fail = (): void => {
    disk.failure = new Error('the process was killed')
  }
  if (k === 0) fail()
  disk.onWrite = () => {
    if (++writes === k) fail()
  }
  await work()
  const wasKilled = disk.failure !== undefined
  disk.failure = undefined
  disk.onWrite = () => undefined
  return wasKilled
}

it('two devices that find an empty remote at the same moment both end well', async () => {
  for (let seed = 1_130; seed < 1_140; seed++) {
    const pair = await makeApart(seed)
    const { world, writerVault, victimVault } = pair
    world.restartRemote({ store: createMemoryStore() })
    await Promise.all([writerVault.sync.once(), victimVault.sync.once()])
    await expectHealed(pair, victimVault)
    expect(await exportOf(writerVault)).toBe(await exportOf(victimVault))
  }
})
