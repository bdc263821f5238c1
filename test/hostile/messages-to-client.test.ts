/**
 * Whatever a remote may answer that is not what the protocol says: every answer and every live
 * frame, wrong in every way that `spoiling.ts` knows, refusals of every code and of wrong forms.
 * The device keeps all it had, says one documented code with a remedy, asks a bounded number of
 * times, and is in step again once the remote is honest.
 *
 * Threats: 21, 36, 40, 44, 46, 50.
 */
import type { Vault } from '@blindcopy/client'
import {
  ChangesFrame,
  concat,
  encodeCbor,
  encodeFrame,
  HEADER_TIME,
  LiveFrame,
  STATUS_BY_CODE,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { createHttpTransport } from '../../packages/client/src/transport/http-transport.ts'
import { type Chance, chanceOf } from '../simulation/chance.ts'
import { behaveHonestly, exchange, type Frame, get, readChanges, turnUntil } from './adversary.ts'
import {
  ANSWERS,
  type Case,
  cborOf,
  diskOf,
  type Lie,
  messageOf,
  problemOf,
  type Schema,
  type Stage,
  setStage,
  spoilRoute,
} from './spoiled-remote.ts'
import { encodeLoose, isWellFormed, type Spoiling, spoilingsOf } from './spoiling.ts'

const SEED = 902
/** One exchange that heals asks fifteen times; a session may be begun anew a few times. */
const REQUESTS_MAX = 80
/** Of an answer, at the engine; the transport gets all. */
const SAMPLES = 50

const some = <T>(items: readonly T[], count: number, chance: Chance): T[] =>
  Array.from({ length: count }, () => chance.pick(items))

async function expectKept(vault: Vault, what: string): Promise<void> {
  expect(await get(vault, 'held'), what).toEqual({ text: 'held' })
  expect(await get(vault, 'brought'), what).toEqual({ text: 'back' })
  expect(await get(vault, 'mine'), what).toEqual({ text: 'mine' })
}

async function expectInStep({ device, vault }: Case, what: string): Promise<void> {
  behaveHonestly(device)
  expect(await exchange(vault), what).toBeUndefined()
  expect(vault.sync.status, what).toMatchObject({ pending: 0, attention: 0, problem: null })
  expect(await get(vault, 'shared'), what).toEqual({ text: 'after' })
  expect(await get(vault, 'theirs'), what).toEqual({ text: 'theirs' })
  await expectKept(vault, what)
}

type Told = { readonly code: string | undefined; readonly isSame: boolean; readonly count: number }

/** One exchange with a remote that lies on one route. */
async function tell(stage: Stage, route: string, { what, lie }: { what: string; lie: Lie }) {
  const one = await stage.begin()
  const lies = spoilRoute(one, route, lie)
  const code = await exchange(one.vault)
  const after = await diskOf(one.device.disk)
  const place = `${route}, ${what}`
  if (code !== undefined) {
    const { problem } = one.vault.sync.status
    expect(problem?.code, place).toBe(code)
    expect(problem?.remedy, place).toMatch(/\w{3}/)
  }
  expect(lies.count, place).toBeGreaterThan(0)
  expect(one.asked.length, place).toBeLessThan(REQUESTS_MAX)
  expect(stage.world.faults, place).toEqual([])
  await expectKept(one.vault, place)
  const isSame = equalMaps(lies.before ?? new Map(), after)
  const told: Told = { code, isSame, count: lies.count }
  return { one, told, place }
}

const equalMaps = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean =>
  a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)

const spoiledLie =
  ({ spoil }: Spoiling): Lie =>
  async (response) =>
    response.ok ? cborOf(spoil(await messageOf(response))) : response

/** What the remote would answer on a route in this stage. */
async function honestAnswer(stage: Stage, route: string): Promise<unknown> {
  const one = await stage.begin()
  let message: unknown
  spoilRoute(one, route, async (response) => {
    if (response.ok) message ??= await messageOf(response.clone() as Response)
    return response
  })
  expect(await exchange(one.vault)).toBeUndefined()
  return message
}

