/**
 * Two lists of devices: the remote was shown in two states, and devices have appended to both. The
 * phrase ends it on one device, and every other one goes over by itself, whichever list it stood
 * on and however it asks next.
 *
 * Threats: 3, 23. Lessons: C2.
 */
import { codeOf } from '@blindcopy/client'
import { createRemote } from '@blindcopy/remote'
import { verifySignature } from '@blindcopy/remote/node'
import { expect, it } from 'vitest'
import { expectSame, type Held, idOf, makeFleet, put, syncAll, textOf } from '../keys/keys.ts'
import { copyOf, REMOTE, refusal, type World } from '../simulation/world.ts'

/** From here on these devices are shown a copy of the remote, until `together` is called. */
async function showApart(world: World, held: readonly Held[]): Promise<{ together(): void }> {
  const apart = createRemote({
    store: await copyOf(world.store),
    verify: verifySignature,
    origins: [REMOTE],
    registration: { mode: 'open' },
    nowMs: () => world.clock.ms,
    random: world.chance.bytes,
    tokenKey: new Uint8Array(32).fill(7),
    onFault: (error) => world.faults.push(error),
  })
  const before = held.map(({ device }) => device.network.fetch)
  for (const { device } of held) device.network.fetch = async (request) => apart.app.fetch(request)
  return {
    together() {
      held.forEach(({ device }, i) => {
        device.network.fetch = before[i] as (typeof before)[number]
      })
    },
  }
}

async function makeFork(seed: number) {
  const { world, held, recoveryPhrase } = await makeFleet(seed, 4)
  const [first, second, third, fourth] = held as [Held, Held, Held, Held]
  const { together } = await showApart(world, [third, fourth])
  await put(first.vault, 'here', 'a')
  await first.vault.keys.rotate()
  await put(third.vault, 'there', 'b')
  await third.vault.keys.rotate()
  await syncAll(held)
  together()
  for (const one of [third, fourth]) {
    expect(codeOf(await refusal(one.vault.sync.once()))).toBe('sync-stopped')
    expect(one.vault.sync.status.problem?.code).toBe('keychain-forked')
  }
  return { world, held, recoveryPhrase, first, second, third, fourth }
}

it('is ended at the first try where the other list is the one that the remote has', async () => {
  const { held, recoveryPhrase, third, fourth } = await makeFork(7401)
  await third.vault.keys.endFork({ recoveryPhrase })
  expect(third.vault.keys.status().devices).toHaveLength(4)
  await third.vault.sync.once()
  // It stood on the list that gave way, too, and has no phrase.
  await fourth.vault.sync.once()
  await expectSame(held)
  for (const { vault } of held) {
    expect([await textOf(vault, 'here'), await textOf(vault, 'there')]).toEqual(['a', 'b'])
  }
})

it('is ended where this device stands on the list of the remote', async () => {
  const { held, recoveryPhrase, first, third } = await makeFork(7402)
  // There is none to be seen from here.
  await first.vault.keys.endFork({ recoveryPhrase })
  await third.vault.keys.endFork({ recoveryPhrase })
  await expectSame(held)
})

it('lets a device that has not heard of it change the list', async () => {
  const { held, recoveryPhrase, first, second, third, fourth } = await makeFork(7403)
  await third.vault.keys.endFork({ recoveryPhrase })
  await second.vault.keys.rotate()
  await fourth.vault.keys.rotate()
  await first.vault.keys.revoke([idOf(fourth)])
  await expectSame(held.filter((one) => one !== fourth))
})

it('is gone for a device that was stopped by it and goes on trying', async () => {
  const { held, recoveryPhrase, third, fourth } = await makeFork(7404)
  fourth.vault.sync.start()
  const settle = async (): Promise<void> => {
    for (let turns = 0; turns < 500; turns++) await new Promise((done) => setImmediate(done))
  }
  await settle()
  expect(fourth.vault.sync.status).toMatchObject({ phase: 'stopped' })
  await third.vault.keys.endFork({ recoveryPhrase })
  await third.vault.sync.once()
  fourth.device.fireTimers()
  await settle()
  expect(fourth.vault.sync.status.problem).toBeNull()
  expect(await textOf(fourth.vault, 'here')).toBe('a')
  await fourth.vault.sync.stop()
  await expectSame(held)
})

it('keeps out whom the list here has removed, and whom these have brought into the other', async () => {
  const { world, held, recoveryPhrase } = await makeFleet(7405, 4)
  const [first, second, third, thief] = held as [Held, Held, Held, Held]
  const { together } = await showApart(world, [first, second])
  await first.vault.keys.revoke([idOf(thief)])
  await second.vault.sync.once()
  together()
  // The host helps the thief to go on on a list of its own, which a device that was away follows.
  const { text } = await thief.vault.keys.createKeyFile({ passphrase: 'of the thief' })
  expect(text).not.toBe('')
  await third.vault.sync.once()
  await first.vault.keys.endFork({ recoveryPhrase })
  const staying = [first, second, third]
  const { devices, recoveryKeys } = first.vault.keys.status()
  expect(devices.map(({ deviceId }) => deviceId).sort()).toEqual(staying.map(idOf).sort())
  expect(recoveryKeys).toEqual([])
  await expectSame(staying)
})
