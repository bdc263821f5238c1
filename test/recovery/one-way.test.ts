/**
 * A remote that was wiped, met by a device that only pulls: the next sync both ways gives it back
 * what it lacks, at once, and whatever waits here to be sent.
 */
import { createMemoryStore } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { get, makePair, put } from '../hostile/adversary.ts'

describe('a device that pulls only from a wiped remote', () => {
  it.each([
    ['with nothing else to send', false],
    ['with a write that waits each time', true],
  ])('brings everything back when it syncs both ways, %s', async (_, isWriting) => {
    const { world, writerVault, victimVault } = await makePair(981)
    await put(writerVault, 'kept', { text: 'kept' })
    await writerVault.sync.once()
    world.restartRemote({ store: createMemoryStore() })
    await writerVault.sync.once({ direction: 'pull' })
    const { notices } = writerVault.sync.status
    expect(notices.map(({ message }) => message).join()).not.toMatch(/brought back|been brought/)
    if (isWriting) await put(writerVault, 'waits', { text: 'waits' })
    await writerVault.sync.once()
    await writerVault.sync.once()
    expect(writerVault.sync.status).toMatchObject({ pending: 0, problem: null })
    await victimVault.sync.once()
    expect(await get(victimVault, 'kept')).toEqual({ text: 'kept' })
    expect(world.faults).toEqual([])
  })
})
