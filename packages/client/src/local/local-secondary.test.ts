/**
 * The local secondary against a small model of a remote: whatever the order of local writes,
 * pushes, lost answers, pulls and writes of another device, once everything is exchanged both hold
 * the same versions, one per record, and nothing is left over on the disk.
 */
import {
  chainNext,
  chainStart,
  compareTimestamps,
  concat,
  type Envelope,
  encodeBoundHeader,
  encodePair,
  encodeTimestamp,
  envelopeRecordId,
  envelopeTimestamp,
  type Hash,
  joinPushBody,
  type LogPosition,
  type MemberId,
  PushRequest,
  parseMessage,
  type RecordId,
  type SyncId,
  type Timestamp,
  transactionDigest,
  type VaultId,
} from '@blindcopy/protocol'
import { createMemoryStore, type Store } from '@blindcopy/secondary'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LogStep, OpenArrival } from './arrival.ts'
import type { Draft } from './draft.ts'
import { LocalSecondary } from './local-secondary.ts'
import { encodeRow, parseRow } from './row.ts'
import { idText } from './row-batch.ts'

const vaultId = new Uint8Array(32).fill(7) as VaultId
const syncId = new Uint8Array(16).fill(9) as SyncId
const NOW_MS = 1_800_000_000_000
const TAG = new Uint8Array(16).fill(3)

const recordIdOf = (n: number): RecordId => new Uint8Array(16).fill(n + 1) as RecordId

/** An envelope that is not sealed: its last byte says whether it opens. */
function envelopeOf(
  recordId: RecordId,
  timestamp: Timestamp,
  options: { tombstone?: boolean; opens?: boolean } = {},
): Envelope {
  const { tombstone = false, opens = true } = options
  const header = encodeBoundHeader({ tombstone, epoch: 1, recordId, timestamp })
  const rest = new Uint8Array(24 + 256 + 16)
  rest[rest.length - 1] = opens ? 0 : 1
  return concat(header, rest) as Envelope
}

const open: OpenArrival = (envelope) =>
  envelope[envelope.length - 1] === 0
    ? { type: 'opened', tag: TAG }
    : { type: 'closed', reason: 'tampered' }

const draftOf = (n: number, tombstone = false): Draft => ({
  recordId: recordIdOf(n),
  tag: TAG,
  tombstone,
  compareAndSet: false,
  seal: ({ timestamp }) => envelopeOf(recordIdOf(n), timestamp, { tombstone }),
})

const reading = { open, takeKeychain: () => [] }

async function openLocal(store: Store = createMemoryStore(), nowMs = NOW_MS) {
  const local = await LocalSecondary.open({
    store,
    vaultId,
    clockIdentity: {
      deviceId: new Uint8Array(8).fill(1) as MemberId,
      tail: new Uint8Array(4).fill(2),
    },
    nowMs: () => nowMs,
  })
  if (local.cursor.syncId === null) await local.adoptSyncId(syncId)
  return { local, store }
}

/** What a remote does, in memory: last write wins, a compacted log, idempotent transactions. */
class ModelRemote {
  readonly live = new Map<string, { envelope: Envelope; seq: number }>()
  readonly log: { pairs: Uint8Array[]; id: string; position: LogPosition }[] = []

  get head(): LogPosition {
    return this.log[this.log.length - 1]?.position ?? { seq: 0, chain: chainStart(vaultId) }
  }

  push(envelopes: readonly Envelope[]): { position: LogPosition; stale: Map<number, Timestamp> } {
    const [first] = envelopes
    const id = first === undefined ? '' : idText(envelopeTimestamp(first))
    const stale = new Map<number, Timestamp>()
    const known = this.log.find((entry) => entry.id === id)
    envelopes.forEach((envelope, i) => {
      const key = idText(envelopeRecordId(envelope))
      const held = this.live.get(key)?.envelope
      const isOlder =
        held !== undefined &&
        compareTimestamps(envelopeTimestamp(envelope), envelopeTimestamp(held)) <= 0
      if (isOlder) stale.set(i, envelopeTimestamp(held))
      else if (known === undefined) this.live.set(key, { envelope, seq: this.head.seq + 1 })
    })
    if (known !== undefined) return { position: known.position, stale }
    const pairs = envelopes.map((envelope) =>
      encodePair(envelopeRecordId(envelope), envelopeTimestamp(envelope)),
    )
    const chain: Hash = chainNext(this.head.chain, transactionDigest(pairs))
    const position = { seq: this.head.seq + 1, chain }
    this.log.push({ pairs, id, position })
    return { position, stale }
  }

  steps(after: number, count = Number.POSITIVE_INFINITY): LogStep[] {
    return this.log
      .filter(({ position }) => position.seq > after)
      .slice(0, count)
      .map(({ pairs, position }) => {
        const served = [...this.live.values()].filter(({ seq }) => seq === position.seq)
        const envelopes = served.map(({ envelope }) => envelope)
        const ids = new Set(envelopes.map((envelope) => idText(envelopeRecordId(envelope))))
        const others = pairs.filter((pair) => !ids.has(idText(pair.subarray(0, 16))))
        return { type: 'transaction', ...position, envelopes, others: concat(...others) }
      })
  }
}

