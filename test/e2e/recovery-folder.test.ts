/**
 * A device whose folder is lost, put back from an older copy, or copied and used twice: no
 * timestamp names two contents, nothing is lost, nothing that was deleted comes back, and the
 * person is told.
 *
 * Lessons: A9, A15, A23; C1, C6.
 */
import { describe, expect, it } from 'vitest'
import type { DeviceProcess } from './processes.ts'
import { Contents, Fleet, LONG, noticesOf, persist, untilStatus } from './recovery-fleet.ts'
import { free, type Gate, startGate } from './recovery-gate.ts'

const text = (words: string): object => ({ text: words })
const COUNTER = { collection: 'counters', key: 'one' } as const

const remove = (device: DeviceProcess, key: string): Promise<void> =>
  device.call('delete', { collection: 'notes', key })

/** Devices whose every push is looked at. */
async function launchWatched(count: number): Promise<{ fleet: Fleet; gates: readonly Gate[] }> {
  const gates = await Promise.all(Array.from({ length: count }, () => startGate()))
  return { fleet: await Fleet.launch(count, { gates }), gates }
}

/** Of all that was sent, and all that any of them, now closed, has on its disk. */
async function expectNoTimestampTwice(
  { devices }: Fleet,
  gates: readonly Gate[],
  countMin: number,
): Promise<void> {
  const contents = new Contents()
  for (const { pushes } of gates) for (const body of pushes) contents.addPush(body)
  expect(contents.count).toBeGreaterThanOrEqual(countMin)
  for (const device of devices) {
    await device.kill()
    await contents.addFolder(device.folder)
  }
}

describe('a folder that is deleted', () => {
  it(
    'takes nothing with it that was synced, and a restored device has it all',
    async () => {
      const fleet = await Fleet.launch(2)
      const [lost] = fleet.devices as [DeviceProcess, DeviceProcess]
      for (let i = 0; i < 10; i++) await lost.put(`n${i}`, text(`note ${i}`))
      await lost.sync()
      await remove(lost, 'n3')
      await lost.sync()
      await fleet.loseDevice(0)
      const restored = await fleet.addDevice()
      await restored.put('after', text('written by the restored device'))
      const shown = await fleet.converge()
      expect(shown.size).toBe(10)
      expect(shown.has('notes/n3')).toBe(false)
      for (const device of fleet.devices) expect(await noticesOf(device)).toEqual([])
    },
    LONG,
  )
})

