/**
 * A remote that lies for ever, and in good form: how often it is asked in a minute of the clock,
 * and what becomes of a device to which it tells what belongs to another vault.
 *
 * Threats: 28, 40, 44, 46, 50. Lessons: A3, A15.
 */
import {
  ChangesFrame,
  concat,
  encodeCbor,
  encodeFrame,
  encodeMessage,
  STATUS_BY_CODE,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { turn } from '../simulation/world.ts'
import { behaveHonestly, exchange, get } from './adversary.ts'
import {
  ANSWERS,
  type Case,
  cborOf,
  type Lie,
  messageOf,
  problemOf,
  reopen,
  type Stage,
  setStage,
  spoilRoute,
  VirtualTimers,
} from './spoiled-remote.ts'

const SEED = 903
const ROUTES = [...Object.keys(ANSWERS), '/v1/changes']
const MINUTE_MS = 60_000
/** Pauses of up to a second, two, four …, and fifteen requests each time. */
const REQUESTS_A_MINUTE_MAX = 150

async function expectKept({ vault }: Pick<Case, 'vault'>, what: string): Promise<void> {
  expect(await get(vault, 'held'), what).toEqual({ text: 'held' })
  expect(await get(vault, 'brought'), what).toEqual({ text: 'back' })
  expect(await get(vault, 'mine'), what).toEqual({ text: 'mine' })
}

/** How often it asks in each of three minutes. */
async function countRequests(
  stage: Stage,
  { route, what, lie }: { route: string; what: string; lie: Lie },
): Promise<number[]> {
  const one = await stage.begin()
  const timers = new VirtualTimers(stage.world.clock)
  const vault = await reopen(one, timers)
  const lies = spoilRoute(one, route, lie)
  const rest = async (): Promise<void> => {
    for (let calm = 0, last = one.asked.length; calm < 30; calm++) {
      await turn()
      if (one.asked.length !== last) calm = 0
      last = one.asked.length
      if (last > 1_000) throw new Error(`${route}, ${what}: it asks and asks`)
    }
  }
  vault.sync.start()
  const counts: number[] = []
  for (let minute = 0; minute < 3; minute++) {
    const before = one.asked.length
    await timers.pass(MINUTE_MS, rest)
    counts.push(one.asked.length - before)
  }
  expect(lies.count, `${route}, ${what}`).toBeGreaterThan(0)
  await expectKept({ vault }, `${route}, ${what}`)
  await vault.close()
  return counts
}

async function expectFew(stage: Stage, route: string, lies: Record<string, Lie>): Promise<void> {
  for (const [what, lie] of Object.entries(lies)) {
    for (const count of await countRequests(stage, { route, what, lie })) {
      expect(count, `${route}, ${what}`).toBeLessThan(REQUESTS_A_MINUTE_MAX)
    }
  }
  expect(stage.world.faults).toEqual([])
}

function refusalOf(code: keyof typeof STATUS_BY_CODE, headers: object = {}): Response {
  const status = STATUS_BY_CODE[code]
  return problemOf({ type: 't', title: 't', status, code, detail: 'd' }, status, headers)
}

/** The honest answer with some of it changed. */
const changed =
  (change: (message: Record<string, unknown>) => Record<string, unknown>): Lie =>
  async (response) => {
    if (!response.ok) return response
    return cborOf(encodeCbor(change((await messageOf(response)) as Record<string, unknown>)))
  }

const always = (message: unknown): Lie => changed(() => message as Record<string, unknown>)

describe('a refusal for ever', () => {
  const lies: Record<string, Lie> = {
    garbage: () => cborOf(Uint8Array.of(0xff)),
    'an ended session': () => refusalOf('session-required'),
    'another SyncId': () => refusalOf('sync-id-mismatch'),
    'no such vault': () => refusalOf('unknown-vault'),
    'not a member': () => refusalOf('not-a-member'),
    'a race': () => refusalOf('keychain-race'),
    'a wrong challenge': () => refusalOf('challenge-failed'),
    busy: () => refusalOf('busy', { 'retry-after': '0' }),
    'busy, for less than no time': () => refusalOf('busy', { 'retry-after': '-1' }),
    'busy, for ever': () => refusalOf('busy', { 'retry-after': 'Infinity' }),
    'busy, until a date': () =>
      refusalOf('busy', { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' }),
  }

  it.each(ROUTES)('is not asked for in a loop: %s', async (route) => {
    await expectFew(await setStage(SEED), route, lies)
  })
})

describe('a lie of good form for ever', () => {
  const hash = new Uint8Array(32).fill(3)
  const far = 2 ** 53 - 1
  const end = (frame: unknown): Uint8Array =>
    encodeFrame(encodeMessage(ChangesFrame, frame as ChangesFrame))
  const page =
    (...frames: unknown[]): Lie =>
    (response) =>
      response.ok ? cborOf(concat(...frames.map(end))) : response
  let drawn = 0
  const another = (size: number): Uint8Array => new Uint8Array(size).fill(++drawn)
  const verdicts = (verdict: object): Lie =>
    changed(({ verdicts }) => ({ verdicts: (verdicts as unknown[]).map(() => verdict) }))
  const limits = (size: number): Lie =>
    changed((message) => ({
      ...message,
      limits: Object.fromEntries(Object.keys(message.limits as object).map((key) => [key, size])),
    }))
  const byRoute: Record<string, Record<string, Lie>> = {
    '/v1/capabilities': { 'no room at all': limits(0), 'all room there is': limits(far) },
    '/v1/challenge': { 'one that is over': changed((message) => ({ ...message, expiresMs: 0 })) },
    '/v1/session': {
      'another SyncId each time': changed((message) => ({ ...message, syncId: another(16) })),
      'a head far away': changed((message) => ({ ...message, head: [far, hash] })),
      'a head before all': changed((message) => ({ ...message, head: [0, hash] })),
      'a session that is over': changed((message) => ({ ...message, expiresMs: 0 })),
      'a token that is none': changed((message) => ({ ...message, token: '' })),
      'a token that no header takes': changed((message) => ({ ...message, token: 'a\nb: ü' })),
      'a keychain far longer': changed((message) => ({ ...message, keychainLength: far })),
    },
    '/v1/vaults': {
      'another SyncId each time': changed((message) => ({ ...message, syncId: another(16) })),
      'entries that are none': changed((message) => ({ ...message, entries: [hash] })),
    },
    '/v1/keychain': {
      'one entry after the other': () => cborOf(encodeCbor({ entries: [new Uint8Array(200)] })),
      'entries without bytes': () => cborOf(encodeCbor({ entries: [new Uint8Array(0)] })),
    },
    '/v1/reconcile': {
      'another set each time': changed((message) => ({ ...message, fingerprint: another(16) })),
      'another count each time': changed((message) => ({ ...message, count: ++drawn })),
      'nothing said': changed((message) => ({ ...message, answers: new Uint8Array(0) })),
      'a head far away': changed((message) => ({ ...message, head: [far, hash] })),
    },
    '/v1/records': {
      'no record': always({ envelopes: [null] }),
      'an envelope of nobody': always({ envelopes: [new Uint8Array(400)] }),
      'an envelope too short': always({ envelopes: [new Uint8Array(10)] }),
    },
    '/v1/push': {
      'a conflict': verdicts({ type: 'conflict', current: [] }),
      'a conflict with no op': verdicts({ type: 'conflict', current: [[far, null]] }),
      'taken, far away': verdicts({ type: 'applied', seq: far, chain: hash, stale: [] }),
      'taken, before all': verdicts({ type: 'applied', seq: 0, chain: hash, stale: [] }),
      'an op that is none is stale': verdicts({
        type: 'applied',
        seq: 9,
        chain: hash,
        stale: [[far, new Uint8Array(16).fill(255)]],
      }),
      'a wrong clock': verdicts({ type: 'refused', code: 'clock-drift', message: '', details: {} }),
      'an old epoch': verdicts({ type: 'refused', code: 'epoch-old', message: '', details: {} }),
      'a code of nobody': verdicts({
        type: 'refused',
        code: '__proto__',
        message: '',
        details: {},
      }),
    },
    '/v1/changes': {
      'the end, far away': page([2, far, hash, 0, another(16)]),
      'the end, before all': page([2, 0, hash, 0, another(16)]),
      'no end': page(),
      'an entry that does not follow': page([1, 1, hash, []], [2, far, hash, 0, another(16)]),
    },
  }

  it.each(Object.entries(byRoute))('is not asked for in a loop: %s', async (route, lies) => {
    await expectFew(await setStage(SEED), route, lies)
  })
})

describe('a write that is taken and answered as refused', () => {
  it.each(['clock-drift', 'epoch-old', 'too-large', 'wrong-author', 'internal'])(
    'stays readable, and arrives once the remote is honest: %s',
    async (code) => {
      // Again and again: whether a new timestamp is above the old one is drawn.
      for (let seed = SEED; seed < SEED + 6; seed++) {
        const one = await (await setStage(seed, { isPutBack: false })).begin()
        const verdict = { type: 'refused', code, message: '', details: {} }
        const lie = changed(({ verdicts }) => ({
          verdicts: (verdicts as unknown[]).map(() => verdict),
        }))
        let count = 0
        spoilRoute(one, '/v1/push', (...answer) => (count++ === 0 ? lie(...answer) : answer[0]))
        await exchange(one.vault)
        await expectKept(one, code)
        behaveHonestly(one.device)
        expect(await exchange(one.vault), code).toBeUndefined()
        await expectKept(one, code)
        expect(one.vault.sync.status.pending, code).toBe(0)
        await one.vault.close()
      }
    },
  )
})

describe('an answer that belongs to another vault', () => {
  /** What a device of another vault was answered. */
  async function answersOf(stage: Stage, route: string): Promise<Uint8Array[]> {
    const one = await stage.begin()
    const bodies: Uint8Array[] = []
    spoilRoute(one, route, async (response) => {
      const body = new Uint8Array(await (response.clone() as Response).arrayBuffer())
      if (response.ok) bodies.push(body)
      return response
    })
    expect(await exchange(one.vault)).toBeUndefined()
    await one.vault.close()
    return bodies
  }

  it.each(ROUTES)('harms no device: %s', async (route) => {
    for (const isPutBack of route === '/v1/changes' ? [true, false] : [true]) {
      const theirs = await setStage(SEED + 1, { isPutBack })
      const bodies = await answersOf(theirs, route)
      expect(bodies.length).toBeGreaterThan(0)
      const ours = await setStage(SEED, { isPutBack })
      for (const body of bodies) {
        const one = await ours.begin()
        const lie: Lie = (response) => (response.ok ? cborOf(body) : response)
        const { count } = spoilRoute(one, route, lie)
        expect(count).toBe(0)
        const code = await exchange(one.vault)
        // Of these, what another vault is told does not differ, or says nothing that is believed.
        const isPlain = ['/v1/capabilities', '/v1/vaults', '/v1/keychain', '/v1/push'].includes(
          route,
        )
        if (!isPlain) expect(code, route).toBeDefined()
        await expectKept(one, route)
        behaveHonestly(one.device)
        expect(await exchange(one.vault), `${route} after ${code}`).toBeUndefined()
        expect(await get(one.vault, 'theirs'), route).toEqual({ text: 'theirs' })
        await expectKept(one, route)
        await one.vault.close()
      }
    }
  })
})
