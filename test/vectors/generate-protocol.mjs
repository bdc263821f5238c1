/**
 * Wrote the vectors of packages/protocol: hlc, cbor, value, message, frame and log. Run once, with
 *
 *   node test/vectors/generate-protocol.mjs
 *
 * after a build, and never again to make a test pass: a vector that fails says that the code, or
 * another implementation, is wrong. A new case is added by hand to the JSON, or here under a new
 * name, and only the new lines are kept.
 *
 * What can be reckoned without our own code is: hashes with node:crypto, layouts with Buffer, CBOR
 * from RFC 8949. Only the bytes of values and messages come from the encoder whose output they
 * freeze.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { encodeCbor, encodeValue } from '@blindcopy/protocol'

const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest()
const hex = (bytes) => Buffer.from(bytes).toString('hex')
const fromHex = (text) => Buffer.from(text, 'hex')
const uint32 = (value) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const fill = (size, byte) => Buffer.alloc(size, byte)

/** Values that JSON has no spelling for, under the key `$`. */
function toJson(value) {
  if (value === undefined) return { $: 'undefined' }
  if (typeof value === 'bigint') return { $: 'bigint', value: String(value) }
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))) {
    return { $: 'number', value: Object.is(value, -0) ? '-0' : String(value) }
  }
  if (value instanceof Uint8Array) return { $: 'bytes', value: hex(value) }
  if (value instanceof Date) return { $: 'date', value: value.getTime() }
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value === 'object' && value !== null) {
    return { $: 'object', value: Object.entries(value).map(([key, field]) => [key, toJson(field)]) }
  }
  return value
}

function write(name, description, cases) {
  const refusals = cases.filter((one) => !['ok', 'cut'].includes(one.expect)).length
  if (refusals * 2 < cases.length) throw new Error(`${name} has too few refusals`)
  if (new Set(cases.map((one) => one.name)).size < cases.length) throw new Error(`${name}: names`)
  const lines = cases.map((one) => `    ${JSON.stringify(one)}`).join(',\n')
  const text = `{\n  "description": ${JSON.stringify(description)},\n  "cases": [\n${lines}\n  ]\n}\n`
  writeFileSync(new URL(`${name}.json`, import.meta.url), text)
}

// Timestamps and clocks

const MS_MAX = 2 ** 48 - 1
const timestampHex = (milliseconds, counter, device, tail) =>
  milliseconds.toString(16).padStart(12, '0') + counter.toString(16).padStart(4, '0') + device + tail

const stamp = (name, milliseconds, counter, device, tail, comment) => ({
  name,
  kind: 'timestamp',
  expect: 'ok',
  milliseconds,
  counter,
  deviceIdHex: `${device}99999999`,
  tailHex: tail,
  timestampHex: timestampHex(milliseconds, counter, device, tail),
  comment,
})
const tickCase = (name, state, nowMs, replacedHex, expect, next, comment) => ({
  name,
  kind: 'tick',
  expect,
  state,
  nowMs,
  replacedHex,
  ...(next && { next }),
  comment,
})
const refusedBytes = (name, kind, size, comment) => ({
  name,
  kind,
  expect: 'malformed',
  hex: 'ab'.repeat(size),
  comment,
})

