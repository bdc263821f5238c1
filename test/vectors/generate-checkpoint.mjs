/**
 * Wrote checkpoint.json. Run once, with
 *
 *   node test/vectors/generate-checkpoint.mjs
 *
 * and never again to make a test pass. Nothing here comes from our own code: CBOR is written by
 * hand from RFC 8949, signatures are node:crypto's.
 */
import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'

const hex = (bytes) => Buffer.from(bytes).toString('hex')
const fill = (size, byte) => Buffer.alloc(size, byte)

/** Of the two kinds of item that a body has, and of numbers beyond 32 bits, which are floats. */
function head(major, value) {
  if (value < 24) return Buffer.of((major << 5) | value)
  if (value < 0x100) return Buffer.of((major << 5) | 24, value)
  if (value < 0x10000) return Buffer.of((major << 5) | 25, value >> 8, value & 255)
  const bytes = Buffer.alloc(5)
  bytes[0] = (major << 5) | 26
  bytes.writeUInt32BE(value, 1)
  return bytes
}
function integer(value) {
  if (value < 2 ** 32) return head(0, value)
  const bytes = Buffer.alloc(9)
  bytes[0] = 0xfb
  bytes.writeDoubleBE(value, 1)
  return bytes
}
const item = (value) =>
  typeof value === 'number' ? integer(value) : Buffer.concat([head(2, value.length), value])
const array = (items) => Buffer.concat([head(4, items.length), ...items.map(item)])

const seed = fill(32, 0x42)
const privateKey = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
  format: 'der',
  type: 'pkcs8',
})
const signingKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(12)
const vaultId = fill(32, 1)
const label = Buffer.from('blindcopy.checkpoint.v1')
const pair = (byte) => fill(32, byte)
const pairs = (count) =>
  Buffer.concat(Array.from({ length: count }, (_, i) => Buffer.concat([fill(30, 9), Buffer.of(i >> 8, i & 255)])))

const PLAIN = [
  1, vaultId, fill(8, 2), 7, 1_795_132_800_000, fill(16, 3), 12, fill(32, 4), 10, 2, fill(32, 5), 6,
  fill(32, 6), Buffer.alloc(0), Buffer.alloc(0),
]
const withItem = (index, value) => PLAIN.map((one, i) => (i === index ? value : one))
const signed = (body) => sign(null, Buffer.concat([label, vaultId, body]), privateKey)
const whole = (body, signature = signed(body)) => array([body, signature])

const cases = []
const good = (name, items, comment) => {
  const body = array(items)
  cases.push({ name, expect: 'ok', hex: hex(whole(body)), bodyHex: hex(body), comment })
}
const refused = (name, bytes, comment, expect = 'malformed') =>
  cases.push({ name, expect, hex: hex(bytes), comment })

good('plain', PLAIN, 'nothing is put aside')
good('with lists', withItem(13, Buffer.concat([pair(1), pair(2)])).with(14, pair(3)), 'both lists')
good('full lists', withItem(13, pairs(100)).with(14, pairs(100)), '100 pairs in each')
good('of an empty log', withItem(6, 0).with(8, 0), 'seq and count 0')
good('a large seq', withItem(6, 2 ** 53 - 1), 'the greatest whole number')

refused('empty', Buffer.alloc(0), 'no bytes')
refused('cut', whole(array(PLAIN)).subarray(0, 100), 'the end is missing')
refused('more', Buffer.concat([whole(array(PLAIN)), Buffer.of(0)]), 'a byte too many')
refused('a body alone', array(PLAIN), 'no signature')
refused('another version', whole(array(withItem(0, 2))), 'body version 2', 'unsupported-version')
refused('number 0', whole(array(withItem(3, 0))), 'numbers begin with 1')
refused('an item missing', whole(array(PLAIN.slice(0, 14))), '14 items')
refused('an item more', whole(array([...PLAIN, 0])), '16 items')
refused('a short vault id', whole(array(withItem(1, fill(31, 1)))), '31 bytes')
refused('a short chain', whole(array(withItem(7, fill(31, 4)))), '31 bytes')
refused('a short fingerprint', whole(array(withItem(10, fill(16, 5)))), '16 bytes')
refused('a fraction', whole(array(withItem(6, 2 ** 40 + 0.5))), 'a seq that is not whole')
refused('a pair that is cut', whole(array(withItem(13, fill(33, 1)))), '33 bytes')
refused('pairs out of order', whole(array(withItem(13, Buffer.concat([pair(2), pair(1)])))), '2, 1')
refused('a pair twice', whole(array(withItem(14, Buffer.concat([pair(1), pair(1)])))), '1, 1')
refused('101 pairs', whole(array(withItem(13, pairs(101)))), 'more than a list may have')
refused('a short signature', whole(array(PLAIN), fill(63, 0)), '63 bytes')
const longNumber = Buffer.concat([
  head(4, 15),
  ...PLAIN.slice(0, 3).map(item),
  Buffer.of(0x18, 7),
  ...PLAIN.slice(4).map(item),
])
refused('a number spelled long', whole(longNumber), '7 in two bytes')
const longOuter = Buffer.concat([
  head(4, 2),
  Buffer.of(0x5a, 0, 0, 1, 0),
  array(PLAIN),
  item(signed(array(PLAIN))),
])
refused('a length spelled long', longOuter, 'the length of the body in four bytes, and wrong')

const text = [
  '{',
  '  "description": "Checkpoints: what is signed, and what is refused before a signature is looked at.",',
  `  "vaultIdHex": ${JSON.stringify(hex(vaultId))},`,
  `  "signingKeyHex": ${JSON.stringify(hex(signingKey))},`,
  '  "cases": [',
  cases.map((one) => `    ${JSON.stringify(one)}`).join(',\n'),
  '  ]',
  '}',
  '',
].join('\n')
writeFileSync(new URL('checkpoint.json', import.meta.url), text)
