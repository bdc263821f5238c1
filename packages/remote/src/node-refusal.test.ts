/** What is no request, or reaches no route, gets one coded answer like any other refusal. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { Problem } from '@blindcopy/protocol'
import { createMemoryStore } from '@blindcopy/secondary'
import { afterEach, describe, expect, it } from 'vitest'
import type { RequestLine } from './app.ts'
import { LIMITS_DEFAULT } from './limits.ts'
import { type ServedRemote, serveRemote } from './node.ts'

const faults: unknown[] = []
/** The next line of the log. */
const lines = {
  take: (_: RequestLine): void => {},
  next: (): Promise<RequestLine> =>
    new Promise((resolve) => {
      lines.take = resolve
    }),
}
let served: ServedRemote | undefined

afterEach(async () => {
  await served?.close()
  served = undefined
  expect(faults.splice(0)).toEqual([])
})

/** All that is answered to these bytes until the remote closes. */
async function say(...pieces: readonly string[]): Promise<string> {
  served ??= await serveRemote({
    store: createMemoryStore(),
    registration: { mode: 'open' },
    onFault: (error) => faults.push(error),
    log: (line) => lines.take(line),
    limits: { ...LIMITS_DEFAULT, drainMs: 100 },
  })
  const socket = connect(served.port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  await once(socket, 'connect')
  for (const piece of pieces) socket.write(piece)
  await once(socket, 'close')
  return Buffer.concat(chunks).toString('latin1')
}

/** Status and code of the only answer. */
async function refusal(...pieces: readonly string[]): Promise<[number, string]> {
  const text = await say(...pieces)
  const [head = '', body = ''] = text.split('\r\n\r\n')
  expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1)
  expect(head.toLowerCase()).toContain('content-type: application/problem+json')
  const problem = Problem.parse(JSON.parse(body))
  expect(head.slice(9, 12)).toBe(String(problem.status))
  return [problem.status, problem.code]
}

const END = 'Host: x\r\nConnection: close\r\n\r\n'

describe('what is no request', () => {
  it.each([
    ['other bytes', '\x16\x03\x01\x02\x00\x01'],
    ['a version of no HTTP', `GET /healthz HTTP/9.9\r\n${END}`],
    ['no method', `FETCH /healthz HTTP/1.1\r\n${END}`],
    ['two lengths', `POST /v1/push HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n${END}`],
    [
      'a length and an encoding',
      `POST /v1/push HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n${END}0\r\n\r\n`,
    ],
    ['no host', 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n'],
    ['a host that is none', 'GET /healthz HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'],
    ['a target that is none', `GET http://[x/ HTTP/1.1\r\n${END}`],
    ['a header that folds', `GET /healthz HTTP/1.1\r\nA: b\r\n c\r\n${END}`],
    ['an expectation', `POST /v1/push HTTP/1.1\r\nExpect: more\r\n${END}`],
    [
      'a chunk that is none',
      `POST /v1/challenge HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${END}zz\r\n`,
    ],
  ])('is malformed: %s', async (_, bytes) => {
    expect(await refusal(bytes)).toEqual([400, 'malformed'])
  })

  it('is too large with endless headers, however they arrive', async () => {
    const flood = new Array<string>(1_000).fill(`A: ${'b'.repeat(900)}\r\n`)
    for (const pieces of [flood, [flood.slice(0, 12).join('')]]) {
      const answer = await refusal('GET /healthz HTTP/1.1\r\n', ...pieces, END)
      expect(answer).toEqual([413, 'too-large'])
    }
  })

  it('is answered after what came before it, never in its place', async () => {
    for (const broken of ['no request\r\n\r\n', `CONNECT a:1 HTTP/1.1\r\n${END}`]) {
      const text = await say(`GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(3) + broken)
      const statuses = [...text.matchAll(/HTTP\/1\.1 ([0-9]+)/g)].map(([, status]) => status)
      expect(statuses).toEqual(['200', '200', '200', broken.startsWith('no') ? '400' : '404'])
    }
  })
})

describe('what reaches no route', () => {
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nHost: x\r\n'

  it('is not found: another path for a live socket, a tunnel', async () => {
    expect(await refusal(`GET /v1/push HTTP/1.1\r\n${upgrade}\r\n`)).toEqual([404, 'not-found'])
    expect(await refusal(`CONNECT a:1 HTTP/1.1\r\n${END}`)).toEqual([404, 'not-found'])
  })

  it('is malformed: a live socket that does not shake hands', async () => {
    for (const key of ['', 'Sec-WebSocket-Key: x\r\n', 'Sec-WebSocket-Version: 7\r\n']) {
      const answer = await refusal(`GET /v1/live HTTP/1.1\r\n${key}${upgrade}\r\n`)
      expect(answer).toEqual([400, 'malformed'])
    }
  })
})

describe('a body that breaks off', () => {
  it('is no fault of the remote', async () => {
    await say('no request\r\n\r\n')
    const { port } = served as ServedRemote
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write('POST /v1/challenge HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nabc')
    await fetch(`http://127.0.0.1:${port}/healthz`)
    const answered = lines.next()
    socket.resetAndDestroy()
    expect(await answered).toMatchObject({ route: '/v1/challenge', status: 400 })
  })
})