describe('a spoiled answer', () => {
  const routes = Object.entries(ANSWERS)

  it.each(routes)('is refused by the transport, in every way: %s', async (route, schema) => {
    const message = await honestAnswer(await setStage(SEED), route)
    const spoilings = spoilingsOf(message, chanceOf(SEED, route))
    let refused = 0
    for (const spoiling of spoilings) {
      const body = spoiling.spoil(message)
      const code = await askTransport(route, body)
      const what = `${route}, ${spoiling.what}`
      if (isWellFormed(schema as Schema, body)) {
        expect([undefined, 'not-a-remote'], what).toContain(code)
      } else {
        expect(['malformed', 'not-a-remote'], what).toContain(code)
        refused++
      }
    }
    expect(refused).toBeGreaterThan(spoilings.length * 0.5)
    expect(await askTransport(route, encodeCbor(message))).toBeUndefined()
  })

  it.each(routes)('harms no device: %s', async (route, schema) => {
    const stage = await setStage(SEED)
    const chance = chanceOf(SEED, `engine ${route}`)
    const all = spoilingsOf(await honestAnswer(stage, route), chance)
    for (const spoiling of some(all, SAMPLES, chance)) {
      let isGood = true
      const lie: Lie = async (response) => {
        const spoiled = await spoiledLie(spoiling)(response, new Request('http://x.test'))
        const body = new Uint8Array(await (spoiled.clone() as Response).arrayBuffer())
        isGood &&= isWellFormed(schema as Schema, body)
        return spoiled
      }
      const { one, told, place } = await tell(stage, route, { what: spoiling.what, lie })
      if (!isGood) {
        expect(['malformed', 'not-a-remote'], place).toContain(told.code)
        expect([told.isSame, told.count], place).toEqual([true, 1])
        await expectInStep(one, place)
      }
      await one.vault.close()
    }
  })
})

/** The code that the transport refuses an answer with. */
async function askTransport(route: string, body: Uint8Array): Promise<string | undefined> {
  let requests = 0
  const transport = createHttpTransport('http://remote.test', {
    fetch: async () => (requests++ < 5 ? cborOf(body) : cborOf(encodeCbor({ entries: [] }))),
    openSocket: () => {
      throw new Error('not asked for')
    },
    setTimer: () => () => undefined,
  })
  const bytes = (size: number) => new Uint8Array(size) as never
  const data = { token: 't', syncId: bytes(16), position: { seq: 0, chain: bytes(32) } }
  const ids = [bytes(16), bytes(16)]
  const calls: Record<string, () => Promise<unknown>> = {
    '/v1/capabilities': () => transport.capabilities(),
    '/v1/challenge': () => transport.challenge(bytes(32)),
    '/v1/session': () => transport.session({} as never),
    '/v1/vaults': () => transport.create({} as never),
    '/v1/keychain': () => transport.keychain('t', 0),
    '/v1/reconcile': () => transport.reconcile(data, {} as never),
    '/v1/records': () => transport.records(data, ids),
    '/v1/push': () => transport.push(data, []),
  }
  const error = await calls[route]?.().then(
    () => undefined,
    (cause: { code?: string }) => cause,
  )
  expect(error === undefined || typeof error.code === 'string', `${route}: ${error}`).toBe(true)
  expect(requests).toBeLessThan(8)
  return error?.code
}

describe('a spoiled page of changes', () => {
  it('harms no device', async () => {
    const stage = await setStage(SEED, { isPutBack: false })
    const chance = chanceOf(SEED, 'changes')
    const pages: (readonly Frame[])[] = []
    const one = await stage.begin()
    spoilRoute(one, '/v1/changes', async (response) => {
      pages.push(await readChanges(response.clone() as Response))
      return response
    })
    expect(await exchange(one.vault)).toBeUndefined()
    const [frames = []] = pages
    expect(new Set(frames.map(([kind]) => kind))).toEqual(new Set([0, 1, 2]))
    for (let i = 0; i < frames.length; i++) {
      for (const spoiling of some(spoilingsOf(frames[i], chance), 60, chance)) {
        await tellPage(stage, i, spoiling)
      }
    }
  })

  async function tellPage(stage: Stage, index: number, { what, spoil }: Spoiling) {
    let isGood = true
    const lie: Lie = async (response) => {
      if (!response.ok) return response
      const items = (await readChanges(response)).map((frame, i) => {
        const item = i === index ? spoil(frame) : encodeLoose(frame)
        isGood &&= isWellFormed(ChangesFrame, item)
        return encodeFrame(item)
      })
      return cborOf(concat(...items))
    }
    const { one, told, place } = await tell(stage, '/v1/changes', { what, lie })
    if (!isGood) {
      expect(['malformed', 'not-a-remote'], place).toContain(told.code)
      await expectInStep(one, place)
    }
    await one.vault.close()
  }
})

