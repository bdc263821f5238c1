/**
 * Nodes and their answers in bytes: what is written is read back, and nothing else is taken. Also
 * drives test/vectors/reconcile.json.
 */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareBytes, formatHex } from './bytes.ts'
import { ProtocolError } from './error.ts'
import { RECONCILE_NODES_MAX } from './limits.ts'
import { ReconcileAnswer, ReconcileRequest } from './message.ts'
import { parseMessage } from './message-check.ts'
import { PairSet } from './reconcile.fixture.ts'
import { answerReconcile } from './reconcile-answer.ts'
import {
  type AskedNode,
  boundsOf,
  decodeNodeAnswers,
  decodeNodes,
  digitOf,
  encodeNodeAnswer,
  encodeNodes,
  FAN_OUT,
  LIST_PAIRS_MAX,
  type NodeAnswer,
  pairSum,
} from './reconcile-node.ts'
import { SetSummary } from './set-summary.ts'

const runs = process.env.SLOW === undefined ? 200 : 5_000
const malformed = expect.objectContaining({ code: 'malformed' })
const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))

const digits = fc.stringMatching(/^[0-9a-f]{0,31}$/)
const summaries = fc.record({
  count: fc.oneof(fc.nat({ max: 200 }), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
  sum: fc.maxSafeNat().map((n) => n % 2 ** 48),
})

/** Those that ascend apart. */
function apart(nodes: readonly AskedNode[]): AskedNode[] {
  const sorted = [...nodes].sort((a, b) => (a.node < b.node ? -1 : 1))
  return sorted.filter(
    ({ node }, i) => !sorted.slice(0, i).some((one) => node.startsWith(one.node)),
  )
}

describe('nodes', () => {
  it('are read as they were written', () => {
    const asked = fc.array(fc.record({ node: digits, list: fc.boolean() }), { maxLength: 20 })
    fc.assert(
      fc.property(asked, (list) => {
        const nodes = apart(list)
        expect(decodeNodes(encodeNodes(nodes))).toEqual(nodes)
      }),
      { numRuns: runs },
    )
  })

  it('are read or refused, whatever the bytes; and have one spelling', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          expect(encodeNodes(decodeNodes(bytes))).toEqual(bytes)
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error
          expect(error.code).toBe('malformed')
        }
      }),
      { numRuns: runs },
    )
  })

  it('are taken at the limit and refused one beyond', () => {
    const many = (count: number): Uint8Array =>
      encodeNodes(
        Array.from({ length: count }, (_, i) => ({
          node: i.toString(16).padStart(4, '0'),
          list: true,
        })),
      )
    expect(decodeNodes(many(RECONCILE_NODES_MAX)).length).toBe(RECONCILE_NODES_MAX)
    expect(() => decodeNodes(many(RECONCILE_NODES_MAX + 1))).toThrowError(malformed)
  })

  it('bound the ids below them', () => {
    const id = fc.uint8Array({ minLength: 16, maxLength: 16 })
    fc.assert(
      fc.property(digits, id, (node, recordId) => {
        const { first, last } = boundsOf(node)
        const isBelow = compareBytes(first, recordId) <= 0 && compareBytes(recordId, last) <= 0
        expect(isBelow).toBe(formatHex(recordId).startsWith(node))
        expect(formatHex(first).startsWith(node) && formatHex(last).startsWith(node)).toBe(true)
        const digit = digitOf(recordId, node.length)
        expect(digit.toString(16)).toBe(formatHex(recordId)[node.length])
      }),
      { numRuns: runs },
    )
  })
})

