/**
 * Two and five real devices, each a process with a folder of its own, and a real remote on
 * loopback, all running what was built. Processes are killed in mid-write, mid-sync and mid-push,
 * and in the end every device exports the same bytes, with every acknowledged write in it.
 *
 * Lessons: A1, A3, A5, A6, A8, A14, A15, A18 (in small), A19; C3, C7.
 */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { chanceOf } from '../simulation/chance.ts'
import { DeviceProcess, type RemoteProcess, startRemote, temporaryFolder } from './processes.ts'

const SEED = Number(process.env.SEED ?? 20_260)
const LONG = 60_000

type Fleet = {
  readonly root: string
  remote: RemoteProcess
  readonly devices: DeviceProcess[]
  readonly recoveryPhrase: string
}

async function launch(count: number): Promise<Fleet> {
  const root = temporaryFolder()
  const remote = await startRemote(join(root, 'remote'))
  const first = new DeviceProcess(join(root, 'device-0'))
  const recoveryPhrase = await first.create(remote.url)
  await first.sync()
  const others = Array.from({ length: count - 1 }, async (_, i) => {
    const device = new DeviceProcess(join(root, `device-${i + 1}`))
    await device.restore(remote.url, recoveryPhrase)
    return device
  })
  return { root, remote, recoveryPhrase, devices: [first, ...(await Promise.all(others))] }
}

/** Twice round: what the last one brings must come back to the first. */
async function converge({ devices }: Fleet): Promise<string> {
  for (let round = 0; round < 2; round++) {
    for (const device of devices) await device.call('persist', { attemptsMax: 5 })
  }
  const [first = '', ...rest] = await Promise.all(devices.map((device) => device.export()))
  for (const text of rest) expect(text).toBe(first)
  for (const device of devices) {
    expect(await device.status()).toMatchObject({ pending: 0, attention: 0, problem: null })
    expect(await device.call('quarantined')).toEqual([])
  }
  return first
}

/** The process is gone; another opens the same folder. */
async function reopen(fleet: Fleet, index: number): Promise<DeviceProcess> {
  const device = new DeviceProcess((fleet.devices[index] as DeviceProcess).folder)
  await device.open()
  fleet.devices[index] = device
  return device
}

/** What a test knows of the records that only one device writes. */
type Own = Map<string, object | null>

function expectOwn(text: string, owns: readonly Own[]): void {
  const records = new Map<string, object>(
    text.split('\n').map((line) => {
      const [collection, key, fields] = JSON.parse(line) as [string, string, object]
      return [`${collection}/${key}`, fields] as const
    }),
  )
  for (const [place, fields] of owns.flatMap((own) => [...own])) {
    expect(records.get(place) ?? null, place).toEqual(fields)
  }
}

for (const count of [2, 5]) {
  describe(`${count} devices`, () => {
    it(
      `end with the same bytes after concurrent work (SEED=${SEED})`,
      async () => {
        const fleet = await launch(count)
        const owns = fleet.devices.map((): Own => new Map())
        const work = fleet.devices.map(async (device, index) => {
          const chance = chanceOf(SEED + index)
          const own = owns[index] as Own
          for (let step = 0; step < 40; step++) {
            const key = `own-${index}-${chance.below(6)}`
            switch (chance.below(7)) {
              case 0:
              case 1: {
                await device.put(key, { step, index })
                own.set(`notes/${key}`, { step, index })
                break
              }
              case 2: {
                await device.call('delete', { collection: 'notes', key })
                own.set(`notes/${key}`, null)
                break
              }
              case 3: {
                const keys = Array.from({ length: 20 }, (_, i) => `many-${index}-${i}`)
                const fields = { step }
                const writes = keys.map((name) => ({ collection: 'many', key: name, fields }))
                await device.call('transaction', { writes })
                for (const name of keys) own.set(`many/${name}`, fields)
                break
              }
              case 4: {
                await device.put(`shared-${chance.below(4)}`, { step, index }, 'shared')
                break
              }
              case 5: {
                const place = { collection: 'shared', key: `shared-${chance.below(4)}` }
                await device.call('delete', place)
                break
              }
              default:
                await device.call('persist', { attemptsMax: 5 })
            }
          }
        })
        await Promise.all(work)
        expectOwn(await converge(fleet), owns)
      },
      LONG,
    )
  })
}

