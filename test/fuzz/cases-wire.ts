/**
 * Cases of the wire: what is no request, half a request, several at once, one within another, or
 * one that takes its time. Each has one coded answer for each request that was begun, at most, and
 * an end.
 */
import type { Chance } from '../simulation/chance.ts'
import { effectOf, type Family, say } from './case.ts'
import { must } from './judge.ts'
import type { Target } from './target.ts'
import { headersOf, TEMPLATES } from './templates.ts'
import { type Conversation, encodeRequest, type Piece } from './wire.ts'

type Talk = {
  readonly what: string
  readonly conversation: Conversation
  readonly min: number
  readonly max: number
}

const HOST = 'Host: x\r\n'
const CLOSE = `${HOST}Connection: close\r\n`

/** A push that would be taken: whatever smuggles it past a check shows in the store. */
async function goodPush(target: Target, chance: Chance): Promise<Buffer> {
  const template = TEMPLATES.find(({ path }) => path === '/v1/push') as (typeof TEMPLATES)[number]
  const body = (await template.make(target.attacker, chance)) as Uint8Array
  const headers = headersOf(target.attacker, 'data')
  return encodeRequest({ method: 'POST', path: '/v1/push', headers, body })
}

/** Of a whole request some: nothing, a part of the head, the head, a part of the body. */
async function cut(target: Target, chance: Chance): Promise<Talk> {
  const whole = await goodPush(target, chance)
  const size = chance.below(whole.length)
  const ending = chance.pick(['half', 'reset'] as const)
  const pieces = [whole.subarray(0, size)]
  const what = `a push, cut after ${size} bytes, ${ending}`
  return { what, conversation: { pieces, ending }, min: 0, max: 1 }
}

async function slow(target: Target, chance: Chance): Promise<Talk> {
  const whole = await goodPush(target, chance)
  const headEnd = whole.indexOf('\r\n\r\n')
  const isHead = chance.oneIn(2)
  const start = isHead ? chance.below(headEnd) : headEnd + 4
  const size = isHead ? 1 : chance.pick([1, 7, 200])
  const pieces: Piece[] = [whole.subarray(0, start)]
  for (let at = start; at < whole.length && pieces.length < 60; at += size) {
    pieces.push(whole.subarray(at, at + size))
  }
  const pauseMs = chance.pick([1, 20, 150])
  const what = `a push, ${size} bytes every ${pauseMs} ms from ${start}`
  // With too few pieces it never ends: then the server must end it.
  return { what, conversation: { pieces, ending: 'wait', pauseMs }, min: 0, max: 1 }
}

async function pipelined(target: Target, chance: Chance): Promise<Talk> {
  const count = 1 + chance.below(30)
  const pieces: Piece[] = []
  for (let i = 0; i < count; i++) {
    const template = chance.pick(TEMPLATES)
    const body = await template.make(target.attacker, chance)
    const { method, path, who } = template
    const headers = chance.oneIn(4) ? {} : headersOf(target.attacker, who)
    const request = encodeRequest({ method, path, headers, ...(body && { body }) })
    const kept = request.toString('latin1').replace('Connection: close\r\n', '')
    pieces.push(i === count - 1 ? request : kept)
  }
  const isDeaf = chance.oneIn(4)
  const joined = Buffer.concat(
    pieces.map((one) => (typeof one === 'string' ? Buffer.from(one, 'latin1') : one)),
  )
  const what = `${count} requests at once${isDeaf ? ', read at the end' : ''}`
  return { what, conversation: { pieces: [joined], ending: 'wait', isDeaf }, min: 1, max: count }
}

/** Two lengths, or a length and an encoding: a proxy may see another end than we do. */
async function smuggled(target: Target, chance: Chance): Promise<Talk> {
  const inner = (await goodPush(target, chance)).toString('latin1')
  const token = `Authorization: Bearer ${target.attacker.token}\r\n`
  const heads = [
    `Content-Length: 4\r\nTransfer-Encoding: chunked\r\n`,
    `Transfer-Encoding: chunked\r\nContent-Length: ${inner.length}\r\n`,
    `Content-Length: 0\r\nContent-Length: ${inner.length}\r\n`,
    `Content-Length: ${inner.length}, ${inner.length}\r\n`,
    `Content-Length: +${inner.length}\r\n`,
    `Content-Length: ${inner.length} \r\n`,
    `Content-Length : ${inner.length}\r\n`,
    `Content-Length: 0x${inner.length.toString(16)}\r\n`,
    `Content-Length: ${'9'.repeat(30)}\r\n`,
    `Content-Length: -1\r\n`,
    `Transfer-Encoding: xchunked\r\n`,
    `Transfer-Encoding : chunked\r\n`,
    `Transfer-Encoding: chunked, identity\r\n`,
    `Transfer-Encoding: identity, chunked\r\n`,
    `Transfer-Encoding:\x0bchunked\r\n`,
    `Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n`,
    `X: y\nContent-Length: ${inner.length}\r\n`,
    `X: y\r\n Content-Length: ${inner.length}\r\n`,
    `X: y\0\r\nContent-Length: ${inner.length}\r\n`,
  ]
  const head = chance.pick(heads)
  const path = chance.pick(['/v1/challenge', '/v1/changes', '/v1/push', '/healthz'])
  const start = `${chance.pick(['POST', 'GET'])} ${path} HTTP/1.1\r\n${HOST}${token}${head}\r\n`
  const body = chance.pick([`0\r\n\r\n${inner}`, inner, `1\r\nZ\r\n0\r\n\r\n${inner}`])
  const what = `${JSON.stringify(head.slice(0, 60))} around a push`
  const conversation = { pieces: [start + body], ending: 'half' } as const
  return { what, conversation, min: 1, max: 2 }
}