describe('answers', () => {
  const children = fc.array(summaries, { minLength: FAN_OUT, maxLength: FAN_OUT }).map(
    (list): NodeAnswer => ({
      type: 'children',
      children: list.map(({ count, sum }) => ({ count, sum: count === 0 ? 0 : sum })),
    }),
  )

  it('of children are read as they were written, and not when cut', () => {
    fc.assert(
      fc.property(children, (answer) => {
        const bytes = encodeNodeAnswer(answer)
        const asked = [{ node: 'ab', list: false }]
        expect(decodeNodeAnswers(bytes, asked)).toEqual([answer])
        for (let length = 1; length < bytes.length; length += 7) {
          expect(() => decodeNodeAnswers(bytes.slice(0, length), asked)).toThrowError(malformed)
        }
      }),
      { numRuns: runs },
    )
  })

  it('of pairs are read at the limit and refused one beyond', () => {
    const pairsOf = (count: number): Uint8Array[] =>
      Array.from({ length: count }, (_, i) =>
        fromHex(i.toString(16).padStart(32, '0').padEnd(64, '1')),
      )
    const read = (count: number) =>
      decodeNodeAnswers(encodeNodeAnswer({ type: 'pairs', pairs: pairsOf(count) }), [
        { node: '', list: true },
      ])
    expect(read(LIST_PAIRS_MAX)).toEqual([{ type: 'pairs', pairs: pairsOf(LIST_PAIRS_MAX) }])
    expect(() => read(LIST_PAIRS_MAX + 1)).toThrowError(malformed)
  })

  it('are read or refused, whatever the bytes', () => {
    const asked = ['0', '1', '2'].map((node) => ({ node, list: true }))
    const bytes = fc
      .tuple(fc.constantFrom(0, 1), fc.uint8Array({ maxLength: 120 }))
      .map(([tag, rest]) => Uint8Array.of(tag, ...rest))
    fc.assert(
      fc.property(bytes, (noise) => {
        try {
          expect(decodeNodeAnswers(noise, asked).length).toBeLessThanOrEqual(3)
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error
          expect(error.code).toBe('malformed')
        }
      }),
      { numRuns: runs },
    )
  })
})

type Case = {
  readonly name: string
  readonly kind: string
  readonly expect: string
  readonly pairsHex: string[]
  readonly hex: string
  readonly sum: number
  readonly nodes: AskedNode[]
  readonly children: [string, number, number][]
  readonly requestHex: string
  readonly answerHex: string
}

const VECTORS = new URL('../../../test/vectors/reconcile.json', import.meta.url)
const { cases } = JSON.parse(readFileSync(VECTORS, 'utf8')) as { cases: Case[] }

async function drive(one: Case): Promise<void> {
  const pairs = (one.pairsHex ?? []).map(fromHex)
  switch (one.kind) {
    case 'pair-sum':
      return expect(pairSum(pairs[0] as Uint8Array)).toBe(one.sum)
    case 'summary': {
      const summary = new SetSummary(0)
      for (const pair of pairs) summary.add(pair)
      const found = (summary.children('') ?? []).flatMap(({ count, sum }, i) =>
        count === 0 ? [] : [[i.toString(16), count, sum]],
      )
      return expect(found).toEqual(one.children)
    }
    case 'nodes': {
      const nodes = decodeNodes(fromHex(one.hex))
      expect(nodes).toEqual(one.nodes)
      return expect(formatHex(encodeNodes(nodes))).toBe(one.hex)
    }
    case 'answers':
      return void decodeNodeAnswers(fromHex(one.hex), one.nodes)
    default: {
      const request = parseMessage(ReconcileRequest, fromHex(one.requestHex))
      const set = new PairSet(pairs)
      const answer = await answerReconcile(set.source, request)
      expect(answer).toEqual(parseMessage(ReconcileAnswer, fromHex(one.answerHex)))
    }
  }
}

describe('test/vectors/reconcile.json', () => {
  it('has at least as many refusals as successes', () => {
    const successes = cases.filter((one) => one.expect === 'ok')
    expect(cases.length).toBeGreaterThanOrEqual(successes.length * 2)
  })

  it.each(cases.map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    if (one.expect === 'ok') return drive(one)
    await expect(async () => drive(one)).rejects.toThrowError(
      expect.objectContaining({ code: one.expect }),
    )
  })
})
