/** Who may see health, numbers and the admin page, and what hostile requests leave behind. */
import { formatVaultId, parseVaultId } from '@blindcopy/protocol'
import { createMemoryStore, remoteKeyspace } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { ask, openBench, openVault, random } from '../remote.fixture.ts'
import { ADMIN_TOKEN, basic, bearer, openObserved, scrape } from './observe.fixture.ts'
import { createPrometheus } from './prometheus.ts'

const BEHIND = ['/metrics', '/admin'] as const
const FROM = { address: '203.0.113.7' }

describe('/healthz and /readyz', () => {
  it('tell why the remote is not ready, while it lives', async () => {
    const { remote, store } = openBench()
    const ready = () => ask(remote.app, '/readyz')
    expect(await (await remote.app.request('/readyz')).json()).toEqual({ status: 'ready' })
    await store.close()
    expect((await ready()).problem).toMatchObject({
      status: 503,
      detail: 'the store does not answer',
    })
    remote.drain()
    const { problem, headers } = await ready()
    expect(problem).toMatchObject({ status: 503, code: 'busy' })
    expect(problem?.detail).toContain('going down')
    expect(headers.get('Retry-After')).toBe('5')
    expect((await ask(remote.app, '/healthz')).status).toBe(200)
  })
})

describe.each(BEHIND)('%s', (path) => {
  const statusOf = async (
    bench: ReturnType<typeof openBench>,
    init: RequestInit = {},
    env: object = {},
  ) => (await bench.remote.app.request(path, init, env)).status

  it('is not there without an admin token, or with an empty one', async () => {
    const metrics = createPrometheus({ isOfProcess: false })
    for (const adminToken of [undefined, '', '  ', () => '']) {
      const bench = openBench({ metrics, adminToken })
      for (const init of [{}, bearer(''), bearer(), basic('', ''), basic('', '  ')]) {
        expect(await statusOf(bench, init)).toBe(404)
      }
    }
  })

  it('takes the token as a bearer or as a password with any name, and nothing else', async () => {
    const bench = openObserved()
    for (const init of [bearer(), basic('', ADMIN_TOKEN), basic('any name', ADMIN_TOKEN)]) {
      expect(await statusOf(bench, init)).toBe(200)
    }
    const headers = [
      `Bearer ${ADMIN_TOKEN}x`,
      `Bearer ${ADMIN_TOKEN.slice(1)}`,
      'Bearer',
      ADMIN_TOKEN,
      `Digest ${ADMIN_TOKEN}`,
      `Basic ${btoa(ADMIN_TOKEN)}`,
      `Basic ${btoa(`${ADMIN_TOKEN}:`)}`,
      'Basic !!!',
      'Basic ',
      `Bearer ${'a'.repeat(8000)}`,
    ]
    for (const Authorization of headers) {
      const answer = await bench.remote.app.request(path, { headers: { Authorization } })
      expect(answer.status, Authorization).toBe(401)
      expect(answer.headers.get('WWW-Authenticate')).toMatch(/^Basic /)
      expect(await answer.text()).not.toContain('blindcopy_')
    }
    expect(await statusOf(bench)).toBe(401)
  })

  it('follows a token that changes, and one with colons and letters of any script', async () => {
    let token = 'first'
    const bench = openObserved({ adminToken: () => token })
    expect(await statusOf(bench, bearer('first'))).toBe(200)
    token = 'a:ключ:b'
    expect(await statusOf(bench, bearer('first'))).toBe(401)
    expect(await statusOf(bench, basic('me', token))).toBe(200)
  })

  it('is no place for a session token, nor for anything but reading', async () => {
    const metrics = createPrometheus({ isOfProcess: false })
    const { bench, device } = await openVault({ adminToken: ADMIN_TOKEN, metrics })
    expect(await statusOf(bench, bearer(device.token))).toBe(401)
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await bench.remote.app.request(path, { method, ...bearer() })
      expect([204, 404]).toContain(answer.status)
      expect(await answer.text()).not.toMatch(/blindcopy_|<html/)
    }
  })

  it('is kept by no cache, shown in no frame and read by no other origin', async () => {
    const bench = openObserved()
    for (const init of [bearer(), {}]) {
      const { headers } = await bench.remote.app.request(path, init)
      expect(headers.get('Cache-Control')).toBe('no-store')
      expect(headers.get('X-Frame-Options')).toBe('DENY')
      expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
      expect(headers.get('Access-Control-Allow-Origin')).toBeNull()
      expect(headers.get('Set-Cookie')).toBeNull()
    }
  })

  it('makes whoever guesses wait, longer each time, and nobody else', async () => {
    const bench = openObserved()
    for (let guess = 0; guess < 6; guess++) {
      expect(await statusOf(bench, bearer(`guess-${guess}`), FROM)).toBe(401)
    }
    const answer = await bench.remote.app.request(path, bearer(), FROM)
    expect(answer.status).toBe(429)
    expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThan(0)
    expect(await statusOf(bench, bearer(), { address: '198.51.100.1' })).toBe(200)
    bench.clock.ms += Number(answer.headers.get('Retry-After')) * 1000
    expect(await statusOf(bench, bearer(), FROM)).toBe(200)
    // Without a token a browser has only asked what is needed.
    for (let n = 0; n < 20; n++) expect(await statusOf(bench, {}, FROM)).toBe(401)
    expect((await scrape(bench)).get('blindcopy_admin_refusals_total')).toBe(6)
  })

  it('keeps nobody out for a scraper that was left with the old token', async () => {
    const bench = openObserved()
    for (let n = 0; n < 50; n++) expect(await statusOf(bench, bearer('old'), FROM)).toBe(401)
    expect(await statusOf(bench, bearer(), FROM)).toBe(200)
  })

  it('answers while the remote goes down', async () => {
    const bench = openObserved()
    bench.remote.drain()
    expect(await statusOf(bench, bearer())).toBe(200)
  })
})