describe('a folder that was put back from an older copy', () => {
  it(
    'gets back what it had written since, and writes on under new timestamps',
    async () => {
      const { fleet, gates } = await launchWatched(2)
      const [device, other] = fleet.devices as [DeviceProcess, DeviceProcess]
      for (const key of ['kept', 'gone', 'edited']) await device.put(key, text('first'))
      await device.sync()
      const copy = await fleet.copyDevice(0)
      const later = fleet.device(0)
      await later.put('edited', text('after the copy'))
      await later.put('since', text('after the copy'))
      await remove(later, 'gone')
      await later.sync()
      await other.sync()
      const old = await fleet.putDeviceBack(0, copy)
      // Before it knows anything of that.
      await old.put('edited', text('by the old copy'))
      await old.put('new', text('by the old copy'))
      await old.sync()
      const shown = await fleet.converge()
      expect(Object.fromEntries(shown)).toEqual({
        'notes/kept': text('first'),
        'notes/edited': text('by the old copy'),
        'notes/since': text('after the copy'),
        'notes/new': text('by the old copy'),
      })
      expect(await noticesOf(fleet.device(0))).toEqual(['folder-copied'])
      expect(await noticesOf(other)).toEqual([])
      // What the person wrote after the copy was overwritten without having been seen.
      const conflicts = await Promise.all(
        fleet.devices.map((each) => each.call<{ lost: object }[]>('conflicts')),
      )
      expect(conflicts.flat().map(({ lost }) => lost)).toContainEqual(text('after the copy'))
      await expectNoTimestampTwice(fleet, gates, 6)
    },
    LONG,
  )

  it(
    'with writes that it had sent since sends none of them twice',
    async () => {
      const { fleet, gates } = await launchWatched(2)
      const [gate] = gates as [Gate]
      const increment = (device: DeviceProcess): Promise<void> =>
        device.call('mutate', { name: 'increment', args: { ...COUNTER, by: 1 } })
      await increment(fleet.device(0))
      await fleet.device(0).sync()
      await increment(fleet.device(0))
      await fleet.device(0).put('waiting', text('unsent in the copy'))
      // In the copy it may have been sent: it was, and the answer never came.
      gate.toll = async ({ moment, route }) =>
        moment === 'answered' && route === 'POST /v1/push' ? 'cut' : 'pass'
      await expect(fleet.device(0).sync()).rejects.toMatchObject({ code: 'network' })
      gate.toll = free
      const copy = await fleet.copyDevice(0)
      const later = fleet.device(0)
      await later.sync()
      await increment(later)
      await later.put('waiting', text('edited after the copy'))
      await later.sync()
      await fleet.device(1).sync()
      const old = await fleet.putDeviceBack(0, copy)
      expect((await old.status()).pending).toBe(2)
      await old.sync()
      const shown = await fleet.converge()
      expect(shown.get('counters/one')).toEqual({ count: 3 })
      expect(shown.get('notes/waiting')).toEqual(text('edited after the copy'))
      expect(await noticesOf(old)).toEqual(['folder-copied'])
      await expectNoTimestampTwice(fleet, gates, 5)
    },
    LONG,
  )

  it(
    'and is the first to meet a wiped remote brings nothing back that was deleted',
    async () => {
      const { fleet, gates } = await launchWatched(2)
      const [device, other] = fleet.devices as [DeviceProcess, DeviceProcess]
      for (const key of ['kept', 'gone', 'edited']) await device.put(key, text('first'))
      await device.sync()
      const copy = await fleet.copyDevice(0)
      await other.sync()
      await remove(other, 'gone')
      await other.put('edited', text('after the copy'))
      await other.sync()
      await fleet.device(0).sync()
      expect(await fleet.device(0).export()).toBe(await other.export())
      const old = await fleet.putDeviceBack(0, copy)
      await fleet.wipeRemote()
      // The remote now holds what the old copy held, deleted records and all.
      await old.sync()
      await persist(other)
      const shown = await fleet.converge()
      expect(Object.fromEntries(shown)).toEqual({
        'notes/kept': text('first'),
        'notes/edited': text('after the copy'),
      })
      await expectNoTimestampTwice(fleet, gates, 5)
    },
    LONG,
  )

  it(
    'together with a remote put back from an older backup gets all that any device holds',
    async () => {
      const { fleet, gates } = await launchWatched(3)
      const [device, other] = fleet.devices as [DeviceProcess, DeviceProcess]
      for (const key of ['kept', 'gone']) await device.put(key, text('first'))
      await device.sync()
      const backup = await fleet.backUpRemote()
      const copy = await fleet.copyDevice(0)
      const later = fleet.device(0)
      await later.put('since', text('after both copies'))
      await remove(later, 'gone')
      await later.sync()
      await persist(other)
      await fleet.putRemoteBack(backup)
      const old = await fleet.putDeviceBack(0, copy)
      await old.put('new', text('by the old copy, to the old remote'))
      await old.sync()
      const shown = await fleet.converge()
      expect(Object.fromEntries(shown)).toEqual({
        'notes/kept': text('first'),
        'notes/since': text('after both copies'),
        'notes/new': text('by the old copy, to the old remote'),
      })
      expect(await noticesOf(old)).toContain('folder-copied')
      await expectNoTimestampTwice(fleet, gates, 5)
    },
    LONG,
  )
})

