/** What is counted is what was done; and the table of the documents is what is counted. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { joinSocket } from '../live.fixture.ts'
import { Device, makeEnvelope, openVault, post, record } from '../remote.fixture.ts'
import { ADMIN_TOKEN, openObserved, parseExposition, scrape } from './observe.fixture.ts'
import { createPrometheus } from './prometheus.ts'

const watched = () => ({
  adminToken: ADMIN_TOKEN,
  metrics: createPrometheus({ isOfProcess: false }),
})

const put = (device: Device, n: number, base?: Uint8Array) => {
  const id = device.stamp()
  const envelope = makeEnvelope({ recordId: record(n), timestamp: id })
  return [id, [base === undefined ? [envelope] : [envelope, base]]] as const
}

describe('createPrometheus', () => {
  it('counts transactions by what became of them', async () => {
    const { bench, device } = await openVault(watched())
    const first = put(device, 1)
    const older = put(device, 2)
    const newer = put(device, 2)
    const foreign = new Device(bench, device.chain, device.chain.root).stamp()
    const wrong = [foreign, [[makeEnvelope({ recordId: record(3), timestamp: foreign })]]]
    await device.push(first, newer, older, first)
    await device.push(first, put(device, 1, older[0]), wrong)
    const series = await scrape(bench)
    const of = (name: string) => series.get(`blindcopy_${name}`)
    expect(of('pushes_total')).toBe(2)
    expect(of('transactions_total{verdict="applied"}')).toBe(3)
    expect(of('transactions_total{verdict="repeated"}')).toBe(2)
    expect(of('transactions_total{verdict="conflict"}')).toBe(1)
    expect(of('transactions_total{verdict="refused"}')).toBe(1)
    expect(of('transactions_refused_total{code="wrong-author"}')).toBe(1)
    expect(of('ops_total{outcome="applied"}')).toBe(2)
    expect(of('ops_total{outcome="stale"}')).toBe(1)
    expect(of('records')).toBe(2)
    expect(of('vaults')).toBe(1)
    // The vault itself, and the push that wrote something.
    expect(of('commit_duration_seconds_count')).toBe(2)
    expect(of('commit_bytes_total')).toBeGreaterThan(3 * 334)
    expect(of('stored_bytes')).toBeGreaterThan(2 * 334)
  })

  it('counts requests by route and class, refusals by code, and logins by outcome', async () => {
    const { bench, device } = await openVault(watched())
    await device.logIn({ origin: 'https://else.example' })
    await device.get('/v1/keychain')
    await device.get('/v1/keychain?from=x')
    await device.get('/nowhere')
    await post(device.app, '/v1/session', 1)
    await bench.remote.app.request('/v1/push', { method: 'BREW' })
    const series = await scrape(bench)
    const requests = (method: string, route: string, status: string) =>
      series.get(
        `blindcopy_http_requests_total{route="${route}",status="${status}",method="${method}"}`,
      )
    expect(requests('POST', '/v1/session', '2xx')).toBe(1)
    expect(requests('POST', '/v1/session', '4xx')).toBe(2)
    expect(requests('GET', '/v1/keychain', '2xx')).toBe(1)
    expect(requests('GET', '/v1/keychain', '4xx')).toBe(1)
    expect(requests('GET', '*', '4xx')).toBe(1)
    expect(requests('other', '*', '4xx')).toBe(1)
    const refusals = (code: string) => series.get(`blindcopy_refusals_total{code="${code}"}`)
    expect(refusals('origin-refused')).toBe(1)
    expect(refusals('malformed')).toBe(2)
    expect(refusals('not-found')).toBe(2)
    expect(series.get('blindcopy_logins_total{outcome="right"}')).toBe(1)
    expect(series.get('blindcopy_logins_total{outcome="wrong"}')).toBe(1)
  })

  it('knows open sockets, and why others ended', async () => {
    const { bench, device } = await openVault(watched())
    const [left, slow, refused] = [
      await joinSocket(device),
      await joinSocket(device),
      await joinSocket(device),
    ]
    await joinSocket(device)
    expect((await scrape(bench)).get('blindcopy_live_sockets')).toBe(4)
    left?.connection.closed()
    left?.connection.closed()
    if (slow !== undefined) slow.bufferedBytes = 2 ** 30
    await device.push(put(device, 1))
    await refused?.connection.receive(new Uint8Array([1]))
    const series = await scrape(bench)
    const ended = (why: string) =>
      series.get(`blindcopy_live_sockets_closed_total{reason="${why}"}`)
    expect(series.get('blindcopy_live_sockets')).toBe(1)
    expect([ended('left'), ended('too-slow'), ended('malformed')]).toEqual([1, 1, 1])
    bench.remote.close()
    const after = await scrape(bench)
    expect(after.get('blindcopy_live_sockets')).toBe(0)
    expect(after.get('blindcopy_live_sockets_closed_total{reason="busy"}')).toBe(1)
  })

  it('sees requests that wait for their vault, and bodies in memory', async () => {
    const { bench, device } = await openVault(watched())
    const body = new TransformStream<Uint8Array, Uint8Array>()
    const writer = body.writable.getWriter()
    const init = { method: 'POST', headers: device.headers, body: body.readable, duplex: 'half' }
    const pushing = bench.remote.app.request('/v1/push', init as RequestInit)
    await writer.write(new Uint8Array(1000))
    await writer.write(new Uint8Array(500))
    // The second one was taken, so the first is held.
    const held = (await scrape(bench)).get('blindcopy_body_bytes')
    expect(held).toBeGreaterThanOrEqual(1000)
    await writer.close()
    expect((await pushing).status).toBe(400)
    const series = await scrape(bench)
    expect(series.get('blindcopy_body_bytes')).toBe(0)
    expect(series.get('blindcopy_queue_requests')).toBe(0)
  })

  it('has every series of a kind that is alerted on from the start', async () => {
    const series = await scrape(openObserved())
    for (const name of [
      'blindcopy_logins_total{outcome="wrong"}',
      'blindcopy_transactions_total{verdict="refused"}',
      'blindcopy_ops_total{outcome="stale"}',
      'blindcopy_refusals_total{code="internal"}',
      'blindcopy_refusals_total{code="storage-full"}',
    ]) {
      expect(series.get(name)).toBe(0)
    }
  })

  it('tells the numbers of the process too', async () => {
    const exposition = await createPrometheus().render()
    expect(exposition?.contentType).toMatch(/^text\/plain; version=0\.0\.4/)
    const series = parseExposition(exposition?.text ?? '')
    expect(series.get('process_resident_memory_bytes')).toBeGreaterThan(1_000_000)
    expect([...series.keys()]).toContain('nodejs_eventloop_lag_p99_seconds')
  })
})

describe('docs/observability.md', () => {
  const text = readFileSync(
    fileURLToPath(new URL('../../../../docs/observability.md', import.meta.url)),
    'utf8',
  )
  const exposed = async () => {
    const exposition = await createPrometheus({ isOfProcess: false }).render()
    return [...(exposition?.text ?? '').matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(
      ([, name = '', type = '']) => ({ name, type }),
    )
  }

  it('lists every number with its type, and no other', async () => {
    const rows = [...text.matchAll(/^\| `(blindcopy_\w+)`[^|]*\| (\w+) \|/gm)].map(
      ([, name = '', type = '']) => ({ name, type }),
    )
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)
    expect(rows.sort(byName)).toEqual((await exposed()).sort(byName))
  })

  it('alerts on nothing that is not there', async () => {
    const names = new Set((await exposed()).map(({ name }) => name))
    const rules = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)]
      .map(([, rule = '']) => rule)
      .join('')
    const used = [...rules.matchAll(/blindcopy_\w+/g)].map(([name]) => name)
    expect(rules.match(/- alert:/g)?.length).toBeGreaterThanOrEqual(5)
    const bases = used.map((name) => name.replace(/_(bucket|sum|count)$/, ''))
    expect(bases.filter((name) => !names.has(name))).toEqual([])
  })
})
