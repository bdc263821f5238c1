/**
 * Cases of messages: a good body of every route with something else in it; headers of every odd
 * form around a good one; paths and methods that are almost those of a route; challenges that are
 * presented twice, by others, or for others.
 */
import {
  concat,
  encodeCbor,
  HEADER_CURSOR,
  HEADER_MAILBOX_ID,
  HEADER_PROTOCOL,
  HEADER_SYNC_ID,
  loginSignedBytes,
} from '@blindcopy/protocol'
import { makeSigner, ORIGIN } from '../../packages/remote/src/remote.fixture.ts'
import type { Chance } from '../simulation/chance.ts'
import { effectOf, type Family, say } from './case.ts'
import { mutate } from './mutate.ts'
import type { Target } from './target.ts'
import { headersOf, TEMPLATES, type Template } from './templates.ts'
import { encodeRequest } from './wire.ts'

const BODIES = TEMPLATES.filter(({ method }) => method !== 'GET')

/** A good message, changed. */
export const mutatedMessage: Family = async (target, chance) => {
  const template = chance.pick(BODIES)
  const device = chance.oneIn(10) ? target.revoked : target.attacker
  const good = (await template.make(device, chance)) ?? new Uint8Array(0)
  const other = (await chance.pick(BODIES).make(target.attacker, chance)) ?? new Uint8Array(0)
  const { what, bytes: body } = mutate(good, chance, concat(other))
  const { method, path, who, success } = template
  const request = encodeRequest({ method, path, headers: headersOf(device, who), body })
  return {
    what: `${method} ${path}: ${what}`,
    async run() {
      const conversation = { pieces: [request], ending: 'wait' } as const
      const { codes } = await say(target, chance, conversation, { min: 1, max: 1 })
      return { codes, mayChange: effectOf(codes, success) }
    },
  }
}

type Pair = readonly [name: string, value: string]

/** A good request in headers that are not. */
export const oddHeaders: Family = async (target, chance) => {
  const template = chance.pick(TEMPLATES)
  const { method, path, who, success } = template
  const body = await template.make(target.attacker, chance)
  const { what, headers } = drawHeaders(target, chance, template)
  const request = encodeRequest({ method, path, headers, ...(body && { body }) })
  return {
    what: `${method} ${path}: ${what} (${who})`,
    async run() {
      const conversation = { pieces: [request], ending: 'wait' } as const
      const { codes } = await say(target, chance, conversation, { min: 1, max: 1 })
      return { codes, mayChange: effectOf(codes, success) }
    },
  }
}

const long = (chance: Chance): string => 'A'.repeat(chance.pick([100, 1_000, 7_000, 9_000, 70_000]))

/** Values that stand where a token, an id or a number should. */
function oddValue(target: Target, chance: Chance): string {
  const { attacker, revoked, honest, expiredToken } = target
  const others = [attacker, revoked, honest.device]
  const device = chance.pick(others)
  return chance.pick<() => string>([
    () => '',
    () => ' ',
    () => long(chance),
    () => `Bearer ${device.token}`,
    () => `bearer  ${device.token}`,
    () => `Bearer ${expiredToken}`,
    () => `Bearer ${device.token.slice(0, chance.below(118))}`,
    () => `Bearer ${device.token}, Bearer ${attacker.token}`,
    () => `Basic ${btoa(device.token)}`,
    () => `Bearer ${changeOne(device.token, chance)}`,
    () => device.headers[HEADER_SYNC_ID] as string,
    () => device.headers[HEADER_CURSOR] as string,
    () => changeOne(device.headers[HEADER_CURSOR] as string, chance),
    () => changeOne(device.headers[HEADER_SYNC_ID] as string, chance),
    () => `${chance.pick([0, 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1])}.${'A'.repeat(43)}`,
    () => chance.pick(['0', '1', '2', '-1', '1e9', '0x1', 'NaN', '٣', '1, 1', '1;q=0', '\t1']),
    () => chance.pick(['\x80\xff', '%00', '../..', '{"a":1}', '<script>', '\u00e9']),
    () => Buffer.from(chance.bytes(chance.below(60))).toString('base64url'),
  ])()
}

