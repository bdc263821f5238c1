/** The log: one line a request, and nothing in it of who asked, what for, and what broke. */
import { formatBase64Url, formatCursor, formatHex, formatSyncId } from '@blindcopy/protocol'
import { createMemoryStore, StoreError } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { createLog, LOG_LEVELS, type LogOptions } from './node-log.ts'
import { type Device, makeEnvelope, openVault, random, record, START_MS } from './remote.fixture.ts'

function openLog(options: Partial<LogOptions> = {}) {
  let text = ''
  const log = createLog({
    level: 'debug',
    format: 'json',
    addresses: false,
    sizes: false,
    nowMs: () => START_MS,
    write: (line) => {
      text += line
    },
    ...options,
  })
  const lines = () => text.split('\n').filter((line) => line !== '')
  return { log, text: () => text, lines, objects: () => lines().map((line) => JSON.parse(line)) }
}

const LINE = {
  requestId: 'ab-1',
  method: 'POST',
  route: '/v1/push',
  status: 429,
  code: 'too-many-requests',
  ms: 12,
  address: '192.0.2.7',
  bodyBytes: 4711,
}

describe('createLog', () => {
  it('writes a line of JSON a request, without address and size unless they are wanted', () => {
    const { log, objects } = openLog()
    log.request(LINE)
    const { address: _, bodyBytes: __, ...rest } = LINE
    const time = new Date(START_MS).toISOString()
    expect(objects()).toEqual([{ level: 'info', time, message: 'request', ...rest }])
    const open = openLog({ addresses: true, sizes: true })
    open.log.request(LINE)
    expect(open.objects()[0]).toMatchObject({ address: '192.0.2.7', bodyBytes: 4711 })
  })

  it('is pretty for eyes', () => {
    const { log, lines } = openLog({ format: 'pretty', addresses: true, sizes: true })
    log.request(LINE)
    log.warn('exposed', 'it is')
    log.info('listening', { url: 'http://a' })
    log.fault(new StoreError('store-failed', 'the disk says no'))
    const [request, warning, event, fault] = lines().map((line) => line.slice(13))
    expect(request).toBe(
      'info  POST /v1/push 429 too-many-requests · 12 ms · 4711 bytes · 192.0.2.7 · ab-1',
    )
    expect(warning).toBe('warn  it is [exposed]')
    expect(event).toBe('info  listening · url http://a')
    expect(fault).toBe(
      'error fault · error StoreError · code store-failed · detail the disk says no',
    )
    expect(lines()[4]).toMatch(/^ {6}at .*node-log\.test\.ts:\d+:\d+$/)
  })

  it('says what the level asks for, probes only when debugging, and nothing when off', () => {
    const count = (options: Partial<LogOptions>): number => {
      const { log, lines } = openLog(options)
      log.request(LINE)
      log.request({ ...LINE, route: '/readyz' })
      log.info('stopped')
      log.warn('exposed', 'it is')
      log.fault(new Error('no'))
      return lines().length
    }
    expect(LOG_LEVELS.map((level) => count({ level }))).toEqual([1, 2, 4, 5])
    expect(count({ format: 'off' })).toBe(0)
  })

  it('cuts out of a fault whatever could be a name, and folders', () => {
    const vaultId = random(32)
    const error = new Error(
      `${formatHex(vaultId)} ${formatBase64Url(vaultId)} from 192.0.2.7:443 and 2001:db8::7 broke`,
      { cause: new TypeError(`in ${formatHex(vaultId)}`) },
    )
    error.stack = 'Error: x\n    at push (file:///home/anna/remote/push.ts:1:2)\n    at a.ts:3:4'
    const { log, objects } = openLog()
    log.fault(error, 'ab-1')
    log.fault('thrown text')
    expect(objects()).toMatchObject([
      {
        level: 'error',
        requestId: 'ab-1',
        error: 'Error',
        detail: '… … from …:443 and … broke',
        cause: 'TypeError: in …',
        at: ['push push.ts:1:2', 'a.ts:3:4'],
      },
      { error: 'string' },
    ])
    expect(JSON.stringify(objects())).not.toContain('thrown text')
  })
})

describe('a log of every route', () => {
  it('holds no vault, device, session, record, token, address or size, at any level', async () => {
    for (const format of ['json', 'pretty'] as const) {
      const { log, text, lines } = openLog({ format })
      const store = createMemoryStore()
      const { device } = await openVault({ store, log: log.request, onFault: log.fault })
      const canaries = await driveAll(device)
      // Then everything is a fault.
      await store.close()
      canaries.push(...(await driveAll(device)))
      expect(lines().length).toBeGreaterThan(40)
      expect(text()).toContain('fault')
      for (const canary of canaries) expect(text().includes(canary), canary).toBe(false)
    }
  })
})

const ADDRESS = '198.51.100.77'
const SIZE = 4321

/** Every route, rightly and wrongly, from one address. Returns what must not be told. */
async function driveAll(device: Device): Promise<string[]> {
  const { app, chain, signer } = device
  const { vaultId } = chain
  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    Promise.resolve(app.request(path, init, { address: ADDRESS }))
  const id = device.stamp()
  const envelope = makeEnvelope({ recordId: record(7), timestamp: id, sizeBytes: SIZE })
  await device.post('/v1/push', { transactions: [[id, [[envelope]]]] })
  const { headers } = device
  const body = new Uint8Array(random(SIZE))
  const routes = [...new Set(app.routes.map(({ path, method }) => `${method} ${path}`))]
  expect(routes.length).toBeGreaterThan(15)
  for (const route of routes) {
    const [method = '', path = ''] = route.split(' ')
    if (path.includes('*')) continue
    const known = method === 'ALL' ? 'GET' : method
    const isWrite = known !== 'GET' && known !== 'HEAD'
    const more = { 'Content-Length': String(SIZE), 'X-Forwarded-For': ADDRESS }
    await ask(path, {
      method: known,
      headers: { ...headers, ...more },
      ...(isWrite ? { body } : {}),
    })
    await ask(`${path}?vault=${formatHex(vaultId)}`, { method: known })
    await ask(`${path}/${device.token}`, { method: known })
  }
  const stranger = { method: 'POST', body: device.token }
  await ask('/v1/session', stranger)
  const bytes = [vaultId, signer.memberId, device.syncId, record(7), id, envelope.subarray(0, 40)]
  return [
    ...bytes.flatMap((one) => [formatHex(one), formatBase64Url(one)]),
    device.token,
    device.token.slice(0, 20),
    formatSyncId(device.syncId),
    formatCursor(device.cursor),
    ADDRESS,
    String(SIZE),
  ]
}