write(
  'hlc',
  'Timestamps (16 bytes: 6 of milliseconds, 2 of counter, 4 of DeviceId, 4 random), the tick of the clock, and what is refused.',
  [
    stamp('zero', 0, 0, '00000000', '00000000', 'also TIMESTAMP_NONE'),
    stamp('an ordinary one', 1795132800000, 7, '01020304', 'a0b0c0d0', 'the rest of the DeviceId is not in it'),
    stamp('above 32 bits of milliseconds', 2 ** 32, 0, 'ffffffff', '00000001', 'shifts of 32 bits would lose it'),
    stamp('the greatest', MS_MAX, 65535, 'ffffffff', 'ffffffff', ''),
    tickCase('time goes on', [100, 5], 101, [], 'ok', [101, 0], 'the counter begins again'),
    tickCase('time stands still', [100, 5], 100, [], 'ok', [100, 6], ''),
    tickCase('time goes back', [100, 5], 3, [], 'ok', [100, 6], 'the clock does not'),
    tickCase('a fraction of a millisecond', [100, 5], 100.9, [], 'ok', [100, 6], 'cut before it is compared'),
    tickCase('a full counter', [100, 65535], 100, [], 'ok', [101, 0], 'carries into the milliseconds'),
    tickCase('a replaced version further ahead', [100, 5], 100, [timestampHex(200, 9, '01020304', '00000000')], 'ok', [200, 10], ''),
    tickCase('the last state', [MS_MAX, 65534], 0, [], 'ok', [MS_MAX, 65535], ''),
    tickCase('beyond the last state', [MS_MAX, 65535], 0, [], 'clock-exhausted', undefined, ''),
    tickCase('a wall clock beyond 48 bits', [0, 0], MS_MAX + 1, [], 'clock-exhausted', undefined, ''),
    tickCase('a replaced version at the very end', [0, 0], 0, [timestampHex(MS_MAX, 65535, '01020304', '00000000')], 'clock-exhausted', undefined, 'the drift check keeps such a version out'),
    refusedBytes('no timestamp', 'timestamp-bytes', 0, ''),
    refusedBytes('a timestamp one byte short', 'timestamp-bytes', 15, ''),
    refusedBytes('a timestamp one byte long', 'timestamp-bytes', 17, ''),
    refusedBytes('half a timestamp', 'timestamp-bytes', 8, 'that is a clock'),
    refusedBytes('no clock', 'clock-bytes', 0, ''),
    refusedBytes('a clock one byte short', 'clock-bytes', 7, ''),
    refusedBytes('a clock one byte long', 'clock-bytes', 9, ''),
    refusedBytes('a timestamp as a clock', 'clock-bytes', 16, ''),
  ],
)

// CBOR: `door` is the decoder that is tried, of a message or of fields

const text = (content) => hex(Buffer.concat([Buffer.from([0x78, content.length]), Buffer.from(content)]))
const good = (name, door, bytesHex, value, comment = '') => ({
  name,
  door,
  expect: 'ok',
  hex: bytesHex,
  value: toJson(value),
  comment,
})
const bad = (name, door, bytesHex, comment = '') => ({ name, door, expect: 'malformed', hex: bytesHex, comment })