const changeOne = (text: string, chance: Chance): string => {
  const at = chance.below(Math.max(1, text.length))
  const letter = chance.pick([...'AB-_.=+/0 z'])
  return text.slice(0, at) + letter + text.slice(at + 1)
}

const OWN = ['Authorization', HEADER_SYNC_ID, HEADER_CURSOR, HEADER_MAILBOX_ID, HEADER_PROTOCOL]
const FOREIGN: readonly Pair[] = [
  ['Content-Type', 'multipart/form-data; boundary=x'],
  ['Content-Encoding', 'gzip'],
  ['Expect', '100-continue'],
  ['Expect', '200-ok'],
  ['Range', 'bytes=0-0'],
  ['If-None-Match', '*'],
  ['Origin', 'https://evil.example'],
  ['Origin', 'null'],
  ['Access-Control-Request-Method', 'DELETE'],
  ['X-Forwarded-For', '10.0.0.1, 127.0.0.1'],
  ['X-Forwarded-Host', 'evil.example'],
  ['Forwarded', 'for=unknown;host=evil'],
  ['X-HTTP-Method-Override', 'DELETE'],
  ['X-Request-Id', '../../etc/passwd'],
  ['Cookie', `session=${'x'.repeat(2_000)}`],
  ['Connection', 'keep-alive, authorization'],
  ['TE', 'trailers, deflate'],
  ['Transfer-Encoding', 'identity'],
  ['Accept', 'text/html'],
  ['__proto__', 'polluted'],
  ['constructor', 'x'],
  ['Host', 'evil.example'],
  ['Upgrade', 'h2c'],
]

