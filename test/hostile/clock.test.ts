/**
 * Clocks that are wrong by hours, and a remote that uses time as a weapon: neither may move the
 * clock of a device that is right, nor stop it from writing.
 *
 * Threats: 13, 14. Lessons: A4, A13, A14.
 */

import type { Vault } from '@blindcopy/client'
import { encodeBoundHeader, encodeTimestamp, type RecordId } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { type Device, exportOf, makeWorld, type World } from '../simulation/world.ts'
import { exchange, type Frame, get, makePair, put, rewriteHistory } from './adversary.ts'

const HOURS_3 = 3 * 3_600_000

type Three = {
  readonly world: World
  readonly right: Device
  readonly rightVault: Vault
  readonly aheadVault: Vault
  readonly thirdVault: Vault
}

/** One device is hours ahead, and so was the remote when it took that device's writes. */
async function makePoisoned(seed: number, keys: readonly string[]): Promise<Three> {
  const world = makeWorld(seed)
  const right = world.makeDevice()
  const { vault: rightVault, recoveryPhrase } = await right.create()
  await rightVault.sync.once()
  const aheadVault = await world.makeDevice({ skewMs: HOURS_3 }).restore(recoveryPhrase)
  const thirdVault = await world.makeDevice().restore(recoveryPhrase)
  await aheadVault.transaction(async (transaction) => {
    const notes = transaction.collection(aheadVault.collection('notes'))
    for (const key of keys) await notes.put(key, { text: 'from the future' })
  })
  world.restartRemote({ nowMs: () => world.clock.ms + HOURS_3 })
  await aheadVault.sync.once()
  world.restartRemote()
  await rightVault.sync.once()
  await thirdVault.sync.once()
  return { world, right, rightVault, aheadVault, thirdVault }
}

/** The right device writes, and a second later another: the later one must win. */
async function expectRightClock({ world, rightVault, thirdVault }: Three): Promise<void> {
  await put(rightVault, 'fresh', { text: 'earlier' })
  world.clock.ms += 1_000
  await put(thirdVault, 'fresh', { text: 'later' })
  for (const vault of [rightVault, thirdVault, rightVault]) await vault.sync.once()
  expect(await get(rightVault, 'fresh')).toEqual({ text: 'later' })
  expect(await get(thirdVault, 'fresh')).toEqual({ text: 'later' })
  expect(rightVault.sync.status.attention).toBe(0)
}

describe('a write from a clock hours ahead', () => {
  it('does not move the clock of a device that receives it', async () => {
    const three = await makePoisoned(301, ['poisoned'])
    expect(await get(three.rightVault, 'poisoned')).toEqual({ text: 'from the future' })
    await expectRightClock(three)
  })

  it('can be written over, and the clock of who does so does not move either', async () => {
    const three = await makePoisoned(302, ['poisoned'])
    await put(three.rightVault, 'poisoned', { text: 'repaired' })
    await three.rightVault.sync.once()
    await three.thirdVault.sync.once()
    expect(await get(three.thirdVault, 'poisoned')).toEqual({ text: 'repaired' })
    await expectRightClock(three)
  })

  it('can be written over record by record, and every repair arrives', async () => {
    const keys = ['a', 'b', 'c']
    const three = await makePoisoned(303, keys)
    for (const key of keys) await put(three.rightVault, key, { text: `repaired ${key}` })
    for (const vault of [three.rightVault, three.thirdVault, three.aheadVault]) {
      await vault.sync.once()
    }
    for (const key of keys) {
      expect(await get(three.thirdVault, key)).toEqual({ text: `repaired ${key}` })
    }
    expect(await exportOf(three.aheadVault)).toBe(await exportOf(three.rightVault))
    await expectRightClock(three)
  })

  it('is put right by a remote whose clock is right, and told', async () => {
    const world = makeWorld(304)
    const ahead = world.makeDevice({ skewMs: HOURS_3 })
    const { vault } = await ahead.create()
    await put(vault, 'a', { text: 'a' })
    expect(await exchange(vault)).toBeUndefined()
    const { status } = vault.sync
    expect(status).toMatchObject({ pending: 0, attention: 0, problem: null })
    expect(status.clock).toEqual({ offsetMs: -HOURS_3 })
    expect(status.notices.map(({ code }) => code)).toEqual(['clock-corrected'])
    expect(status.notices[0]?.message).toContain(new Date(world.clock.ms).toISOString())
    // Once its clock is right again, the correction is taken back.
    ahead.skewMs = 0
    await put(vault, 'b', { text: 'b' })
    world.restartRemote({ tokenKey: new Uint8Array(32).fill(8) })
    expect(await exchange(vault)).toBeUndefined()
    expect(vault.sync.status).toMatchObject({ pending: 0, attention: 0, clock: null })
  })
})

describe('a made-up version at the end of time', () => {
  it('neither moves the clock nor stops this device from writing its record', async () => {
    const { victim, victimVault } = await makePair(305, { target: { text: 'old' } })
    rewriteHistory(victim, (frames) => {
      const end = frames[frames.length - 1] as Frame
      const id = encodeTimestamp(
        { milliseconds: 2 ** 48 - 1, counter: 0xffff },
        { deviceId: new Uint8Array(8).fill(255) as never, tail: new Uint8Array(4).fill(255) },
      )
      const header = { tombstone: false, epoch: 1, timestamp: id }
      const forged = ids.map((recordId) =>
        Uint8Array.of(...encodeBoundHeader({ ...header, recordId }), ...new Uint8Array(296)),
      )
      return [...frames.slice(0, -1), [0, 0, end[2], id, forged, new Uint8Array(0)], end]
    })
    const ids = await recordIdsOf(victim)
    await exchange(victimVault)
    expect(await victimVault.quarantined()).toHaveLength(ids.length)
    expect(await get(victimVault, 'target')).toEqual({ text: 'old' })
    await put(victimVault, 'target', { text: 'new' })
    expect(await get(victimVault, 'target')).toEqual({ text: 'new' })
    await put(victimVault, 'another', { text: 'another' })
    expect(await get(victimVault, 'another')).toEqual({ text: 'another' })
    await victimVault.close()
    // Its clock is stored: it must not stand at the end of time after a restart either.
    const again = await victim.open()
    await put(again, 'target', { text: 'newer' })
    expect(await get(again, 'target')).toEqual({ text: 'newer' })
    await again.close()
  })
})

/** The remote knows them all; here they are read from the rows of the device's disk. */
async function recordIdsOf(device: Device): Promise<RecordId[]> {
  const entries = await device.disk.entries()
  return entries.flatMap(([key]) => (key[0] === 0x72 ? [key.slice(1) as never as RecordId] : []))
}