write(
  'cbor',
  'CBOR items at the two doors: "message" (no tags, integers of 64 bits are numbers) and "fields" (four tags, integers of 64 bits are bigints); "both" goes through each. Values that JSON cannot spell stand under "$".',
  [
    good('an integer', 'both', '1903e8', 1000, 'RFC 8949, appendix A'),
    good('a negative integer', 'both', '3903e7', -1000, 'RFC 8949, appendix A'),
    good('a longer head than needed', 'both', '1a00000001', 1, 'taken, never written'),
    good('an integer of 64 bits in a message', 'message', '1b000000e8d4a51000', 1000000000000),
    good('an integer of 64 bits in fields', 'fields', '1b000000e8d4a51000', 1000000000000n),
    good('a float of 16 bits', 'both', 'f93e00', 1.5, 'RFC 8949, appendix A'),
    good('a float of 32 bits', 'both', 'fa47c35000', 100000, 'RFC 8949, appendix A'),
    good('a float of 64 bits', 'both', 'fb3ff199999999999a', 1.1, 'RFC 8949, appendix A'),
    good('minus zero as a float', 'both', 'f98000', -0, 'RFC 8949, appendix A'),
    good('infinity', 'both', 'f97c00', Infinity, 'RFC 8949, appendix A'),
    good('not a number', 'both', 'f97e00', NaN, 'RFC 8949, appendix A'),
    good('undefined', 'both', 'f7', undefined, 'RFC 8949, appendix A'),
    good('text', 'both', '62c3bc', 'ü', 'RFC 8949, appendix A'),
    good('text outside the first plane', 'both', '64f0908591', '\u{10151}', 'RFC 8949, appendix A'),
    good('a map', 'both', 'a26161016162820203', { a: 1, b: [2, 3] }, 'RFC 8949, appendix A'),
    good('a key called __proto__', 'both', 'a1695f5f70726f746f5f5f01', JSON.parse('{"__proto__":1}')),
    good('a bigint', 'fields', 'c249010000000000000000', 18446744073709551616n, 'RFC 8949, appendix A'),
    good('a negative bigint', 'fields', 'c349010000000000000000', -18446744073709551617n, 'RFC 8949, appendix A'),
    good('a date', 'fields', `c0${text('2026-11-20T10:00:00.000Z')}`, new Date('2026-11-20T10:00:00.000Z')),
    good('minus zero under our tag', 'fields', 'd9b11d622d30', -0),
    good('64 levels', 'both', `${'81'.repeat(63)}80`, Array.from({ length: 63 }).reduce((inner) => [inner], [])),
    bad('nothing', 'both', ''),
    bad('65 levels', 'both', `${'81'.repeat(64)}80`),
    bad('10,000 levels', 'both', '81'.repeat(10000), 'recursion must not end the process'),
    bad('a byte behind the end', 'both', '0000'),
    bad('cut inside a head', 'both', '19ff'),
    bad('cut inside text', 'both', '6361'),
    bad('an array that promises more than there is', 'both', '9affffffff'),
    bad('a map that promises more than there is', 'both', 'bbffffffffffffffff'),
    bad('bytes that promise more than there are', 'both', '5b7fffffffffffffff'),
    bad('a key that comes twice', 'both', 'a2616101616102'),
    bad('a key that comes twice with another head', 'both', 'a261610178016102'),
    bad('a key that is a number', 'both', 'a10102'),
    bad('a key that is bytes', 'both', 'a1416101'),
    bad('indefinite bytes', 'both', '5f42010243030405ff', 'RFC 8949, appendix A'),
    bad('indefinite text', 'both', '7f657374726561646d696e67ff', 'RFC 8949, appendix A'),
    bad('an indefinite array', 'both', '9fff', 'RFC 8949, appendix A'),
    bad('an indefinite map', 'both', 'bf61610161629f0203ffff', 'RFC 8949, appendix A'),
    bad('a break alone', 'both', 'ff'),
    bad('a reserved head', 'both', '1c'),
    bad('an unassigned simple value', 'both', 'f0', 'RFC 8949, appendix A'),
    bad('a simple value of two bytes', 'both', 'f8ff', 'RFC 8949, appendix A'),
    bad('an overlong character', 'both', '62c1a1', 'would be a second spelling of "a"'),
    bad('half a surrogate pair', 'both', '63eda080'),
    bad('a byte that no UTF-8 has', 'both', '61ff'),
    bad('long text that is not UTF-8', 'both', '6c6162636465666768696ac1a1'),
    bad('a tag in a message', 'message', 'c249010000000000000000'),
    bad('a date in a message', 'message', `c0${text('2026-11-20T10:00:00.000Z')}`),
    bad('an integer beyond a number in a message', 'message', '1bffffffffffffffff', 'RFC 8949, appendix A'),
    bad('a time in seconds', 'both', 'c11a514b67b0', 'RFC 8949, appendix A'),
    bad('self-described CBOR', 'both', 'd9d9f700'),
    bad('CBOR inside bytes', 'both', 'd818456449455446', 'RFC 8949, appendix A'),
    bad('a date with an offset', 'fields', `c0${text('2026-11-20T10:00:00.000+01:00')}`, 'one spelling only'),
    bad('a date without milliseconds', 'fields', 'c074323031332d30332d32315432303a30343a30305a', 'RFC 8949, appendix A'),
    bad('a day that does not exist', 'fields', `c0${text('2026-02-30T10:00:00.000Z')}`),
    bad('a bigint that is text', 'fields', 'c26161'),
    bad('our tag on another text', 'fields', 'd9b11d6130'),
  ],
)

// Values: what our encoder writes, byte for byte, and what comes back

const value = (name, fields, comment = '') => ({
  name,
  door: 'fields',
  expect: 'ok',
  hex: hex(encodeValue(fields)),
  value: toJson(fields),
  comment,
})
const notCarried = (name, fields, path) => ({ name, expect: 'not-carried', value: toJson(fields), path })
const notDecoded = (name, bytesHex) => ({ name, expect: 'malformed', hex: bytesHex })
const deep = (levels) => Array.from({ length: levels }).reduce((inner) => [inner], 1)

