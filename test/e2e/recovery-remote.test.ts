/**
 * A remote that was wiped, replaced, or put back from a backup: real device processes, a real
 * remote process, and nobody who does anything about it. Nothing that any device holds is lost,
 * what was deleted stays deleted, and each device says what happened.
 *
 * Lessons: A11, A12, A19; C1, C6.
 */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { chanceOf } from '../simulation/chance.ts'
import {
  DeviceProcess,
  kill,
  REGISTRATION_TOKEN,
  startRemote,
  temporaryFolder,
} from './processes.ts'
import { Fleet, healedMsOf, LONG, noticesOf, persist, SEED, untilStatus } from './recovery-fleet.ts'
import { free, startGate } from './recovery-gate.ts'

const text = (words: string): object => ({ text: words })

/** Records of every device, some of them deleted again, known to all. */
async function furnish(fleet: Fleet): Promise<void> {
  for (const [i, device] of fleet.devices.entries()) {
    await device.put(`of-${i}`, text(`written by ${i}`))
    await device.put(`gone-${i}`, text('to be deleted'))
  }
  for (const device of fleet.devices) await device.sync()
  // Each deletes what another wrote.
  for (const [i, device] of fleet.devices.entries()) {
    await device.sync()
    const key = `gone-${(i + 1) % fleet.devices.length}`
    await device.call('delete', { collection: 'notes', key })
  }
  for (let round = 0; round < 2; round++) for (const device of fleet.devices) await device.sync()
}

const goneIn = (shown: ReadonlyMap<string, object>): string[] =>
  [...shown.keys()].filter((place) => place.startsWith('notes/gone'))

describe('a remote that was wiped', () => {
  it(
    'is rebuilt by any one device, which the others join',
    async () => {
      const fleet = await Fleet.launch(3)
      await furnish(fleet)
      for (const first of [2, 0, 1]) {
        const pending = (first + 1) % 3
        await fleet.wipeRemote()
        await fleet.device(pending).put(`pending-${first}`, text('written while nobody looked'))
        const before = healedMsOf(await fleet.device(first).status())
        await persist(fleet.device(first))
        expect(healedMsOf(await fleet.device(first).status())).toBeGreaterThan(before)
        for (const device of fleet.devices) await persist(device)
      }
      const shown = await fleet.converge()
      expect(goneIn(shown)).toEqual([])
      for (const first of [0, 1, 2]) {
        expect(shown.get(`notes/pending-${first}`)).toEqual(text('written while nobody looked'))
        expect(shown.has(`notes/of-${first}`)).toBe(true)
      }
      for (const device of fleet.devices) expect(await noticesOf(device)).toContain('healed')
    },
    LONG,
  )

  it(
    'together with every device but one is rebuilt by that one',
    async () => {
      const fleet = await Fleet.launch(3)
      await furnish(fleet)
      const before = await fleet.device(1).export()
      await fleet.loseDevice(2)
      await fleet.loseDevice(0)
      await fleet.wipeRemote()
      await persist(fleet.device(0))
      expect(await fleet.device(0).export()).toBe(before)
      const shown = await fleet.converge()
      expect(goneIn(shown)).toEqual([])
      expect(shown.size).toBe(3)
    },
    LONG,
  )

  it(
    'and found empty by two devices at the same moment is rebuilt by both',
    async () => {
      const gates = [await startGate(), await startGate()]
      const fleet = await Fleet.launch(2, { gates })
      await furnish(fleet)
      await Promise.all(fleet.devices.map((device, i) => device.put(`late-${i}`, text('pending'))))
      await fleet.wipeRemote()
      // Neither may register the vault before both have been told that there is none.
      let waiting = 0
      let go: () => void = () => undefined
      const bothAreThere = new Promise<void>((resolve) => {
        go = resolve
      })
      for (const gate of gates) {
        let isFirst = true
        gate.toll = async ({ moment, route }) => {
          if (!isFirst || moment !== 'asked' || route !== 'POST /v1/vaults') return 'pass'
          isFirst = false
          if (++waiting === 2) go()
          await bothAreThere
          return 'pass'
        }
      }
      await Promise.all(fleet.devices.map((device) => persist(device)))
      expect(waiting).toBe(2)
      const shown = await fleet.converge()
      expect(goneIn(shown)).toEqual([])
      expect([...shown.keys()].sort()).toEqual(
        ['late-0', 'late-1', 'of-0', 'of-1'].map((key) => `notes/${key}`),
      )
    },
    LONG,
  )
})

describe('a remote that was replaced', () => {
  it(
    'by one that holds the vaults of others takes this one too',
    async () => {
      const fleet = await Fleet.launch(2)
      await furnish(fleet)
      await fleet.device(1).put('pending', text('not sent'))
      await fleet.stopRemote()
      // Another person's remote, taken from elsewhere and served at the same address.
      const root = temporaryFolder()
      const elsewhere = await startRemote(join(root, 'remote'))
      const stranger = new DeviceProcess(join(root, 'stranger'))
      await stranger.create(elsewhere.url, { registrationToken: REGISTRATION_TOKEN })
      await stranger.put('foreign', text('of somebody else'))
      await stranger.sync()
      await kill(elsewhere.child)
      await fleet.putRemoteBack(copyOf(join(root, 'remote')))
      const shown = await fleet.converge()
      expect([...shown.keys()].sort()).toEqual(['notes/of-0', 'notes/of-1', 'notes/pending'])
      for (const device of fleet.devices) expect(await noticesOf(device)).toContain('healed')
    },
    LONG,
  )
})

