/**
 * A healing that is interrupted: at the k-th request the device is killed, or the remote, before
 * the request arrives or after it was answered, and then goes on. Nothing is lost, both ends end
 * with the same set, and nobody is told in between that all is in step.
 *
 * Which moments are tried is drawn from SEED; SLOW=1 tries every one.
 *
 * Lessons: A5, A11, A12, A15, A19; C1, C3.
 */
import type { SyncStatus } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { chanceOf } from '../simulation/chance.ts'
import type { CallError, DeviceProcess } from './processes.ts'
import { Fleet, healedMsOf, LONG, persist, SEED, SLOW } from './recovery-fleet.ts'
import { free, type Gate, type Moment, startGate } from './recovery-gate.ts'

const text = (words: string): object => ({ text: words })
/** A healing with a request for every kind of step takes fewer. */
const REQUESTS_MAX = 40
const TRIES = SLOW ? REQUESTS_MAX * 2 : 2

type Interruption = { readonly number: number; readonly moment: Moment }

/** What the remote loses, again and again. */
type Loss = {
  readonly name: string
  /** `backup`: of the remote as it was when the devices had just met. */
  lose(fleet: Fleet, backup: string): Promise<void>
}

const LOSSES: readonly Loss[] = [
  { name: 'a wiped remote', lose: (fleet) => fleet.wipeRemote() },
  {
    name: 'a remote put back from a backup, to which another has written since',
    async lose(fleet, backup) {
      const [healing, other] = fleet.devices as [DeviceProcess, DeviceProcess]
      await healing.put('both', text('newer here'))
      await healing.put('gone', text('to be deleted'))
      await persist(healing)
      await healing.call('delete', { collection: 'notes', key: 'gone' })
      await persist(healing)
      await fleet.putRemoteBack(backup)
      await other.put('both', text('written to the old state, and so the newest'))
      await persist(other)
    },
  },
]

/** The first request of a healing: what comes before is of a session that ended with the remote. */
const FIRST_ROUTE = 'GET /v1/capabilities'

/** Ends `victim` at that moment of the healing that comes, and whatever is asked afterwards. */
function interruptAt(
  gate: Gate,
  { number, moment }: Interruption,
  victim: () => Promise<void>,
): { isReached: () => boolean } {
  let isReached = false
  gate.forget()
  gate.toll = async (passing) => {
    if (isReached) return 'cut'
    const before = gate.routes.indexOf(FIRST_ROUTE)
    const isThere = before >= 0 && passing.number - before === number
    if (!isThere || passing.moment !== moment) return 'pass'
    isReached = true
    await victim()
    return 'cut'
  }
  return { isReached: () => isReached }
}

/** Syncs once, and once more where the session had ended with the remote. Resolves to a code. */
async function codeOfSync(device: DeviceProcess): Promise<string | null> {
  for (let attempt = 0; ; attempt++) {
    const code = await device.sync().then(
      () => 'no error',
      (error: CallError) => error.code,
    )
    if (code !== 'session-required' || attempt > 0) return code
  }
}

/** All of them, or some, in an order drawn from the seed. */
function draw(all: readonly Interruption[], name: string): readonly Interruption[] {
  const chance = chanceOf(SEED, name)
  const left = [...all]
  const drawn: Interruption[] = []
  while (left.length > 0 && drawn.length < TRIES) {
    drawn.push(...left.splice(chance.below(left.length), 1))
  }
  return drawn
}

/** What the device says of itself until it ends: no moment of it may claim that all is done. */
function noteStatuses(device: DeviceProcess): SyncStatus[] {
  const statuses: SyncStatus[] = []
  device.onEvent((event) => {
    if (event.event === 'status') statuses.push(event.status as SyncStatus)
  })
  return statuses
}

async function launch(): Promise<{ fleet: Fleet; gate: Gate; backup: string }> {
  const gate = await startGate()
  const fleet = await Fleet.launch(2, { gates: [gate] })
  const [healing, other] = fleet.devices as [DeviceProcess, DeviceProcess]
  const fields = { collection: 'many', prefix: 'm', first: 0, count: 300, text: '.'.repeat(200) }
  await healing.call('fill', fields)
  await healing.put('both', text('first'))
  for (const device of [healing, other, healing]) await persist(device)
  return { fleet, gate, backup: await fleet.backUpRemote() }
}

/** How many requests a healing takes that nothing interrupts: any but the first, which has more. */
async function countRequests(gate: Gate, fleet: Fleet, lose: () => Promise<void>): Promise<number> {
  for (let round = 0; round < 2; round++) {
    await lose()
    gate.forget()
    await persist(fleet.device(0))
    await persist(fleet.device(1))
  }
  const { length } = gate.routes.slice(gate.routes.indexOf(FIRST_ROUTE))
  expect(length).toBeGreaterThan(5)
  expect(length).toBeLessThan(REQUESTS_MAX)
  return length
}

const momentsOf = (count: number): readonly Interruption[] =>
  Array.from({ length: count }, (_, i) => i + 1).flatMap((number) =>
    (['asked', 'answered'] as const).map((moment) => ({ number, moment })),
  )