write(
  'value',
  'Fields of a record: the bytes our encoder writes and what decodes from them (ok), values that are refused with the path to them (not-carried), and bytes that are no fields (malformed). Another encoder may write other bytes for the same value.',
  [
    value('a note', { title: 'Milk', body: 'two litres', tags: ['a', 'b'], done: false }),
    value('numbers', [0, 1, 23, 24, 255, 256, 65535, 65536, 4294967295, 4294967296, -1, -24, -25, -4294967296, -4294967297, 0.5], 'integers beyond 32 bits are floats'),
    value('numbers that JSON lacks', [-0, NaN, Infinity, -Infinity]),
    value('bigints', [0n, 5n, -1n, 2n ** 64n - 1n, -(2n ** 64n), 2n ** 64n, -(2n ** 64n) - 1n]),
    value('dates', [new Date(0), new Date(1795168800000), new Date(8.64e15), new Date(-8.64e15)]),
    value('bytes', { empty: new Uint8Array(), some: Uint8Array.of(1, 2, 255) }),
    value('undefined and null', { a: undefined, b: null, c: [undefined] }),
    value('keys', JSON.parse('{"1":1,"10":2,"":3,"__proto__":4,"constructor":5}')),
    value('text', ['', 'ü', '\u{1f600}', '\ufeff', '\ufffd']),
    value('62 levels', deep(62)),
    notCarried('half a surrogate pair', { a: '\ud800' }, 'fields.a'),
    notCarried('the other half', { a: ['x', '\udc00'] }, 'fields.a[1]'),
    notCarried('half a surrogate pair in a key', { a: { '\ud800': 1 } }, 'fields.a'),
    notCarried('63 levels', deep(63), `fields${'[0]'.repeat(62)}`),
    notDecoded('a key that comes twice', 'a2616101616102'),
    notDecoded('a key that is a number', 'a10102'),
    notDecoded('text that is not UTF-8', '61ff'),
    notDecoded('a tag that is not ours', 'd8207468'),
    notDecoded('cut short', 'a26161016162'),
    notDecoded('two values', '0101'),
  ],
)

// Messages

const position = [3, fill(32, 0x33)]
const vaultId = fill(32, 0x11)
const message = (schema, name, content, comment = '') => ({
  name,
  schema,
  expect: 'ok',
  hex: hex(encodeCbor(content)),
  comment,
})
const refused = (schema, name, content, comment = '') => ({
  ...message(schema, name, content, comment),
  expect: 'malformed',
})
const session = {
  vaultId,
  memberId: fill(8, 0x22),
  nonce: fill(32, 0x44),
  expiresMs: 1795132800000,
  origin: 'https://sync.example',
  signature: fill(64, 0x55),
}
const envelope = Buffer.concat([fromHex('010000000001'), fill(328, 0x66)])
const timestamp = fromHex(timestampHex(1795132800000, 7, '01020304', 'a0b0c0d0'))

