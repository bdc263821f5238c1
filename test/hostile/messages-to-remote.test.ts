/**
 * Whatever a client may send that is not what the protocol says: every message, wrong in every way
 * that `spoiling.ts` knows. The remote refuses it with one code, has no fault of its own, and has
 * stored afterwards, byte for byte, what it had before.
 *
 * Threats: 8, 11, 21, 34, 40, 50.
 */
import { decodeCbor, encodeCbor, PushAnswer, parseMessage } from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Answer, ask, type Device } from '../../packages/remote/src/remote.fixture.ts'
import { chanceOf } from '../simulation/chance.ts'
import {
  changedKeys,
  codeOfAnswer,
  expectRefused,
  HELLO,
  HelloSocket,
  openTwoVaults,
  SENT,
  type Sent,
  send,
  stored,
} from './requests.ts'
import { drawSpoiling, isWellFormed, type Spoiling, spoilingsOf } from './spoiling.ts'

const SEED = 901

/** Of a push that is well formed: the transactions it was right to take. */
function isSomeApplied(sent: Sent, answer: Answer): boolean {
  if (sent.path !== '/v1/push' || answer.problem !== undefined) return false
  return parseMessage(PushAnswer, answer.bytes).verdicts.some(({ type }) => type === 'applied')
}

/** What the message is signed for may not differ in anything but what is not signed. */
function expectAsSigned(path: string, message: Record<string, unknown>, body: Uint8Array): void {
  const { registrationToken: _, ...taken } = decodeCbor(body) as Record<string, unknown>
  const { registrationToken: __, ...made } = message
  if (['/v1/session', '/v1/vaults', '/v1/keychain'].includes(path)) expect(taken).toEqual(made)
}

/** Sends a spoiled message, and answers whether it was refused. */
async function tryOne(device: Device, sent: Sent, { what, spoil }: Spoiling): Promise<boolean> {
  const place = `${sent.path}, ${what}`
  const message = await sent.make(device)
  const body = spoil(message)
  const before = await stored(device)
  const answer = await send(device, sent, body)
  const code = codeOfAnswer(answer, place)
  if (!isWellFormed(sent.schema, body)) expect(['malformed', 'too-large'], place).toContain(code)
  if (code === undefined) expectAsSigned(sent.path, message, body)
  const changed = changedKeys(before, await stored(device))
  if (!isSomeApplied(sent, answer)) expect(changed, place).toEqual([])
  expect(device.bench.faults, place).toEqual([])
  return code !== undefined
}

describe('a spoiled message', () => {
  it.each(SENT.map((sent) => [sent.path, sent] as const))(
    'is refused, in every way it can be wrong: %s',
    async (_, sent) => {
      const { ours } = await openTwoVaults()
      const spoilings = spoilingsOf(await sent.make(ours), chanceOf(SEED, sent.path))
      let refused = 0
      for (const spoiling of spoilings) if (await tryOne(ours, sent, spoiling)) refused++
      // Bytes of an id or of a ciphertext may be any; the rest of a message may not.
      expect(refused).toBeGreaterThan(spoilings.length * 0.6)
      expect((await send(ours, sent, encodeCbor(await sent.make(ours)))).problem).toBeUndefined()
    },
  )

  it('is refused when several things are wrong with it at once', async () => {
    const { ours } = await openTwoVaults()
    await fc.assert(
      fc.asyncProperty(fc.nat(SENT.length - 1), fc.nat(), async (index, seed) => {
        const sent = SENT[index] as Sent
        await tryOne(ours, sent, drawSpoiling(await sent.make(ours), chanceOf(seed)))
      }),
      { numRuns: 400, seed: SEED },
    )
  })
})

