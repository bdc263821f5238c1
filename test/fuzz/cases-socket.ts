/**
 * Cases of live sockets: handshakes that are none, frames of every wrong form, hellos that are
 * late, many, cut, somebody else's; floods of pings; sockets that are half closed or left alone.
 */
import { concat } from '@blindcopy/protocol'
import type { Device } from '../../packages/remote/src/remote.fixture.ts'
import type { Chance } from '../simulation/chance.ts'
import { addressOf, type Case, type Family } from './case.ts'
import { helloOf } from './honest.ts'
import { judgeHeard, must } from './judge.ts'
import { mutate } from './mutate.ts'
import {
  encodeHandshake,
  encodeWebSocketFrame,
  type FrameParts,
  HANDSHAKE,
  judgeFrames,
  readFrames,
} from './socket.ts'
import type { Target } from './target.ts'
import { type Conversation, converse } from './wire.ts'

const BINARY = 2
const frame = (parts: Partial<FrameParts> = {}): Buffer =>
  encodeWebSocketFrame({ opcode: BINARY, payload: new Uint8Array(0), ...parts })

/** A close with a code, as a well-behaved client ends it. */
const closeFrame = (code = 1000, reason: Uint8Array = new Uint8Array(0)): Buffer =>
  frame({ opcode: 8, payload: concat(Uint8Array.of(code >> 8, code & 255), reason) })

type Talk = (target: Target, chance: Chance) => { what: string; pieces: readonly Uint8Array[] }

function oddHello({ attacker, revoked, honest, expiredToken }: Target, chance: Chance) {
  const hellos: readonly (readonly [string, Device, Record<string, unknown>])[] = [
    ['a good hello', attacker, {}],
    ['a hello of one who was revoked', revoked, {}],
    ['a hello with an expired token', attacker, { token: expiredToken }],
    ['a token of another vault', attacker, { token: honest.device.token }],
    ['a position of another vault', honest.device, { token: attacker.token }],
    ['a cursor beyond the end', attacker, { cursor: [2 ** 53 - 1, chance.bytes(32)] }],
    ['a cursor that is not there', attacker, { cursor: [1, chance.bytes(32)] }],
    ['another protocol', attacker, { protocol: chance.pick([0, 2, 2 ** 40]) }],
    ['another SyncId', attacker, { syncId: chance.bytes(16) }],
    ['a long token', attacker, { token: 'A'.repeat(chance.pick([117, 119, 3_900, 5_000])) }],
  ]
  const [what, device, changes] = chance.pick(hellos)
  return { what, bytes: helloOf(device, changes) }
}