write(
  'message',
  'Wire messages by the name of their schema: those that are taken, and those that are refused as malformed.',
  [
    message('ChallengeRequest', 'a challenge is asked for', { vaultId }),
    message('ChallengeAnswer', 'a challenge', { nonce: fill(32, 0x44), expiresMs: 1795132800000 }, 'milliseconds are a float of 64 bits'),
    {
      name: 'a challenge with milliseconds as an integer',
      schema: 'ChallengeAnswer',
      expect: 'ok',
      hex: `a2656e6f6e63655820${'44'.repeat(32)}69657870697265734d731b000001a1f6e57000`,
      comment: 'as most encoders write it',
    },
    message('SessionRequest', 'a login', session),
    message('SessionAnswer', 'a session', { token: 't', expiresMs: 1795132800000, syncId: fill(16, 0x77), head: position, keychainLength: 3 }),
    message('RecordsRequest', 'records by id', { ids: [fill(16, 0x88)] }),
    message('RecordsAnswer', 'records, one of them unknown', { envelopes: [envelope, null] }),
    message('PushRequest', 'a transaction with and without a base', { transactions: [[timestamp, [[envelope], [envelope, fill(16, 0)]]]] }, 'a base of 16 zero bytes means none'),
    message('PushRequest', 'a transaction of a reconciliation', { transactions: [[null, [[envelope]]]] }),
    message('PushAnswer', 'three verdicts', {
      verdicts: [
        { type: 'applied', seq: 4, chain: fill(32, 0x33), stale: [[0, timestamp]] },
        { type: 'conflict', current: [[0, envelope], [1, null]] },
        { type: 'refused', code: 'epoch-old', message: 'old', details: { epoch: 2 } },
      ],
    }),
    message('ChangesFrame', 'the end of an answer', [2, 3, fill(32, 0x33), 12, fill(16, 0x99)]),
    message('LiveFrame', 'a heartbeat', [3, 1795132800000]),
    message('LiveHello', 'hello', { protocol: 1, token: 't', syncId: fill(16, 0x77), cursor: position }),
    refused('ChallengeRequest', 'a field too many', { vaultId, more: 1 }),
    refused('ChallengeRequest', 'no fields', {}),
    refused('ChallengeRequest', 'a list instead of a map', [vaultId]),
    refused('ChallengeRequest', 'a vault id one byte short', { vaultId: fill(31, 0x11) }),
    refused('ChallengeRequest', 'a vault id as text', { vaultId: 'a' }),
    refused('SessionRequest', 'a member id one byte long', { ...session, memberId: fill(9, 0x22) }),
    refused('SessionRequest', 'a signature one byte short', { ...session, signature: fill(63, 0x55) }),
    refused('SessionRequest', 'a negative time', { ...session, expiresMs: -1 }),
    refused('SessionRequest', 'a fraction of a millisecond', { ...session, expiresMs: 0.5 }),
    refused('SessionRequest', 'an empty origin', { ...session, origin: '' }),
    refused('RecordsRequest', 'one record id too many', { ids: Array(1001).fill(fill(16, 0x88)) }),
    refused('RecordsRequest', 'a record id one byte long', { ids: [fill(17, 0x88)] }),
    refused('PushRequest', 'no transaction', { transactions: [] }),
    refused('PushRequest', 'a transaction without ops', { transactions: [[timestamp, []]] }),
    refused('PushRequest', 'a transaction id one byte short', { transactions: [[fill(15, 1), [[envelope]]]] }),
    refused('PushRequest', 'an op with three parts', { transactions: [[timestamp, [[envelope, timestamp, 1]]]] }),
    refused('PushRequest', 'a null base', { transactions: [[timestamp, [[envelope, null]]]] }, 'no base is an op of one part'),
    refused('PushAnswer', 'an unknown verdict', { verdicts: [{ type: 'perhaps' }] }),
    refused('ChangesFrame', 'a live frame in an answer', [3, 1795132800000]),
    refused('ChangesFrame', 'pairs that are not whole', [0, 1, fill(32, 0x33), null, [], fill(33, 1)]),
    refused('LiveFrame', 'the end of an answer on the live socket', [2, 3, fill(32, 0x33), 12, fill(16, 0x99)]),
    refused('LiveFrame', 'an unknown frame', [6, 1]),
    refused('LiveHello', 'a cursor with a text', { protocol: 1, token: 't', syncId: fill(16, 0x77), cursor: ['3', fill(32, 0x33)] }),
  ],
)

// Frames: a stream of chunks, each item behind its length

const frame = (item) => Buffer.concat([uint32(item.length), item])
const stream = (name, expect, limit, parts, items, comment = '') => ({
  name,
  expect,
  limit,
  streamHex: hex(Buffer.concat(parts)),
  itemsHex: items.map(hex),
  comment,
})
const one = fromHex('010203')
const two = fill(10, 0xaa)

write(
  'frame',
  'Streams of frames (4 bytes of length, big-endian, then the item). ok: the items, and nothing left. cut: the items before the cut. too-large: refused at the length, after the items before it. Every stream comes out the same however it is cut into chunks.',
  [
    stream('nothing', 'ok', 10, [], []),
    stream('one item', 'ok', 10, [frame(one)], [one]),
    stream('two items', 'ok', 10, [frame(one), frame(two)], [one, two]),
    stream('an empty item', 'ok', 10, [frame(fill(0, 0)), frame(one)], [fill(0, 0), one]),
    stream('an item at the limit', 'ok', 10, [frame(two)], [two]),
    stream('cut inside the length', 'cut', 10, [frame(one), fromHex('0000')], [one]),
    stream('cut after the length', 'cut', 10, [frame(one), uint32(10)], [one]),
    stream('cut one byte before the end', 'cut', 10, [frame(two).subarray(0, 13)], []),
    stream('one byte over the limit', 'too-large', 9, [frame(two)], []),
    stream('over the limit after an item', 'too-large', 9, [frame(one), uint32(10)], []),
    stream('a length of 2 GiB', 'too-large', 10, [uint32(2 ** 31)], [], 'refused before anything arrives'),
    stream('the greatest length', 'too-large', 10, [uint32(2 ** 32 - 1)], []),
    stream('a length written little-endian', 'too-large', 10, [fromHex('03000000'), one], []),
    stream('a limit of nothing', 'too-large', 0, [frame(one)], []),
    stream('text where a frame should be', 'too-large', 5242880, [Buffer.from('<html>')], []),
    stream('a frame that is one byte shorter than it says', 'too-large', 10, [uint32(4), one, frame(two)], [], 'the length of the next is then read from its middle'),
  ],
)

