/**
 * What a server bounds on Node: slow and silent clients, crowds, half-open sockets; and how it goes
 * down while something is under way. Real sockets, with bounds of a fraction of a second.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createMemoryStore, type Store } from '@blindcopy/secondary'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { RequestLine } from './app.ts'
import { LIMITS_DEFAULT, type RemoteLimits } from './limits.ts'
import { type ServedRemote, type ServeOptions, serveRemote } from './node.ts'
import { createPulse, type PulsedSocket } from './node-live.ts'
import { REQUESTS_PER_CONNECTION_MAX } from './node-work.ts'

const served: ServedRemote[] = []
const sockets: (Socket | WebSocket)[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) {
    if (socket instanceof WebSocket) socket.terminate()
    else socket.destroy()
  }
  for (const one of served.splice(0)) await one.close()
})

async function serve(
  limits: Partial<RemoteLimits>,
  options: Partial<ServeOptions> = {},
): Promise<ServedRemote> {
  const one = await serveRemote({
    store: createMemoryStore(),
    registration: { mode: 'open' },
    limits: { ...LIMITS_DEFAULT, drainMs: 200, ...limits },
    ...options,
  })
  served.push(one)
  return one
}

/** Says something, and then nothing; tells all that came back when the remote has closed. */
async function open(port: number, said: string) {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  let heard = ''
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1')
  })
  const closed = once(socket, 'close').then(() => heard)
  await once(socket, 'connect')
  socket.write(said)
  return { socket, closed, heard: () => heard }
}

const POST = 'POST /v1/challenge HTTP/1.1\r\nHost: x\r\n'