describe('a refusal', () => {
  const routes = [...Object.keys(ANSWERS), '/v1/changes']
  const details = {
    syncId: 5,
    retryAfterSeconds: 'soon',
    retryAfterMs: -1,
    remoteMs: 'never',
    transactionMs: null,
    newestEpoch: {},
    length: [1],
    head: 'x',
  }

  it.each(routes)(
    'of any code, with details of wrong types, harms no device: %s',
    async (route) => {
      const stage = await setStage(SEED)
      for (const [code, status] of Object.entries(STATUS_BY_CODE)) {
        const problem = { type: 't', title: 't', status, code, detail: 'd', ...details }
        const lie: Lie = () => problemOf(problem, status)
        const { one, told } = await tell(stage, route, { what: code, lie })
        expect(told.code, `${route}, ${code}`).toBeDefined()
        // The last answer was a lie too: a person who starts sync again finds an honest remote.
        await expectInStep(one, `${route}, ${code}`)
        await one.vault.close()
      }
    },
  )

  it('of another form is that of no remote', async () => {
    const stage = await setStage(SEED)
    const good = { type: 't', title: 't', status: 409, code: 'busy', detail: 'd' }
    const bad: unknown[] = ['', '{', 'null', '[]', '"busy"', '\ud800', '['.repeat(50_000)]
    for (const name of Object.keys(good)) {
      for (const junk of [undefined, null, {}, [], true, name === 'status' ? '409' : 409]) {
        bad.push({ ...good, [name]: junk })
      }
    }
    for (const code of ['', 'Busy', 'nobody-knows', '__proto__', 'constructor', 'toString']) {
      bad.push({ ...good, code })
    }
    for (const problem of bad) {
      const route = '/v1/session'
      const what = JSON.stringify(problem).slice(0, 80)
      const { one, told } = await tell(stage, route, { what, lie: () => problemOf(problem, 409) })
      expect([told.code, told.isSame, told.count], what).toEqual(['not-a-remote', true, 1])
      await expectInStep(one, what)
      await one.vault.close()
    }
  })
})

describe('a header of an answer', () => {
  it('with a time that is none, or none that can be, changes no version', async () => {
    const stage = await setStage(SEED)
    const none = ['', 'x', '-1', '0', '1.5', '1e12', '1e400', '0x10', `${2 ** 53}`, 'Infinity']
    for (const time of [...none, '1', `${2 ** 53 - 1}`]) {
      const lie: Lie = (response) => {
        response.headers.set(HEADER_TIME, time)
        return response
      }
      const { one } = await tell(stage, '/v1/session', { what: time, lie })
      const { problem, clock } = one.vault.sync.status
      expect([problem?.code, clock], time).toEqual([
        none.includes(time) ? undefined : 'clock-wrong',
        null,
      ])
      // The clock is looked at when a session begins.
      await one.vault.close()
      await expectInStep({ ...one, vault: await one.device.open() }, time)
    }
  })
})

describe('a spoiled live frame', () => {
  const hash = new Uint8Array(32)
  const frames: readonly unknown[] = [
    [0, 99, hash, new Uint8Array(16), [new Uint8Array(400)], new Uint8Array(32)],
    [1, 99, hash, [new Uint8Array(99)]],
    [3, 1_760_000_000_000],
    [4, 99, hash],
    [5, 'busy', 'later', { retryAfterSeconds: 1, why: 'x' }],
  ]

  it('ends the socket with one code, stores nothing, and another is opened', async () => {
    const stage = await setStage(SEED)
    const { device, vault, asked } = await stage.begin()
    let deliver: (frame: Uint8Array) => void = () => undefined
    device.network.onFrame = (frame, pass) => {
      deliver = pass
      pass(frame)
    }
    vault.sync.start()
    const chance = chanceOf(SEED, 'live')
    for (const frame of frames) {
      for (const spoiling of some(spoilingsOf(frame, chance), 40, chance)) {
        const body = spoiling.spoil(frame)
        if (isWellFormed(LiveFrame, body)) continue
        await turnUntil(() => vault.sync.status.phase === 'live')
        const before = await diskOf(device.disk)
        const count = asked.length
        deliver(body)
        await turnUntil(() => vault.sync.status.phase === 'backing-off')
        expect(vault.sync.status.problem?.code, spoiling.what).toBe('malformed')
        expect(equalMaps(before, await diskOf(device.disk)), spoiling.what).toBe(true)
        expect(asked.length, spoiling.what).toBe(count)
        device.fireTimers()
      }
    }
    await turnUntil(() => vault.sync.status.phase === 'live')
    await expectKept(vault, 'at the end')
    await vault.close()
  })
})
