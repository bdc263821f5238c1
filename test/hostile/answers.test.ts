/**
 * Whatever may answer in place of a remote: portals, proxies, broken and endless answers, streams
 * that are slow or cut anywhere, refusals that never end. Always a code, nothing lost, and once an
 * honest remote answers again everything is exchanged.
 *
 * Threats: 21, 36, 40. Lessons: A2, A3, A6, A7, A15, A19; C3.
 */
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { createVaultOn, nodePlatform } from '@blindcopy/client'
import { concat } from '@blindcopy/protocol'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Device, Disk, exportOf } from '../simulation/world.ts'
import {
  behaveHonestly,
  cbor,
  encodeChanges,
  exchange,
  type Frame,
  get,
  makePair,
  type Pair,
  put,
  readChanges,
  rewriteRoute,
  turnUntil,
} from './adversary.ts'

const ROUTES = ['/v1/challenge', '/v1/session', '/v1/changes', '/v1/push'] as const

/** The victim has something to send and something to fetch, and no session. */
async function makeBusy(seed: number): Promise<Pair> {
  const pair = await makePair(seed, { held: { text: 'held' } })
  await put(pair.writerVault, 'theirs', { text: 'theirs' })
  await pair.writerVault.sync.once()
  await put(pair.victimVault, 'mine', { text: 'mine' })
  await pair.victimVault.close()
  return { ...pair, victimVault: await pair.victim.open() }
}

async function expectHealed({ victim, victimVault, writerVault }: Pair): Promise<void> {
  expect(await get(victimVault, 'held')).toEqual({ text: 'held' })
  expect(await get(victimVault, 'mine')).toEqual({ text: 'mine' })
  behaveHonestly(victim)
  expect(await exchange(victimVault)).toBeUndefined()
  await writerVault.sync.once()
  expect(victimVault.sync.status).toMatchObject({ pending: 0, attention: 0, problem: null })
  expect(await get(writerVault, 'mine')).toEqual({ text: 'mine' })
  expect(await exportOf(victimVault)).toBe(await exportOf(writerVault))
  await victimVault.close()
}

const text = (body: string, type: string, status = 200): Response =>
  new Response(body, { status, headers: { 'content-type': type } })

const portal = '<!doctype html><title>Welcome to the hotel</title>'

describe('an answer that is none of ours', () => {
  const answers: Record<string, [() => Response, readonly string[]]> = {
    'a captive portal': [() => text(portal, 'text/html'), ['not-a-remote']],
    'a portal that says it is CBOR': [
      () => text(portal, 'application/cbor'),
      ['malformed', 'not-a-remote'],
    ],
    'a page that is not there': [() => text(portal, 'text/html', 404), ['not-a-remote']],
    'another API': [() => text('{"ok":true}', 'application/json'), ['not-a-remote']],
    'a refusal of another API': [
      () => text('{"title":"no"}', 'application/problem+json', 403),
      ['not-a-remote'],
    ],
    'a refusal with a code nobody knows': [() => problem('brand-new-code', 403), ['not-a-remote']],
    'a refusal that is no JSON': [
      () => text('<html>', 'application/problem+json', 403),
      ['not-a-remote', 'network'],
    ],
    'an error of a proxy': [() => text(portal, 'text/html', 502), ['network']],
    'an error of the remote': [() => problem('internal', 500), ['internal']],
    'a remote that is busy': [() => problem('busy', 503), ['busy']],
    'nothing at all': [() => text('', 'application/cbor'), ['malformed', 'network']],
    'no content': [() => new Response(null, { status: 204 }), ['not-a-remote']],
    'a redirect': [
      () => new Response(null, { status: 302, headers: { location: 'http://elsewhere.test' } }),
      ['not-a-remote', 'network'],
    ],
    'a session that has always ended': [
      () => problem('session-required', 401),
      ['session-required'],
    ],
  }
  for (const [what, [answer, codes]] of Object.entries(answers)) {
    it(`is named, on every route, and harms nothing: ${what}`, async () => {
      const pair = await makeBusy(501)
      for (const route of ROUTES) {
        behaveHonestly(pair.victim)
        rewriteRoute(pair.victim, route, async () => answer())
        const code = await exchange(pair.victimVault)
        // Once logged in, and with nothing left to fetch, a route may not be asked any more.
        if (code !== undefined) expect(codes, route).toContain(code)
        expect(pair.victimVault.sync.status.phase, route).not.toBe('stopped')
      }
      await expectHealed(pair)
    })
  }

  it('is refused when it is garbage, of any beginning', async () => {
    const pair = await makeBusy(502)
    for (const route of ROUTES) {
      for (let first = 0; first < 256; first += 5) {
        behaveHonestly(pair.victim)
        rewriteRoute(pair.victim, route, async () =>
          cbor(Uint8Array.of(first, ...pair.world.chance.bytes(40))),
        )
        await exchange(pair.victimVault)
        expect(await get(pair.victimVault, 'held')).toEqual({ text: 'held' })
      }
    }
    await expectHealed(pair)
  })

  it('is refused over the network too: a redirect is not followed', async () => {
    let followed = 0
    const listener: RequestListener = (request, response) => {
      if (request.url?.startsWith('/v1/')) {
        response.writeHead(307, { location: '/elsewhere' }).end()
        return
      }
      followed++
      response.end()
    }
    const server = createServer(listener).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const disk = new Disk()
    const platform = { ...nodePlatform(), openFolder: () => disk.folder() }
    const remote = `http://127.0.0.1:${port}`
    const { vault } = await createVaultOn(platform, { path: 'folder', remote })
    await put(vault, 'mine', { text: 'mine' })
    expect(['network', 'not-a-remote']).toContain(await exchange(vault))
    expect(followed).toBe(0)
    expect(vault.sync.status.pending).toBe(1)
    await vault.close()
  })
})

