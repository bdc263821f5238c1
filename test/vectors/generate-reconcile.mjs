/**
 * Wrote the vectors of set reconciliation, test/vectors/reconcile.json. Run once, with
 *
 *   node test/vectors/generate-reconcile.mjs
 *
 * after a build, and never again to make a test pass (see generate-protocol.mjs). Sums, summaries
 * and answers are reckoned here from the definition, with BigInt and node:crypto; only the CBOR
 * around whole messages comes from our own encoder.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { encodeCbor } from '@blindcopy/protocol'

const sha256 = (bytes) => createHash('sha256').update(bytes).digest()
const hex = (bytes) => Buffer.from(bytes).toString('hex')
const hash16 = (pair) => BigInt(`0x${hex(sha256(Buffer.from(pair, 'hex')).subarray(0, 16))}`)
const sumHex = (pairs) =>
  (pairs.reduce((sum, pair) => sum + hash16(pair), 0n) % 2n ** 48n).toString(16).padStart(12, '0')
const fingerprint = (pairs) =>
  Buffer.from(
    (pairs.reduce((sum, pair) => sum + hash16(pair), 0n) % 2n ** 128n)
      .toString(16)
      .padStart(32, '0'),
    'hex',
  )
const leb128 = (count) =>
  count < 128
    ? count.toString(16).padStart(2, '0')
    : ((count % 128) | 128).toString(16) + leb128(Math.floor(count / 128))

/** A pair whose record id begins with the digits; the number makes id and timestamp its own. */
const pair = (digits, number) =>
  digits +
  hex(sha256(`${digits} ${number}`)).slice(0, 32 - digits.length) +
  hex(sha256(`t${number}`)).slice(0, 32)

const DIGITS = [...'0123456789abcdef']
const below = (pairs, node) => pairs.filter((one) => one.startsWith(node))
const childrenHex = (pairs, node) =>
  `00${DIGITS.map((digit) => {
    const held = below(pairs, node + digit)
    return leb128(held.length) + (held.length === 0 ? '' : sumHex(held))
  }).join('')}`
const listHex = (pairs, node) => {
  const held = below(pairs, node).sort()
  return `01${leb128(held.length)}${held.join('')}`
}

const small = [pair('0', 1), pair('3f', 2), pair('3f', 3), pair('3e', 4), pair('ffff', 5)]
const large = Array.from({ length: 300 }, (_, i) => pair('', i))
const nodesCase = (name, nodesHex, nodes, comment = '') => ({ name, kind: 'nodes', expect: 'ok', hex: nodesHex, nodes, comment })
const badNodes = (name, nodesHex, comment = '') => ({ name, kind: 'nodes', expect: 'malformed', hex: nodesHex, comment })
const asked = (node, list) => ({ node, list })
const answers = (name, nodes, answersHex, comment = '') => ({ name, kind: 'answers', expect: 'ok', nodes, hex: answersHex, comment })
const badAnswers = (name, nodes, answersHex, comment = '') => ({ ...answers(name, nodes, answersHex, comment), expect: 'malformed' })
const head = [7, Buffer.alloc(32, 9)]
const exchange = (name, pairs, known, nodesHex, answersHex, comment = '') => ({
  name,
  kind: 'exchange',
  expect: 'ok',
  pairsHex: pairs,
  requestHex: hex(encodeCbor({ ...known, nodes: Buffer.from(nodesHex, 'hex') })),
  answerHex: hex(encodeCbor({ head, count: pairs.length, fingerprint: fingerprint(pairs), answers: Buffer.from(answersHex, 'hex') })),
  comment,
})
const nothing = { count: 0, fingerprint: Buffer.alloc(16) }
const summaryOf = (pairs) =>
  DIGITS.flatMap((digit) => {
    const held = below(pairs, digit)
    return held.length === 0 ? [] : [[digit, held.length, Number(`0x${sumHex(held)}`)]]
  })
const one = pair('7', 9)
const fifteen = '00'.repeat(15)

