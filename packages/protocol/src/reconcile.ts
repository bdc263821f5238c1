/**
 * The asking end of a reconciliation: finds all differences between its set and the other end's.
 *
 *   const reconciliation = new Reconciliation(createPairSource({ summary, state, readPairs }))
 *   for (;;) {
 *     const request = reconciliation.next()
 *     if (request === null) break
 *     const answer = await transport.reconcile(data, request)
 *     for await (const differences of reconciliation.take(answer)) await heal(differences)
 *   }
 *   reconciliation.start     // the other end's head, count and fingerprint when it began
 *
 * It asks about a few upper nodes, descends where summaries differ, and has the pairs listed where
 * few are left or one end has hardly any. Where the other end has none, nothing more is asked: all
 * of mine are differences, read as they are handed out.
 *
 *   child, mine against theirs              then
 *     same count and sum                    nothing
 *     theirs 0                              mine are handed out
 *     theirs ≤ 8, or one ≥ 4 × the other    asked as a list (2,048 pairs at most)
 *     else                                  asked for its children
 *
 * Both sets may change meanwhile. A pair that is there throughout on both ends, or on one, is
 * judged rightly; what comes to the other end later than `start` follows in its log. A hostile
 * other end can only withhold, or name pairs of its own: each node is asked once, what it claims to
 * hold below its nodes may grow only within a bound, and an answer that stops early must be half
 * full.
 */
import { assert, ProtocolError } from './error.ts'
import { RECONCILE_NODES_MAX } from './limits.ts'
import { PAIR_BYTES } from './log.ts'
import type { ReconcileAnswer, ReconcileRequest } from './message.ts'
import type { PairSource, SetState } from './pair-source.ts'
import { ANSWERS_BYTES_MAX, isSameSet } from './reconcile-answer.ts'
import { compareLists, type Difference, type PairPages } from './reconcile-difference.ts'
import {
  type AskedNode,
  childOf,
  decodeNodeAnswers,
  encodeNodes,
  FAN_OUT,
  LIST_PAIRS_MAX,
  NODE_DEPTH_MAX,
  type NodeAnswer,
  type NodeSummary,
  type PairNode,
  SUM_BYTES,
} from './reconcile-node.ts'

/** A list of so many pairs is smaller than what a further step down would take. */
export const LEAF_PAIRS = 8
/** One end has so many times what the other has: nearly all differ. */
const LOPSIDED = 4
/** A set of so few begins with a list, or with one node; a greater one with 16. */
const ROOT_LIST_PAIRS = 64
const ROOT_CHILDREN_PAIRS = 2_048

/** An expected count takes 2 bytes at most; should it be more, the answer only stops earlier. */
const CHILDREN_BYTES = 1 + FAN_OUT * (SUM_BYTES + 2)
const CHILDREN_BYTES_MAX = 1 + FAN_OUT * (SUM_BYTES + 5)
const LIST_BYTES = 4
/** Small ranges of a store cost turns of its threads, and take them at the same time. */
const READ_AT_ONCE = 16
/** A longer list of mine is read as it is handed out. */
const READ_AHEAD_PAIRS = 256
/** Of what a set may grow by while it is reconciled, beside once more all that it states. */
const GROWTH_PAIRS = 131_072

/** A node that differs: how many pairs are here below it, and how many the other end claims. */
type Pending = AskedNode & { readonly mine: number; readonly claimed: number }

/** What is here of a node, beside an answer of children or of pairs. */
type Own =
  | { readonly type: 'children'; readonly children: readonly NodeSummary[] }
  | { readonly type: 'pairs'; readonly pages: PairPages }

export class Reconciliation {
  readonly #source: PairSource
  /** The last are asked first, so that what waits stays within a few messages' worth a level. */
  readonly #pending: Pending[]
  #asked: { readonly request: ReconcileRequest; readonly nodes: readonly Pending[] } | undefined
  #start: SetState | undefined
  #rounds = 0
  /** Pairs claimed below nodes, above what was claimed of the nodes they are in. */
  #growth = 0
  #statedMax = 0
  #isTaking = false