describe('a body', () => {
  it.each(SENT.map((sent) => [sent.path, sent] as const))(
    'is too large one byte beyond the limit, and not at it: %s',
    async (_, sent) => {
      const { ours } = await openTwoVaults()
      const largest = new Uint8Array(sent.bytesMax)
      const beyond = new Uint8Array(sent.bytesMax + 1)
      const what = sent.path
      await expectRefused(ours, () => send(ours, sent, largest), { what, codes: ['malformed'] })
      await expectRefused(ours, () => send(ours, sent, beyond), { what, codes: ['too-large'] })
      const headers = { ...sent.headers(ours), 'Content-Length': String(sent.bytesMax + 1) }
      const init = { method: 'POST', headers, body: new Uint8Array(1) }
      const codes = ['too-large']
      await expectRefused(ours, () => ask(ours.app, sent.path, init), { what, codes })
    },
  )

  it('that breaks off while it arrives changes nothing', async () => {
    const { ours } = await openTwoVaults()
    for (const sent of SENT) {
      const whole = encodeCbor(await sent.make(ours))
      const before = await stored(ours)
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(whole.subarray(0, whole.length / 2)),
        pull: (controller) => controller.close(),
      })
      const init = { method: 'POST', headers: sent.headers(ours), body, duplex: 'half' }
      const answer = await ask(ours.app, sent.path, init as RequestInit)
      expect(codeOfAnswer(answer, sent.path)).toBe('malformed')
      expect(changedKeys(before, await stored(ours))).toEqual([])
    }
  })

  it('of another kind is malformed, whatever kind is declared', async () => {
    const { ours } = await openTwoVaults()
    const bodies: Record<string, string> = {
      'application/json': '{"vaultId":"AAAA"}',
      'application/x-www-form-urlencoded': 'vaultId=AAAA',
      'text/html': '<p>',
      'application/cbor': '',
    }
    for (const sent of SENT) {
      for (const [type, body] of Object.entries(bodies)) {
        const headers = { ...sent.headers(ours), 'Content-Type': type }
        const request = () => ask(ours.app, sent.path, { method: 'POST', headers, body })
        const what = `${sent.path} as ${type}`
        await expectRefused(ours, request, { what, codes: ['malformed'] })
      }
    }
  })
})

describe('a hello on the live socket', () => {
  async function tryHello(device: Device, { what, spoil }: Spoiling): Promise<void> {
    const body = spoil(HELLO.make(device))
    const before = await stored(device)
    const socket = new HelloSocket(device)
    await socket.connection.receive(body)
    const { refusal } = socket
    const isGood = isWellFormed(HELLO.schema, body)
    if (!isGood) expect(['malformed', 'too-large'], what).toContain(refusal)
    const isTaken = socket.frames[0]?.[0] === 4
    expect([socket.closed, socket.frames.length], what).toEqual([isTaken ? undefined : 1008, 1])
    if (isTaken) expect(decodeCbor(body), what).toEqual(HELLO.make(device))
    const changed = changedKeys(before, await stored(device))
    // A cursor that is not in the log begins a new SyncId, and changes nothing else.
    expect(changed.length, what).toBe(isGood && refusal === 'sync-id-mismatch' ? changed.length : 0)
    expect(changed.length, what).toBeLessThanOrEqual(1)
    if (changed.length === 1) await device.join()
    expect(device.bench.faults, what).toEqual([])
    if (isTaken) socket.connection.closed()
  }

  it('is refused, in every way it can be wrong', async () => {
    const { ours } = await openTwoVaults()
    for (const spoiling of spoilingsOf(HELLO.make(ours), chanceOf(SEED, 'hello'))) {
      await tryHello(ours, spoiling)
    }
  })

  it('is refused when it is longer than one may be', async () => {
    const { ours } = await openTwoVaults()
    const spoil = () => new Uint8Array(4_097)
    await tryHello(ours, { what: 'long', spoil })
  })
})

