/**
 * Lists of devices that part: by honest devices at two hosts, or by a thief that takes out all
 * others. The phrase has the last word: it puts one list in the place of both, says who stays, and
 * every device goes over to it by itself, with all that it has written.
 *
 * Threats: 3, 23. Lessons: B2, B7.
 */
import { codeOf } from '@blindcopy/client'
import { openEnvelope } from '@blindcopy/vault'
import { describe, expect, it } from 'vitest'
import { behaveHonestly, exchange } from '../hostile/adversary.ts'
import { codesOf } from '../recovery/recovery.ts'
import { copyOf, refusal, type World } from '../simulation/world.ts'
import {
  expectSame,
  type Fleet,
  type Held,
  idOf,
  insideOf,
  invite,
  makeFleet,
  passMinutes,
  put,
  remoteOn,
  sealAs,
  storedChain,
  syncAll,
  textOf,
} from './keys.ts'

const names = ({ vault }: Held): string[] => vault.keys.status().devices.map(({ name }) => name)

/** From here on these devices have another host, which begins as a copy of the first. */
async function moveTo(world: World, held: readonly Held[]): Promise<void> {
  const apart = remoteOn(world, await copyOf(world.store))
  for (const { device } of held) device.network.fetch = async (request) => apart.app.fetch(request)
}

type Parted = Fleet & {
  readonly here: readonly [Held, Held]
  readonly there: readonly [Held, Held]
}

/** Two devices at each of two hosts, whose lists have parted; all have written something. */
async function makeParted(seed: number): Promise<Parted> {
  const fleet = await makeFleet(seed, 4)
  const [first, second, third, fourth] = fleet.held as [Held, Held, Held, Held]
  await put(first.vault, 'before', 'of all')
  await expectSame(fleet.held)
  passMinutes(fleet.world)
  const parted: Parted = { ...fleet, here: [first, second], there: [third, fourth] }
  await moveTo(fleet.world, parted.there)
  await first.vault.keys.rotate()
  await third.vault.keys.rotate()
  await third.vault.keys.createShares({ threshold: 2, count: 3 })
  for (const [key, one] of Object.entries({ here: first, there: third })) {
    await put(one.vault, key, `of ${key}`)
  }
  await syncAll([...parted.here, ...parted.there])
  await put(fourth.vault, 'unsent', 'of the fourth')
  return parted
}

describe('a fork by honest devices at two hosts', () => {
  it('is refused with nothing changed, and ended by the phrase with all that was written', async () => {
    const { world, recoveryPhrase, here, there } = await makeParted(7401)
    const [first, second] = here
    const [third, fourth] = there
    for (const { device } of there) behaveHonestly(device)
    const chain = await storedChain(third)
    expect(await exchange(third.vault)).toBe('keychain-forked')
    expect(third.vault.sync.status).toMatchObject({ phase: 'stopped' })
    expect(third.vault.sync.status.problem?.remedy).toMatch(/end-fork/)
    expect(await storedChain(third)).toEqual(chain)
    expect(await textOf(third.vault, 'there')).toBe('of there')
    expect(codeOf(await refusal(third.vault.keys.rotate()))).toBe('keychain-forked')

    const other = await makeFleet(7402, 1)
    const options = { recoveryPhrase: other.recoveryPhrase }
    expect(codeOf(await refusal(third.vault.keys.endFork(options)))).toBe('wrong-phrase')
    expect(await storedChain(third)).toEqual(chain)

    await third.vault.keys.endFork({ recoveryPhrase })
    await expectSame([third, first, second, fourth])
    for (const one of [first, second, third, fourth]) {
      expect(await textOf(one.vault, 'before')).toBe('of all')
      expect(await textOf(one.vault, 'here')).toBe('of here')
      expect(await textOf(one.vault, 'there')).toBe('of there')
      expect(await textOf(one.vault, 'unsent')).toBe('of the fourth')
      expect(names(one).sort()).toEqual(['d0', 'd1', 'd2', 'd3'])
      expect(one.vault.keys.status().epoch).toBe(3)
    }
    // A key of the branch that gave way is still one of the vault's: the root kept it.
    expect(first.vault.keys.status().recoveryKeys).toHaveLength(1)
    expect(codesOf(first.vault)).toContain('keychain-replaced')
    // Done once: nothing more to end, and what comes later goes on from it.
    const ended = await storedChain(first)
    await first.vault.keys.endFork({ recoveryPhrase })
    expect(await storedChain(first)).toEqual(ended)
    await second.vault.keys.rotate()
    await put(fourth.vault, 'later', 'of all')
    await expectSame([first, second, third, fourth])
    expect(world.faults).toEqual([])
  })

  it('ends with those that the person names, who alone hold the new keys', async () => {
    const { world, recoveryPhrase, here, there } = await makeParted(7403)
    const [first, second] = here
    const [third, fourth] = there
    for (const { device } of there) behaveHonestly(device)
    const listed: string[] = []
    await third.vault.keys.endFork({
      recoveryPhrase,
      review: async (members) => {
        listed.push(...members.map(({ name }) => name))
        return members.filter(({ name }) => name !== 'd1').map(({ memberId }) => memberId)
      },
    })
    expect(listed).toEqual(expect.arrayContaining(['d0', 'd1', 'd2', 'd3', 'shares, 2 of 3']))
    const inside = await insideOf(second)
    await expectSame([third, first, fourth])
    expect(await exchange(second.vault)).toBe('not-a-member')
    await put(first.vault, 'after', 'a secret')
    await expectSame([third, first, fourth])
    expect(names(first).sort()).toEqual(['d0', 'd2', 'd3'])
    const { keyring } = await insideOf(first)
    expect(keyring.newestEpoch).toBeGreaterThan(inside.keyring.newestEpoch)
    const sealed = sealAs(world, await insideOf(first), { key: 'x', text: 'y' })
    expect(openEnvelope(inside.keyring, sealed).type).toBe('unknown-epoch')
  })
})