const cases = [
  { name: 'the short hash of a pair', kind: 'pair-sum', expect: 'ok', pairsHex: [one], sum: Number(`0x${sumHex([one])}`), comment: 'the last 6 of the first 16 bytes of SHA-256' },
  { name: 'the children of the root, small', kind: 'summary', expect: 'ok', pairsHex: small, children: summaryOf(small), comment: 'digit, count, sum; those without pairs left out' },
  { name: 'the children of the root, sums that wrap', kind: 'summary', expect: 'ok', pairsHex: large, children: summaryOf(large) },
  nodesCase('no node', '', []),
  nodesCase('the root, its children', '00', [asked('', false)]),
  nodesCase('the root, its pairs', '80', [asked('', true)]),
  nodesCase('three nodes', '0100833f7002ff', [asked('0', false), asked('3f7', true), asked('ff', false)]),
  nodesCase('a whole record id', `a0${'ab'.repeat(16)}`, [asked('ab'.repeat(16), true)]),
  answers('children and pairs', [asked('3', false), asked('3f', true)], childrenHex(small, '3') + listHex(small, '3f')),
  answers('only the first fits', [asked('3', false), asked('3f', true)], childrenHex(small, '3'), 'whether it was full is judged beside'),
  answers('an empty list', [asked('7', true)], '0100'),
  answers('a count of two bytes', [asked('', false)], `008001aaaaaaaaaaaa${fifteen}`),
  exchange('equal sets', small, { count: 5, fingerprint: fingerprint(small) }, '80', ''),
  exchange('an empty asker', small, nothing, '80', listHex(small, '')),
  exchange('an empty answerer', [], { count: 5, fingerprint: fingerprint(small) }, '00', childrenHex([], '')),
  exchange('children of two nodes and a list', large, nothing, '0110022082f3', childrenHex(large, '1') + childrenHex(large, '20') + listHex(large, 'f3')),
  badNodes('a node without its prefix', '02'),
  badNodes('a prefix cut short', '0412'),
  badNodes('a node deeper than a record id', `a1${'ab'.repeat(17)}`),
  badNodes('children of a whole record id', `20${'ab'.repeat(16)}`),
  badNodes('stray bits behind an odd digit', '0111'),
  badNodes('a node twice', '01100110'),
  badNodes('a node in another', '01100211'),
  badNodes('nodes that descend', '02200110'),
  badNodes('a node beside the root', '000110'),
  badAnswers('an unknown kind', [asked('', false)], '02'),
  badAnswers('an answer that was not asked for', [asked('7', true)], '01000100'),
  badAnswers('a list where children were asked for', [asked('7', false)], '0100'),
  badAnswers('children in place of a short list', [asked('7', true)], `00${'00'.repeat(16)}`),
  badAnswers('fifteen children', [asked('', false)], `00${fifteen}`),
  badAnswers('a sum cut short', [asked('', false)], `00${fifteen}01aaaaaaaaaa`),
  badAnswers('a count longer than needed', [asked('', false)], `008000${fifteen}`),
  badAnswers('a count beyond 32 bits', [asked('', false)], `00ffffffff1faaaaaaaaaaaa${fifteen}`),
  badAnswers('a count that does not end', [asked('', false)], `00${'80'.repeat(20)}`),
  badAnswers('two pairs of one record id', [asked('a'.repeat(31), false)], `0002aaaaaaaaaaaa${fifteen}`),
  badAnswers('a pair cut short', [asked('3f', true)], listHex(small, '3f').slice(0, -2)),
  badAnswers('a pair outside the node', [asked('3f', true)], `0101${pair('3e', 4)}`),
  badAnswers('a pair outside by half a byte', [asked('3f7', true)], `0101${pair('3f8', 4)}`),
  badAnswers('pairs that descend', [asked('3f', true)], `0102${below(small, '3f').sort().reverse().join('')}`),
  badAnswers('a record twice', [asked('', true)], `0102${small[0]}${small[0]}`),
]

if (new Set(cases.map(({ name }) => name)).size < cases.length) throw new Error('names')
const lines = cases.map((entry) => `    ${JSON.stringify(entry)}`).join(',\n')
const description =
  'Set reconciliation: sums of pairs, children of the root, packed nodes and answers, and whole exchanges (the answering end holds pairsHex, its head is [7, 32 bytes 09]).'
writeFileSync(
  new URL('reconcile.json', import.meta.url),
  `{\n  "description": ${JSON.stringify(description)},\n  "cases": [\n${lines}\n  ]\n}\n`,
)
