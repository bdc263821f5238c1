/**
 * Pair source: what reconciliation needs to know of a set of pairs, on either end.
 *
 * Both ends keep a `SetSummary` and an index ordered by record id; `createPairSource` makes a
 * source of the two. The set may change between any two calls.
 */
import type { LogPosition } from './log.ts'
import {
  boundsOf,
  digitOf,
  FAN_OUT,
  type NodeSummary,
  type PairNode,
  pairSum,
} from './reconcile-node.ts'
import { addSums, type SetSummary } from './set-summary.ts'

/** A set of pairs at one moment: the log's head then, how many pairs, and their fingerprint. */
export type SetState = {
  readonly head: LogPosition
  readonly count: number
  readonly fingerprint: Uint8Array
}

export interface PairSource {
  state(): SetState
  /** The summaries of the node's 16 children, in order. */
  children(node: PairNode): Promise<readonly NodeSummary[]>
  /** The pairs below the node, 32 bytes each, ascending, a page at a time. */
  pairs(node: PairNode): AsyncIterable<readonly Uint8Array[]>
}

export type PairSourceParts = {
  readonly summary: SetSummary
  readonly state: () => SetState
  /** The pairs whose record ids are between the two, both included, ascending, by pages. */
  readonly readPairs: (range: ReturnType<typeof boundsOf>) => AsyncIterable<readonly Uint8Array[]>
}

export function createPairSource({ summary, state, readPairs }: PairSourceParts): PairSource {
  const pairs = (node: PairNode) => readPairs(boundsOf(node))
  return {
    state,
    pairs,
    children: async (node) =>
      summary.children(node) ?? (await summarizeChildren(pairs(node), node.length)),
  }
}

/** Of a node at `depth`, from its pairs. */
async function summarizeChildren(
  pages: AsyncIterable<readonly Uint8Array[]>,
  depth: number,
): Promise<NodeSummary[]> {
  const counts = new Array<number>(FAN_OUT).fill(0)
  const sums = new Array<number>(FAN_OUT).fill(0)
  for await (const page of pages) {
    for (const pair of page) {
      const child = digitOf(pair, depth)
      counts[child] = (counts[child] as number) + 1
      sums[child] = addSums(sums[child] as number, pairSum(pair))
    }
  }
  return counts.map((count, i) => ({ count, sum: sums[i] as number }))
}