describe('headers and queries', () => {
  const asGet = (device: Device, path: string, headers: Record<string, string>) => () =>
    ask(device.app, path, { headers })
  const routes = (device: Device, isData: boolean) => [
    ...SENT.filter((sent) => isData === sent.isData && 'Authorization' in sent.headers(device)).map(
      (sent) => [sent.path, 'POST'] as const,
    ),
    [isData ? '/v1/changes' : '/v1/keychain', 'GET'] as const,
  ]

  async function expectHeader(
    device: Device,
    { name, value, codes }: { name: string; value: string | undefined; codes: readonly string[] },
  ): Promise<void> {
    for (const isData of name === 'Authorization' ? [true, false] : [true]) {
      for (const [path, method] of routes(device, isData)) {
        const headers = new Headers(device.headers)
        if (value === undefined) headers.delete(name)
        else headers.set(name, value)
        const body = SENT.find((sent) => sent.path === path && method === 'POST')
        const message = await body?.make(device)
        const init = message === undefined ? {} : { body: new Uint8Array(encodeCbor(message)) }
        const request = () => ask(device.app, path, { method, headers, ...init })
        await expectRefused(device, request, { what: `${path}, ${name}: ${value}`, codes })
      }
    }
  }

  it('without a token that was issued here are refused', async () => {
    const { ours } = await openTwoVaults()
    const { token } = ours
    const flipped = token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))
    const middle = `${token.slice(0, 50)}${token[50] === 'A' ? 'B' : 'A'}${token.slice(51)}`
    for (const value of [
      undefined,
      'Bearer',
      'Bearer ',
      `Basic ${token}`,
      token,
      `Bearer ${token.slice(0, -1)}`,
      `Bearer ${token}A`,
      `Bearer ${token} ${token}`,
      `Bearer ${flipped}`,
      `Bearer ${middle}`,
      `Bearer ${'A'.repeat(token.length)}`,
      `Bearer ${'A'.repeat(100_000)}`,
    ]) {
      await expectHeader(ours, { name: 'Authorization', value, codes: ['session-required'] })
    }
  })

  it('with a SyncId or a cursor of another form are malformed', async () => {
    const { ours } = await openTwoVaults()
    const chain = ours.headers['Blindcopy-Cursor']?.split('.')[1] ?? ''
    const id = ours.headers['Blindcopy-Sync-Id'] ?? ''
    const codes = ['malformed']
    const text = (size: number) => 'A'.repeat(size)
    for (const value of [undefined, '', 'x', text(21), text(23), `${id}==`, `${text(21)}B`, '+/']) {
      await expectHeader(ours, { name: 'Blindcopy-Sync-Id', value, codes })
    }
    const numbers = ['', '-1', '1.5', '1e3', '01', '0x1', '9007199254740992', '99999999999999999']
    for (const value of [
      undefined,
      '',
      '2',
      '2.',
      `2.${chain}=`,
      `2.${text(42)}`,
      `2.${text(42)}B`,
    ]) {
      await expectHeader(ours, { name: 'Blindcopy-Cursor', value, codes })
    }
    for (const number of numbers) {
      await expectHeader(ours, { name: 'Blindcopy-Cursor', value: `${number}.${chain}`, codes })
    }
  })

  it('with another protocol version are refused', async () => {
    const { ours } = await openTwoVaults()
    for (const value of ['0', '2', '999999', '-1', '1.0', 'x', '1, 1']) {
      const codes = ['unsupported-protocol']
      await expectHeader(ours, { name: 'Blindcopy-Protocol', value, codes })
    }
  })

  it('with a number that is none are malformed', async () => {
    const { ours } = await openTwoVaults()
    for (const value of ['', '-1', '1e3', '0x10', ' 1', '1.5', '9'.repeat(16), '%D9%A3', 'NaN']) {
      for (const path of [`/v1/keychain?from=${value}`, `/v1/changes?limit=${value}`]) {
        const what = path
        const request = asGet(ours, path, ours.headers)
        await expectRefused(ours, request, { what, codes: ['malformed'] })
      }
    }
  })

  it('with another method reach no route', async () => {
    const { ours } = await openTwoVaults()
    const paths = [...SENT.map((sent) => sent.path), '/v1/changes', '/v1/capabilities', '/v1/live']
    for (const path of paths) {
      for (const method of ['PUT', 'PATCH', 'DELETE', 'GET', 'POST']) {
        const isRoute =
          method === 'POST'
            ? SENT.some((sent) => sent.path === path)
            : method === 'GET' &&
              !(SENT.some((sent) => sent.path === path) && path !== '/v1/keychain')
        const isMailbox = path === '/v1/mailboxes' && (method === 'GET' || method === 'DELETE')
        if (isRoute || isMailbox) continue
        const request = () => ask(ours.app, path, { method, headers: ours.headers })
        const what = `${method} ${path}`
        await expectRefused(ours, request, { what, codes: ['not-found'] })
      }
    }
  })
})