describe('a remote that shows only one of the two', () => {
  it('has the other not', async () => {
    const shown = async (shows: { metrics: boolean; adminPage: boolean }) => {
      const { app } = openObserved({ shows }).remote
      const answers = BEHIND.map(async (path) => (await app.request(path, bearer())).status)
      return Promise.all(answers)
    }
    expect(await shown({ metrics: true, adminPage: false })).toEqual([200, 404])
    expect(await shown({ metrics: false, adminPage: true })).toEqual([404, 200])
  })
})

describe('/admin', () => {
  it('shows the vaults that it can read, and those that are damaged', async () => {
    const metrics = createPrometheus({ isOfProcess: false })
    const { bench, chain } = await openVault({ adminToken: ADMIN_TOKEN, metrics })
    const key = remoteKeyspace(chain.vaultId).keychainEntry(0)
    await bench.store.write([{ type: 'put', key, value: random(60) }], { sync: false })
    const broken = remoteKeyspace(parseVaultId(random(32))).state
    await bench.store.write([{ type: 'put', key: broken, value: random(9) }], { sync: false })
    bench.restart()
    const answer = await bench.remote.app.request('/admin', bearer())
    expect(answer.status).toBe(200)
    const text = await answer.text()
    expect(text).toContain(formatVaultId(chain.vaultId).slice(0, 8))
    expect(text).toContain('<td data-label="Devices">–</td>')
    expect(text).toContain('The state of 1 vault cannot be read')
  })
})

describe('/metrics', () => {
  it('goes on without the numbers that a broken store cannot give', async () => {
    const store = createMemoryStore()
    const bench = openObserved({ store })
    await store.close()
    const series = await scrape(bench)
    expect(series.get('blindcopy_vaults')).toBeNaN()
    expect(series.get('blindcopy_live_sockets')).toBe(0)
  })

  it('has no more series after thousands of hostile requests than after a few', async () => {
    const bench = openObserved()
    const drive = async (times: number) => {
      const methods = ['GET', 'POST', 'PUT', 'PATCH', 'PROPFIND', 'X-ANY', 'get']
      for (let n = 0; n < times; n++) {
        const junk = Buffer.from(random(9)).toString('base64url')
        const paths = [
          `/${junk}`,
          `/v1/${junk}?q=${junk}`,
          `/v1/mailboxes/${junk}`,
          `/admin/${junk}`,
          `/metrics${junk}`,
          `/v1/keychain/../${junk}`,
          '/v1/push',
          '/v1/live',
        ]
        const method =
          n % 2 === 0 ? (methods[n % methods.length] as string) : `M${junk.slice(0, 5)}`
        const headers = {
          'X-Real-Ip': junk,
          Host: `${junk}.example`,
          Authorization: `Bearer ${junk}`,
        }
        const path = paths[n % paths.length] as string
        await bench.remote.app.request(path, { method, headers })
      }
    }
    await drive(400)
    await scrape(bench)
    const few = await scrape(bench)
    await drive(3000)
    const many = await scrape(bench)
    expect([...many.keys()].filter((name) => !few.has(name))).toEqual([])
    expect(many.size).toBeLessThan(1000)
    const words = [...many.keys()].flatMap((name) => [...name.matchAll(/="([^"]*)"/g)])
    const values = new Set(words.map(([, value = '']) => value))
    const known = /^([A-Z]{3,7}|[1-5]xx|\*|\/[a-z0-9/]+|[a-z-]+|[\d.]+|\+Inf)$/
    expect([...values].filter((value) => !known.test(value))).toEqual([])
  })
})