describe('a thief that takes out all others', () => {
  /** The third device is stolen: it adds another of its own, and takes the rest out. */
  async function makeStolen(seed: number) {
    const fleet = await makeFleet(seed, 3)
    const [first, second, thief] = fleet.held as [Held, Held, Held]
    await put(first.vault, 'before', 'of all')
    await expectSame(fleet.held)
    await put(second.vault, 'unsent', 'written offline')
    passMinutes(fleet.world)
    const addedMs = fleet.world.clock.ms
    const pairing = await invite(fleet.world, thief, 'invited')
    const { keyId } = await thief.vault.keys.createShares({ threshold: 2, count: 2 })
    await thief.vault.keys.revoke([idOf(first), idOf(second)])
    await put(thief.vault, 'spoil', 'of the thief')
    await thief.vault.sync.once()
    await pairing.vault.sync.once()
    expect(await exchange(first.vault)).toBe('not-a-member')
    passMinutes(fleet.world)
    return { ...fleet, first, second, thief, accomplice: pairing, keyId, addedMs }
  }

  it('is taken out by the phrase, with all that it added; the others come back', async () => {
    const stolen = await makeStolen(7410)
    const { world, recoveryPhrase, first, second, thief, accomplice, keyId } = stolen
    const device = world.makeDevice()
    const seen: { name: string; by: string | null; isActive: boolean }[] = []
    const vault = await device.restore(recoveryPhrase, {
      deviceName: 'restored',
      review: async (members) => {
        for (const { name, addedBy, revoked } of members) {
          seen.push({ name, by: addedBy, isActive: revoked === null })
        }
        return members
          .filter(({ name }) => name === 'd0' || name === 'd1')
          .map(({ memberId }) => memberId)
      },
    })
    const restored: Held = { device, vault, name: 'restored' }
    // What the thief added is shown as added by it, and who was thrown out as such.
    const thiefId = idOf(thief)
    expect(seen.filter(({ by }) => by === thiefId)).toHaveLength(2)
    expect(seen.filter(({ isActive }) => !isActive).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['d0', 'd1']),
    )
    await expectSame([restored, first, second])
    expect(names(restored).sort()).toEqual(['d0', 'd1', 'restored'])
    expect(vault.keys.status().recoveryKeys.map(({ deviceId }) => deviceId)).not.toContain(keyId)
    for (const gone of [thief, accomplice]) {
      expect(await exchange(gone.vault)).toMatch(/^(not-a-member|device-revoked)$/)
    }
    // What the others wrote while they were out is there; what is written now, no thief reads.
    expect(await textOf(restored.vault, 'before')).toBe('of all')
    expect(await textOf(first.vault, 'unsent')).toBe('written offline')
    await put(first.vault, 'after', 'a secret')
    await expectSame([restored, first, second])
    const sealed = sealAs(world, await insideOf(first), { key: 'x', text: 'y' })
    for (const gone of [thief, accomplice]) {
      const { keyring } = await insideOf(gone)
      expect(openEnvelope(keyring, sealed).type).toBe('unknown-epoch')
      expect(await textOf(gone.vault, 'after')).toBeUndefined()
    }
    expect(world.faults).toEqual([])
  })

  it('cannot go on after it: what it appends to its own list is refused', async () => {
    const { world, recoveryPhrase, first, thief, accomplice } = await makeStolen(7411)
    const restored = await restoreKeeping(world, recoveryPhrase, ['d0', 'd1'])
    const chain = await storedChain(restored)
    for (const gone of [thief, accomplice]) {
      expect(codeOf(await refusal(gone.vault.keys.rotate()))).toBe('not-a-member')
      expect(codeOf(await refusal(gone.vault.keys.revoke([idOf(restored)])))).toMatch(
        /^(not-a-member|not-found)$/,
      )
    }
    await expectSame([restored, first])
    expect(await storedChain(restored)).toEqual(chain)
  })

  it('goes also by a revocation of another device, with what it added since', async () => {
    const { world, held } = await makeFleet(7412, 3)
    const [first, second, thief] = held as [Held, Held, Held]
    passMinutes(world)
    const sinceMs = world.clock.ms
    const accomplice = await invite(world, thief, 'invited')
    await thief.vault.keys.createShares({ threshold: 2, count: 2 })
    await syncAll([first, second])
    const ids = [idOf(thief)]
    expect(first.vault.keys.addedBy(ids, sinceMs).map(({ name }) => name)).toEqual([
      'invited',
      'shares, 2 of 2',
    ])
    const gone = await first.vault.keys.revoke(ids, { withAddedSinceMs: sinceMs })
    expect(gone).toHaveLength(3)
    await expectSame([first, second])
    expect(names(first)).toEqual(['d0', 'd1'])
    expect(first.vault.keys.status().recoveryKeys).toEqual([])
    expect(await exchange(accomplice.vault)).toBe('not-a-member')
  })
})

async function restoreKeeping(world: World, recoveryPhrase: string, kept: readonly string[]) {
  const device = world.makeDevice()
  const vault = await device.restore(recoveryPhrase, {
    deviceName: 'restored',
    review: async (members) =>
      members.filter(({ name }) => kept.includes(name)).map(({ memberId }) => memberId),
  })
  await vault.sync.once()
  return { device, vault, name: 'restored' } satisfies Held
}