  constructor(source: PairSource) {
    this.#source = source
    this.#pending = firstNodes(source.state().count)
  }

  /** The other end as it was at its first answer: what a device adopts when all is done. */
  get start(): SetState | undefined {
    return this.#start
  }

  /** Answers that were taken. */
  get rounds(): number {
    return this.#rounds
  }

  /** The next request; null when done. The same again until its answer is taken. */
  next(): ReconcileRequest | null {
    assert(!this.#isTaking, 'an answer is taken to its end before the next request')
    if (this.#asked !== undefined) return this.#asked.request
    const nodes = this.#takePending()
    if (nodes.length === 0) return null
    const { count, fingerprint } = this.#source.state()
    const request: ReconcileRequest = {
      count,
      fingerprint: fingerprint as ReconcileRequest['fingerprint'],
      nodes: encodeNodes(nodes),
    }
    this.#asked = { request, nodes }
    return request
  }

  /**
   * The differences that an answer shows, as they are found; to be read to the end. Throws
   * `malformed`, before any, when the answer contradicts itself or the request; then it is over.
   */
  async *take(answer: ReconcileAnswer): AsyncGenerator<readonly Difference[], void> {
    const asked = this.#asked
    assert(asked !== undefined && !this.#isTaking, 'each answer follows its request')
    this.#isTaking = true
    const answers = decodeNodeAnswers(answer.answers, asked.nodes)
    this.#rounds++
    this.#note(answer)
    if (isSameSet(answer, asked.request)) {
      this.#pending.length = 0
    } else {
      checkFullness(answer.answers.length, answers.length, asked.nodes.length)
      this.#checkGrowth(asked.nodes, answers)
      this.#pending.push(...asked.nodes.slice(answers.length))
      for (let first = 0; first < answers.length; first += READ_AT_ONCE) {
        const some = answers.slice(first, first + READ_AT_ONCE)
        const nodes = asked.nodes.slice(first, first + some.length)
        const own = await Promise.all(nodes.map((node, i) => this.#readOwn(node, some[i]?.type)))
        for (const [i, one] of some.entries()) {
          yield* this.#takeNode((nodes[i] as Pending).node, one, own[i] as Own)
        }
      }
    }
    this.#asked = undefined
    this.#isTaking = false
  }

  /** As many as an answer is expected to hold, ascending. */
  #takePending(): Pending[] {
    const nodes: Pending[] = []
    let sizeBytes = 0
    while (nodes.length < RECONCILE_NODES_MAX) {
      const last = this.#pending[this.#pending.length - 1]
      if (last === undefined) break
      sizeBytes += expectedBytes(last)
      if (nodes.length > 0 && sizeBytes > ANSWERS_BYTES_MAX) break
      nodes.push(last)
      this.#pending.pop()
    }
    return nodes.sort((a, b) => (a.node < b.node ? -1 : 1))
  }

  #note({ head: [seq, chain], count, fingerprint }: ReconcileAnswer): void {
    this.#start ??= { head: { seq, chain }, count, fingerprint }
    this.#statedMax = Math.max(this.#statedMax, count)
    if (this.#rounds > reconcileRoundsMax(claimsMax(this.#statedMax))) refuse('it has no end')
  }

  /** Throws when it claims ever more below nodes of which it claimed less. */
  #checkGrowth(nodes: readonly Pending[], answers: readonly NodeAnswer[]): void {
    answers.forEach((answer, i) => {
      const held = countOf(answer)
      this.#growth += Math.max(0, held - (nodes[i] as Pending).claimed)
    })
    if (this.#growth > claimsMax(this.#statedMax)) refuse('it claims more than it states')
  }

  async #readOwn({ node, mine }: Pending, type: NodeAnswer['type'] | undefined): Promise<Own> {
    if (type === 'children') return { type, children: await this.#source.children(node) }
    const pages = this.#source.pairs(node)
    if (mine > READ_AHEAD_PAIRS) return { type: 'pairs', pages }
    const read: (readonly Uint8Array[])[] = []
    for await (const page of pages) read.push(page)
    return { type: 'pairs', pages: read }
  }

  async *#takeNode(
    node: PairNode,
    answer: NodeAnswer,
    own: Own,
  ): AsyncGenerator<readonly Difference[], void> {
    if (answer.type === 'pairs' && own.type === 'pairs') {
      yield* compareLists(own.pages, answer.pairs)
    } else if (answer.type === 'children' && own.type === 'children') {
      yield* this.#takeChildren(node, answer.children, own.children)
    }
  }

  async *#takeChildren(
    node: PairNode,
    theirs: readonly NodeSummary[],
    own: readonly NodeSummary[],
  ): AsyncGenerator<readonly Difference[], void> {
    for (const [i, { count, sum }] of theirs.entries()) {
      const mine = own[i] as NodeSummary
      if (mine.count === count && mine.sum === sum) continue
      const child = childOf(node, i)
      if (count === 0) {
        yield* compareLists(this.#source.pairs(child), [])
      } else {
        const list = isList(child, mine.count, count)
        this.#pending.push({ node: child, list, mine: mine.count, claimed: count })
      }
    }
  }
}

/**
 * How many answers a reconciliation takes at most with an end that claims so many pairs in all.
 *
 * Every claim is passed down at most 32 levels, by nodes with more than `LEAF_PAIRS` of them, and
 * is listed once. A round leaves no node of its level, or is half a message, or 2,048 nodes.
 */
export function reconcileRoundsMax(claims: number): number {
  const expanded = FAN_OUT + (NODE_DEPTH_MAX * claims) / (LEAF_PAIRS + 1)
  const sizeBytes = expanded * CHILDREN_BYTES_MAX + claims * (LIST_BYTES + PAIR_BYTES)
  const full = (2 * sizeBytes) / ANSWERS_BYTES_MAX + (expanded + claims) / RECONCILE_NODES_MAX
  return NODE_DEPTH_MAX + 2 + Math.ceil(full)
}

/** Of an end that states so many pairs at most, whatever it claims or however it grows. */
export const claimsMax = (statedMax: number): number => 2 * statedMax + GROWTH_PAIRS

function firstNodes(count: number): Pending[] {
  const first = { mine: count, claimed: 0 }
  if (count <= ROOT_LIST_PAIRS) return [{ ...first, node: '', list: true }]
  if (count <= ROOT_CHILDREN_PAIRS) return [{ ...first, node: '', list: false }]
  return Array.from({ length: FAN_OUT }, (_, i) => ({
    ...first,
    node: childOf('', i),
    list: false,
  }))
}

function isList(node: PairNode, mine: number, theirs: number): boolean {
  if (node.length === NODE_DEPTH_MAX || theirs <= LEAF_PAIRS) return true
  if (theirs > LIST_PAIRS_MAX) return false
  return Math.max(mine, theirs) >= LOPSIDED * Math.min(mine, theirs)
}

const expectedBytes = ({ list, claimed }: Pending): number =>
  list ? LIST_BYTES + claimed * PAIR_BYTES : CHILDREN_BYTES

function countOf(answer: NodeAnswer): number {
  if (answer.type === 'pairs') return answer.pairs.length
  return answer.children.reduce((total, { count }) => total + count, 0)
}

function checkFullness(sizeBytes: number, answered: number, asked: number): void {
  if (answered < asked && sizeBytes < ANSWERS_BYTES_MAX / 2) refuse('it stops too early')
}

function refuse(what: string): never {
  throw new ProtocolError('malformed', `reconcile: ${what}`)
}
