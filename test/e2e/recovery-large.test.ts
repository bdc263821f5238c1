/**
 * A vault of 20,000 records (SLOW=1: 100,000) whose remote is wiped, and then put back from a
 * backup that differs in 200: what passes between device and remote follows what one of them lacks,
 * and the person sees how far it is.
 *
 * Bytes are counted where they pass, at a gate before each device.
 *
 * Lessons: A12, A19, A24; C1, C3, C8.
 */
import type { SyncStatus } from '@blindcopy/client'
import { expect, it } from 'vitest'
import type { DeviceProcess } from './processes.ts'
import { Fleet, healedMsOf, LONG, persist, SLOW } from './recovery-fleet.ts'
import { type Gate, startGate } from './recovery-gate.ts'

const COUNT = SLOW ? 100_000 : 20_000
const CHANGED = 200
const MANY = { collection: 'many', prefix: 'm', text: '.'.repeat(200) } as const

const bothWays = ({ bytes }: Gate): number => bytes.sent + bytes.received

type Progress = { readonly direction: string; readonly done: number; readonly total: number }

function noteProgress(device: DeviceProcess): Progress[] {
  const noted: Progress[] = []
  device.onEvent((event) => {
    if (event.event === 'progress' && event.direction !== undefined) {
      noted.push(event as unknown as Progress)
    }
  })
  return noted
}

it(
  `of ${COUNT} records costs what differs, and shows how far it is`,
  async () => {
    const gates = [await startGate(), await startGate()] as const
    const [firstGate, secondGate] = gates
    const fleet = await Fleet.launch(2, { gates })
    const [first, second] = fleet.devices as [DeviceProcess, DeviceProcess]
    await first.call('fill', { ...MANY, first: 0, count: COUNT })
    await first.sync()
    secondGate.forget()
    await second.sync()
    const wholeBytes = secondGate.bytes.received
    expect(wholeBytes).toBeGreaterThan(COUNT * 300)

    // Wiped: the first brings all of it, once, and is seen to; the second has nothing to bring.
    await fleet.wipeRemote()
    const progress = noteProgress(first)
    await first.call('watchProgress')
    for (const gate of gates) gate.forget()
    await persist(first)
    expect(firstGate.bytes.sent).toBeGreaterThan(wholeBytes * 0.9)
    expect(firstGate.bytes.sent).toBeLessThan(wholeBytes * 1.2)
    expect(firstGate.bytes.received).toBeLessThan(wholeBytes / 20)
    await expectSeen(first, progress)
    await persist(second)
    expect(bothWays(secondGate)).toBeLessThan(wholeBytes / 50)

    // Put back from before a few changes: only these pass, whoever comes first.
    const backup = await fleet.backUpRemote()
    await change(first)
    await persist(first)
    await persist(second)
    const changed = await first.export()
    const before = await Promise.all(fleet.devices.map((device) => device.status()))
    await fleet.putRemoteBack(backup)
    for (const gate of gates) gate.forget()
    await persist(second)
    await persist(first)
    for (const gate of gates) expect(bothWays(gate)).toBeLessThan(wholeBytes / 20)
    for (const [i, device] of fleet.devices.entries()) {
      const status = await device.status()
      expect(status).toMatchObject({ pending: 0, problem: null })
      expect(healedMsOf(status)).toBeGreaterThan(healedMsOf(before[i] as SyncStatus))
      expect(await device.export()).toBe(changed)
    }
    const shown = await fleet.converge()
    expect(shown.size).toBe(COUNT)
  },
  SLOW ? 5 * LONG : LONG,
)

/** Some are edited, some deleted, as many are new. */
async function change(device: DeviceProcess): Promise<void> {
  const quarter = CHANGED / 4
  await device.call('fill', { ...MANY, first: COUNT, count: quarter })
  await device.call('fill', { ...MANY, text: 'edited', first: 100, count: 2 * quarter })
  const writes = Array.from({ length: quarter }, (_, i) => {
    return { collection: MANY.collection, key: `${MANY.prefix}${5_000 + i}`, fields: null }
  })
  await device.call('transaction', { writes })
}

/** A bar that moves from near nothing to the end, and does not run backwards. */
async function expectSeen(device: DeviceProcess, progress: readonly Progress[]): Promise<void> {
  // Answered after every event before it has been said.
  await device.status()
  const healing = progress.filter(({ direction }) => direction === 'reconcile')
  const done = healing.map((each) => each.done)
  expect(done.length).toBeGreaterThan(5)
  expect(done).toEqual([...done].sort((a, b) => a - b))
  expect(done[0]).toBeLessThan(COUNT / 2)
  expect(done[done.length - 1]).toBeGreaterThanOrEqual(COUNT)
  for (const each of healing) expect(each.total).toBeGreaterThanOrEqual(each.done)
}