describe('a slow client', () => {
  it('is cut off when its headers do not come', async () => {
    const { port } = await serve({ headersMs: 100 })
    const { closed } = await open(port, 'GET /healthz HTTP/1.1\r\nHost: x\r\n')
    expect(await closed).toMatch(/^HTTP\/1.1 503 [\s\S]*"code":"busy"/)
  })

  it('is cut off when its body does not come', async () => {
    const { port } = await serve({ headersMs: 100, transferMs: 150 })
    const { socket, closed } = await open(port, `${POST}Content-Length: 900\r\n\r\n`)
    const drip = setInterval(() => socket.write('a'), 20)
    await closed
    clearInterval(drip)
  })

  it('is cut off when its answer does not end', async () => {
    const { port } = await serve({ transferMs: 50, headersMs: 50, silenceMs: 20_000 }, endless())
    const { socket, heard, closed } = await open(port, 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n')
    await closed
    expect(heard()).toBe('')
    expect(socket.destroyed).toBe(true)
  })

  it('is cut off when it says nothing at all', async () => {
    const { port } = await serve({ silenceMs: 100 })
    const { closed } = await open(port, '')
    expect(await closed).toBe('')
  })
})

/** A store whose reads never end. */
function endless(): { readonly store: Store } {
  const store: Store = createMemoryStore()
  store.get = () => new Promise(() => {})
  return { store }
}

describe('a crowd', () => {
  it('is turned away beyond the bound, is told of once, and leaves the others alone', async () => {
    const told: string[] = []
    const onWarning = (code: string) => told.push(code)
    const { port } = await serve({ connectionsMax: 2 }, { onWarning })
    const first = await open(port, 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(first.socket, 'data')
    await open(port, '')
    for (let i = 0; i < 3; i++) expect(await (await open(port, '')).closed).toBe('')
    expect(told).toEqual(['crowded'])
    first.socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(first.socket, 'data')
    expect(first.heard().match(/200 OK/g)).toHaveLength(2)
  })

  it('of requests on one connection is cut off, before all of it was worked on', async () => {
    const lines: RequestLine[] = []
    const { port } = await serve({}, { log: (line) => lines.push(line) })
    const request = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
    const last = request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')
    const few = await open(port, request.repeat(REQUESTS_PER_CONNECTION_MAX - 1) + last)
    expect((await few.closed).match(/200 OK/g)).toHaveLength(REQUESTS_PER_CONNECTION_MAX)
    expect(lines.splice(0)).toHaveLength(REQUESTS_PER_CONNECTION_MAX)
    await (await open(port, request.repeat(1000))).closed
    expect(lines.length).toBeLessThanOrEqual(REQUESTS_PER_CONNECTION_MAX)
  })

  it('of live sockets is refused by name, and room is made when one leaves', async () => {
    const { url } = await serve({ socketsMax: 1 })
    const first = openLive(url)
    await once(first, 'open')
    const [code, reason] = await once(openLive(url), 'close')
    expect([code, String(reason)]).toEqual([1013, 'too-many-requests'])
    first.terminate()
    await once(first, 'close')
    await expect.poll(() => stays(url)).toBe(true)
  })
})

function openLive(url: string): WebSocket {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/live`)
  socket.on('error', () => {})
  sockets.push(socket)
  return socket
}

async function stays(url: string): Promise<boolean> {
  const socket = openLive(url)
  await once(socket, 'open')
  const closed = once(socket, 'close').then(() => false)
  socket.ping()
  return Promise.race([closed, once(socket, 'pong').then(() => true)])
}

const HANDSHAKE =
  'GET /v1/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

describe('a half-open live socket', () => {
  it('is terminated when it answers no ping; one that answers stays', async () => {
    const { port, url } = await serve({ silenceMs: 120 })
    const live = openLive(url)
    await once(live, 'open')
    const dead = await open(port, HANDSHAKE)
    expect(await dead.closed).toMatch(/^HTTP\/1.1 101 [\s\S]*Blindcopy-Request-Id: [0-9a-f]{8}-\d+/)
    expect(live.readyState).toBe(WebSocket.OPEN)
  })
})

describe('createPulse', () => {
  it('pings at thirds of the silence and ends whoever is silent for all of it', () => {
    const clock = { ms: 0 }
    const pulse = createPulse({ uptimeMs: () => clock.ms, silenceMs: 90 })
    const [dead, well] = [new FakeSocket(), new FakeSocket()]
    pulse.add(dead)
    pulse.add(well)
    const beatAt = (ms: number): void => {
      clock.ms = ms
      pulse.beat()
      well.tell('pong')
    }
    for (const ms of [0, 29, 30, 31, 60, 90, 119]) beatAt(ms)
    expect([dead.pings, well.pings]).toEqual([3, 3])
    expect([dead.isTerminated, pulse.count]).toEqual([false, 2])
    beatAt(120)
    expect([dead.isTerminated, well.isTerminated, pulse.count]).toEqual([true, false, 1])
    well.tell('close')
    expect(pulse.count).toBe(0)
  })

  it('ends nobody for a clock that jumps, and nobody who says something', () => {
    const clock = { ms: 0 }
    const pulse = createPulse({ uptimeMs: () => clock.ms, silenceMs: 90 })
    const socket = new FakeSocket()
    pulse.add(socket)
    clock.ms = 1e9
    pulse.beat()
    socket.tell('message')
    clock.ms += 100
    pulse.beat()
    expect([socket.isTerminated, socket.pings]).toEqual([false, 2])
  })
})

class FakeSocket implements PulsedSocket {
  pings = 0
  isTerminated = false
  readonly #listeners: [string, () => void][] = []
  ping(): void {
    this.pings++
  }
  terminate(): void {
    this.isTerminated = true
  }
  on(event: string, listener: () => void): void {
    this.#listeners.push([event, listener])
  }
  tell(event: string): void {
    for (const [name, listener] of this.#listeners) if (name === event) listener()
  }
}

describe('going down', () => {
  it('answers what is under way, refuses what is new, and tells live sockets', async () => {
    const { store, reached, go } = gated()
    const lines: RequestLine[] = []
    const one = await serve({ drainMs: 20_000 }, { store, log: (line) => lines.push(line) })
    const { url } = one
    const live = openLive(url)
    await once(live, 'open')
    const underWay = fetch(`${url}/readyz`)
    await reached
    const closing = one.close()
    expect((await once(live, 'close'))[0]).toBe(1001)
    for (const path of ['/v1/capabilities', '/readyz']) {
      const refused = await fetch(`${url}${path}`)
      expect([refused.status, refused.headers.get('Retry-After')]).toEqual([503, '5'])
      expect(refused.headers.get('Connection')).toBe('close')
      expect(await refused.json()).toMatchObject({ code: 'busy' })
    }
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    const socket = openLive(url)
    const [failure] = (await once(socket, 'error')) as [Error]
    expect(failure.message).toContain('503')
    go()
    expect((await underWay).status).toBe(200)
    expect(await closing).toBe(0)
    await expect(fetch(`${url}/healthz`)).rejects.toThrow()
    const live101 = { route: '/v1/live', status: 101, code: undefined }
    expect(lines[0]).toMatchObject(live101)
    expect(lines).toContainEqual(expect.objectContaining({ route: '/v1/live', code: 'busy' }))
  })

  it('ends within its bound, whoever does not, and tells how many it cut off', async () => {
    const { store, reached } = gated()
    const one = await serve({ drainMs: 100 }, { store })
    const underWay = fetch(`${one.url}/readyz`)
    const failed = expect(underWay).rejects.toThrow()
    await reached
    await open(one.port, HANDSHAKE)
    await open(one.port, 'GET /healthz HTTP/1.1\r\n')
    const startMs = performance.now()
    expect(await one.close()).toBe(1)
    expect(performance.now() - startMs).toBeLessThan(5000)
    await failed
  })
})

/** A store whose first read waits until it is let go. */
function gated() {
  const store: Store = createMemoryStore()
  const get = store.get.bind(store)
  let reach = (): void => {}
  let go = (): void => {}
  const reached = new Promise<void>((resolve) => {
    reach = resolve
  })
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  store.get = async (key) => {
    reach()
    await gate
    return get(key)
  }
  return { store, reached, go: () => go() }
}

describe('a proxy that is not trusted', () => {
  it('is told of once; one that is trusted, or far away, is not', async () => {
    const told: string[] = []
    const onWarning = (code: string) => told.push(code)
    const { url } = await serve({}, { onWarning })
    const headers = { 'X-Forwarded-For': '198.51.100.9' }
    for (let i = 0; i < 3; i++) await fetch(`${url}/healthz`, { headers })
    expect(told).toEqual(['proxy-not-trusted'])
  })

  it('does not change who asks; a trusted one does', async () => {
    const { parseTrusted } = await import('./address.ts')
    const loopback = parseTrusted('127.0.0.1')
    if (loopback === undefined) throw new Error('no range')
    for (const [trust, address] of [
      [[], '127.0.0.1'],
      [[loopback], '198.51.100.9'],
    ] as const) {
      const lines: RequestLine[] = []
      const { url } = await serve({}, { trust, log: (line) => lines.push(line) })
      await fetch(`${url}/healthz`, { headers: { 'X-Forwarded-For': '203.0.113.1, 198.51.100.9' } })
      expect(lines[0]?.address).toBe(address)
    }
  })
})
