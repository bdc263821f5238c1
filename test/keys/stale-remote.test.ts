/**
 * A remote that was wiped, and made again by a device that is behind: one that was taken out and
 * does not know it, or a member that does not know of the new keys. The first device that holds the
 * longer keychain gives it back. What the revoked device pushed is taken by nobody; what the member
 * wrote meanwhile arrives.
 *
 * Threats: 3, 4, 26. Lessons: B2, C1.
 */
import { createMemoryStore } from '@blindcopy/secondary'
import { expect, it } from 'vitest'
import { exchange } from '../hostile/adversary.ts'
import { codesOf } from '../recovery/recovery.ts'
import { turn, until } from '../simulation/world.ts'
import {
  expectSame,
  type Held,
  idOf,
  insideOf,
  join,
  makeFleet,
  passMinutes,
  put,
  reasonsOf,
  syncAll,
  textOf,
} from './keys.ts'

/** Four devices; the last is taken out, which only the first and second know. */
async function makeBehind(seed: number) {
  const { world, held, recoveryPhrase } = await makeFleet(seed, 4)
  const [first, second, stale, revoked] = held as [Held, Held, Held, Held]
  await put(first.vault, 'shared', 'before')
  await expectSame(held)
  passMinutes(world)
  await first.vault.keys.revoke([idOf(revoked)])
  await put(first.vault, 'after', 'under the new key')
  await expectSame([first, second])
  passMinutes(world)
  return { world, recoveryPhrase, first, second, stale, revoked }
}

it('the revoked device makes it: it is thrown out again, and nothing of it is taken', async () => {
  const { world, first, second, stale, revoked } = await makeBehind(7301)
  world.restartRemote({ store: createMemoryStore() })
  await put(revoked.vault, 'shared', 'forged')
  await put(revoked.vault, 'invented', 'forged')
  expect(await exchange(revoked.vault)).toBeUndefined()
  expect(revoked.vault.keys.status()).toMatchObject({ epoch: 1, trouble: null })
  revoked.vault.sync.start()
  await until(revoked.device, revoked.vault, ({ phase }) => phase === 'live')

  expect(await exchange(first.vault)).toBeUndefined()
  expect(codesOf(first.vault)).toContain('healed')
  await until(revoked.device, revoked.vault, ({ phase }) => phase === 'stopped')
  expect(revoked.vault.sync.status.problem?.code).toBe('not-a-member')
  expect(await textOf(revoked.vault, 'after')).toBeUndefined()
  expect(await textOf(first.vault, 'shared')).toBe('before')
  expect(await textOf(first.vault, 'invented')).toBeUndefined()
  expect(await reasonsOf(first)).toEqual(['late-old-epoch'])
  // What it had changed is written again as it was; a newcomer gets no other version.
  expect(codesOf(first.vault)).toContain('record-rewritten')
  expect(await first.vault.conflicts.list()).toEqual([])

  await syncAll([first, second])
  expect(await textOf(second.vault, 'shared')).toBe('before')
  // Who did not know of the revocation may have taken it, until it is told.
  await syncAll([stale, first, stale])
  passMinutes(world)
  await syncAll([first, second, stale, first, second, stale])
  for (const { vault } of [first, second, stale]) {
    expect(await textOf(vault, 'invented')).toBeUndefined()
    // Whoever still showed what it was has written it again.
    expect(await textOf(vault, 'shared')).toBe('before')
    expect(await textOf(vault, 'after')).toBe('under the new key')
  }
  await expectSame([first, second, stale])
  await put(second.vault, 'shared', 'goes on')
  await put(second.vault, 'invented', 'goes on')
  await expectSame([first, second, stale])
  expect(world.faults).toEqual([])
})

it('a member that is behind makes it: its own writes arrive, those of the revoked do not', async () => {
  const { world, first, second, stale, revoked } = await makeBehind(7302)
  world.restartRemote({ store: createMemoryStore() })
  await put(stale.vault, 'offline', 'written by a member')
  await put(stale.vault, 'shared', 'changed by a member')
  expect(await exchange(stale.vault)).toBeUndefined()
  expect(stale.vault.keys.status().epoch).toBe(1)
  await put(revoked.vault, 'invented', 'forged')
  expect(await exchange(revoked.vault)).toBeUndefined()
  expect(revoked.vault.sync.status.pending).toBe(0)

  expect(await exchange(first.vault)).toBeUndefined()
  expect(await exchange(revoked.vault)).toBe('not-a-member')
  expect(await textOf(first.vault, 'invented')).toBeUndefined()
  // Sealed under the old key: this device cannot tell the member's from the revoked device's.
  expect(await textOf(first.vault, 'offline')).toBeUndefined()
  await syncAll([second, first])
  passMinutes(world)
  await syncAll([first, second])
  // It learns of the new keys, and that what it wrote came too late: it writes it again.
  await syncAll([stale])
  expect(stale.vault.keys.status().epoch).toBe(2)
  passMinutes(world)
  await syncAll([stale, first, second, stale, first, second])
  for (const { vault, name } of [first, second, stale]) {
    expect(await textOf(vault, 'offline'), name).toBe('written by a member')
    expect(await textOf(vault, 'shared'), name).toBe('changed by a member')
    expect(await textOf(vault, 'after'), name).toBe('under the new key')
    expect(await textOf(vault, 'invented'), name).toBeUndefined()
  }
  expect(codesOf(stale.vault)).toContain('record-rewritten')
  expect(world.faults).toEqual([])
})

