/**
 * Reconciliation: the laws of its two ends against each other. Whatever the sets, exactly what
 * differs is found; messages and rounds are bounded; a set that changes ends all the same; and
 * whatever answers, nothing hangs and nothing is told that was not sent.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, formatHex } from './bytes.ts'
import { ProtocolError } from './error.ts'
import { RECONCILE_BYTES_MAX } from './limits.ts'
import type { ReconcileAnswer, ReconcileRequest } from './message.ts'
import {
  differenceTexts,
  expectedDifferences,
  makePairs,
  PairSet,
  pairOf,
  type Run,
  reconcile,
} from './reconcile.fixture.ts'
import { claimsMax, LEAF_PAIRS, Reconciliation, reconcileRoundsMax } from './reconcile.ts'
import { answerReconcile } from './reconcile-answer.ts'
import { decodeNodes, encodeNodeAnswer, LIST_PAIRS_MAX, NODE_DEPTH_MAX } from './reconcile-node.ts'

const runs = process.env.SLOW === undefined ? 100 : 2_000
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

/** Record ids of every shape: spread, few, with long common prefixes, all in one bucket. */
const ids = fc.oneof(
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  fc.integer({ min: 0, max: 40 }).map((n) => concat(new Uint8Array(15), Uint8Array.of(n))),
  fc.integer({ min: 0, max: 255 }).map((n) => concat(hex('abcd'), new Uint8Array(14).fill(n))),
  fc
    .tuple(fc.integer({ min: 0, max: 16 }), fc.integer({ min: 0, max: 255 }))
    .map(([depth, n]) => new Uint8Array(16).fill(255, 0, depth).fill(n, depth)),
)
/** Where a pair is: here, there, at both ends, or at both in two versions. */
const place = fc.constantFrom('mine', 'theirs', 'both', 'both', 'versions')
const sets = fc
  .array(fc.tuple(ids, fc.integer({ min: 1, max: 9 }), place), { maxLength: 150 })
  .map((list): [PairSet, PairSet] => {
    const mine = list.filter(([, , where]) => where !== 'theirs')
    const theirs = list.filter(([, , where]) => where !== 'mine')
    return [
      new PairSet(mine.map(([id, ms]) => pairOf(id, ms))),
      new PairSet(theirs.map(([id, ms, where]) => pairOf(id, where === 'versions' ? ms + 20 : ms))),
    ]
  })

function expectRun(run: Run, mine: PairSet, theirs: PairSet): void {
  expect(differenceTexts(run.differences)).toEqual(expectedDifferences(mine, theirs))
  expect(run.messageBytesMax).toBeLessThanOrEqual(RECONCILE_BYTES_MAX)
  expect(run.rounds).toBeLessThanOrEqual(reconcileRoundsMax(2 * theirs.state.count))
  expect(run.start).toEqual(theirs.state)
}

