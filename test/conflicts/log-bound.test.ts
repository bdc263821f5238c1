/**
 * The conflict log is bounded in bytes too: large versions that lost do not fill the disk, the
 * newest stay, and none goes that waits for a person.
 */
import type { Collection, Vault } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { makeFleet } from './fleet.ts'

type Note = { text: string }
const notes = (vault: Vault): Collection<Note> => vault.collection<Note>('notes')
const choices = (vault: Vault): Collection<Note> =>
  vault.collection<Note>('choices', { conflict: 'manual' })
const LARGE = 700_000
const COUNT = 40

describe('the conflict log', () => {
  it('keeps the newest of many large versions, and all that wait for a person', async () => {
    const fleet = await makeFleet(2)
    fleet.declare(choices)
    const [first, second] = [fleet.vault(0), fleet.vault(1)]
    await choices(second).put('open', { text: 'x'.repeat(LARGE) })
    for (let i = 0; i < COUNT; i++) {
      fleet.pass()
      await notes(second).put(`k${i}`, { text: String(i).padEnd(LARGE, 'x') })
    }
    fleet.pass()
    await choices(first).put('open', { text: 'theirs' })
    for (let i = 0; i < COUNT; i++) await notes(first).put(`k${i}`, { text: 'newer' })
    await fleet.sync(0, 1)
    const listed = await second.conflicts.list()
    const lost = listed.filter(({ kind }) => kind === 'overwritten')
    expect(lost.length).toBeGreaterThan(10)
    expect(lost.length * LARGE).toBeLessThanOrEqual(16 * 1_048_576)
    const newest = Array.from({ length: lost.length }, (_, i) => `k${COUNT - lost.length + i}`)
    expect(lost.map(({ key }) => key).sort()).toEqual(newest.sort())
    expect(listed.filter(({ kind }) => kind === 'open')).toMatchObject([{ key: 'open' }])
    expect(second.sync.status.conflicts).toBe(listed.length)
    await fleet.reopen(1)
    expect(fleet.vault(1).sync.status.conflicts).toBe(listed.length)
  })
})
