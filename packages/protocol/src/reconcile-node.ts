/**
 * Nodes of the prefix tree that reconciliation walks, and how they are packed into its messages.
 *
 * Record ids are PRF outputs, so a fixed tree over their bits is balanced without any work. A node
 * is a prefix of record ids, a hexadecimal digit a level: '' is the whole set, '3f' all ids that
 * begin with the byte 3f. Its summary is how many pairs are below it, and the sum modulo 2^48 of
 * the last 6 of the first 16 bytes of SHA-256(pair): of the root, the end of the fingerprint.
 *
 *   asked     (depth | 0x80 when a list is asked for) 1 ‖ prefix, padded with a zero digit
 *   children  0x00 ‖ 16 × (count, then the sum 6 unless the count is 0)
 *   pairs     0x01 ‖ count ‖ the pairs, 32 bytes each, ascending
 *
 * Counts are LEB128 of at most 5 bytes, in their shortest form. The nodes of a request ascend and
 * none lies in another, so that answering reads no pair more than twice. Frozen by
 * test/vectors/reconcile.json; fan-out and sizes were measured (decision 0016).
 */
import { compareBytes, formatHex } from './bytes.ts'
import { ProtocolError } from './error.ts'
import { sha256 } from './hash.ts'
import { RECORD_ID_BYTES, type RecordId } from './ids.ts'
import { RECONCILE_NODES_MAX } from './limits.ts'
import { PAIR_BYTES } from './log.ts'

/** A prefix of record ids: 0 to 32 lower-case hexadecimal digits. */
export type PairNode = string

/** Of the pairs below a node: how many, and the sum of their short hashes (below 2^48). */
export type NodeSummary = { readonly count: number; readonly sum: number }

/** A node of a request: its children's summaries are asked for, or its pairs. */
export type AskedNode = { readonly node: PairNode; readonly list: boolean }

/** What answers a node. A list of more than `LIST_PAIRS_MAX` pairs is answered by children. */
export type NodeAnswer =
  | { readonly type: 'children'; readonly children: readonly NodeSummary[] }
  | { readonly type: 'pairs'; readonly pairs: readonly Uint8Array[] }

export const FAN_OUT = 16
export const NODE_DEPTH_MAX: number = 2 * RECORD_ID_BYTES
export const SUM_BYTES = 6
export const SUM_MODULUS: number = 2 ** 48
/** So that any one node's answer takes at most a quarter of a message. */
export const LIST_PAIRS_MAX = 2_048

const LIST_BIT = 0x80
const CHILDREN_TAG = 0
const PAIRS_TAG = 1
const COUNT_MAX = 2 ** 32 - 1

export const childOf = (node: PairNode, index: number): PairNode => node + index.toString(16)

/** The short hash of a pair, a whole number below 2^48. */
export function pairSum(pair: Uint8Array): number {
  const hash = sha256(pair)
  const high = ((hash[10] as number) << 8) | (hash[11] as number)
  const low = ((hash[13] as number) << 16) | ((hash[14] as number) << 8) | (hash[15] as number)
  return high * 2 ** 32 + (hash[12] as number) * 2 ** 24 + low
}

/** The first and the last record id below a node. */
export function boundsOf(node: PairNode): { readonly first: RecordId; readonly last: RecordId } {
  const first = new Uint8Array(RECORD_ID_BYTES)
  const last = new Uint8Array(RECORD_ID_BYTES)
  for (let i = 0; i < RECORD_ID_BYTES; i++) {
    const digits = node.slice(2 * i, 2 * i + 2)
    first[i] = Number.parseInt(digits.padEnd(2, '0'), 16)
    last[i] = Number.parseInt(digits.padEnd(2, 'f'), 16)
  }
  return { first: first as Uint8Array as RecordId, last: last as Uint8Array as RecordId }
}

/** The digit of a pair's record id at a depth: which child of the node there it belongs to. */
export function digitOf(pair: Uint8Array, depth: number): number {
  const byte = pair[depth >> 1] as number
  return depth % 2 === 0 ? byte >> 4 : byte & 15
}

/** `nodes` in the order in which they are to be answered: ascending. */
export function encodeNodes(nodes: readonly AskedNode[]): Uint8Array {
  const bytes: number[] = []
  for (const { node, list } of nodes) {
    bytes.push(node.length | (list ? LIST_BIT : 0))
    for (let i = 0; i < node.length; i += 2) {
      bytes.push(Number.parseInt(node.slice(i, i + 2).padEnd(2, '0'), 16))
    }
  }
  return Uint8Array.from(bytes)
}