const TALKS: Readonly<Record<string, Talk>> = {
  hello(target, chance) {
    const { what, bytes } = oddHello(target, chance)
    return { what, pieces: [frame({ payload: bytes })] }
  },
  'changed hello'({ attacker, honest }, chance) {
    const other = helloOf(honest.device, { token: '' })
    const { what, bytes } = mutate(helloOf(attacker), chance, other)
    return { what, pieces: [frame({ payload: bytes })] }
  },
  'many hellos'(target, chance) {
    const count = 2 + chance.below(40)
    const pieces = Array.from({ length: count }, () => {
      const { bytes } = oddHello(target, chance)
      return frame({ payload: chance.oneIn(2) ? helloOf(target.attacker) : bytes })
    })
    return { what: `${count}`, pieces: chance.oneIn(2) ? [concat(...pieces)] : pieces }
  },
  text(_, chance) {
    const payload = chance.pick([Buffer.from('hello'), Buffer.from([0xc3, 0x28]), Buffer.alloc(0)])
    return { what: payload.toString('hex'), pieces: [frame({ opcode: 1, payload })] }
  },
  fragments({ attacker }, chance) {
    const payload = helloOf(attacker)
    const size = 1 + chance.below(payload.length)
    const pieces: Buffer[] = []
    for (let at = 0; at < payload.length; at += size) {
      const isFinal = at + size >= payload.length && !chance.oneIn(5)
      const opcode = at === 0 || chance.oneIn(40) ? BINARY : 0
      pieces.push(frame({ opcode, isFinal, payload: payload.subarray(at, at + size) }))
      if (chance.oneIn(8)) pieces.push(frame({ opcode: 9, payload: chance.bytes(5) }))
    }
    return { what: `of ${size} bytes`, pieces }
  },
  'empty fragments'(_, chance) {
    const count = chance.pick([10, 3_000, 20_000])
    const rest = frame({ opcode: 0, isFinal: false })
    const pieces = [frame({ isFinal: false }), ...new Array<Buffer>(count).fill(rest)]
    return { what: `${count}`, pieces: [concat(...pieces)] }
  },
  'odd frame'(_, chance) {
    const parts: FrameParts = {
      opcode: chance.below(16),
      reserved: chance.below(8),
      isFinal: chance.oneIn(2),
      isMasked: !chance.oneIn(4),
      payload: chance.bytes(chance.pick([0, 1, 2, 125, 126, 300, 4_096, 4_097])),
      ...(chance.oneIn(2) ? {} : { width: chance.pick([2, 8] as const) }),
    }
    return { what: `opcode ${parts.opcode}`, pieces: [frame(parts)] }
  },
  'gigantic length'(_, chance) {
    const lengths = [4_097n, 65_536n, 1n << 31n, 1n << 32n, (1n << 53n) + 1n, (1n << 64n) - 1n]
    const length = chance.pick(lengths)
    return { what: `${length}`, pieces: [frame({ length, width: 8, payload: chance.bytes(50) })] }
  },
  'huge frame'(_, chance) {
    const size = chance.pick([5_000, 70_000, 1_000_000])
    return { what: `${size}`, pieces: [frame({ payload: new Uint8Array(size) })] }
  },
  pings({ attacker }, chance) {
    const count = chance.pick([10, 1_000, 20_000])
    const ping = frame({ opcode: 9, payload: chance.bytes(125) })
    const before = chance.oneIn(2) ? [] : [frame({ payload: helloOf(attacker) })]
    const pings = concat(...new Array<Buffer>(count).fill(ping))
    return { what: `${count}`, pieces: [...before, pings] }
  },
  'pongs nobody asked for'(_, chance) {
    const pong = frame({ opcode: 10, payload: chance.bytes(chance.pick([0, 125, 126])) })
    return { what: '', pieces: [pong, pong, pong] }
  },
  close(_, chance) {
    const codes = [0, 999, 1000, 1004, 1005, 1006, 1015, 2999, 3000, 4999, 5000, 65_535]
    const reason = chance.pick([new Uint8Array(0), chance.bytes(20), new Uint8Array(123)])
    const one = frame({ opcode: 8, payload: Uint8Array.of(1) })
    const pieces = [chance.oneIn(6) ? one : closeFrame(chance.pick(codes), reason), frame()]
    return { what: 'of an odd form', pieces }
  },
  'no frame'(_, chance) {
    return { what: '', pieces: [chance.bytes(1 + chance.below(100))] }
  },
  'a request in its place'() {
    return { what: '', pieces: [Buffer.from('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')] }
  },
}

/** Frames of every form, after a handshake that is good. */
export const oddFrames: Family = async (target, chance) => {
  const [name, talk] = chance.pick(Object.entries(TALKS))
  const { what, pieces } = talk(target, chance)
  // Whoever is joined stays so until we leave: with a close, without a word, or by half.
  const ending = chance.pick(['close', 'half', 'reset'] as const)
  const last = ending === 'close' ? [closeFrame()] : []
  const conversation: Conversation = {
    pieces: [encodeHandshake(), ...pieces, ...last],
    ending: ending === 'reset' ? 'reset' : ending === 'half' ? 'half' : 'wait',
    isDeaf: name === 'pings' && chance.oneIn(2),
    ...(chance.oneIn(2) ? { pauseMs: 0 } : {}),
  }
  return liveCase(target, chance, { what: `live, ${name}: ${what}, ${ending}`, conversation })
}

