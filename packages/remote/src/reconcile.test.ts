/**
 * Reconciling with a remote: whatever was pushed, before or meanwhile, a device finds exactly what
 * differs; the index is scanned once for each vault and never again for a round.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  answerReconcile,
  chainStart,
  compareBytes,
  concat,
  createPairSource,
  type Difference,
  encodeNodes,
  Fingerprint,
  formatHex,
  type Hash,
  LIST_PAIRS_MAX,
  type PairSource,
  RECONCILE_BYTES_MAX,
  ReconcileAnswer,
  type ReconcileRequest,
  Reconciliation,
  SetSummary,
} from '@blindcopy/protocol'
import { createMemoryStore, openLevelStore, type Store, StoreError } from '@blindcopy/secondary'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Answer,
  ask,
  bodyOf,
  Device,
  dump,
  makeChain,
  makeEnvelope,
  must,
  openVault,
  random,
  record,
} from './remote.fixture.ts'

const runs = process.env.SLOW === undefined ? 20 : 300

/** The pairs of a vault's live set, by the rule of the remote, reckoned from what was pushed. */
type Model = Map<string, Uint8Array>

/** Pushes as many transactions as there are lists of record numbers. */
async function pushAll(device: Device, lists: readonly (readonly number[])[], model: Model) {
  for (let first = 0; first < lists.length; first += 50) {
    const transactions = lists.slice(first, first + 50).map((numbers) => {
      const id = device.stamp()
      for (const n of numbers) model.set(formatHex(record(n)), concat(record(n), id))
      return [id, numbers.map((n) => [makeEnvelope({ recordId: record(n), timestamp: id })])]
    })
    await device.push(...transactions)
  }
}

const numbersTo = (count: number): number[][] =>
  Array.from({ length: Math.ceil(count / 500) }, (_, i) =>
    Array.from({ length: Math.min(500, count - i * 500) }, (_, j) => i * 500 + j),
  )

/** A device's own set. */
function sourceOf(pairs: readonly Uint8Array[]): PairSource {
  const sorted = [...pairs].sort(compareBytes)
  const summary = new SetSummary(sorted.length)
  const fingerprint = new Fingerprint()
  for (const pair of sorted) {
    summary.add(pair)
    fingerprint.add(pair)
  }
  const state = {
    head: { seq: 0, chain: new Uint8Array(32) as Uint8Array as Hash },
    count: sorted.length,
    fingerprint: fingerprint.toBytes(),
  }
  return createPairSource({
    summary,
    state: () => state,
    async *readPairs({ first, last }) {
      const isInside = (pair: Uint8Array) =>
        compareBytes(pair.subarray(0, 16), first) >= 0 &&
        compareBytes(pair.subarray(0, 16), last) <= 0
      yield sorted.filter(isInside)
    },
  })
}

async function reconcileWith(
  device: Device,
  pairs: readonly Uint8Array[],
): Promise<{ differences: Difference[]; reconciliation: Reconciliation }> {
  device.cursor = { seq: 0, chain: chainStart(device.chain.vaultId) }
  const reconciliation = new Reconciliation(sourceOf(pairs))
  const differences: Difference[] = []
  for (let asked = reconciliation.next(); asked !== null; asked = reconciliation.next()) {
    const answer = must(ReconcileAnswer, await device.post('/v1/reconcile', asked))
    for await (const page of reconciliation.take(answer)) differences.push(...page)
  }
  return { differences, reconciliation }
}

/** All that the remote's summaries and index say it holds. */
async function heldBy(device: Device): Promise<string[]> {
  const { differences } = await reconcileWith(device, [])
  return differences.map(({ recordId, theirs }) => formatHex(concat(recordId, theirs ?? random(1))))
}

const pairsOf = (model: Model): Uint8Array[] => [...model.values()]
/** Every bucket, and two levels below one: neither a fingerprint nor a list shows a wrong sum. */
async function expectRecount(device: Device, model: Model): Promise<void> {
  const own = sourceOf(pairsOf(model))
  const known = { count: 0, fingerprint: random(16) as ReconcileRequest['fingerprint'] }
  const digits = Array.from({ length: 16 }, (_, i) => i.toString(16))
  const levels = [[''], digits, digits.flatMap((a) => digits.map((b) => a + b)), ['1b2', '1b3']]
  for (const level of levels) {
    const nodes = encodeNodes(level.map((node) => ({ node, list: false })))
    const answer = await device.post('/v1/reconcile', { ...known, nodes })
    const { answers } = must(ReconcileAnswer, answer)
    expect(answers).toEqual((await answerReconcile(own, { ...known, nodes })).answers)
  }
}

