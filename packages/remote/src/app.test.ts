/** What holds for every route: errors, headers, limits, and what the log may say. */
import {
  Capabilities,
  HEADER_PROTOCOL,
  HEADER_TIME,
  LIMITS,
  LOGIN_BYTES_MAX,
  PROTOCOL_VERSION,
} from '@blindcopy/protocol'
import { createMemoryStore, StoreError, type StoreOp } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import type { RequestLine } from './app.ts'
import { createBodyBudget, withBody } from './body.ts'
import {
  ask,
  dump,
  makeEnvelope,
  must,
  ORIGIN,
  openBench,
  openVault,
  post,
  random,
  record,
} from './remote.fixture.ts'
import { HEADER_REQUEST_ID } from './request-id.ts'
import { createSections } from './section.ts'

const asked = (raw: Request) => ({ req: { raw }, env: undefined })

describe('every answer', () => {
  it('carries the time of the remote', async () => {
    const { bench, device } = await openVault()
    const answers = [
      await device.get('/v1/keychain'),
      await device.get('/nowhere'),
      await ask(device.app, '/v1/push', { method: 'OPTIONS' }),
      await post(device.app, '/v1/session', 1),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 204, 400])
    for (const { headers } of answers) {
      expect(headers.get(HEADER_TIME)).toBe(String(bench.clock.ms))
      expect(headers.get('Access-Control-Allow-Origin')).toBe('*')
      expect(headers.get('Access-Control-Allow-Credentials')).toBeNull()
    }
    expect(answers[2]?.headers.get('Access-Control-Allow-Headers')).toContain('Blindcopy-Cursor')
    expect(answers[0]?.headers.get('Access-Control-Expose-Headers')).toContain(HEADER_TIME)
  })

  it('is refused for another protocol', async () => {
    const { remote } = openBench()
    const status = async (version: string) =>
      (await ask(remote.app, '/v1/capabilities', { headers: { [HEADER_PROTOCOL]: version } }))
        .problem?.code
    expect(await status(String(PROTOCOL_VERSION))).toBeUndefined()
    for (const version of ['0', String(PROTOCOL_VERSION + 1), 'x', '']) {
      expect(await status(version)).toBe('unsupported-protocol')
    }
  })

  it('is told to the log without anything that names anybody', async () => {
    const lines: RequestLine[] = []
    const { chain, device } = await openVault({ log: (line) => lines.push(line) })
    const id = device.stamp()
    await device.push([id, [[makeEnvelope({ recordId: record(1), timestamp: id })]]])
    await device.get('/v1/keychain?from=1')
    await device.get(`/v1/${device.token}`)
    const same = { requestId: expect.any(String), ms: 0, address: undefined }
    const empty = { ...same, code: undefined, bodyBytes: 0 }
    expect(lines.slice(-3)).toEqual([
      { ...empty, method: 'POST', route: '/v1/push', status: 200 },
      { ...empty, method: 'GET', route: '/v1/keychain', status: 200 },
      { ...empty, method: 'GET', route: '*', status: 404, code: 'not-found' },
    ])
    expect(chain.entries.length).toBe(3)
  })

  it('has an id of its own, in its answer and in the log', async () => {
    const lines: RequestLine[] = []
    const { remote } = openBench({ log: (line) => lines.push(line) })
    const asked = ['/healthz', '/v1/live', '/nowhere']
    const ids = []
    for (const path of asked) ids.push((await ask(remote.app, path)).headers.get(HEADER_REQUEST_ID))
    expect(lines.map(({ requestId }) => requestId)).toEqual(ids)
    expect(lines.map(({ code }) => code)).toEqual([undefined, 'malformed', 'not-found'])
    expect(new Set(ids).size).toBe(3)
  })

  it('is told from where it came, and how large it is said to be, as whoever runs it knows', async () => {
    const lines: RequestLine[] = []
    const { remote } = openBench({ log: (line) => lines.push(line) })
    const headers = { 'Content-Length': '3' }
    const init = { method: 'POST', headers, body: 'abc' }
    await remote.app.request('/v1/challenge', init, { address: '192.0.2.7' })
    expect(lines).toMatchObject([{ address: '192.0.2.7', bodyBytes: 3, status: 400 }])
  })

  it('is told with its id when it is a fault of ours', async () => {
    const faults: unknown[][] = []
    const { bench, device } = await openVault({ onFault: (...fault) => faults.push(fault) })
    await bench.store.close()
    const answer = await device.post('/v1/records', { ids: [record(1)] })
    expect(answer.problem?.code).toBe('internal')
    const [first] = faults
    expect(first).toEqual([expect.any(Error), answer.headers.get(HEADER_REQUEST_ID)])
  })

  it('is refused while the remote goes down, but for the one that asks whether it lives', async () => {
    const { remote } = openBench()
    remote.drain()
    for (const path of ['/v1/capabilities', '/readyz', '/nowhere']) {
      const answer = await ask(remote.app, path)
      expect([answer.status, answer.problem?.code]).toEqual([503, 'busy'])
      expect(answer.headers.get('Retry-After')).toBe('5')
      expect(answer.headers.get(HEADER_REQUEST_ID)).not.toBeNull()
    }
    expect((await ask(remote.app, '/healthz')).status).toBe(200)
  })
})