/** No hello at all, or nothing after it. The clock stands still, so that we must leave. */
export const leftAlone: Family = async (target, chance) => {
  const hello = chance.oneIn(2) ? [frame({ payload: helloOf(target.attacker) })] : []
  const conversation: Conversation = { pieces: [encodeHandshake(), ...hello], ending: 'half' }
  return liveCase(target, chance, { what: 'live, then silence', conversation })
}

function liveCase(
  target: Target,
  chance: Chance,
  { what, conversation }: { readonly what: string; readonly conversation: Conversation },
): Case {
  return {
    what,
    async run() {
      const heard = await converse(target.port, { from: addressOf(chance), ...conversation })
      must(heard.end !== 'late', 'no end in time: it hangs')
      const headEnd = heard.bytes.indexOf('\r\n\r\n')
      if (headEnd < 0) {
        // A reset by either end takes away what was not read yet.
        const isLost = conversation.ending === 'reset' || heard.end === 'reset'
        must(isLost, `a handshake without an answer: ${heard.end}`)
        return { codes: [], mayChange: 'state' }
      }
      must(heard.bytes.toString('latin1', 0, 12) === 'HTTP/1.1 101', 'a good handshake is refused')
      const { frames, rest } = readFrames(heard.bytes.subarray(headEnd + 4))
      must(rest.length === 0 || heard.end === 'reset', 'the remote stops within a frame')
      const { refusal, kinds } = judgeFrames(frames)
      must(!kinds.includes(6) || kinds.includes(4), 'something is told before a hello is taken')
      // A hello whose cursor is not in the log begins a new SyncId, whether or not we hear of it.
      return { codes: [refusal], mayChange: 'state' }
    },
  }
}

const ODD_HEADERS: readonly (readonly [string, string | undefined])[] = [
  ['Upgrade', undefined],
  ['Upgrade', 'h2c'],
  ['Upgrade', 'websocket, h2c'],
  ['Connection', 'close'],
  ['Sec-WebSocket-Version', '12'],
  ['Sec-WebSocket-Version', undefined],
  ['Sec-WebSocket-Key', undefined],
  ['Sec-WebSocket-Key', 'short'],
  ['Sec-WebSocket-Key', 'x'.repeat(5_000)],
  ['Sec-WebSocket-Protocol', ',,,'],
  ['Sec-WebSocket-Protocol', 'a, b'],
  ['Sec-WebSocket-Extensions', 'permessage-deflate; client_max_window_bits=99'],
  ['Sec-WebSocket-Extensions', 'permessage-deflate'],
  ['Sec-WebSocket-Extensions', '"'],
  ['Origin', 'https://evil.example'],
  ['Content-Length', '10'],
  ['Expect', '100-continue'],
  ['Host', '['],
]

/** A handshake with something wrong; some of them are still good ones. */
export const oddHandshake: Family = async (target, chance) => {
  const [name, value] = chance.pick(ODD_HEADERS)
  const { [name]: _, ...others } = HANDSHAKE
  const headers = value === undefined ? others : { ...others, [name]: value }
  const paths = ['/v1/live', '/v1/live?x=1', '/v1/live/', '/v1/push', '/', '//v1/live', '/V1/LIVE']
  const path = chance.oneIn(3) ? chance.pick(paths) : '/v1/live'
  const handshake = encodeHandshake(headers, path)
  return {
    what: `handshake at ${path}, ${name}: ${value?.slice(0, 40)}`,
    async run() {
      const conversation = { pieces: [handshake], ending: 'half' } as const
      const heard = await converse(target.port, { from: addressOf(chance), ...conversation })
      if (heard.bytes.toString('latin1', 0, 12) === 'HTTP/1.1 101') {
        return { codes: [undefined], mayChange: 'nothing' }
      }
      const { codes } = judgeHeard(heard, { min: 1, max: 1 })
      return { codes, mayChange: 'nothing' }
    },
  }
}