const texts = (pairs: readonly Uint8Array[]): string[] => pairs.map(formatHex).sort()

/** A memory store that counts whole scans of the record index, and awaits `pause` in each page. */
function countingStore(pause: () => Promise<void> = async () => {}) {
  const store = createMemoryStore()
  const counted = { scanPages: 0, otherReads: 0 }
  const pages = store.pages.bind(store)
  store.pages = async function* (range, bounds) {
    const isRecords = range.lte?.[32] === 'r'.charCodeAt(0)
    // A round reads without a limit.
    const isScan = isRecords && range.limit !== undefined
    if (isScan) {
      counted.scanPages++
      await pause()
    } else if (isRecords) {
      counted.otherReads++
    }
    yield* pages(range, bounds)
  }
  return { store: store as Store, counted }
}

describe('POST /v1/reconcile', () => {
  it('shows what a device lacks, has alone, and has in other versions', async () => {
    const { device } = await openVault()
    const model: Model = new Map()
    await pushAll(device, numbersTo(3_000), model)
    const pairs = pairsOf(model)
    const own = random(32)
    const other = concat((pairs[7] as Uint8Array).subarray(0, 16), random(16))
    const { differences, reconciliation } = await reconcileWith(device, [
      ...pairs.slice(8),
      other,
      own,
    ])
    const found = new Map(differences.map((one) => [formatHex(one.recordId), one]))
    expect(found.size).toBe(9)
    expect(found.get(formatHex(own.subarray(0, 16)))?.theirs).toBeNull()
    expect(found.get(formatHex(other.subarray(0, 16)))?.mine).toEqual(other.subarray(16))
    for (const pair of pairs.slice(0, 8)) {
      expect(found.get(formatHex(pair.subarray(0, 16)))?.theirs).toEqual(pair.slice(16))
    }
    const end = (await device.pull()).at(-1)
    const { head, count, fingerprint } = reconciliation.start ?? {}
    expect([2, head?.seq, head?.chain, count, fingerprint]).toEqual(end)
  })

  it('ends in one small round when the sets are equal, and for a vault without records', async () => {
    const { device } = await openVault()
    expect((await reconcileWith(device, [])).reconciliation.rounds).toBe(1)
    const model: Model = new Map()
    await pushAll(device, numbersTo(800), model)
    const { differences, reconciliation } = await reconcileWith(device, pairsOf(model))
    expect([differences.length, reconciliation.rounds]).toEqual([0, 1])
  })

  it('agrees with a recount after any pushes, reconciled between and meanwhile', async () => {
    const pushes = fc.array(
      fc.record({
        lists: fc.array(fc.uniqueArray(fc.nat({ max: 90 }), { minLength: 1, maxLength: 6 }), {
          minLength: 1,
          maxLength: 4,
        }),
        asks: fc.boolean(),
      }),
      { minLength: 1, maxLength: 8 },
    )
    await fc.assert(
      fc.asyncProperty(pushes, async (steps) => {
        const { bench, device } = await openVault()
        const asker = await new Device(bench, device.chain, device.signer).join()
        const model: Model = new Map()
        const asked: Promise<unknown>[] = []
        for (const { lists, asks } of steps) {
          if (asks) asked.push(reconcileWith(asker, []))
          await pushAll(device, lists, model)
        }
        await Promise.all(asked)
        expect((await heldBy(asker)).sort()).toEqual(texts(pairsOf(model)))
        expect((await reconcileWith(asker, pairsOf(model))).reconciliation.rounds).toBe(1)
        await expectRecount(asker, model)
        expect(bench.faults).toEqual([])
      }),
      { numRuns: runs },
    )
  })

  it('takes pushes between two pages of the first scan', async () => {
    const model: Model = new Map()
    let pushing = async (): Promise<unknown> => undefined
    const under: Promise<unknown>[] = []
    const { store, counted } = countingStore(async () => {
      // Queued behind this page of the scan, before the next.
      under.push(pushing())
      await new Promise((resolve) => setImmediate(resolve))
    })
    const { bench, device } = await openVault({ store })
    const asker = await new Device(bench, device.chain, device.signer).join()
    await pushAll(device, numbersTo(5_000), model)
    let next = 0
    // Records of all places: those the scan has passed and those it has not, old and new.
    pushing = () =>
      pushAll(device, [[0, 1, 2, 3, 4].map((i) => i * 1_000 + 7_000 * (next++ % 2))], model)
    await reconcileWith(asker, [])
    expect(counted.scanPages).toBeGreaterThanOrEqual(5)
    await Promise.all(under)
    pushing = async () => undefined
    const before = counted.scanPages
    await expectRecount(asker, model)
    expect((await heldBy(asker)).sort()).toEqual(texts(pairsOf(model)))
    expect(counted.scanPages).toBe(before)
  })

  it('scans once, and then neither for rounds nor after pushes', async () => {
    const { store, counted } = countingStore()
    const { device } = await openVault({ store })
    const model: Model = new Map()
    await pushAll(device, numbersTo(2_000), model)
    await Promise.all([1, 2, 3].map(() => reconcileWith(device, pairsOf(model))))
    expect(counted).toEqual({ scanPages: 2, otherReads: 0 })
    device.cursor = { seq: 0, chain: chainStart(device.chain.vaultId) }
    await pushAll(device, [[3], [9_000]], model)
    expect((await reconcileWith(device, pairsOf(model))).differences).toEqual([])
    const { differences } = await reconcileWith(device, pairsOf(model).slice(1))
    expect(differences.length).toBe(1)
    expect(counted.scanPages).toBe(2)
    expect(counted.otherReads).toBeLessThan(4)
  })

  it('scans again when a vault has outgrown its summary', async () => {
    const { store, counted } = countingStore()
    const { device } = await openVault({ store })
    const model: Model = new Map()
    await reconcileWith(device, [])
    expect(counted.scanPages).toBe(1)
    await pushAll(device, numbersTo(4_200), model)
    expect((await reconcileWith(device, pairsOf(model))).reconciliation.rounds).toBe(1)
    expect(counted.scanPages).toBe(1 + 5)
    expect((await heldBy(device)).sort()).toEqual(texts(pairsOf(model)))
    expect(counted.scanPages).toBe(1 + 5)
  })

  it('forgets a summary when a push fails, and makes it anew', async () => {
    const { store, counted } = countingStore()
    const write = store.write.bind(store)
    let fails: 'no' | 'before' | 'after' = 'no'
    store.write = async (batch, how) => {
      if (fails !== 'before') await write(batch, how)
      if (fails !== 'no') throw new StoreError('store-failed', 'failed')
    }
    const { device } = await openVault({ store })
    const model: Model = new Map()
    await pushAll(device, [[1, 2, 3]], model)
    await heldBy(device)
    for (const [i, how] of (['before', 'after'] as const).entries()) {
      fails = how
      const lost: Model = new Map()
      await expect(pushAll(device, [[4 + i]], lost)).rejects.toThrowError('internal')
      fails = 'no'
      if (how === 'after') for (const [id, pair] of lost) model.set(id, pair)
      expect((await heldBy(device)).sort()).toEqual(texts(pairsOf(model)))
      expect(counted.scanPages).toBe(2 + i)
    }
  })

  it('keeps two vaults apart', async () => {
    const { bench, device: first } = await openVault()
    const { chain, device: signer } = makeChain()
    const second = new Device(bench, chain, signer)
    await second.create()
    await second.join()
    const models: [Model, Model] = [new Map(), new Map()]
    await pushAll(first, [[1, 2], [3]], models[0])
    await pushAll(second, [[1], [7]], models[1])
    await Promise.all([heldBy(first), heldBy(second)])
    await pushAll(first, [[1]], models[0])
    expect((await heldBy(first)).sort()).toEqual(texts(pairsOf(models[0])))
    expect((await heldBy(second)).sort()).toEqual(texts(pairsOf(models[1])))
  })

  it('drops the summary that was used least lately when there is no room', async () => {
    const { store, counted } = countingStore()
    // Room for two of the smallest tables.
    const { bench, device } = await openVault({ store, summariesBytesMax: 2 * 16 * 12 })
    const devices = [device]
    for (let i = 0; i < 2; i++) {
      const { chain, device: signer } = makeChain()
      const one = new Device(bench, chain, signer)
      await one.create()
      devices.push(await one.join())
    }
    const models = devices.map((): Model => new Map())
    for (const [i, one] of devices.entries()) {
      await pushAll(one, [[i, 10 + i]], models[i] as Model)
    }
    const ask = async (...order: number[]) => {
      for (const i of order) {
        const held = await heldBy(devices[i] as Device)
        expect(held.sort()).toEqual(texts(pairsOf(models[i] as Model)))
        await pushAll(devices[i] as Device, [[20 + i]], models[i] as Model)
      }
      return counted.scanPages
    }
    expect(await ask(0, 1, 0, 1)).toBe(2)
    expect(await ask(2)).toBe(3)
    expect(await ask(1, 2)).toBe(3)
    expect(await ask(0)).toBe(4)
    expect(await ask(2)).toBe(4)
    expect(await ask(1)).toBe(5)
  })

  it('is the same after a restart, on a disk', async () => {
    const path = await mkdtemp(join(tmpdir(), 'blindcopy-remote-'))
    const store = await openLevelStore({ path })
    const { bench, device } = await openVault({ store })
    const model: Model = new Map()
    await pushAll(device, numbersTo(2_500), model)
    await heldBy(device)
    await device.join()
    await pushAll(device, [[3], [2_600]], model)
    bench.restart()
    await device.join()
    expect((await heldBy(device)).sort()).toEqual(texts(pairsOf(model)))
    await store.close()
    await rm(path, { recursive: true })
  })
})

