/**
 * Set summary: count and sum of a set of pairs for every upper node of the prefix tree.
 *
 * It is a table of buckets, one for each prefix of 1 to 4 digits, whichever leaves about 32 pairs a
 * bucket; nodes above are summed from it, nodes below are read from the index. One scan of the set
 * fills it, and from then on `add` and `remove` keep it in step: both can come in any order.
 *
 *   pairs            ≤ 512   ≤ 8,192   ≤ 131,072   more
 *   buckets             16       256       4,096   65,536
 *   bytes              192     3,072      49,152   786,432
 */
import { assert } from './error.ts'
import {
  childOf,
  FAN_OUT,
  type NodeSummary,
  type PairNode,
  pairSum,
  SUM_MODULUS,
} from './reconcile-node.ts'

const DEPTH_MAX = 4
const BUCKET_PAIRS = 32
/** So many times more pairs than the table was made for are worth another scan. */
const CROWDING = 8

export class SetSummary {
  /** How many digits name a bucket. */
  readonly depth: number
  readonly #counts: Uint32Array
  readonly #sums: Float64Array
  #count = 0

  /** `expectedCount`: how many pairs it will hold; any other number works, less well. */
  constructor(expectedCount: number) {
    this.depth = depthFor(expectedCount)
    this.#counts = new Uint32Array(FAN_OUT ** this.depth)
    this.#sums = new Float64Array(FAN_OUT ** this.depth)
  }

  get count(): number {
    return this.#count
  }

  /** What it takes in memory. */
  get sizeBytes(): number {
    return this.#counts.byteLength + this.#sums.byteLength
  }

  /** The set has outgrown the table: one made anew, by a scan, answers faster. */
  get isCrowded(): boolean {
    return this.depth < DEPTH_MAX && this.#count > CROWDING * BUCKET_PAIRS * FAN_OUT ** this.depth
  }

  /** A pair that is not in the set. */
  add(pair: Uint8Array): void {
    const bucket = this.#bucketOf(pair)
    this.#count++
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    this.#sums[bucket] = addSums(this.#sums[bucket] as number, pairSum(pair))
  }

  /** A pair that is in the set. */
  remove(pair: Uint8Array): void {
    const bucket = this.#bucketOf(pair)
    const count = this.#counts[bucket] as number
    assert(count > 0, 'a pair that is removed was added')
    this.#count--
    this.#counts[bucket] = count - 1
    this.#sums[bucket] = addSums(this.#sums[bucket] as number, SUM_MODULUS - pairSum(pair))
  }

  /** Of a node's 16 children; undefined when they are below the buckets. */
  children(node: PairNode): NodeSummary[] | undefined {
    if (node.length >= this.depth) return undefined
    return Array.from({ length: FAN_OUT }, (_, i) => this.#summarize(childOf(node, i)))
  }

  #summarize(node: PairNode): NodeSummary {
    const width = FAN_OUT ** (this.depth - node.length)
    const first = Number.parseInt(node, 16) * width
    let count = 0
    let sum = 0
    for (let bucket = first; bucket < first + width; bucket++) {
      count += this.#counts[bucket] as number
      sum = addSums(sum, this.#sums[bucket] as number)
    }
    return { count, sum }
  }

  #bucketOf(pair: Uint8Array): number {
    const head = ((pair[0] as number) << 8) | (pair[1] as number)
    return head >>> (4 * (DEPTH_MAX - this.depth))
  }
}

/** Of numbers up to 2^48: a sum below 2^49 is exact. */
export function addSums(a: number, b: number): number {
  const sum = a + b
  return sum >= SUM_MODULUS ? sum - SUM_MODULUS : sum
}

function depthFor(count: number): number {
  let depth = 1
  while (depth < DEPTH_MAX && count > BUCKET_PAIRS * FAN_OUT ** depth) depth++
  return depth
}