it('its writes that still wait are sealed anew before they are sent', async () => {
  const { world, first, second, stale } = await makeBehind(7303)
  world.restartRemote({ store: createMemoryStore() })
  expect(await exchange(stale.vault)).toBeUndefined()
  await put(stale.vault, 'offline', 'waits')
  expect(await exchange(first.vault)).toBeUndefined()
  await expectSame([stale, first, second])
  expect(await textOf(first.vault, 'offline')).toBe('waits')
  expect(await textOf(stale.vault, 'after')).toBe('under the new key')
  expect(await reasonsOf(first)).toEqual([])
})

it('a device that joined the remote of the revoked one is known again with the longer chain', async () => {
  const { world, first, second, revoked, recoveryPhrase } = await makeBehind(7304)
  world.restartRemote({ store: createMemoryStore() })
  expect(await exchange(revoked.vault)).toBeUndefined()
  // The phrase adds a device to the list as the remote has it now: two lists that part.
  const newcomer = await join(world, recoveryPhrase, 'new')
  expect(await exchange(newcomer.vault)).toBeUndefined()
  expect(await exchange(first.vault)).toBe('keychain-forked')
  const before = await insideOf(first)
  expect(before.keyring.newestEpoch).toBe(2)
  await first.vault.keys.endFork({
    recoveryPhrase,
    review: async (members) =>
      members.filter(({ name }) => name !== 'd3').map(({ memberId }) => memberId),
  })
  for (let i = 0; i < 2_000; i++) await turn()
  await expectSame([first, second, newcomer])
  expect(await exchange(revoked.vault)).toMatch(/^(not-a-member|device-revoked)$/)
  expect(first.vault.keys.status().devices.map(({ name }) => name)).toContain('new')
  expect(first.vault.keys.status().devices.map(({ name }) => name)).not.toContain('d3')
  expect(await textOf(newcomer.vault, 'after')).toBe('under the new key')
})

it('what it changed is as it was before, under every policy, also what it deleted or revived', async () => {
  const { world, first, second, stale, revoked } = await makeBehind(7305)
  const all = [first, second, stale, revoked]
  const notes = ({ vault }: Held) => vault.collection('notes')
  const cards = ({ vault }: Held) => vault.collection('cards', { conflict: 'merge' })
  const choices = ({ vault }: Held) => vault.collection('choices', { conflict: 'manual' })
  for (const one of all) for (const declare of [notes, cards, choices]) declare(one)
  await cards(first).put('card', { a: '1', b: '1' })
  await choices(first).put('choice', { a: '1' })
  await notes(first).put('deleted', { text: 'for a moment' })
  await notes(first).put('kept', { text: 'kept' })
  await notes(first).delete('deleted')
  await expectSame([first, second])
  passMinutes(world)
  world.restartRemote({ store: createMemoryStore() })
  await cards(revoked).put('card', { a: 'forged', b: 'forged', c: 'forged' })
  await choices(revoked).put('choice', { a: 'forged' })
  await notes(revoked).put('deleted', { text: 'forged' })
  await notes(revoked).delete('kept')
  await notes(revoked).put('shared', { text: 'forged' })
  expect(await exchange(revoked.vault)).toBeUndefined()
  // One takes it in good faith, before the others come.
  expect(await exchange(stale.vault)).toBeUndefined()
  expect(await cards(stale).get('card')).toEqual({ a: 'forged', b: 'forged', c: 'forged' })
  for (let round = 0; round < 4; round++) {
    await syncAll([first, second, stale], 1)
    passMinutes(world)
  }
  const content = await expectSame([first, second, stale])
  expect(content).not.toContain('forged')
  expect(await cards(stale).get('card')).toEqual({ a: '1', b: '1' })
  expect(await choices(stale).get('choice')).toEqual({ a: '1' })
  expect(await notes(stale).get('deleted')).toBeUndefined()
  expect(await notes(stale).get('kept')).toEqual({ text: 'kept' })
  for (const { vault } of [first, second]) expect(await vault.conflicts.list()).toEqual([])
  // Two at a time write on top of it, as on any other.
  await cards(first).update('card', { a: '2' })
  await cards(second).update('card', { b: '2' })
  await choices(stale).put('choice', { a: '2' })
  await expectSame([first, second, stale])
  expect(await cards(stale).get('card')).toEqual({ a: '2', b: '2' })
  expect(await choices(first).get('choice')).toEqual({ a: '2' })
  expect(world.faults).toEqual([])
})
