/**
 * Awaiting the remote for a write that never gets there, because it is taken back.
 *
 * Lessons: C3. Threats: 27.
 */
import type { Collection, Vault } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { refusal, turn } from '../simulation/world.ts'
import { makeFleet } from './fleet.ts'

type Note = { text: string }
const notes = (vault: Vault): Collection<Note> =>
  vault.collection<Note>('notes', { conflict: 'manual' })

describe('durable remote', () => {
  it('refuses when a write that was made before is taken back into the conflict log', async () => {
    const fleet = await makeFleet(2)
    fleet.declare(notes)
    const [first, second] = [fleet.vault(0), fleet.vault(1)]
    await notes(first).put('n', { text: 'a' })
    await fleet.sync(0)
    await notes(second).put('n', { text: 'b' })
    second.sync.start()
    const awaited = refusal(second.durable('remote'))
    let error: unknown
    void awaited.then((cause) => {
      error = cause
    })
    for (let turns = 0; turns < 3_000 && error === undefined; turns++) {
      await turn()
      fleet.members[1]?.device.fireTimers()
    }
    expect(error).toMatchObject({ code: 'write-refused' })
    expect(await second.conflicts.list()).toMatchObject([{ kind: 'open', lost: { text: 'b' } }])
    // What is written from then on is not to blame.
    await notes(second).put('m', { text: 'c' })
    await expect(second.durable('remote')).resolves.toBeUndefined()
    await second.close()
  })
})