const problem = (code: string, status: number): Response =>
  text(
    JSON.stringify({ type: 'x', title: code, status, code, detail: code }),
    'application/problem+json',
    status,
  )

describe('an answer without end', () => {
  const CHUNK = new Uint8Array(1_048_576)

  /** Counts what is taken of it. */
  function endless(chunk: Uint8Array, type = 'application/cbor', status = 200) {
    let taken = 0
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          taken += chunk.length
          if (taken > 200 * CHUNK.length) controller.error(new Error('it was taken without end'))
          else controller.enqueue(chunk)
        },
      },
      { highWaterMark: 0 },
    )
    const response = new Response(body, { status, headers: { 'content-type': type } })
    return { response, taken: () => taken }
  }

  for (const route of ROUTES) {
    it(`is given up long before memory is full: ${route}`, async () => {
      const pair = await makeBusy(503)
      const { response, taken } = endless(CHUNK)
      rewriteRoute(pair.victim, route, async () => response)
      expect(await exchange(pair.victimVault)).toBeDefined()
      expect(taken()).toBeGreaterThan(0)
      expect(taken()).toBeLessThan(40 * CHUNK.length)
      await expectHealed(pair)
    })
  }

  it('is given up when it is a refusal', async () => {
    const pair = await makeBusy(504)
    const { response, taken } = endless(CHUNK, 'application/problem+json', 403)
    rewriteRoute(pair.victim, '/v1/challenge', async () => response)
    expect(await exchange(pair.victimVault)).toBeDefined()
    expect(taken()).toBeLessThan(40 * CHUNK.length)
    await expectHealed(pair)
  })

  it('is given up when one frame claims to be huge', async () => {
    const pair = await makeBusy(505)
    const { response, taken } = endless(CHUNK)
    const huge = Uint8Array.of(0xff, 0xff, 0xff, 0xff)
    const reader = response.body?.getReader()
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(huge),
      async pull(controller) {
        const chunk = await reader?.read()
        if (chunk?.value !== undefined) controller.enqueue(chunk.value)
      },
    })
    rewriteRoute(pair.victim, '/v1/changes', async () => {
      return new Response(body, { headers: { 'content-type': 'application/cbor' } })
    })
    expect(await exchange(pair.victimVault)).toBe('not-a-remote')
    expect(taken()).toBeLessThan(10 * CHUNK.length)
    await expectHealed(pair)
  })
})