describe('two ends', () => {
  it('find exactly what differs, whatever the sets', async () => {
    await fc.assert(
      fc.asyncProperty(sets, async ([mine, theirs]) => {
        expectRun(await reconcile(mine, theirs), mine, theirs)
        expectRun(await reconcile(theirs, mine), theirs, mine)
      }),
      { numRuns: runs },
    )
  })

  it('find it with tables made for any other count', async () => {
    const [a, b] = [makePairs(900, 1), makePairs(40, 2)]
    for (const expected of [0, 10, 1_000, 20_000, 1_000_000]) {
      const mine = new PairSet([...a.slice(0, 880)], expected)
      const theirs = new PairSet([...a.slice(30), ...b], 900)
      expectRun(await reconcile(mine, theirs), mine, theirs)
      expectRun(await reconcile(theirs, mine), theirs, mine)
    }
  })

  it.each([
    ['all below one bucket', 3_000, 2],
    ['all below one node near the leaves', 250, 15],
    ['all below one node in the middle', 5_000, 9],
  ])('find it in sets made against the tree: %s', async (_name, count, prefixBytes) => {
    const pairs = makePairs(count, 3).map((pair, i) => {
      const forced = pair.fill(171, 0, prefixBytes)
      return prefixBytes === 15 ? forced.fill(i, 15, 16) : forced
    })
    const mine = new PairSet(pairs.slice(0, -20))
    const theirs = new PairSet(pairs.slice(10))
    expectRun(await reconcile(mine, theirs), mine, theirs)
    expectRun(
      await reconcile(mine, new PairSet(pairs.slice(-1))),
      mine,
      new PairSet(pairs.slice(-1)),
    )
  })

  it('end in one small round when equal, without reading a pair', async () => {
    for (const count of [0, 1, 100, 10_000]) {
      const [mine, theirs] = [new PairSet(makePairs(count, 4)), new PairSet(makePairs(count, 4))]
      const run = await reconcile(mine, theirs)
      expect(run).toMatchObject({ rounds: 1, differences: [] })
      expect(run.bytesUp + run.bytesDown).toBeLessThan(200)
      expect(mine.reads + theirs.reads).toBe(0)
    }
  })

  it('end in one round when the other is empty, and hand out page by page', async () => {
    const mine = new PairSet(makePairs(20_000, 5))
    const reconciliation = new Reconciliation(mine.source)
    const request = reconciliation.next() as ReconcileRequest
    const answer = await answerReconcile(new PairSet().source, request)
    let found = 0
    for await (const page of reconciliation.take(answer)) {
      expect(page.length).toBeLessThanOrEqual(100)
      expect(page.every(({ mine, theirs }) => mine !== null && theirs === null)).toBe(true)
      found += page.length
      // Read only as far as it was handed out.
      expect(mine.reads).toBe(found)
    }
    expect(found).toBe(20_000)
    expect(reconciliation.next()).toBeNull()
  })

  it('list everything to an empty asker in messages that are nearly full', async () => {
    const theirs = new PairSet(makePairs(30_000, 6))
    const run = await reconcile(new PairSet(), theirs)
    expectRun(run, new PairSet(), theirs)
    expect(run.bytesDown).toBeLessThan(30_000 * 32 * 1.02 + 4_096)
    expect(run.rounds).toBeLessThanOrEqual(3 + Math.ceil((30_000 * 32) / RECONCILE_BYTES_MAX) + 1)
    const few = new PairSet(makePairs(LIST_PAIRS_MAX, 7))
    expect((await reconcile(new PairSet(), few)).rounds).toBe(1)
  })

  it('send bytes that follow the difference, not the set', async () => {
    const sizes = fc.tuple(fc.integer({ min: 500, max: 12_000 }), fc.nat({ max: 60 }), fc.nat())
    await fc.assert(
      fc.asyncProperty(sizes, async ([count, differences, seed]) => {
        const pairs = makePairs(count + differences, seed)
        const mine = new PairSet(pairs.slice(0, count))
        const theirs = new PairSet(pairs.slice(differences))
        const run = await reconcile(mine, theirs)
        expectRun(run, mine, theirs)
        // 256 nodes at first; then, for each, 16 nodes a level and a list.
        const found = run.differences.length
        expect(run.bytesDown).toBeLessThan(256 * 9 + 500 + found * (2 * 129 + 8 * 32))
        expect(run.bytesUp).toBeLessThan(400 + found * 12)
        expect(run.rounds).toBeLessThanOrEqual(6)
      }),
      { numRuns: Math.ceil(runs / 10) },
    )
  })

  it('find 100 differences in 100,000 within 40 KiB and 4 rounds', async () => {
    const pairs = makePairs(100_050, 8)
    const mine = new PairSet(pairs.slice(0, 100_000))
    const theirs = new PairSet(pairs.slice(50))
    const run = await reconcile(mine, theirs)
    expectRun(run, mine, theirs)
    expect(run.bytesDown).toBeLessThan(40 * 1024)
    expect(run.bytesUp).toBeLessThan(4 * 1024)
    expect(run.rounds).toBeLessThanOrEqual(4)
    // Neither end reads more than the buckets in which something differs.
    expect(Math.max(mine.reads, theirs.reads)).toBeLessThan(100 * 100)
  })
})

