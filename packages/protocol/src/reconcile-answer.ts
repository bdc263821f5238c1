/**
 * The answering end of a reconciliation: a remote, another device, or a reader of a file.
 *
 * It keeps nothing between rounds. Each request is answered from the set as it is, node by node in
 * the order asked, until a message is full; what was left out is asked again. A node's answer takes
 * at most a quarter of a message, so the first always fits. The nodes of a request do not overlap:
 * one request reads no pair more than twice, whoever sends it.
 */
import { concat } from './bytes.ts'
import { RECONCILE_BYTES_MAX } from './limits.ts'
import type { ReconcileAnswer, ReconcileRequest } from './message.ts'
import type { PairSource, SetState } from './pair-source.ts'
import {
  type AskedNode,
  decodeNodes,
  encodeNodeAnswer,
  LIST_PAIRS_MAX,
  NODE_DEPTH_MAX,
  type PairNode,
} from './reconcile-node.ts'

/** What a message holds beside its packed part. */
export const RECONCILE_MARGIN_BYTES = 1_024
export const ANSWERS_BYTES_MAX: number = RECONCILE_BYTES_MAX - RECONCILE_MARGIN_BYTES

/** Small ranges of a store cost turns of its threads, and take them at the same time. */
const ANSWERED_AT_ONCE = 16

/** Throws `malformed`. */
export async function answerReconcile(
  source: PairSource,
  request: ReconcileRequest,
): Promise<ReconcileAnswer> {
  const nodes = decodeNodes(request.nodes)
  // Taken first: what comes meanwhile is in the log after this head.
  const state = source.state()
  const answers = isSameSet(state, request) ? [] : await answerNodes(source, nodes)
  const { head, count, fingerprint } = state
  return {
    head: [head.seq, head.chain],
    count,
    fingerprint: fingerprint as ReconcileAnswer['fingerprint'],
    answers: concat(...answers),
  }
}

export function isSameSet(
  a: Pick<SetState, 'count' | 'fingerprint'>,
  b: Pick<SetState, 'count' | 'fingerprint'>,
): boolean {
  return a.count === b.count && a.fingerprint.every((byte, i) => byte === b.fingerprint[i])
}

async function answerNodes(source: PairSource, nodes: readonly AskedNode[]): Promise<Uint8Array[]> {
  const answers: Uint8Array[] = []
  let sizeBytes = 0
  for (let first = 0; first < nodes.length; first += ANSWERED_AT_ONCE) {
    const some = nodes.slice(first, first + ANSWERED_AT_ONCE)
    for (const answer of await Promise.all(some.map((asked) => answerNode(source, asked)))) {
      sizeBytes += answer.length
      if (sizeBytes > ANSWERS_BYTES_MAX) return answers
      answers.push(answer)
    }
  }
  return answers
}

async function answerNode(source: PairSource, { node, list }: AskedNode): Promise<Uint8Array> {
  const pairs = list ? await listPairs(source, node) : undefined
  if (pairs !== undefined) return encodeNodeAnswer({ type: 'pairs', pairs })
  return encodeNodeAnswer({ type: 'children', children: await source.children(node) })
}

/** Undefined when they are too many for a list. */
async function listPairs(source: PairSource, node: PairNode): Promise<Uint8Array[] | undefined> {
  const listed: Uint8Array[] = []
  for await (const page of source.pairs(node)) {
    // A source that breaks its word would be answered with what no asker takes.
    if (node.length === NODE_DEPTH_MAX && listed.length + page.length > 1) {
      throw new Error('a source with two pairs of one record')
    }
    if (listed.length + page.length > LIST_PAIRS_MAX) return undefined
    listed.push(...page)
  }
  return listed
}