describe('a bad request', () => {
  const good = { count: 0, fingerprint: new Uint8Array(16), nodes: Uint8Array.of(0x80) }
  it.each<[string, string, unknown]>([
    ['without nodes', 'malformed', { count: 0, fingerprint: new Uint8Array(16) }],
    ['with a field more', 'malformed', { ...good, more: 1 }],
    ['with a short fingerprint', 'malformed', { ...good, fingerprint: new Uint8Array(15) }],
    ['with a count beyond 32 bits', 'malformed', { ...good, count: 2 ** 32 }],
    ['with a node cut short', 'malformed', { ...good, nodes: Uint8Array.of(4, 1) }],
    ['with a node too deep', 'malformed', { ...good, nodes: new Uint8Array(18).fill(33, 0, 1) }],
    ['with stray bits', 'malformed', { ...good, nodes: Uint8Array.of(1, 0x11) }],
    ['with a node twice', 'malformed', { ...good, nodes: Uint8Array.of(1, 0x10, 1, 0x10) }],
    ['with a node in a node', 'malformed', { ...good, nodes: Uint8Array.of(1, 0x10, 2, 0x11) }],
    ['beyond the size', 'too-large', { ...good, nodes: new Uint8Array(RECONCILE_BYTES_MAX) }],
  ])('%s is refused, and nothing is stored', async (_name, code, message) => {
    const { bench, device } = await openVault()
    await pushAll(device, [[1]], new Map())
    await device.join()
    const before = await dump(bench.store)
    const answer: Answer = await device.post('/v1/reconcile', message)
    expect(answer.problem?.code).toBe(code)
    expect(await dump(bench.store)).toEqual(before)
  })

  it('of bytes that are cut is refused at every length', async () => {
    const { device } = await openVault()
    const whole = bodyOf(good)
    for (let length = 0; length < whole.length; length++) {
      const init = { method: 'POST', headers: device.headers, body: whole.slice(0, length) }
      expect((await ask(device.app, '/v1/reconcile', init)).problem?.code).toBe('malformed')
    }
  })

  it('for a long list is answered by children', async () => {
    const { device } = await openVault()
    await pushAll(device, numbersTo(LIST_PAIRS_MAX), new Map())
    await device.join()
    const ask = async () => must(ReconcileAnswer, await device.post('/v1/reconcile', good)).answers
    expect((await ask())[0]).toBe(1)
    await pushAll(device, [[LIST_PAIRS_MAX]], new Map())
    await device.join()
    expect((await ask())[0]).toBe(0)
  })
})