// Chain, digests, fingerprint, cursor

const chain0 = sha256(Buffer.from('blindcopy.chain.v1'), vaultId)
const pairs = [fill(32, 0x02), fill(32, 0x01), Buffer.concat([fill(16, 0x01), fill(16, 0x03)])]
const sorted = [...pairs].sort(Buffer.compare)
const digest = sha256(Buffer.of(1), ...sorted)
const entryHashes = [fill(32, 0x0b), fill(32, 0x0a)]
const entryDigest = sha256(Buffer.of(2), ...entryHashes)
const half = (pair) => BigInt(`0x${hex(sha256(pair).subarray(0, 16))}`)
const sum = (list) =>
  (list.reduce((total, pair) => total + half(pair), 0n) % 2n ** 128n).toString(16).padStart(32, '0')
const cursorText = (seq, chain) => `${seq}.${chain.toString('base64url')}`
const badCursor = (name, cursor) => ({ name, kind: 'cursor', expect: 'malformed', cursor })
const badFingerprint = (name, size) => ({ name, kind: 'fingerprint', expect: 'malformed', startHex: 'ab'.repeat(size), pairsHex: [] })

write(
  'log',
  'The chain of a log, the digests it is made of, the fingerprint of a set, and the cursor header.',
  [
    { name: 'the start of a chain', kind: 'chain-start', expect: 'ok', vaultIdHex: hex(vaultId), chainHex: hex(chain0) },
    { name: 'a transaction of three', kind: 'digest', expect: 'ok', pairsHex: pairs.map(hex), digestHex: hex(digest), comment: 'sorted as bytes first' },
    { name: 'a transaction of one', kind: 'digest', expect: 'ok', pairsHex: [hex(pairs[0])], digestHex: hex(sha256(Buffer.of(1), pairs[0])) },
    { name: 'a keychain append', kind: 'keychain-digest', expect: 'ok', hashesHex: entryHashes.map(hex), digestHex: hex(entryDigest), comment: 'in their order, not sorted' },
    { name: 'the next of a chain', kind: 'chain-next', expect: 'ok', chainHex: hex(chain0), digestHex: hex(digest), nextHex: hex(sha256(chain0, digest)) },
    { name: 'the fingerprint of nothing', kind: 'fingerprint', expect: 'ok', startHex: '00'.repeat(16), pairsHex: [], sumHex: '00'.repeat(16) },
    { name: 'the fingerprint of three', kind: 'fingerprint', expect: 'ok', startHex: '00'.repeat(16), pairsHex: pairs.map(hex), sumHex: sum(pairs) },
    { name: 'a fingerprint that goes on', kind: 'fingerprint', expect: 'ok', startHex: sum(pairs.slice(0, 1)), pairsHex: pairs.slice(1).map(hex), sumHex: sum(pairs) },
    { name: 'a cursor', kind: 'cursor', expect: 'ok', cursor: cursorText(12, chain0), seq: 12, chainHex: hex(chain0) },
    badFingerprint('a fingerprint of nothing at all', 0),
    badFingerprint('a fingerprint one byte short', 15),
    badFingerprint('a fingerprint one byte long', 17),
    badCursor('an empty cursor', ''),
    badCursor('a cursor without seq', `.${chain0.toString('base64url')}`),
    badCursor('a cursor without chain', '12.'),
    badCursor('a cursor with a leading zero', cursorText('012', chain0)),
    badCursor('a cursor with a sign', cursorText('-12', chain0)),
    badCursor('a cursor beyond a number', cursorText('9007199254740992', chain0)),
    badCursor('a cursor with padding', `${cursorText(12, chain0)}=`),
    badCursor('a cursor with a short chain', cursorText(12, chain0.subarray(1))),
    badCursor('a cursor with stray bits', `12.${'A'.repeat(42)}B`),
  ],
)