function drawHeaders(
  target: Target,
  chance: Chance,
  { who }: Template,
): { what: string; headers: readonly Pair[] } {
  let headers: Pair[] = Object.entries(headersOf(target.attacker, who))
  const said: string[] = []
  for (let left = 1 + chance.below(2); left > 0; left--) {
    const name = chance.pick(OWN)
    const value = oddValue(target, chance)
    const shown = `${name}: ${JSON.stringify(value.slice(0, 40))}`
    switch (chance.below(6)) {
      case 0:
        headers = headers.filter(([one]) => one !== name)
        said.push(`without ${name}`)
        break
      case 1:
        headers = [...headers, [name, value]]
        said.push(`also ${shown}`)
        break
      case 2:
        headers = [...headers, chance.pick(FOREIGN)]
        said.push(`also ${headers.at(-1)?.join(': ').slice(0, 50)}`)
        break
      case 3: {
        const count = chance.pick([10, 100, 1_500, 3_000])
        headers = [...headers, ...Array.from({ length: count }, (_, i): Pair => [`x${i}`, ''])]
        said.push(`${count} headers more`)
        break
      }
      default:
        headers = headers.filter(([one]) => one !== name)
        headers = [...headers, [name, value]]
        said.push(shown)
    }
  }
  return { what: said.join(', and '), headers }
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND']
const METHODS_ODD = ['CONNECT', 'SEARCH', 'get', 'FETCH', 'PRI', 'M-SEARCH', 'Q'.repeat(300), '']

type Trick = (path: string, chance: Chance) => string

const TRICKS: readonly Trick[] = [
  (path) => path,
  (path) => `${path}/`,
  (path) => `/${path}`,
  (path) => path.toUpperCase(),
  (path) => path.replace('v1', 'v1/.'),
  (path) => `/v1/../${path.slice(1)}`,
  (path) => `/x/%2e%2e${path}`,
  (path) => path.replace('v1/', 'v1/%2f'),
  (path) => path.replace(/.$/, (last) => `%${last.charCodeAt(0).toString(16)}`),
  (path) => `${path}%00`,
  (path) => `${path}%`,
  (path) => `${path}%ff%fe`,
  (path) => `${path};a=b`,
  (path) => `${path}#x`,
  (path) => `${path}\\..\\x`,
  (path) => `http://evil.example${path}`,
  (path) => `//evil.example${path}`,
  () => '*',
  () => 'evil.example:443',
  () => '',
  (path, chance) => `${path}?${'a=b&'.repeat(chance.pick([10, 900]))}`,
  (path, chance) => `${path}/${'x/'.repeat(chance.pick([10, 1_500]))}`,
  (path, chance) => `${path}?since=${oddNumber(chance)}&limit=${oddNumber(chance)}&digests=1`,
  (path, chance) => `${path}?from=${oddNumber(chance)}&from=${oddNumber(chance)}`,
  (path, chance) => `${path}?${Buffer.from(chance.bytes(20)).toString('latin1')}`,
  (path) => `${path}?__proto__=1&constructor[prototype]=2`,
]

const oddNumber = (chance: Chance): string =>
  chance.pick(['', '0', '1', '-1', '1e3', '999999999999999', '9'.repeat(30), 'NaN', '%30', '+1'])

/** A path that is almost one, by any method. */
export const oddPath: Family = async (target, chance) => {
  const template = chance.pick(TEMPLATES)
  const known = ['/healthz', '/readyz', '/metrics', '/admin', '/v1/live', '/v1/mailboxes', '/']
  const path = chance.pick(TRICKS)(chance.oneIn(2) ? template.path : chance.pick(known), chance)
  const method = chance.oneIn(4) ? chance.pick(METHODS_ODD) : chance.pick(METHODS)
  const body = chance.oneIn(2) ? await template.make(target.attacker, chance) : undefined
  const headers = headersOf(target.attacker, template.who)
  const request = encodeRequest({ method, path, headers, ...(body && { body }) })
  return {
    what: `${JSON.stringify(method.slice(0, 20))} ${JSON.stringify(path.slice(0, 60))}`,
    async run() {
      const expected = { min: 1, max: 1, isHead: method === 'HEAD' }
      const conversation = { pieces: [request], ending: 'wait' } as const
      const { codes } = await say(target, chance, conversation, expected)
      // A good message may well have got through.
      return { codes, mayChange: effectOf(codes, body === undefined ? 'nothing' : 'vault') }
    },
  }
}

/** A login with one thing that is not as it was signed or given. */
export const oddLogin: Family = async (target, chance) => {
  const { attacker, revoked, honest } = target
  const { nonce, expiresMs } = await attacker.challenge()
  const other = await honest.device.challenge()
  const good = {
    vaultId: attacker.chain.vaultId,
    memberId: attacker.signer.memberId,
    nonce,
    expiresMs,
    origin: ORIGIN,
  }
  const lies: readonly (readonly [string, Partial<typeof good>])[] = [
    ['twice', {}],
    ['the nonce of another vault', { nonce: other.nonce, expiresMs: other.expiresMs }],
    ['another vault', { vaultId: honest.device.chain.vaultId }],
    ['another vault and its nonce', { ...other, vaultId: honest.device.chain.vaultId }],
    ['another time', { expiresMs: expiresMs + 1 }],
    ['an endless time', { expiresMs: Number.MAX_SAFE_INTEGER }],
    ['another member', { memberId: revoked.signer.memberId }],
    ['a member of another vault', { memberId: honest.device.signer.memberId }],
    ['another origin', { origin: 'https://evil.example' }],
    ['an origin that only begins so', { origin: `${ORIGIN}.evil.example` }],
    ['a nonce nobody gave', { nonce: chance.bytes(32) as typeof nonce }],
    ['another key', {}],
  ]
  const [what, lie] = chance.pick(lies)
  const statement = { ...good, ...lie }
  const signer =
    what === 'another key' ? makeSigner() : chance.pick([attacker.signer, revoked.signer])
  const signature = signer.sign(loginSignedBytes(chance.oneIn(3) ? good : statement))
  const body = encodeCbor({ ...statement, signature })
  const request = encodeRequest({ method: 'POST', path: '/v1/session', headers: {}, body })
  return {
    what: `login: ${what}`,
    async run() {
      const codes: (string | undefined)[] = []
      for (let i = 0; i < 2; i++) {
        const conversation = { pieces: [request], ending: 'wait' } as const
        codes.push(...(await say(target, chance, conversation, { min: 1, max: 1 })).codes)
      }
      const [first, second] = codes
      if (second === undefined || (first === undefined && what !== 'twice')) {
        throw new Error(`a login went through: ${what}`)
      }
      return { codes, mayChange: 'nothing' }
    },
  }
}