describe('GET /v1/capabilities', () => {
  it('says limits, registration and origins', async () => {
    const { remote } = openBench({ origins: [`${ORIGIN}/`], registration: { mode: 'closed' } })
    const answer = must(Capabilities, await ask(remote.app, '/v1/capabilities'))
    expect(answer).toMatchObject({ limits: LIMITS, registration: 'closed', origins: [ORIGIN] })
  })
})

describe('health', () => {
  it('is ready while the store answers', async () => {
    const { remote, store } = openBench()
    expect((await ask(remote.app, '/healthz')).status).toBe(200)
    expect((await ask(remote.app, '/readyz')).status).toBe(200)
    await store.close()
    expect((await ask(remote.app, '/healthz')).status).toBe(200)
    expect((await ask(remote.app, '/readyz')).status).toBe(503)
  })
})

describe('a failing store', () => {
  const failing = (code: 'store-full' | 'store-failed') => {
    const store = createMemoryStore()
    const state = { fails: false }
    const write = store.write.bind(store)
    store.write = async (batch: readonly StoreOp[], durability) => {
      if (state.fails) throw new StoreError(code, 'at /a/secret/path')
      await write(batch, durability)
    }
    return { store, state }
  }

  it('acknowledges nothing, tells nothing of itself, and goes on afterwards', async () => {
    for (const [code, status] of [
      ['store-full', 507],
      ['store-failed', 500],
    ] as const) {
      const { store, state } = failing(code)
      const { bench, device } = await openVault({ store })
      const before = await dump(store)
      const id = device.stamp()
      const transaction = [id, [[makeEnvelope({ recordId: record(1), timestamp: id })]]]
      state.fails = true
      const answer = await device.post('/v1/push', { transactions: [transaction] })
      expect(answer.status).toBe(status)
      expect(new TextDecoder().decode(answer.bytes)).not.toContain('secret')
      expect(bench.faults.length).toBe(1)
      expect(await dump(store)).toEqual(before)
      state.fails = false
      expect(await device.push(transaction)).toMatchObject([{ type: 'applied', seq: 2 }])
    }
  })
})

describe('withBody', () => {
  const request = (size: number): Request =>
    new Request('http://x', { method: 'POST', body: new Uint8Array(size) })

  it('takes a body at its bound and none beyond', async () => {
    const { device } = await openVault()
    const big = (size: number) =>
      ask(device.app, '/v1/challenge', { method: 'POST', body: new Uint8Array(size) })
    expect((await big(LOGIN_BYTES_MAX)).problem?.code).toBe('malformed')
    expect((await big(LOGIN_BYTES_MAX + 1)).problem?.code).toBe('too-large')
  })

  it('holds all bodies together within the budget, and gives back what it held', async () => {
    const budget = createBodyBudget(100)
    const bounds = { bytesMax: 80, budget }
    const inside = withBody(asked(request(60)), bounds, async () => {
      await expect(withBody(asked(request(60)), bounds, async () => 1)).rejects.toThrow('too much')
      throw new Error('mine')
    })
    await expect(inside).rejects.toThrow('mine')
    expect(await withBody(asked(request(80)), bounds, async (body) => body.length)).toBe(80)
  })

  it('lets members log in while strangers fill the room for keychains', async () => {
    const { device } = await openVault()
    const chunk = new Uint8Array(64 * 1024 * 1024)
    const ends: (() => void)[] = []
    const answers = [1, 2, 3].map(() => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(chunk)
          ends.push(() => controller.close())
        },
      })
      const init = { method: 'POST', body, duplex: 'half' } as RequestInit
      return ask(device.app, '/v1/vaults', init)
    })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect((await post(device.app, '/v1/vaults', {})).problem?.code).toBe('busy')
    expect((await device.logIn()).status).toBe(200)
    for (const end of ends) end()
    for (const { problem } of await Promise.all(answers)) expect(problem?.code).toBe('malformed')
  })

  it('reads no body as an empty one', async () => {
    const bounds = { bytesMax: 1, budget: createBodyBudget(1) }
    const none = new Request('http://x', { method: 'POST' })
    expect(await withBody(asked(none), bounds, async (body) => body.length)).toBe(0)
  })
})

describe('createSections', () => {
  it('runs jobs of one key one after the other, failed or not, and others beside', async () => {
    const sections = createSections()
    const told: string[] = []
    const job = (name: string, turns: number) => async () => {
      for (let i = 0; i < turns; i++) await null
      told.push(name)
      if (name === 'a1') throw new Error('a1')
    }
    const jobs = [
      sections.run('a', job('a1', 20)),
      sections.run('a', job('a2', 1)),
      sections.run('b', job('b1', 1)),
    ]
    const results = await Promise.allSettled(jobs)
    expect(told).toEqual(['b1', 'a1', 'a2'])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  })

  it('says it is busy when too many wait', async () => {
    const sections = createSections()
    const jobs = Array.from({ length: 600 }, () => sections.run('a', async () => random(1)))
    const results = await Promise.allSettled(jobs)
    expect(results.filter(({ status }) => status === 'rejected').length).toBe(600 - 512)
  })
})