async function pushAll(local: LocalSecondary, remote: ModelRemote, losesAnswer = false) {
  const bounds = { bytesMax: 1_000_000 }
  const transactions = await local.markSent(await local.outboxTransactions(bounds), bounds)
  if (transactions.length === 0) return
  const settled = transactions.map((transaction) => {
    const body = parseMessage(PushRequest, joinPushBody([transaction.pushed]))
    const envelopes = body.transactions.flatMap(([, ops]) => ops.map(([envelope]) => envelope))
    const { position, stale } = remote.push(envelopes as Envelope[])
    const verdict = { type: 'applied', position, staleByOp: stale } as const
    return { transaction, verdict }
  })
  if (!losesAnswer) await local.settle(settled)
}

async function pull(local: LocalSecondary, remote: ModelRemote, count?: number) {
  const steps = remote.steps(local.cursor.position.seq, count)
  if (steps.length > 0) await local.applyLog(steps, reading)
}

async function keysOf(store: Store, section: string): Promise<number> {
  let count = 0
  const from = new TextEncoder().encode(section)
  const range = { gte: from, lt: Uint8Array.of((from[0] as number) + 1) }
  for await (const page of store.keyPages(range)) count += page.length
  return count
}

const action = fc.oneof(
  fc.record({
    type: fc.constant('write' as const),
    records: fc.uniqueArray(fc.nat(5), { minLength: 1, maxLength: 4 }),
    tombstone: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('other' as const),
    records: fc.uniqueArray(fc.nat(5), { minLength: 1, maxLength: 4 }),
    aheadMs: fc.integer({ min: -5, max: 5 }),
  }),
  fc.record({ type: fc.constant('push' as const), losesAnswer: fc.boolean() }),
  fc.record({ type: fc.constant('pull' as const), count: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ type: fc.constant('reopen' as const) }),
)

describe('a local secondary and a remote', () => {
  it('hold the same once everything is exchanged, and nothing is left over', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
        const remote = new ModelRemote()
        const store = createMemoryStore()
        let { local } = await openLocal(store)
        let otherCounter = 0
        for (const step of actions) {
          if (step.type === 'write') {
            await local.commit(step.records.map((n) => draftOf(n, step.tombstone)))
          } else if (step.type === 'other') {
            const milliseconds = NOW_MS + step.aheadMs
            const timestamp = encodeTimestamp(
              { milliseconds, counter: otherCounter++ },
              { deviceId: new Uint8Array(8).fill(5) as MemberId, tail: new Uint8Array(4) },
            )
            remote.push(step.records.map((n) => envelopeOf(recordIdOf(n), timestamp)))
          } else if (step.type === 'push') {
            await pushAll(local, remote, step.losesAnswer)
          } else if (step.type === 'pull') {
            await pull(local, remote, step.count)
          } else {
            local = (await openLocal(store)).local
          }
        }
        await pushAll(local, remote)
        await pull(local, remote)
        await checkSame(local, store, remote)
      }),
      { numRuns: process.env.SLOW ? 5_000 : 150 },
    )
  })
})

async function checkSame(local: LocalSecondary, store: Store, remote: ModelRemote) {
  expect(local.pendingCount).toBe(0)
  expect(local.hasSentUnanswered).toBe(false)
  expect(local.cursor.position).toEqual(remote.head)
  for (const { envelope } of remote.live.values()) {
    const held = await local.read(envelopeRecordId(envelope))
    expect(held?.envelope).toEqual(envelope)
  }
  const { size } = remote.live
  expect(local.confirmedSet.count).toBe(size)
  const { local: fresh } = await openLocal()
  if (remote.log.length > 0) await pull(fresh, remote)
  expect(local.confirmedSet).toEqual(fresh.confirmedSet)
  expect(await keysOf(store, 'v')).toBe(size)
  expect(await keysOf(store, 'r')).toBe(size)
  expect(await keysOf(store, 'o')).toBe(0)
  const shown = [...remote.live.values()].filter(({ envelope }) => envelope[1] === 0)
  expect(await keysOf(store, 'c')).toBe(shown.length)
}

const otherTimestamp = (milliseconds: number, counter = 0): Timestamp =>
  encodeTimestamp(
    { milliseconds, counter },
    { deviceId: new Uint8Array(8).fill(5) as MemberId, tail: new Uint8Array(4) },
  )