function copyOf(folder: string): string {
  const copy = join(temporaryFolder(), 'copy')
  cpSync(folder, copy, { recursive: true })
  return copy
}

describe('a remote that was put back from a backup', () => {
  for (const newSyncId of [false, true]) {
    const how = newSyncId ? 'with a new SyncId' : 'under its old SyncId'
    it(
      `${how} gets back what was written since, and keeps what was written after`,
      async () => {
        const fleet = await Fleet.launch(3)
        await furnish(fleet)
        const [ahead, behind, away] = [fleet.device(0), fleet.device(1), fleet.device(2)]
        const backup = await fleet.backUpRemote()
        await ahead.put('since', text('after the backup'))
        await ahead.put('of-1', text('changed after the backup'))
        await ahead.call('delete', { collection: 'notes', key: 'of-2' })
        await persist(ahead)
        await persist(away)
        await fleet.putRemoteBack(backup, { newSyncId })
        // Its cursor stands in the log that was put back, and it writes on from there.
        await behind.put('meanwhile', text('to the old state'))
        await behind.put('of-0', text('changed on the old state'))
        await persist(behind)
        expect((await noticesOf(behind)).includes('healed')).toBe(newSyncId)
        await persist(ahead)
        expect(await noticesOf(ahead)).toContain('healed')
        const shown = await fleet.converge()
        for (const device of fleet.devices) expect(await noticesOf(device)).toContain('healed')
        expect(Object.fromEntries(shown)).toEqual({
          'notes/since': text('after the backup'),
          'notes/of-1': text('changed after the backup'),
          'notes/meanwhile': text('to the old state'),
          'notes/of-0': text('changed on the old state'),
        })
      },
      LONG,
    )
  }

  it(
    'that lacks only what was never acknowledged gets it, and nobody need compare anything',
    async () => {
      const gate = await startGate()
      const fleet = await Fleet.launch(2, { gates: [gate] })
      await furnish(fleet)
      const backup = await fleet.backUpRemote()
      const writer = fleet.device(0)
      await writer.call('mutate', { name: 'increment', args: { ...COUNTER, by: 1 } })
      // The remote takes it, and the device dies before it is told.
      const died = new Promise<void>((resolve) => {
        gate.toll = async ({ moment, route }) => {
          if (moment !== 'answered' || route !== 'POST /v1/push') return 'pass'
          await writer.kill()
          resolve()
          return 'cut'
        }
      })
      await expect(writer.sync()).rejects.toMatchObject({ code: 'killed' })
      await died
      gate.toll = free
      await fleet.putRemoteBack(backup)
      const again = await fleet.reopen(0)
      expect((await again.status()).pending).toBe(1)
      await fleet.device(1).sync()
      const shown = await fleet.converge()
      expect(shown.get('counters/one')).toEqual({ count: 1 })
      for (const device of fleet.devices) expect(await noticesOf(device)).toEqual([])
    },
    LONG,
  )

  it(
    `again and again, older and newer ones, loses nothing (SEED=${SEED})`,
    async () => {
      const fleet = await Fleet.launch(3)
      await furnish(fleet)
      const chance = chanceOf(SEED)
      const backups: string[] = []
      const expected = new Map<string, object>()
      for (let round = 0; round < 3; round++) {
        for (const [i, device] of fleet.devices.entries()) {
          await device.put(`round-${round}-${i}`, text(`${round} ${i}`))
          expected.set(`notes/round-${round}-${i}`, text(`${round} ${i}`))
          if (chance.oneIn(2)) await persist(device)
        }
        backups.push(await fleet.backUpRemote({ staysStopped: true }))
        await fleet.putRemoteBack(chance.pick(backups))
      }
      await persist(fleet.device(chance.below(3)))
      // The oldest, twice: once healed, it is lost once more.
      await fleet.putRemoteBack(backups[0] as string)
      const shown = await fleet.converge()
      expect(goneIn(shown)).toEqual([])
      for (const [place, fields] of expected) expect(shown.get(place), place).toEqual(fields)
    },
    LONG,
  )

  it(
    'while every device was live is healed by them, and they are live again',
    async () => {
      const fleet = await Fleet.launch(3)
      await furnish(fleet)
      const [first, second, third] = [fleet.device(0), fleet.device(1), fleet.device(2)]
      for (const device of fleet.devices) await device.call('start')
      const backup = await fleet.backUpRemote()
      await first.put('since', text('after the backup'))
      for (const device of [second, third]) await until(device, 'since', text('after the backup'))
      await untilLive(first)
      await fleet.putRemoteBack(backup)
      await second.put('later', text('after it was put back'))
      for (const device of fleet.devices) {
        await until(device, 'later', text('after it was put back'))
        await untilStatus(device, ({ notices }) => notices.some(({ code }) => code === 'healed'))
        await untilLive(device)
      }
      await third.call('delete', { collection: 'notes', key: 'later' })
      for (const device of fleet.devices) await until(device, 'later', null)
      for (const device of fleet.devices) await untilLive(device)
      const shown = await fleet.expectInStep()
      expect(shown.get('notes/since')).toEqual(text('after the backup'))
      expect(goneIn(shown)).toEqual([])
    },
    LONG,
  )
})

const COUNTER = { collection: 'counters', key: 'one' } as const

const until = (device: DeviceProcess, key: string, fields: object | null): Promise<void> =>
  device.call('until', { collection: 'notes', key, fields })

const untilLive = (device: DeviceProcess): Promise<unknown> =>
  untilStatus(
    device,
    ({ phase, pending, problem }) => phase === 'live' && pending === 0 && problem === null,
  )
