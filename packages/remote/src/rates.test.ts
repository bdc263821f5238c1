/** Rates and penalties: who asks too often waits, is told how long, and nobody else does. */
import {
  encodeCbor,
  formatBase64Url,
  HEADER_MAILBOX_ID,
  MAILBOX_ID_BYTES,
  ProtocolError,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { addressBlock } from './address.ts'
import { LIMITS_DEFAULT } from './limits.ts'
import { createPenalties } from './penalties.ts'
import { createRate } from './rates.ts'
import {
  bodyOf,
  Device,
  makeChain,
  makeEnvelope,
  openBench,
  openVault,
  random,
  record,
} from './remote.fixture.ts'
import { createStrangers } from './strangers.ts'

const wait = (seconds: number) =>
  expect.objectContaining({
    code: 'too-many-requests',
    details: { retryAfterSeconds: seconds },
  })

describe('a rate', () => {
  it('lets a burst through, then a steady pace', () => {
    const clock = { ms: 1_000 }
    const rate = createRate({ nowMs: () => clock.ms, perSecond: 2, burst: 6, what: 'pushes' })
    const take = (): void => {
      rate.check('a')
      rate.charge('a', 1)
    }
    for (let i = 0; i < 7; i++) take()
    expect(take).toThrowError(wait(1))
    clock.ms += 500
    take()
    expect(take).toThrowError(wait(1))
    rate.check('b')
    clock.ms += 60_000
    for (let i = 0; i < 7; i++) take()
    expect(take).toThrowError(wait(1))
  })

  it('lets a debt be paid off by waiting, as long as it says', () => {
    const clock = { ms: 0 }
    const rate = createRate({ nowMs: () => clock.ms, perSecond: 10, burst: 20, what: 'bytes' })
    rate.charge('a', 120)
    expect(() => rate.check('a')).toThrowError(wait(10))
    clock.ms += 9_999
    expect(() => rate.check('a')).toThrowError(wait(1))
    clock.ms += 1
    rate.check('a')
  })

  it('forgets those used longest ago, and gains nothing from a clock that was set back', () => {
    const clock = { ms: 10_000 }
    const parts = { nowMs: () => clock.ms, perSecond: 1, burst: 1, what: 'x', keysMax: 2 }
    const rate = createRate(parts)
    rate.charge('a', 9)
    clock.ms = 0
    expect(() => rate.check('a')).toThrowError(wait(8))
    rate.check('b')
    rate.check('c')
    rate.check('a')
  })
})

describe('penalties', () => {
  it('grow with each failure after the first few, to a quarter of an hour', () => {
    const clock = { ms: 0 }
    const penalties = createPenalties({ uptimeMs: () => clock.ms })
    const waits: number[] = []
    for (let i = 0; i < 20; i++) {
      penalties.fail('a')
      try {
        penalties.check('a')
        waits.push(0)
      } catch (error) {
        waits.push((error as { details: { retryAfterSeconds: number } }).details.retryAfterSeconds)
      }
      clock.ms += (waits[i] as number) * 1000
    }
    expect(waits.slice(0, 9)).toEqual([0, 0, 0, 0, 0, 1, 2, 4, 8])
    expect(waits.slice(-4)).toEqual([900, 900, 900, 900])
    penalties.check('b')
    clock.ms += 60 * 60_000
    penalties.fail('a')
    penalties.check('a')
  })
})

describe('addressBlock', () => {
  it('takes an IPv4 address whole, and of IPv6 the network', () => {
    expect(addressBlock('203.0.113.7')).toBe('203.0.113.7')
    expect(addressBlock('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64')
    expect(addressBlock('2001:db8:1:2:ffff::1')).toBe('2001:db8:1:2::/64')
    expect(addressBlock('2001:db8:1:3::1')).not.toBe('2001:db8:1:2::/64')
  })
})

describe('the remote', () => {
  it('slows down whoever guesses a registration token, and nobody else', async () => {
    const registration = { mode: 'token', token: 'right' } as const
    const bench = openBench({ registration })
    const { chain, device } = makeChain()
    const guess = async (address: string, registrationToken: string) => {
      const honest = new Device(bench, chain, device)
      const request = { ...(await requestOf(honest)), registrationToken }
      const init = { method: 'POST', body: bodyOf(request) }
      return bench.remote.app.request('/v1/vaults', init, { address })
    }
    const codes: string[] = []
    for (let i = 0; i < 7; i++)
      codes.push(((await (await guess('10.0.0.9', `w${i}`)).json()) as { code: string }).code)
    expect(codes).toEqual([...Array(6).fill('registration-required'), 'too-many-requests'])
    const slowed = await guess('10.0.0.9', 'right')
    expect([slowed.status, slowed.headers.get('Retry-After')]).toEqual([429, '1'])
    expect((await guess('10.0.0.8', 'right')).status).toBe(200)
  })

  it('keeps nobody waiting for devices of the household that have no token, or an old one', async () => {
    const bench = openBench({ registration: { mode: 'token', token: 'right' } })
    const address = '10.0.0.9'
    const offer = async (registrationToken?: string) => {
      const { chain, device } = makeChain()
      const made = new Device(bench, chain, device)
      const request = await requestOf(made)
      if (registrationToken !== undefined) Object.assign(request, { registrationToken })
      const init = { method: 'POST', body: bodyOf(request) }
      return { made, answer: await bench.remote.app.request('/v1/vaults', init, { address }) }
    }
    for (let i = 0; i < 20; i++) {
      for (const token of [undefined, 'old', 'older']) {
        const { answer } = await offer(token)
        expect(((await answer.json()) as { code: string }).code).toBe('registration-required')
      }
    }
    expect((await offer('right')).answer.status).toBe(200)
  })

  it('lets the others of a household log in while one of them guesses tokens', async () => {
    const strangers = createStrangers({ uptimeMs: () => 0, limits: LIMITS_DEFAULT })
    const wrong = new ProtocolError('registration-required', 'wrong')
    const job = () => Promise.reject(wrong)
    for (let i = 0; i < 6; i++) {
      await expect(
        strangers.logIn('10.0.0.9', () => strangers.register('10.0.0.9', { token: `${i}`, job })),
      ).rejects.toBe(wrong)
    }
    await expect(strangers.register('10.0.0.9', { token: 'right', job })).rejects.toThrow(/wait/)
    expect(await strangers.logIn('10.0.0.9', async () => 'in')).toBe('in')
    expect(await strangers.pair('10.0.0.9', async () => 'paired')).toBe('paired')
  })

  it('makes nobody wait longer because its clock is set back', async () => {
    const uptime = { ms: 1_000_000 }
    const bench = openBench({ uptimeMs: () => uptime.ms })
    const guess = () =>
      bench.remote.app.request(
        '/v1/mailboxes',
        { headers: { [HEADER_MAILBOX_ID]: formatBase64Url(random(MAILBOX_ID_BYTES)) } },
        { address: '10.0.0.9' },
      )
    for (let i = 0; i < 6; i++) expect((await guess()).status).toBe(404)
    expect((await guess()).status).toBe(429)
    bench.clock.ms -= 7 * 24 * 60 * 60_000
    uptime.ms += 1_000
    expect((await guess()).status).toBe(404)
  })

  it('slows down one vault that pushes without end, and no other', async () => {
    const rates = { ...LIMITS_DEFAULT.rates, pushesPerSecond: 1 }
    const { bench, device } = await openVault({ limits: { ...LIMITS_DEFAULT, rates } })
    const pushOne = (by: Device) => {
      const id = by.stamp()
      const envelope = makeEnvelope({ recordId: record(1), timestamp: id })
      return by.post('/v1/push', { transactions: [[id, [[envelope]]]] })
    }
    const statuses: number[] = []
    for (let i = 0; i < 12; i++) statuses.push((await pushOne(device)).status)
    expect(statuses).toEqual([...Array(11).fill(200), 429])
    const { chain, device: signer } = makeChain()
    const other = new Device(bench, chain, signer)
    expect((await other.create()).status).toBe(200)
    await other.join()
    expect((await pushOne(other)).status).toBe(200)
    bench.clock.ms += 1_000
    expect((await pushOne(device)).status).toBe(200)
  })
})

/** What `create` sends, to be sent with an address. */
async function requestOf(device: Device): Promise<Record<string, unknown>> {
  let sent: Uint8Array = encodeCbor({})
  const app = device.bench.remote.app
  const { request } = app
  app.request = ((path: string, init: { body?: Uint8Array }) => {
    if (path === '/v1/vaults') sent = init.body as Uint8Array
    return path === '/v1/vaults' ? new Response(null) : request.call(app, path, init as never)
  }) as never
  await device.create()
  app.request = request
  const { decodeCbor } = await import('@blindcopy/protocol')
  return decodeCbor(sent) as Record<string, unknown>
}