describe('what a remote serves', () => {
  it('changes nothing when the chain does not fit', async () => {
    const { local, store } = await openLocal()
    const remote = new ModelRemote()
    remote.push([envelopeOf(recordIdOf(1), otherTimestamp(NOW_MS))])
    const [good] = remote.steps(0)
    if (good?.type !== 'transaction') throw new Error('a transaction was expected')
    const foreign = envelopeOf(recordIdOf(2), otherTimestamp(NOW_MS))
    const wrong: LogStep[] = [
      { ...good, chain: new Uint8Array(32) as Uint8Array as Hash },
      { ...good, seq: 2 },
      { ...good, envelopes: [] },
      { ...good, envelopes: [...good.envelopes, foreign] },
      { ...good, envelopes: [foreign] },
      { ...good, envelopes: [new Uint8Array(10)] },
    ]
    for (const step of wrong) {
      await expect(local.applyLog([step], reading)).rejects.toMatchObject({ code: 'integrity' })
    }
    expect(local.cursor.position.seq).toBe(0)
    expect(await keysOf(store, 'v')).toBe(0)
    await local.applyLog([good], reading)
    expect(local.cursor.position.seq).toBe(1)
  })

  it('puts aside what does not open, shows the version before it, and takes it when it opens', async () => {
    const { local } = await openLocal()
    const remote = new ModelRemote()
    const first = envelopeOf(recordIdOf(1), otherTimestamp(NOW_MS, 1))
    const bad = envelopeOf(recordIdOf(1), otherTimestamp(NOW_MS, 2), { opens: false })
    const other = envelopeOf(recordIdOf(2), otherTimestamp(NOW_MS, 2))
    remote.push([first])
    await pull(local, remote)
    remote.push([bad, other])
    await pull(local, remote)
    expect((await local.read(recordIdOf(1)))?.envelope).toEqual(first)
    expect((await local.read(recordIdOf(2)))?.envelope).toEqual(other)
    expect(await local.quarantined()).toMatchObject([{ reason: 'tampered' }])
    expect(local.confirmedSet.count).toBe(2)
    const mended = bad.slice() as Envelope
    mended[mended.length - 1] = 0
    expect(await local.release({ held: [], fetched: [bad] }, open)).toBe(0)
    expect(await local.release({ held: [], fetched: [mended] }, open)).toBe(1)
    expect((await local.read(recordIdOf(1)))?.envelope).toEqual(mended)
    expect(await local.quarantined()).toEqual([])
  })

  it('never replaces a version by an older one', async () => {
    const { local } = await openLocal()
    const remote = new ModelRemote()
    const newer = envelopeOf(recordIdOf(1), otherTimestamp(NOW_MS, 2))
    remote.push([newer])
    await pull(local, remote)
    const older = envelopeOf(recordIdOf(1), otherTimestamp(NOW_MS, 1))
    const digest = transactionDigest([encodePair(recordIdOf(1), envelopeTimestamp(older))])
    const chain = chainNext(local.cursor.position.chain, digest)
    const replay: LogStep = {
      type: 'transaction',
      seq: 2,
      chain,
      envelopes: [older],
      others: new Uint8Array(0),
    }
    await local.applyLog([replay], reading)
    expect((await local.read(recordIdOf(1)))?.envelope).toEqual(newer)
    expect(local.confirmedSet.count).toBe(1)
  })

  it('moves the clock only up to five minutes ahead, and a write still stands above', async () => {
    const { local } = await openLocal()
    const remote = new ModelRemote()
    const hourAhead = otherTimestamp(NOW_MS + 3_600_000)
    remote.push([envelopeOf(recordIdOf(1), hourAhead)])
    await pull(local, remote)
    const elsewhere = await local.commit([draftOf(2)])
    const above = await local.commit([draftOf(1)])
    if (elsewhere.type !== 'committed' || above.type !== 'committed') throw new Error('outrun')
    expect(compareTimestamps(elsewhere.timestamp, otherTimestamp(NOW_MS + 1_000))).toBeLessThan(0)
    expect(compareTimestamps(above.timestamp, hourAhead)).toBeGreaterThan(0)
  })
})

describe('a refused transaction', () => {
  it('waits in attention while others flow, and goes back when asked', async () => {
    const { local, store } = await openLocal()
    await local.commit([draftOf(1)])
    await local.commit([draftOf(2)])
    const transactions = await local.outboxTransactions({ bytesMax: 1 })
    expect(transactions).toHaveLength(1)
    const [transaction] = transactions
    if (transaction === undefined) throw new Error('a transaction was expected')
    await local.settle([{ transaction, verdict: { type: 'refused', code: 'too-large' } }])
    expect([local.pendingCount, local.attentionCount]).toEqual([1, 1])
    expect((await local.read(recordIdOf(1)))?.recordId).toEqual(recordIdOf(1))
    const { local: again } = await openLocal(store)
    expect([again.pendingCount, again.attentionCount]).toEqual([1, 1])
    expect(await again.retryAttention()).toBe(1)
    expect([again.pendingCount, again.attentionCount]).toEqual([2, 0])
    const remote = new ModelRemote()
    await pushAll(again, remote)
    await pull(again, remote)
    expect(remote.log).toHaveLength(2)
    expect(await keysOf(store, 'o')).toBe(0)
    expect(await keysOf(store, 'a')).toBe(0)
  })
})

describe('a row', () => {
  it('counts more waiting writes than two bytes can', () => {
    const timestamp = otherTimestamp(NOW_MS)
    const versions = { current: timestamp, confirmed: timestamp, base: timestamp }
    const row = { ...versions, pending: 65_536, last: 2 ** 40 + 3, policy: 2 }
    expect(parseRow(encodeRow(row))).toEqual(row)
  })
})
