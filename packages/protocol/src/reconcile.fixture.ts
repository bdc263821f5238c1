/**
 * Fixture: a set of pairs in memory that is a pair source, and a run of the two ends against each
 * other that counts what travels. Only tests import it.
 */
import { compareBytes, concat, formatHex } from './bytes.ts'
import { encodeTimestamp, type Timestamp } from './hlc.ts'
import type { Hash, MemberId } from './ids.ts'
import { Fingerprint } from './log.ts'
import {
  ReconcileAnswer,
  type ReconcileAnswer as ReconcileAnswerMessage,
  ReconcileRequest,
  type ReconcileRequest as ReconcileRequestMessage,
} from './message.ts'
import { encodeMessage, parseMessage } from './message-check.ts'
import { createPairSource, type PairSource, type SetState } from './pair-source.ts'
import { Reconciliation } from './reconcile.ts'
import { answerReconcile } from './reconcile-answer.ts'
import type { Difference } from './reconcile-difference.ts'
import { SetSummary } from './set-summary.ts'

const HEAD = { seq: 7, chain: new Uint8Array(32).fill(9) as Uint8Array as Hash }
const PAGE_PAIRS = 100

/** Pairs by record id, with index and summary as an end of its own would keep them. */
export class PairSet {
  readonly #pairs = new Map<string, Uint8Array>()
  readonly #fingerprint = new Fingerprint()
  readonly summary: SetSummary
  readonly source: PairSource
  #sorted: Uint8Array[] | undefined
  /** How many pairs were read from the index. */
  reads = 0

  constructor(pairs: Iterable<Uint8Array> = [], expectedCount?: number) {
    const list = [...pairs]
    this.summary = new SetSummary(expectedCount ?? list.length)
    for (const pair of list) this.put(pair)
    this.source = createPairSource({
      summary: this.summary,
      state: () => this.state,
      readPairs: (range) => this.#read(range.first, range.last),
    })
  }

  get state(): SetState {
    const fingerprint = this.#fingerprint.toBytes()
    return { head: HEAD, count: this.#pairs.size, fingerprint }
  }

  get pairs(): Uint8Array[] {
    this.#sorted ??= [...this.#pairs.values()].sort(compareBytes)
    return this.#sorted
  }

  /** Takes the place of the record's pair, if there is one. */
  put(pair: Uint8Array): void {
    this.drop(pair)
    this.#pairs.set(formatHex(pair.subarray(0, 16)), pair)
    this.#fingerprint.add(pair)
    this.summary.add(pair)
  }

  /** Whatever pair of the same record is there. */
  drop(pair: Uint8Array): void {
    const id = formatHex(pair.subarray(0, 16))
    const held = this.#pairs.get(id)
    this.#sorted = undefined
    if (held === undefined) return
    this.#pairs.delete(id)
    this.#fingerprint.remove(held)
    this.summary.remove(held)
  }

  async *#read(first: Uint8Array, last: Uint8Array): AsyncGenerator<readonly Uint8Array[]> {
    const { pairs } = this
    let next = lowerBound(pairs, first)
    for (;;) {
      const page: Uint8Array[] = []
      for (; next < pairs.length && page.length < PAGE_PAIRS; next++) {
        const pair = pairs[next] as Uint8Array
        if (compareBytes(pair.subarray(0, 16), last) > 0) break
        page.push(pair)
      }
      if (page.length === 0) return
      this.reads += page.length
      yield page
    }
  }
}

function lowerBound(pairs: readonly Uint8Array[], id: Uint8Array): number {
  let low = 0
  let high = pairs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareBytes((pairs[middle] as Uint8Array).subarray(0, 16), id) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** A timestamp that differs whenever the number does. */
export const stampOf = (milliseconds: number): Timestamp =>
  encodeTimestamp(
    { milliseconds, counter: 0 },
    { deviceId: new Uint8Array(8).fill(1) as Uint8Array as MemberId, tail: new Uint8Array(4) },
  )

export const pairOf = (recordId: Uint8Array, milliseconds: number): Uint8Array =>
  concat(recordId, stampOf(milliseconds))

/** Pseudo-random pairs of `count` records, the same for the same seed. */
export function makePairs(count: number, seed: number): Uint8Array[] {
  let state = seed >>> 0
  const word = (): number => {
    state = (state + 0x9e37_79b9) >>> 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0_aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
  return Array.from({ length: count }, () => {
    const id = new Uint8Array(16)
    const view = new DataView(id.buffer)
    for (let at = 0; at < 16; at += 4) view.setUint32(at, word())
    return pairOf(id, word())
  })
}

export type Run = {
  readonly differences: readonly Difference[]
  readonly rounds: number
  readonly bytesUp: number
  readonly bytesDown: number
  readonly messageBytesMax: number
  readonly start: SetState | undefined
}

export type RunOptions = {
  /** Between a request and its answer. */
  readonly meanwhile?: (round: number) => void
  /** In place of the answering end. */
  readonly answer?: (request: ReconcileRequestMessage) => Promise<ReconcileAnswerMessage>
}

/** Reconciles `mine` with `theirs` over encoded messages. */
export async function reconcile(
  mine: PairSet,
  theirs: PairSet,
  options: RunOptions = {},
): Promise<Run> {
  const answerTo = options.answer ?? ((request) => answerReconcile(theirs.source, request))
  const reconciliation = new Reconciliation(mine.source)
  const differences: Difference[] = []
  let [bytesUp, bytesDown, messageBytesMax] = [0, 0, 0]
  for (let asked = reconciliation.next(); asked !== null; asked = reconciliation.next()) {
    const request = encodeMessage(ReconcileRequest, asked)
    options.meanwhile?.(reconciliation.rounds)
    const answer = await answerTo(parseMessage(ReconcileRequest, request))
    const encoded = encodeMessage(ReconcileAnswer, answer)
    bytesUp += request.length
    bytesDown += encoded.length
    messageBytesMax = Math.max(messageBytesMax, request.length, encoded.length)
    const pages = reconciliation.take(parseMessage(ReconcileAnswer, encoded))
    for await (const page of pages) differences.push(...page)
  }
  const { rounds, start } = reconciliation
  return { differences, rounds, bytesUp, bytesDown, messageBytesMax, start }
}

/** What a plain comparison of the two finds, as text, to compare with. */
export function expectedDifferences(mine: PairSet, theirs: PairSet): string[] {
  const own = new Map(mine.pairs.map((pair) => [formatHex(pair.subarray(0, 16)), pair]))
  const other = new Map(theirs.pairs.map((pair) => [formatHex(pair.subarray(0, 16)), pair]))
  const found: string[] = []
  for (const id of new Set([...own.keys(), ...other.keys()])) {
    const [a, b] = [own.get(id), other.get(id)].map((pair) => stampText(pair?.subarray(16)))
    if (a !== b) found.push(`${id} ${a} ${b}`)
  }
  return found.sort()
}

export const differenceTexts = (differences: readonly Difference[]): string[] =>
  differences
    .map(({ recordId, mine, theirs }) =>
      [formatHex(recordId), stampText(mine), stampText(theirs)].join(' '),
    )
    .sort()

const stampText = (stamp: Uint8Array | null | undefined): string =>
  stamp === null || stamp === undefined ? '-' : formatHex(stamp)
