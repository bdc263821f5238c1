/** The remote over a wire: HTTP and WebSocket on loopback, a real disk, and how it goes down. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  Capabilities,
  ChallengeAnswer,
  CreateAnswer,
  createSignedBytes,
  encodeCbor,
  formatCursor,
  formatSyncId,
  HEADER_CURSOR,
  HEADER_SYNC_ID,
  LiveFrame,
  loginSignedBytes,
  PushAnswer,
  parseMessage,
  SessionAnswer,
} from '@blindcopy/protocol'
import { createMemoryStore, openLevelStore, type Store } from '@blindcopy/secondary'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { LIMITS_DEFAULT } from './limits.ts'
import { type ServedRemote, type ServeOptions, serveRemote, verifySignature } from './node.ts'
import { bodyOf, makeChain, makeEnvelope, makeSigner, random, record } from './remote.fixture.ts'

const served: ServedRemote[] = []

afterEach(async () => {
  for (const one of served.splice(0)) await one.close()
})

async function serve(options: Partial<ServeOptions> = {}): Promise<ServedRemote> {
  const store = options.store ?? createMemoryStore()
  const one = await serveRemote({ store, registration: { mode: 'open' }, ...options })
  served.push(one)
  return one
}

async function post<T>(
  url: string,
  message: unknown,
  schema: Parameters<typeof parseMessage<T>>[0],
  headers: Record<string, string> = {},
): Promise<T> {
  const response = await fetch(url, { method: 'POST', body: bodyOf(message), headers })
  const bytes = new Uint8Array(await response.arrayBuffer())
  if (!response.ok) throw new Error(new TextDecoder().decode(bytes))
  return parseMessage(schema, bytes)
}

/** Creates a vault over the wire and logs its device in. */
async function openVault(url: string) {
  const { chain, device } = makeChain()
  const { vaultId } = chain
  const { memberId } = device
  const challenge = () => post(`${url}/v1/challenge`, { vaultId }, ChallengeAnswer)
  const { nonce } = await challenge()
  const rest = { vaultId, memberId, greatestMs: 0, origin: url, nonce }
  const created = createSignedBytes({ ...rest, keychainHead: chain.head })
  const request = { ...rest, entries: chain.entries, signature: device.sign(created) }
  await post(`${url}/v1/vaults`, request, CreateAnswer)
  const login = { ...(await challenge()), vaultId, memberId, origin: url }
  const signature = device.sign(loginSignedBytes(login))
  const session = await post(`${url}/v1/session`, { ...login, signature }, SessionAnswer)
  const headers = {
    Authorization: `Bearer ${session.token}`,
    [HEADER_SYNC_ID]: formatSyncId(session.syncId),
    [HEADER_CURSOR]: formatCursor({ seq: session.head[0], chain: session.head[1] }),
  }
  return { device, session, headers }
}

type Opened = Awaited<ReturnType<typeof openVault>>

const NOW_MS = 1_700_000_000_000

async function pushOne(url: string, opened: Opened, sizeBytes = 334, count = 1) {
  const { device, headers } = opened
  const { encodeTimestamp } = await import('@blindcopy/protocol')
  const identity = { deviceId: device.memberId, tail: random(4) }
  const id = encodeTimestamp({ milliseconds: NOW_MS, counter: 0 }, identity)
  const envelopes = Array.from({ length: count }, (_, i) => [
    makeEnvelope({ recordId: record(i + 1), timestamp: id, sizeBytes }),
  ])
  return post(`${url}/v1/push`, { transactions: [[id, envelopes]] }, PushAnswer, headers)
}