describe('a folder that was copied and is used twice', () => {
  it(
    'serves both: what either writes reaches all, and each says that it was copied',
    async () => {
      const { fleet, gates } = await launchWatched(2)
      await fleet.device(0).put('before', text('before the copy'))
      await fleet.device(0).sync()
      const twin = await fleet.openCopy(await fleet.copyDevice(0))
      const [original] = fleet.devices as [DeviceProcess]
      for (let round = 0; round < 3; round++) {
        for (const [name, device] of [
          ['original', original],
          ['twin', twin],
        ] as const) {
          await device.put(`${name}-${round}`, text(`${name} ${round}`))
          await device.put('shared', text(`${name} ${round}`))
        }
        await Promise.all([persist(original), persist(twin)])
      }
      const shown = await fleet.converge()
      expect([...shown.keys()].sort()).toEqual([
        'notes/before',
        ...[0, 1, 2].map((round) => `notes/original-${round}`),
        'notes/shared',
        ...[0, 1, 2].map((round) => `notes/twin-${round}`),
      ])
      expect(await noticesOf(original)).toContain('folder-copied')
      expect(await noticesOf(twin)).toContain('folder-copied')
      expect(await noticesOf(fleet.device(1))).toEqual([])
      await expectNoTimestampTwice(fleet, gates, 8)
    },
    LONG,
  )

  it(
    'gives no timestamp twice, though the clocks of both stand at the same moment',
    async () => {
      const { fleet, gates } = await launchWatched(1)
      await fleet.device(0).put('before', text('before the copy'))
      await fleet.device(0).sync()
      const copy = await fleet.copyDevice(0)
      // All that is left to tell the two apart is what each drew when it was opened.
      const frozen = { frozenMs: Date.now() }
      const original = await fleet.reopen(0, frozen)
      const twin = await fleet.openCopy(copy, frozen)
      for (let i = 0; i < 20; i++) {
        await original.put(`original-${i}`, text('original'))
        await twin.put(`twin-${i}`, text('twin'))
      }
      await Promise.all([persist(original), persist(twin)])
      const shown = await fleet.converge()
      expect(shown.size).toBe(41)
      for (const device of fleet.devices) expect(await noticesOf(device)).toEqual(['folder-copied'])
      await expectNoTimestampTwice(fleet, gates, 42)
    },
    LONG,
  )

  it(
    'serves both while they are live, and through a wiped remote',
    async () => {
      const { fleet, gates } = await launchWatched(2)
      await fleet.device(0).put('before', text('before the copy'))
      await fleet.device(0).sync()
      const twin = await fleet.openCopy(await fleet.copyDevice(0))
      const [original, other] = fleet.devices as [DeviceProcess, DeviceProcess]
      for (const device of fleet.devices) await device.call('start')
      for (let round = 0; round < 4; round++) {
        if (round === 2) await fleet.wipeRemote()
        for (const [name, device] of [
          ['original', original],
          ['twin', twin],
        ] as const) {
          const key = `${name}-${round}`
          await device.put(key, text(key))
        }
        for (const name of ['original', 'twin']) {
          const key = `${name}-${round}`
          for (const device of fleet.devices) await until(device, key, text(key))
        }
      }
      await remove(twin, 'before')
      await until(original, 'before', null)
      await until(other, 'before', null)
      for (const device of fleet.devices) {
        await untilStatus(device, ({ phase, pending }) => phase === 'live' && pending === 0)
      }
      const shown = await fleet.expectInStep()
      expect(shown.size).toBe(8)
      for (const device of [original, twin]) {
        expect(await noticesOf(device)).toEqual(expect.arrayContaining(['folder-copied', 'healed']))
      }
      await expectNoTimestampTwice(fleet, gates, 10)
    },
    LONG,
  )
})

const until = (device: DeviceProcess, key: string, fields: object | null): Promise<void> =>
  device.call('until', { collection: 'notes', key, fields })