/** Throws `malformed`. */
export function decodeNodes(bytes: Uint8Array): AskedNode[] {
  const nodes: AskedNode[] = []
  let previous: PairNode | undefined
  for (let offset = 0; offset < bytes.length; ) {
    const first = bytes[offset] as number
    const depth = first & ~LIST_BIT
    const list = first >= LIST_BIT
    const end = offset + 1 + ((depth + 1) >> 1)
    if (depth > NODE_DEPTH_MAX || (depth === NODE_DEPTH_MAX && !list) || end > bytes.length) {
      return refuse('a node that cannot be')
    }
    const digits = formatHex(bytes.subarray(offset + 1, end))
    const node = digits.slice(0, depth)
    if (digits.length > depth && !digits.endsWith('0')) return refuse('a node with stray bits')
    if (previous !== undefined && (node <= previous || node.startsWith(previous))) {
      return refuse('nodes that do not ascend apart')
    }
    if (nodes.length === RECONCILE_NODES_MAX) return refuse('too many nodes')
    nodes.push({ node, list })
    previous = node
    offset = end
  }
  return nodes
}

export function encodeNodeAnswer(answer: NodeAnswer): Uint8Array {
  const bytes: number[] = []
  if (answer.type === 'children') {
    bytes.push(CHILDREN_TAG)
    for (const { count, sum } of answer.children) {
      pushCount(bytes, count)
      if (count > 0) pushSum(bytes, sum)
    }
    return Uint8Array.from(bytes)
  }
  bytes.push(PAIRS_TAG)
  pushCount(bytes, answer.pairs.length)
  const joined = new Uint8Array(bytes.length + answer.pairs.length * PAIR_BYTES)
  joined.set(bytes)
  answer.pairs.forEach((pair, i) => {
    joined.set(pair, bytes.length + i * PAIR_BYTES)
  })
  return joined
}

/** The answers to the first of the nodes asked, as many as there are. Throws `malformed`. */
export function decodeNodeAnswers(bytes: Uint8Array, asked: readonly AskedNode[]): NodeAnswer[] {
  const source: Source = { bytes, offset: 0 }
  const answers: NodeAnswer[] = []
  while (source.offset < bytes.length) {
    const node = asked[answers.length]
    if (node === undefined) return refuse('an answer that was not asked for')
    const tag = bytes[source.offset++]
    if (tag === CHILDREN_TAG && node.node.length < NODE_DEPTH_MAX) {
      answers.push({ type: 'children', children: readChildren(source, node) })
    } else if (tag === PAIRS_TAG && node.list) {
      answers.push({ type: 'pairs', pairs: readPairs(source, node.node) })
    } else {
      return refuse('an answer of another kind')
    }
  }
  return answers
}

type Source = { readonly bytes: Uint8Array; offset: number }

function readChildren(source: Source, { node, list }: AskedNode): NodeSummary[] {
  const children: NodeSummary[] = []
  let total = 0
  for (let i = 0; i < FAN_OUT; i++) {
    const count = readCount(source)
    if (count > 1 && node.length + 1 === NODE_DEPTH_MAX) return refuse('two pairs of one record')
    total += count
    children.push({ count, sum: count === 0 ? 0 : readSum(source) })
  }
  // Not exactly the bound: the set may have changed between the two looks at it.
  if (list && total <= LIST_PAIRS_MAX / 2) return refuse('a list that was not given')
  return children
}

function readPairs(source: Source, node: PairNode): Uint8Array[] {
  const count = readCount(source)
  if (count > LIST_PAIRS_MAX) return refuse('a list that is too long')
  const { first, last } = boundsOf(node)
  const pairs: Uint8Array[] = []
  let previous: Uint8Array | undefined
  for (let i = 0; i < count; i++) {
    const pair = take(source, PAIR_BYTES)
    const recordId = pair.subarray(0, RECORD_ID_BYTES)
    if (compareBytes(recordId, first) < 0 || compareBytes(recordId, last) > 0) {
      return refuse('a pair outside the node')
    }
    if (previous !== undefined && compareBytes(previous, recordId) >= 0) {
      return refuse('pairs that do not ascend')
    }
    pairs.push(pair)
    previous = recordId
  }
  return pairs
}

function take(source: Source, sizeBytes: number): Uint8Array {
  const end = source.offset + sizeBytes
  if (end > source.bytes.length) return refuse('the end comes too early')
  const bytes = source.bytes.subarray(source.offset, end)
  source.offset = end
  return bytes
}

function pushCount(bytes: number[], count: number): void {
  let rest = count
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  bytes.push(rest)
}

function readCount(source: Source): number {
  let count = 0
  for (let scale = 1; scale <= 128 ** 4; scale *= 128) {
    const byte = source.bytes[source.offset++]
    if (byte === undefined) return refuse('the end comes too early')
    count += (byte & 127) * scale
    if (byte < 128) {
      if (byte === 0 && scale > 1) return refuse('a count longer than needed')
      return count <= COUNT_MAX ? count : refuse('a count that is too great')
    }
  }
  return refuse('a count that is too great')
}

function pushSum(bytes: number[], sum: number): void {
  for (let scale = 2 ** 40; scale >= 1; scale /= 256) bytes.push(Math.floor(sum / scale) % 256)
}

function readSum(source: Source): number {
  let sum = 0
  for (const byte of take(source, SUM_BYTES)) sum = sum * 256 + byte
  return sum
}

function refuse(what: string): never {
  throw new ProtocolError('malformed', `reconcile: ${what}`)
}