const CHUNKS = [
  'zz\r\n',
  '-1\r\nx\r\n',
  'ffffffffffffffff1\r\nx\r\n',
  '7fffffff\r\nabc',
  '5\r\nabcdefgh\r\n0\r\n\r\n',
  '3\r\nabc0\r\n\r\n',
  '3;a=b\r\nabc\r\n0\r\n\r\n',
  `3;${'e'.repeat(20_000)}\r\nabc\r\n0\r\n\r\n`,
  '3\nabc\n0\n\n',
  '3\r\nabc\r\n0\r\nTrailer: x\r\nAuthorization: y\r\n\r\n',
  `0\r\n${'T: x\r\n'.repeat(4_000)}\r\n`,
  `${'1\r\na\r\n'.repeat(6_000)}0\r\n\r\n`,
  '3\r\nabc\r\n',
]

async function chunked(target: Target, chance: Chance): Promise<Talk> {
  const token = `Authorization: Bearer ${target.attacker.token}\r\n`
  const path = chance.pick(['/v1/challenge', '/v1/mailboxes', '/v1/keychain'])
  const head = `POST ${path} HTTP/1.1\r\n${CLOSE}${token}Transfer-Encoding: chunked\r\n\r\n`
  const chunk = chance.pick(CHUNKS)
  const what = `${path} in chunks: ${JSON.stringify(chunk.slice(0, 40))}`
  return { what, conversation: { pieces: [head, chunk], ending: 'half' }, min: 1, max: 1 }
}

const RAW: readonly ((chance: Chance) => Piece)[] = [
  (chance) => chance.bytes(1 + chance.below(500)),
  () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  () => 'GET /v1/capabilities\r\n\r\n',
  () => `GET /v1/capabilities HTTP/0.9\r\n${CLOSE}\r\n`,
  () => `GET /v1/capabilities HTTP/1.0\r\n\r\n`,
  () => `GET /v1/capabilities HTTP/2.0\r\n${CLOSE}\r\n`,
  () => `GET  /v1/capabilities  HTTP/1.1\r\n${CLOSE}\r\n`,
  () => `\r\n\r\n\r\nGET /v1/capabilities HTTP/1.1\r\n${CLOSE}\r\n`,
  () => `GET /v1/capabilities HTTP/1.1\n${CLOSE}\n`,
  () => `GET /v1/capabilities HTTP/1.1\r\n${CLOSE}: x\r\n\r\n`,
  () => `GET /v1/capabilities HTTP/1.1\r\n${CLOSE}no colon\r\n\r\n`,
  () => `GET /v1/capabilities HTTP/1.1\r\n${CLOSE}a b: c\r\n\r\n`,
  () => `GET /v1/capabilities HTTP/1.1\r\n${CLOSE}a: b\x00c\r\n\r\n`,
  () => `GET /v1/capabilities HTTP/1.1\r\n${CLOSE}a: b\rc\r\n\r\n`,
  () => `GET /v1/capabilities HTTP/1.1\r\nConnection: close\r\n\r\n`,
  () => `GET /v1/capabilities HTTP/1.1\r\n${CLOSE}Host: y\r\n\r\n`,
  () => `GET /v1/capabilities HTTP/1.1\r\nHost: [::1\r\nConnection: close\r\n\r\n`,
  () => `GET /v1/capabilities HTTP/1.1\r\nHost: ${'h'.repeat(5_000)}\r\nConnection: close\r\n\r\n`,
  () => `GET /v1/capabilities HTTP/1.1\r\n${CLOSE}${'a: b\r\n'.repeat(2_500)}\r\n`,
  () => `GET /v1/capabilities HTTP/1.1\r\n${CLOSE}a: ${'b'.repeat(100_000)}\r\n\r\n`,
  () => `GET /${'p'.repeat(100_000)} HTTP/1.1\r\n${CLOSE}\r\n`,
  () => `${'G'.repeat(100_000)} / HTTP/1.1\r\n${CLOSE}\r\n`,
]

async function raw(_: Target, chance: Chance): Promise<Talk> {
  const piece = chance.pick(RAW)(chance)
  const shown = typeof piece === 'string' ? piece.slice(0, 70) : Buffer.from(piece).toString('hex')
  const what = `raw: ${JSON.stringify(shown.slice(0, 90))}`
  return { what, conversation: { pieces: [piece], ending: 'half' }, min: 0, max: 1 }
}

async function idle(target: Target, chance: Chance): Promise<Talk> {
  const whole = await goodPush(target, chance)
  const begun = whole.subarray(0, chance.below(whole.length))
  const piece = chance.pick(['', '\r\n', 'G', `GET / HTTP/1.1\r\n${HOST}`, begun])
  const what = `silence after ${piece.length} bytes`
  return { what, conversation: { pieces: [piece], ending: 'wait' }, min: 0, max: 1 }
}

const TALKS = [cut, cut, pipelined, smuggled, smuggled, chunked, raw, raw, raw]

const wireOf =
  (talks: readonly ((target: Target, chance: Chance) => Promise<Talk>)[]): Family =>
  async (target, chance) => {
    const { what, conversation, min, max } = await chance.pick(talks)(target, chance)
    return {
      what,
      async run() {
        const { codes } = await say(target, chance, conversation, { min, max })
        must(codes.length <= max, 'as many answers as requests')
        const mayChange = conversation.ending === 'reset' ? 'vault' : effectOf(codes, 'vault')
        return { codes, mayChange }
      },
    }
  }

export const oddWire: Family = wireOf(TALKS)

/** Apart, because each takes as long as the remote is patient. */
export const slowWire: Family = wireOf([slow, slow, idle])