describe('sets that change between rounds', () => {
  it('end within the bound; what stays the same is judged rightly', async () => {
    const changes = fc.array(
      fc.tuple(
        fc.nat({ max: 30 }),
        fc.boolean(),
        fc.boolean(),
        ids,
        fc.integer({ min: 50, max: 99 }),
      ),
      { maxLength: 40 },
    )
    await fc.assert(
      fc.asyncProperty(sets, changes, async ([mine, theirs], list) => {
        const touched = new Set(list.map(([, , , id]) => formatHex(id)))
        const run = await reconcile(mine, theirs, {
          meanwhile: (round) => {
            for (const [at, isMine, isPut, id, ms] of list) {
              const end = isMine ? mine : theirs
              if (at !== round) continue
              if (isPut) end.put(pairOf(id, ms))
              else end.drop(pairOf(id, ms))
            }
          },
        })
        const still = (text: string) => !touched.has(text.slice(0, 32))
        const found = differenceTexts(run.differences).filter(still)
        expect(found).toEqual(expectedDifferences(mine, theirs).filter(still))
        expect(run.rounds).toBeLessThanOrEqual(reconcileRoundsMax(claimsMax(200)))
      }),
      { numRuns: runs },
    )
  })

  it('take a set that grows a thousandfold meanwhile', async () => {
    const mine = new PairSet(makePairs(100, 9))
    const theirs = new PairSet([...makePairs(100, 9), ...makePairs(30, 10)])
    const more = makePairs(60_000, 11)
    const run = await reconcile(mine, theirs, {
      meanwhile: (round) => {
        if (round === 1) for (const pair of more) theirs.put(pair)
      },
    })
    expect(run.start?.count).toBe(130)
    const found = new Set(differenceTexts(run.differences))
    for (const { recordId } of [...run.differences]) expect(recordId.length).toBe(16)
    for (const pair of makePairs(30, 10)) {
      expect([...found].some((text) => text.startsWith(formatHex(pair.subarray(0, 16))))).toBe(true)
    }
  })
})

describe('an asker', () => {
  it('gives the same request until its answer is taken', async () => {
    const [mine, theirs] = [new PairSet(makePairs(300, 12)), new PairSet(makePairs(290, 12))]
    const reconciliation = new Reconciliation(mine.source)
    const request = reconciliation.next() as ReconcileRequest
    expect(reconciliation.next()).toBe(request)
    for await (const _ of reconciliation.take(await answerReconcile(theirs.source, request))) {
      expect(() => reconciliation.next()).toThrowError(/to its end/)
    }
    expect(reconciliation.rounds).toBe(1)
    expect(reconciliation.next()).not.toBe(request)
  })

  it('asks again for what an answer had no room for', async () => {
    const theirs = new PairSet(makePairs(20_000, 13))
    let short = 0
    const run = await reconcile(new PairSet(), theirs, {
      answer: async (request) => {
        const asked = decodeNodes(request.nodes)
        // As if the set had grown since its summaries were given: not all asked fits.
        const half = asked.slice(0, Math.ceil(asked.length * 0.7))
        const answer = await answerReconcile(theirs.source, request)
        if (half.length === asked.length || answer.answers.length < 200_000) return answer
        short++
        const parts = await Promise.all(
          half.map(async (one) => {
            const pairs: Uint8Array[] = []
            for await (const page of theirs.source.pairs(one.node)) pairs.push(...page)
            return encodeNodeAnswer({ type: 'pairs', pairs })
          }),
        )
        return { ...answer, answers: concat(...parts) }
      },
    })
    expect(short).toBeGreaterThan(0)
    expectRun(run, new PairSet(), theirs)
  })
})