describe('a stream of changes', () => {
  async function makeLong(seed: number): Promise<Pair & { frames: Frame[] }> {
    const pair = await makePair(seed, { held: { text: 'held' } })
    for (let i = 0; i < 8; i++) await put(pair.writerVault, `k${i % 5}`, { i })
    await pair.writerVault.sync.once()
    let frames: Frame[] = []
    rewriteRoute(pair.victim, '/v1/changes', async (request, carry) => {
      frames = await readChanges(await carry(request))
      throw new TypeError('only looked at')
    })
    await exchange(pair.victimVault)
    behaveHonestly(pair.victim)
    return { ...pair, frames }
  }

  /** Serves the first bytes, then ends in a clean or a broken way. */
  function serveCut(device: Device, kept: number, isBroken: boolean): void {
    rewriteRoute(device, '/v1/changes', async (request, carry) => {
      const whole = new Uint8Array(await (await carry(request)).arrayBuffer())
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          if (kept > 0) controller.enqueue(whole.subarray(0, kept))
        },
        pull: (controller) => (isBroken ? controller.error(new Error('cut')) : controller.close()),
      })
      return new Response(body, { headers: { 'content-type': 'application/cbor' } })
    })
  }

  it('goes on where it was cut: at any frame, in any way, and inside of one', async () => {
    const { world, victim, victimVault, writerVault, frames } = await makeLong(506)
    await victimVault.close()
    const expected = await exportOf(writerVault)
    const sizes = frames.map((frame) => encodeChanges(frame).length)
    const ends = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0))
    for (const kept of ends.flatMap((end) => [end, end + 1, end + 4, end + 30])) {
      for (const isBroken of [false, true]) {
        const device = world.makeDevice({ disk: await victim.disk.copy() })
        const vault = await device.open()
        serveCut(device, kept, isBroken)
        expect(await exchange(vault), `cut after ${kept}`).toBe('network')
        expect(await get(vault, 'held')).toEqual({ text: 'held' })
        behaveHonestly(device)
        expect(await exchange(vault)).toBeUndefined()
        expect(await exportOf(vault)).toBe(expected)
        await vault.close()
      }
    }
  })

  it('may come one byte at a time', async () => {
    const { victim, victimVault, writerVault } = await makeLong(507)
    rewriteRoute(victim, '/v1/changes', async (request, carry) => {
      const whole = new Uint8Array(await (await carry(request)).arrayBuffer())
      let at = 0
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (at < whole.length) controller.enqueue(whole.subarray(at, ++at))
          else controller.close()
        },
      })
      return new Response(body, { headers: { 'content-type': 'application/cbor' } })
    })
    expect(await exchange(victimVault)).toBeUndefined()
    expect(await exportOf(victimVault)).toBe(await exportOf(writerVault))
    await victimVault.close()
  })

  it('may not go on behind its end', async () => {
    const { victim, victimVault, frames } = await makeLong(508)
    rewriteRoute(victim, '/v1/changes', async () =>
      cbor(concat(...frames.map(encodeChanges), Uint8Array.of(0, 0, 0))),
    )
    expect(await exchange(victimVault)).toBe('network')
    await victimVault.close()
  })
})

describe('a live socket that speaks garbage', () => {
  it('is closed, and another is opened', async () => {
    const { victim, victimVault, writerVault } = await makePair(509)
    victimVault.sync.start()
    await victimVault.sync.once()
    for (const garbage of [[], [0xff], [0x82, 0x09, 0x00], [0x83, 0x05, 0x61, 0x61], [0xa0]]) {
      victim.network.onFrame = (_, deliver) => deliver(Uint8Array.from(garbage))
      await put(writerVault, 'theirs', { text: `${garbage}` })
      await writerVault.sync.once()
      await turnUntil(() => victimVault.sync.status.problem !== null)
      expect(victimVault.sync.status.problem?.code).toBe('malformed')
      behaveHonestly(victim)
      victim.fireTimers()
      await victimVault.sync.once()
      expect(await get(victimVault, 'theirs')).toEqual({ text: `${garbage}` })
    }
    await victimVault.close()
  })
})
