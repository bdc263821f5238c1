/**
 * A real server on LevelDB under some load from several vaults at once, and then its numbers held
 * against what was done and answered.
 */
import { once } from 'node:events'
import { mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateAnswer, PushAnswer } from '@blindcopy/protocol'
import { openLevelStore } from '@blindcopy/secondary'
import type { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { helloOf } from '../live.fixture.ts'
import { type ServedRemote, serveRemote } from '../node.ts'
import {
  type Bench,
  Device,
  makeChain,
  makeEnvelope,
  must,
  ORIGIN,
  record,
} from '../remote.fixture.ts'
import { ADMIN_TOKEN, bearer, parseExposition, type Series } from './observe.fixture.ts'

const VAULTS = 6
const PUSHES = 25
const OPS = 4
const ENVELOPE_BYTES = 700
/** As many as an address may have before it waits. */
const WRONG_LOGINS = 5

describe('a served remote under load', () => {
  let folder: string
  let remote: ServedRemote
  /** Bytes of bodies, as this end saw them. */
  const carried = { sent: 0, received: 0, requests: 0 }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'observed-'))
    remote = await serveRemote({
      store: await openLevelStore({ path: join(folder, 'vaults') }),
      registration: { mode: 'open' },
      origins: [ORIGIN],
      adminToken: () => ADMIN_TOKEN,
      dataFolder: folder,
      version: '9.8.7',
    })
  })
  afterAll(async () => {
    await remote.close()
    await rm(folder, { recursive: true })
  })

  /** Speaks over HTTP where a test would speak to the app. */
  const request = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const answer = await fetch(`${remote.url}${path}`, init)
    const bytes = await answer.arrayBuffer()
    carried.requests++
    carried.sent += init.body instanceof Uint8Array ? init.body.length : 0
    carried.received += bytes.byteLength
    return new Response(answer.status === 204 ? null : bytes, answer)
  }
  const bench = { remote: { app: { request } as unknown as Hono }, clock: { ms: Date.now() } }

  async function openDevice(): Promise<Device> {
    const { chain, device: signer } = makeChain()
    const device = new Device(bench as unknown as Bench, chain, signer)
    must(CreateAnswer, await device.create())
    return device.join()
  }

  const transaction = (device: Device, first: number) => {
    const timestamp = device.stamp()
    const envelope = (n: number) =>
      makeEnvelope({ recordId: record(n), timestamp, sizeBytes: ENVELOPE_BYTES })
    return [timestamp, Array.from({ length: OPS }, (_, n) => [envelope(first + n)])] as const
  }

  async function scrape(): Promise<Series> {
    const answer = await request('/metrics', bearer())
    expect(answer.status).toBe(200)
    return parseExposition(await answer.text())
  }

  it('tells of it what was done', { timeout: 120_000 }, async () => {
    const devices = await Promise.all(Array.from({ length: VAULTS }, openDevice))
    await Promise.all(
      devices.map(async (device, index) => {
        for (let n = 0; n < PUSHES; n++) await device.push(transaction(device, n * OPS))
        const lost = transaction(device, 0)
        must(PushAnswer, await device.post('/v1/push', { transactions: [lost] }))
        must(PushAnswer, await device.post('/v1/push', { transactions: [lost] }))
        await device.pull()
        if (index < WRONG_LOGINS) await device.logIn({ origin: 'https://else.example' })
      }),
    )
    const series = await scrape()
    const of = (name: string) => series.get(`blindcopy_${name}`) ?? Number.NaN
    const ofRoute = (method: string, route: string, status: string) =>
      of(`http_requests_total{route="${route}",status="${status}",method="${method}"}`)

    expect(ofRoute('POST', '/v1/push', '2xx')).toBe(VAULTS * (PUSHES + 2))
    expect(ofRoute('GET', '/v1/changes', '2xx')).toBe(VAULTS)
    expect(ofRoute('POST', '/v1/session', '4xx')).toBe(WRONG_LOGINS)
    expect(of('logins_total{outcome="wrong"}')).toBe(WRONG_LOGINS)
    expect(of('logins_total{outcome="right"}')).toBe(VAULTS)
    expect(of('refusals_total{code="origin-refused"}')).toBe(WRONG_LOGINS)
    expect(of('transactions_total{verdict="applied"}')).toBe(VAULTS * (PUSHES + 1))
    expect(of('transactions_total{verdict="repeated"}')).toBe(VAULTS)
    expect(of('ops_total{outcome="applied"}')).toBe(VAULTS * (PUSHES + 1) * OPS)
    expect(of('vaults')).toBe(VAULTS)
    expect(of('records')).toBe(VAULTS * PUSHES * OPS)
    expect(of('stored_bytes')).toBeGreaterThan(VAULTS * PUSHES * OPS * ENVELOPE_BYTES)
    expect(of('history_bytes')).toBe(VAULTS * OPS * ENVELOPE_BYTES)

    // A vault is created by one batch, and each push that changes something is one.
    const batches = VAULTS * (1 + PUSHES + 1)
    expect(of('commit_duration_seconds_count')).toBe(batches)
    expect(of('commit_duration_seconds_sum')).toBeGreaterThan(0)
    expect(of('commit_bytes_total')).toBeGreaterThan(of('stored_bytes'))
    const timed = [...series].filter(([name]) => /duration_seconds_count\{route/.test(name))
    // The scrape itself is counted when it is answered.
    expect(timed.reduce((sum, [, count]) => sum + count, 0)).toBe(carried.requests - 1)
  })

  it('counts the bytes of its connections, and looks at its folder and disk', async () => {
    const series = await scrape()
    const of = (name: string) => series.get(`blindcopy_${name}`) ?? Number.NaN
    const headsMax = carried.requests * 2_000
    expect(of('network_received_bytes_total')).toBeGreaterThan(carried.sent)
    expect(of('network_received_bytes_total')).toBeLessThan(carried.sent + headsMax)
    // What is written to the socket is counted before this end has it.
    expect(of('network_sent_bytes_total')).toBeGreaterThan(carried.received * 0.9)
    expect(of('network_sent_bytes_total')).toBeLessThan(carried.received + headsMax)
    const { blocks, bsize } = await statfs(folder)
    expect(of('disk_size_bytes')).toBe(blocks * bsize)
    expect(of('disk_free_bytes')).toBeLessThan(of('disk_size_bytes'))
    expect(of('disk_store_bytes')).toBeGreaterThan(of('stored_bytes'))
    expect(series.get('process_resident_memory_bytes')).toBeGreaterThan(2 ** 20)
    // Histories that expire are looked after in a vault's section too.
    expect(of('queue_requests')).toBeLessThanOrEqual(1)
    expect(of('body_bytes')).toBe(0)
  })

  it('shows the same on its page', async () => {
    const answer = await request('/admin', bearer())
    const text = (await answer.text())
      .replace(/<style>.*<\/style>/s, '')
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
    expect(text).toContain(`Vaults ${VAULTS} Records ${VAULTS * PUSHES * OPS} `)
    expect(text).toContain('9.8.7')
    expect(text).toContain(ORIGIN)
    expect(text.match(/ 1 0 (just now|\d+ s ago)/g)?.length).toBe(VAULTS)
  })

  it('knows a live socket while it is open', async () => {
    const device = await openDevice()
    const socket = new WebSocket(`${remote.url.replace('http', 'ws')}/v1/live`)
    await once(socket, 'open')
    socket.send(helloOf(device))
    await once(socket, 'message')
    const during = await scrape()
    expect(during.get('blindcopy_live_sockets')).toBe(1)
    const opened = 'blindcopy_http_requests_total{route="/v1/live",status="1xx",method="GET"}'
    expect(during.get(opened)).toBe(1)
    socket.send(new Uint8Array([1]))
    await once(socket, 'close')
    const after = await scrape()
    expect(after.get('blindcopy_live_sockets')).toBe(0)
    expect(after.get('blindcopy_live_sockets_closed_total{reason="malformed"}')).toBe(1)
  })
})