describe('a hostile answerer', () => {
  const mine = new PairSet(makePairs(5_000, 14))
  const honest = new PairSet(makePairs(5_200, 14).slice(100))

  /** Runs to the end or to a refusal; what was handed out until then. */
  async function endure(
    answer: (request: ReconcileRequest, round: number) => Promise<ReconcileAnswer>,
    roundsMax: number,
  ): Promise<{ code: string; texts: string[]; rounds: number }> {
    let rounds = 0
    const texts: string[] = []
    const reconciliation = new Reconciliation(mine.source)
    try {
      for (let asked = reconciliation.next(); asked !== null; asked = reconciliation.next()) {
        if (++rounds > roundsMax) throw new Error('it does not end')
        for await (const page of reconciliation.take(await answer(asked, rounds))) {
          for (const { recordId, theirs } of page) {
            if (theirs !== null) texts.push(formatHex(recordId) + formatHex(theirs))
          }
        }
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      return { code: error.code, texts, rounds }
    }
    return { code: 'done', texts, rounds }
  }

  const lie = async (
    request: ReconcileRequest,
    answers: (nodes: ReturnType<typeof decodeNodes>) => Uint8Array[],
  ): Promise<ReconcileAnswer> => ({
    ...(await answerReconcile(honest.source, { ...request, nodes: new Uint8Array() })),
    answers: concat(...answers(decodeNodes(request.nodes))),
  })

  const children = (count: number) =>
    encodeNodeAnswer({
      type: 'children',
      children: Array.from({ length: 16 }, (_, i) => ({ count, sum: i + 1 })),
    })
  const listOf = (...pairs: Uint8Array[]) => encodeNodeAnswer({ type: 'pairs', pairs })

  it.each<[string, (nodes: ReturnType<typeof decodeNodes>) => Uint8Array[]]>([
    ['nothing for what was asked', () => []],
    ['less than fits', () => [children(5)]],
    ['more than was asked', (nodes) => [...nodes, 1].map(() => children(5))],
    ['a list where none was asked', (nodes) => nodes.map(() => listOf())],
    ['noise', () => [new Uint8Array(5_000).fill(77)]],
    ['a cut answer', (nodes) => nodes.map(() => children(5).slice(0, -1))],
    ['more below its nodes than any set has', (nodes) => nodes.map(() => children(2 ** 32 - 1))],
    [
      'endless descents',
      (nodes) =>
        nodes.map(({ node, list }) =>
          node.length === NODE_DEPTH_MAX ? listOf() : children(list ? 200 : LEAF_PAIRS + 1),
        ),
    ],
  ])('is refused with %s', async (_name, answers) => {
    const bound = reconcileRoundsMax(claimsMax(honest.state.count))
    const end = await endure((request) => lie(request, answers), bound)
    expect(end).toMatchObject({ code: 'malformed', texts: [] })
  })

  it.each<[string, (node: string) => Uint8Array[]]>([
    ['pairs outside the node', (node) => [pairOf(hex((node === '0' ? '1' : '0').repeat(32)), 1)]],
    [
      'unsorted pairs',
      (node) => [pairOf(hex(node.padEnd(32, 'f')), 1), pairOf(hex(node.padEnd(32, '0')), 1)],
    ],
    ['a record twice', (node) => [1, 2].map((ms) => pairOf(hex(node.padEnd(32, '0')), ms))],
    [
      'too long a list',
      (node) =>
        Array.from({ length: LIST_PAIRS_MAX + 1 }, (_, i) =>
          pairOf(hex(node + i.toString(16).padStart(32 - node.length, '0')), 1),
        ),
    ],
  ])('is refused with %s', async (_name, pairs) => {
    const end = await endure(async (request) => {
      const nodes = decodeNodes(request.nodes)
      const answer = await answerReconcile(honest.source, request)
      if (!nodes.every(({ list }) => list)) return answer
      return lie(request, () => nodes.map(({ node }) => listOf(...pairs(node))))
    }, 40)
    expect(end.code).toBe('malformed')
    // What came before the lie was true.
    const held = new Set(honest.pairs.map((pair) => formatHex(pair)))
    expect(end.texts.filter((text) => !held.has(text))).toEqual([])
    expect(end.rounds).toBeGreaterThan(1)
  })

  it('never hangs, and nothing is handed out that it did not send', async () => {
    const noise = fc.array(
      fc.record({
        kind: fc.constantFrom('honest', 'children', 'list', 'flip', 'cut', 'equal', 'empty'),
        count: fc.integer({ min: 0, max: 400 }),
        at: fc.nat(),
        stated: fc.constantFrom(0, 1, 5_100, 1_000_000),
      }),
      { minLength: 1, maxLength: 20 },
    )
    await fc.assert(
      fc.asyncProperty(noise, async (list) => {
        const sent: string[] = []
        const answer = async (request: ReconcileRequest, round: number) => {
          const { kind, count, at, stated } = list[round % list.length] as (typeof list)[number]
          const truth = await answerReconcile(honest.source, request)
          const nodes = decodeNodes(request.nodes)
          let answers = truth.answers
          if (kind === 'children') answers = concat(...nodes.map(() => children(count)))
          if (kind === 'list') {
            answers = concat(
              ...nodes.map(({ node }) => listOf(pairOf(hex(node.padEnd(32, '7')), at % 1_000))),
            )
          }
          if (kind === 'flip') {
            answers = answers.slice()
            const place = at % answers.length
            if (answers.length > 0) answers[place] = (answers[place] as number) ^ (1 << (at % 8))
          }
          if (kind === 'cut') answers = answers.slice(0, at % (answers.length + 1))
          if (kind === 'empty') answers = new Uint8Array()
          sent.push(formatHex(answers))
          const told =
            kind === 'equal'
              ? request
              : { ...truth, count: kind === 'honest' ? truth.count : stated }
          return { ...truth, count: told.count, fingerprint: told.fingerprint, answers }
        }
        const end = await endure(answer, 100)
        expect(['done', 'malformed']).toContain(end.code)
        for (const text of end.texts) expect(sent.some((one) => one.includes(text))).toBe(true)
      }),
      { numRuns: runs },
    )
  })
})

describe('an answerer', () => {
  it('answers alike whatever was asked before, in any order, and any number of times', async () => {
    const [mine, theirs] = [new PairSet(makePairs(3_000, 20)), new PairSet(makePairs(2_990, 20))]
    const asked: ReconcileRequest[] = []
    const answers: ReconcileAnswer[] = []
    const run = await reconcile(mine, theirs, {
      answer: async (request) => {
        const answer = await answerReconcile(theirs.source, request)
        asked.push(request)
        answers.push(answer)
        return answer
      },
    })
    expect(asked.length).toBeGreaterThan(2)
    const places = asked.map((_, i) => i)
    const orders = fc.array(fc.constantFrom(...places), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(orders, async (order) => {
        const again = order.map((i) => answerReconcile(theirs.source, asked[i] as never))
        expect(await Promise.all(again)).toEqual(order.map((i) => answers[i]))
      }),
      { numRuns: 20 },
    )
    // Two reconciliations at once do not disturb each other.
    const both = await Promise.all([reconcile(mine, theirs), reconcile(theirs, mine)])
    expect(differenceTexts(both[0].differences)).toEqual(differenceTexts(run.differences))
    expect(both[1].differences.length).toBe(run.differences.length)
  })

  it('answers every request within a message, or refuses it', async () => {
    const source = new PairSet(makePairs(40_000, 15)).source
    const fingerprint = new Uint8Array(16) as ReconcileRequest['fingerprint']
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (nodes) => {
        const answer = await answerReconcile(source, { count: 0, fingerprint, nodes }).catch(
          (error: unknown) => error,
        )
        if (answer instanceof Error) expect(answer).toMatchObject({ code: 'malformed' })
        else expect((answer as ReconcileAnswer).answers.length).toBeLessThan(RECONCILE_BYTES_MAX)
      }),
      { numRuns: runs },
    )
  })
})