/** Who is killed, what the sync under way then ends with, and how it goes on. */
type Victim = {
  readonly name: string
  readonly code: string
  end(fleet: Fleet): Promise<void>
  revive(fleet: Fleet): Promise<DeviceProcess>
}

const VICTIMS: readonly Victim[] = [
  {
    name: 'device',
    code: 'killed',
    end: (fleet) => fleet.device(0).kill(),
    revive: (fleet) => fleet.reopen(0),
  },
  {
    name: 'remote',
    code: 'network',
    end: (fleet) => fleet.stopRemote(),
    async revive(fleet) {
      await fleet.startRemote()
      return fleet.device(0)
    },
  },
]

for (const loss of LOSSES) {
  describe(`the healing of ${loss.name}`, () => {
    for (const victim of VICTIMS) {
      it(
        `goes on wherever the ${victim.name} was killed (SEED=${SEED})`,
        async () => {
          const { fleet, gate, backup } = await launch()
          const lose = (): Promise<void> => loss.lose(fleet, backup)
          const count = await countRequests(gate, fleet, lose)
          const moments = draw(momentsOf(count), `${victim.name} ${loss.name}`)
          let reachedCount = 0
          for (const at of moments) {
            await lose()
            if (await interruptOne(fleet, gate, { at, victim })) reachedCount++
          }
          // A healing may take a request or two less than the one that was counted.
          expect(reachedCount).toBeGreaterThan(moments.length / 2)
          const shown = await fleet.converge()
          expect(shown.has('notes/gone')).toBe(false)
          const many = [...shown.keys()].filter((place) => place.startsWith('many/'))
          expect(many).toHaveLength(300)
        },
        SLOW ? 10 * LONG : LONG,
      )
    }
  })
}

/** One healing, cut and gone on with. Returns whether it came as far as where it was to be cut. */
async function interruptOne(
  fleet: Fleet,
  gate: Gate,
  { at, victim }: { at: Interruption; victim: Victim },
): Promise<boolean> {
  const where = `pending-${at.number}-${at.moment}`
  const device = fleet.device(0)
  if (hasPending(at)) await device.put(where, text(where))
  const before = await device.status()
  const lostMs = Date.now()
  const statuses = noteStatuses(device)
  await device.call('watchStatus')
  const { isReached } = interruptAt(gate, at, () => victim.end(fleet))
  const code = await codeOfSync(device)
  gate.toll = free
  expect(code, where).toBe(isReached() ? victim.code : 'no error')
  if (isReached()) {
    expectNoClaim(statuses, lostMs, where)
    const revived = await victim.revive(fleet)
    expectNoClaim([await revived.status()], lostMs, where)
    await persist(revived)
  }
  const healed = await fleet.device(0).status()
  expect(healed, where).toMatchObject({ pending: 0, problem: null })
  expect(healedMsOf(healed), where).toBeGreaterThan(healedMsOf(before))
  await expectOneSet(fleet, hasPending(at) ? [where] : [])
  return isReached()
}

it.skipIf(!SLOW)(
  'a healing during which the device is killed again and again, each time later, comes to its end',
  async () => {
    const { fleet, gate } = await launch()
    await fleet.wipeRemote()
    const lostMs = Date.now()
    let killCount = 0
    for (let code: string | null = 'killed'; code === 'killed'; killCount++) {
      const at = {
        number: killCount + 1,
        moment: killCount % 2 === 0 ? 'asked' : 'answered',
      } as const
      const device = fleet.device(0)
      interruptAt(gate, at, () => device.kill())
      code = await codeOfSync(device)
      gate.toll = free
      if (code !== 'killed') expect(code).toBe('no error')
      else expectNoClaim([await (await fleet.reopen(0)).status()], lostMs, `kill ${killCount}`)
    }
    expect(killCount).toBeGreaterThan(5)
    await expectOneSet(fleet, [])
    expect((await fleet.converge()).size).toBe(301)
  },
  LONG,
)

/** Nobody who reads one of these, after the loss, may believe that all is exchanged. */
function expectNoClaim(statuses: readonly SyncStatus[], lostMs: number, where: string): void {
  expect(statuses.length, where).toBeGreaterThan(0)
  for (const { phase, pending, lastSyncedMs } of statuses) {
    expect(phase, where).not.toBe('live')
    // The head may have been reached before what waits was sent.
    expect((lastSyncedMs ?? 0) >= lostMs && pending === 0, where).toBe(false)
  }
}

/** Without a write that waits, reaching the head alone would be a claim that all is done. */
const hasPending = ({ number }: Interruption): boolean => number % 2 === 0

/** The other device, which nothing interrupts, meets the remote that was healed. */
async function expectOneSet(fleet: Fleet, keys: readonly string[]): Promise<void> {
  const [healed, other] = fleet.devices as [DeviceProcess, DeviceProcess]
  await persist(other)
  await persist(healed)
  const exported = await other.export()
  expect(await healed.export()).toBe(exported)
  for (const key of keys) expect(exported).toContain(key)
  for (const device of fleet.devices) {
    expect(await device.status()).toMatchObject({ pending: 0, problem: null })
  }
}