function openSocket(url: string, path = '/v1/live') {
  const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`)
  socket.on('error', () => {})
  const closed = new Promise<[number, string]>((resolve) => {
    socket.on('close', (code, reason) => resolve([code, String(reason)]))
  })
  const next = async () => {
    const [data] = (await once(socket, 'message')) as [Buffer]
    return parseMessage(LiveFrame, new Uint8Array(data))
  }
  return { socket, closed, next }
}

const helloOf = ({ session }: Opened) =>
  encodeCbor({
    protocol: 1,
    token: session.token,
    syncId: session.syncId,
    cursor: [...session.head],
  })

describe('serveRemote', () => {
  it('serves on a free port under the addresses of this machine and those configured', async () => {
    const { url, port } = await serve({ origins: ['https://notes.example'] })
    expect(port).toBeGreaterThan(0)
    const response = await fetch(`${url}/v1/capabilities`)
    const bytes = new Uint8Array(await response.arrayBuffer())
    expect(parseMessage(Capabilities, bytes).origins).toEqual([
      `http://127.0.0.1:${port}`,
      `http://localhost:${port}`,
      'https://notes.example',
    ])
  })

  it('fails on a port that is taken', async () => {
    const { port } = await serve()
    await expect(serve({ port })).rejects.toThrow('EADDRINUSE')
  })

  it('tells a live socket what another request commits', async () => {
    const { url } = await serve()
    const opened = await openVault(url)
    const { socket, next } = openSocket(url)
    await once(socket, 'open')
    socket.send(helloOf(opened))
    expect((await next()).slice(0, 2)).toEqual([4, 1])
    const told = next()
    const { verdicts } = await pushOne(url, opened)
    expect(verdicts).toMatchObject([{ type: 'applied', seq: 2 }])
    expect((await told).slice(0, 2)).toEqual([0, 2])
    socket.terminate()
  })

  it('refuses text, long frames, and other paths', async () => {
    const { url } = await serve()
    const text = openSocket(url)
    await once(text.socket, 'open')
    const told = text.next()
    text.socket.send('hello')
    expect((await told).slice(0, 2)).toEqual([5, 'malformed'])
    expect(await text.closed).toEqual([1008, 'malformed'])
    const long = openSocket(url)
    await once(long.socket, 'open')
    long.socket.send(new Uint8Array(5000))
    expect((await long.closed)[0]).toBe(1009)
    const other = openSocket(url, '/v1/push')
    const [failure] = (await once(other.socket, 'error')) as [Error]
    expect(failure.message).toContain('404')
  })

  it('lets go of a reader that takes nothing, and of what was read for it', async () => {
    const store = createMemoryStore()
    const reads = countReads(store)
    const { url, port } = await serve({ store, limits: { ...LIMITS_DEFAULT, silenceMs: 300 } })
    const opened = await openVault(url)
    await pushOne(url, opened, 900_000, 4)
    const head = Object.entries(opened.headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const request = `GET /v1/changes?since=0 HTTP/1.1\r\nHost: x\r\n${head.join('')}\r\n`
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.pause()
    await once(socket, 'connect')
    // More than what the system itself takes in the place of a reader.
    socket.write(request.repeat(8))
    await expect.poll(() => reads.begun).toBeGreaterThan(0)
    await expect.poll(() => reads.open, { timeout: 10_000 }).toBe(0)
    let heardBytes = 0
    socket.on('data', (chunk) => {
      heardBytes += chunk.length
    })
    await once(socket.resume(), 'close')
    expect(heardBytes).toBeLessThan(8 * 3_600_000)
  })

  it('keeps an acknowledged push on the disk', async () => {
    const path = await mkdtemp(join(tmpdir(), 'blindcopy-remote-'))
    const tokenKey = random(32)
    const first = await serve({ store: await openLevelStore({ path }), tokenKey })
    const opened = await openVault(first.url)
    await pushOne(first.url, opened)
    await first.close()
    const second = await serve({ store: await openLevelStore({ path }), tokenKey })
    const response = await fetch(`${second.url}/v1/changes`, { headers: opened.headers })
    expect(response.status).toBe(200)
    expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(334)
    await second.close()
    await rm(path, { recursive: true })
  })
})

describe('close', () => {
  it('tells live sockets, refuses new connections, and closes the store, once', async () => {
    const store = createMemoryStore()
    const one = await serve({ store })
    const opened = await openVault(one.url)
    const { socket, closed } = openSocket(one.url)
    await once(socket, 'open')
    socket.send(helloOf(opened))
    await once(socket, 'message')
    await Promise.all([one.close(), one.close()])
    expect(await closed).toEqual([1001, 'busy'])
    await expect(store.get(random(1))).rejects.toThrow()
    await expect(fetch(`${one.url}/healthz`)).rejects.toThrow()
  })

  it('waits for a request under way', async () => {
    const { store, release } = slowStore()
    const one = await serve({ store })
    const opened = await openVault(one.url)
    const pushed = pushOne(one.url, opened)
    await release.reached
    const closing = one.close()
    release.go()
    expect((await pushed).verdicts).toMatchObject([{ type: 'applied' }])
    await closing
  })

  it('does not wait for ever for one that never ends', async () => {
    const one = await serve({ limits: { ...LIMITS_DEFAULT, drainMs: 50 } })
    const socket = connect(one.port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write('POST /v1/challenge HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n')
    await new Promise((resolve) => setTimeout(resolve, 20))
    await one.close()
  })
})

/** Counts the walks over a store, those that have not ended apart. */
function countReads(store: Store) {
  const reads = { begun: 0, open: 0 }
  const pages = store.pages.bind(store)
  store.pages = async function* counted(...args) {
    reads.begun++
    reads.open++
    try {
      yield* pages(...args)
    } finally {
      reads.open--
    }
  }
  return reads
}

/** A store whose first push waits inside its write until it is let go. */
function slowStore() {
  const store: Store = createMemoryStore()
  const write = store.write.bind(store)
  let go = (): void => {}
  let reach = (): void => {}
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  const reached = new Promise<void>((resolve) => {
    reach = resolve
  })
  let writes = 0
  store.write = async (batch, durability) => {
    if (++writes === 2) {
      reach()
      await gate
    }
    await write(batch, durability)
  }
  return { store, release: { reached, go: () => go() } }
}

describe('verifySignature', () => {
  it('takes a right signature, and never throws for a wrong one', () => {
    const signer = makeSigner()
    const message = random(40)
    const signature = signer.sign(message)
    expect(verifySignature(message, signature, signer.signingKey)).toBe(true)
    expect(verifySignature(random(40), signature, signer.signingKey)).toBe(false)
    expect(verifySignature(message, random(64) as never, signer.signingKey)).toBe(false)
    expect(verifySignature(message, signature, random(31) as never)).toBe(false)
    expect(verifySignature(message, random(3) as never, new Uint8Array(32) as never)).toBe(false)
  })
})