describe('a device that is killed', () => {
  it(
    'in mid-write keeps every write that was acknowledged, and sends each',
    async () => {
      const fleet = await launch(2)
      const [writer] = fleet.devices as [DeviceProcess, DeviceProcess]
      const acknowledged: number[] = []
      const enough = new Promise<void>((resolve) => {
        writer.onEvent((event) => {
          if (event.event !== 'acknowledged') return
          acknowledged.push(event.i as number)
          if (acknowledged.length === 150) resolve()
        })
      })
      const burst = writer.call('burst', { collection: 'burst', prefix: 'b', count: 100_000 })
      burst.catch(() => undefined)
      await enough
      await writer.kill()
      await expect(burst).rejects.toMatchObject({ code: 'killed' })
      await reopen(fleet, 0)
      const text = await converge(fleet)
      const own: Own = new Map(acknowledged.map((i) => [`burst/b${i}`, { i }] as const))
      expectOwn(text, [own])
    },
    LONG,
  )

  it(
    'in mid-push and in mid-pull sends and receives the rest afterwards, once',
    async () => {
      const fleet = await launch(2)
      const [writer, reader] = fleet.devices as [DeviceProcess, DeviceProcess]
      const own: Own = new Map()
      for (let i = 0; i < 60; i++) {
        const writes = Array.from({ length: 100 }, (_, j) => {
          const key = `r${i}-${j}`
          own.set(`big/${key}`, { text: `${i} ${j}`.padEnd(300, '.') })
          return { collection: 'big', key, fields: own.get(`big/${key}`) }
        })
        await writer.call('transaction', { writes })
      }
      await writer.call('watchProgress')
      const pushing = writer.event((e) => e.direction === 'push' && Number(e.done) > 0)
      writer.sync().catch(() => undefined)
      await pushing
      await writer.kill()
      const again = await reopen(fleet, 0)
      expect((await again.status()).pending).toBeGreaterThan(0)
      await again.sync()
      await reader.call('watchProgress')
      const pulling = reader.event((e) => e.direction === 'pull' && Number(e.done) > 0)
      reader.sync().catch(() => undefined)
      await pulling
      await reader.kill()
      await reopen(fleet, 1)
      expectOwn(await converge(fleet), [own])
    },
    LONG,
  )
})

describe('a remote that is killed', () => {
  it(
    'in mid-push comes back with all it had acknowledged, and gets the rest',
    async () => {
      const fleet = await launch(2)
      const [writer] = fleet.devices as [DeviceProcess, DeviceProcess]
      const own: Own = new Map()
      for (let i = 0; i < 60; i++) {
        const writes = Array.from({ length: 100 }, (_, j) => {
          const key = `r${i}-${j}`
          own.set(`big/${key}`, { text: `${i} ${j}`.padEnd(300, '.') })
          return { collection: 'big', key, fields: own.get(`big/${key}`) }
        })
        await writer.call('transaction', { writes })
      }
      await writer.call('watchProgress')
      const pushing = writer.event((e) => e.direction === 'push' && Number(e.done) > 0)
      const pushed = writer.sync().then(
        () => 'all',
        (error: { code: string }) => error.code,
      )
      await pushing
      await fleet.remote.child.kill('SIGKILL')
      expect(['network', 'all']).toContain(await pushed)
      await writer.put('meanwhile', { text: 'written while the remote was away' })
      own.set('notes/meanwhile', { text: 'written while the remote was away' })
      fleet.remote = await startRemote(join(fleet.root, 'remote'), fleet.remote.port)
      expectOwn(await converge(fleet), [own])
      // A device that comes now finds all of it there.
      const late = new DeviceProcess(join(fleet.root, 'late'))
      await late.restore(fleet.remote.url, fleet.recoveryPhrase)
      fleet.devices.push(late)
      expectOwn(await converge(fleet), [own])
    },
    LONG,
  )

  it(
    'while devices are live: they come back by themselves',
    async () => {
      const fleet = await launch(2)
      const [first, second] = fleet.devices as [DeviceProcess, DeviceProcess]
      for (const device of fleet.devices) await device.call('start')
      const seen = second.call('until', { collection: 'notes', key: 'a', fields: { v: 1 } })
      await first.put('a', { v: 1 })
      await seen
      await fleet.remote.child.kill('SIGKILL')
      await first.put('a', { v: 2 })
      fleet.remote = await startRemote(join(fleet.root, 'remote'), fleet.remote.port)
      await second.call('until', { collection: 'notes', key: 'a', fields: { v: 2 } })
      for (const device of fleet.devices) await device.call('stop')
      await converge(fleet)
    },
    LONG,
  )
})

describe('values of every kind', () => {
  it(
    'come through every hop as they are',
    async () => {
      const fleet = await launch(2)
      const [writer] = fleet.devices as [DeviceProcess, DeviceProcess]
      const fields = JSON.parse(
        '{"zero":0,"empty":"","no":false,"none":null,"list":[],"map":{},"__proto__":{"x":1},' +
          '"constructor":"c","nested":[[0,""],{"false":false}],"жарко":"今日は","👩‍👩‍👧":"אבג"}',
      )
      await writer.put('__proto__', fields)
      await writer.put('falsy', { value: 0 })
      const text = await converge(fleet)
      expect(text).toContain(JSON.stringify(['notes', '__proto__', fields]))
      expect(text).toContain('["notes","falsy",{"value":0}]')
    },
    LONG,
  )
})
