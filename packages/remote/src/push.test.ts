/** Pushing: the verdict for every case, and that only `applied` changes anything. */
import {
  CLOCK_DRIFT_MS_MAX,
  chainNext,
  ENVELOPE_BYTES_MAX,
  envelopePair,
  KeychainAppendAnswer,
  PUSH_BYTES_MAX,
  PushRequest,
  parseMessage,
  RecordsAnswer,
  TIMESTAMP_NONE,
  type Timestamp,
  TRANSACTION_BYTES_MAX,
  transactionDigest,
  type Verdict,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import {
  ask,
  bodyOf,
  Device,
  dump,
  makeEnvelope,
  must,
  openVault,
  random,
  record,
} from './remote.fixture.ts'

const at = (
  number: number,
  timestamp: Timestamp,
  more: { epoch?: number; sizeBytes?: number } = {},
) => makeEnvelope({ recordId: record(number), timestamp, ...more })

describe('POST /v1/push', () => {
  it('gives each transaction a seq and the next link of the chain', async () => {
    const { device } = await openVault()
    const [a, b] = [device.stamp(), device.stamp()]
    const [first, second] = [[at(1, a), at(2, a)], [at(3, b)]]
    const verdicts = await device.push(
      [a, first.map((envelope) => [envelope])],
      [b, second.map((envelope) => [envelope])],
    )
    const chain2 = chainNext(device.cursor.chain, transactionDigest(first.map(envelopePair)))
    const chain3 = chainNext(chain2, transactionDigest(second.map(envelopePair)))
    expect(verdicts).toEqual([
      { type: 'applied', seq: 2, chain: chain2, stale: [] },
      { type: 'applied', seq: 3, chain: chain3, stale: [] },
    ])
  })

  it('judges an op by base and stored version', async () => {
    const { device } = await openVault()
    type Name = 'none' | 'older' | 'stored' | 'newer'
    const table: [stored: boolean, op: Name, base: Name | undefined, outcome: string][] = [
      [false, 'older', undefined, 'written'],
      [false, 'older', 'none', 'written'],
      [false, 'newer', 'older', 'conflict'],
      [true, 'newer', undefined, 'written'],
      [true, 'newer', 'stored', 'written'],
      [true, 'newer', 'none', 'conflict'],
      [true, 'newer', 'older', 'conflict'],
      [true, 'older', undefined, 'stale'],
      [true, 'older', 'stored', 'stale'],
      [true, 'older', 'newer', 'conflict'],
      [true, 'older', 'none', 'conflict'],
    ]
    for (const [row, [isStored, op, base, outcome]] of table.entries()) {
      const [older, stored, newer] = [device.stamp(), device.stamp(), device.stamp()]
      const stamps = { none: TIMESTAMP_NONE, older, stored, newer }
      const held = at(row, stored)
      if (isStored) await device.push([stored, [[held]]])
      const id = stamps[op]
      const bases = base === undefined ? [] : [stamps[base]]
      const [verdict] = await device.push([id, [[at(row, id), ...bases]]])
      const outcomes = {
        written: { type: 'applied', stale: [] },
        stale: { type: 'applied', stale: [[0, stored]] },
        conflict: { type: 'conflict', current: [[0, isStored ? held : null]] },
      }
      expect(verdict, `row ${row}`).toMatchObject(outcomes[outcome as keyof typeof outcomes])
    }
  })

  it('takes an equal version as there, whatever its base', async () => {
    const { device } = await openVault()
    for (const [i, bases] of [[], [TIMESTAMP_NONE], [random(16)]].entries()) {
      const id = device.stamp()
      const envelope = at(i, id)
      await device.push([null, [[envelope]]])
      const [verdict] = await device.push([id, [[envelope, ...bases]]])
      expect(verdict).toMatchObject({ type: 'applied', stale: [[0, id]] })
    }
  })

  it('applies all of a transaction or nothing', async () => {
    const { bench, device } = await openVault()
    const first = device.stamp()
    await device.push([first, [[at(1, first)]]])
    const before = await dump(bench.store)
    const id = device.stamp()
    const ops = [[at(5, id)], [at(1, id), TIMESTAMP_NONE], [at(6, id), random(16)]]
    const [verdict] = await device.push([id, ops])
    expect(verdict?.type === 'conflict' && verdict.current.map(([op]) => op)).toEqual([1, 2])
    expect(await dump(bench.store)).toEqual(before)
  })

  it('lets a later transaction of one push see the earlier ones', async () => {
    const { device } = await openVault()
    const [a, b, c, d] = [device.stamp(), device.stamp(), device.stamp(), device.stamp()]
    const newest = at(1, b)
    const verdicts = await device.push(
      [a, [[at(1, a), TIMESTAMP_NONE]]],
      [b, [[newest, a]]],
      [c, [[at(1, c), a]]],
      [d, [[at(2, d)]]],
    )
    expect(verdicts.map(({ type }) => type)).toEqual(['applied', 'applied', 'conflict', 'applied'])
    expect(verdicts[2]).toEqual({ type: 'conflict', current: [[0, newest]] })
    const answer = must(RecordsAnswer, await device.post('/v1/records', { ids: [record(1)] }))
    expect(answer.envelopes).toEqual([newest])
  })

  it('answers a conflict without versions when there is no room for them', async () => {
    const { device } = await openVault()
    const sizeBytes = ENVELOPE_BYTES_MAX
    for (let i = 0; i < 18; i++) {
      const id = device.stamp()
      await device.push([id, [[at(i, id, { sizeBytes })]]])
    }
    const transactions = Array.from({ length: 18 }, (_, i) => {
      const id = device.stamp()
      return [id, [[at(i, id), TIMESTAMP_NONE]]]
    })
    const verdicts = await device.push(...transactions)
    const sizes = verdicts.map((verdict) => verdict.type === 'conflict' && verdict.current.length)
    expect(sizes).toEqual([...Array(16).fill(1), 0, 0])
  })

  it('keeps one envelope a record', async () => {
    const { bench, device } = await openVault()
    for (let i = 0; i < 5; i++) {
      const id = device.stamp()
      await device.push([id, [[at(1, id)], [at(2, id)]]])
    }
    const envelopes = (await dump(bench.store)).filter(([key]) => key[32] === 'e'.charCodeAt(0))
    expect(envelopes.length).toBe(2)
  })
})

describe('a repeated push', () => {
  it('is answered from the log, before anything else is asked, after a restart too', async () => {
    const { bench, chain, device } = await openVault()
    const older = device.stamp()
    const id = device.stamp()
    await device.push([id, [[at(1, id)]]])
    const transaction = [older, [[at(1, older)], [at(2, older), TIMESTAMP_NONE]]]
    const [first] = await device.push(transaction)
    expect(first).toMatchObject({ type: 'applied', stale: [[0, id]] })
    const replaced = device.stamp()
    await device.push([replaced, [[at(2, replaced)]]])
    const previous = chain.head
    chain.addEpoch(device.signer)
    const entries = chain.entries.slice(-1)
    must(KeychainAppendAnswer, await device.post('/v1/keychain', { previous, entries }))
    bench.restart()
    await device.join()
    const before = await dump(bench.store)
    // An old epoch by now, another base stored, and a cursor that is not in the log.
    device.cursor = { seq: 9, chain: device.cursor.chain }
    expect(await device.push(transaction)).toEqual([first])
    expect(await dump(bench.store)).toEqual(before)
  })

  it('is found within one push', async () => {
    const { device } = await openVault()
    const id = device.stamp()
    const transaction = [id, [[at(1, id), TIMESTAMP_NONE]]]
    const [first, second] = await device.push(transaction, transaction)
    expect(first).toMatchObject({ type: 'applied', seq: 2 })
    expect(second).toEqual(first)
  })

  it('needs token and SyncId all the same', async () => {
    const { device } = await openVault()
    const id = device.stamp()
    const transaction = [id, [[at(1, id)]]]
    await device.push(transaction)
    device.syncId = random(16) as never
    const answer = await device.post('/v1/push', { transactions: [transaction] })
    expect(answer.problem?.code).toBe('sync-id-mismatch')
  })
})

describe('a refused transaction', () => {
  const codeOf = (verdict: Verdict | undefined) =>
    verdict?.type === 'refused' ? verdict.code : verdict?.type

  it('says why, changes nothing, and lets the rest flow', async () => {
    const { bench, chain, device } = await openVault()
    const other = await new Device(bench, chain, device.signer).join()
    const before = await dump(bench.store)
    const own = () => device.stamp()
    const late = device.stamp(bench.clock.ms + CLOCK_DRIFT_MS_MAX + 1)
    const id = own()
    const foreign = id.slice() as Timestamp
    foreign[8] = (id[8] as number) ^ 1
    const [big, old, unknown, many, heavy] = [own(), own(), own(), own(), own()]
    const refused = [
      ['clock-drift', late, [[at(1, late)]]],
      ['wrong-author', foreign, [[at(1, foreign)]]],
      ['too-large', big, [[at(1, big, { sizeBytes: ENVELOPE_BYTES_MAX + 1 })]]],
      ['epoch-unknown', unknown, [[at(1, unknown, { epoch: 2 })]]],
      ['too-large', many, Array.from({ length: 1001 }, (_, i) => [at(i, many)])],
      [
        'too-large',
        heavy,
        [0, 1, 2, 3, 4].map((i) => [at(i, heavy, { sizeBytes: TRANSACTION_BYTES_MAX / 5 + 1 })]),
      ],
    ] as const
    for (const [code, timestamp, ops] of refused) {
      const [verdict] = await other.push([timestamp, ops])
      expect(codeOf(verdict)).toBe(code)
    }
    const [drift] = await other.push([late, [[at(1, late)]]])
    expect(drift).toMatchObject({
      details: { remoteMs: bench.clock.ms, transactionMs: bench.clock.ms + CLOCK_DRIFT_MS_MAX + 1 },
    })
    expect(await dump(bench.store)).toEqual(before)
    const fine = own()
    const mixed = await device.push([late, [[at(1, late)]]], [fine, [[at(1, fine)]]])
    expect(mixed.map(codeOf)).toEqual(['clock-drift', 'applied'])
    const previous = chain.head
    chain.addEpoch(device.signer)
    const entries = chain.entries.slice(-1)
    must(KeychainAppendAnswer, await device.post('/v1/keychain', { previous, entries }))
    const [verdict] = await device.push([old, [[at(9, old)]]])
    expect(verdict).toMatchObject({ code: 'epoch-old', details: { epoch: 1, newestEpoch: 2 } })
  })

  it('is taken at the very limits', async () => {
    const { bench, device } = await openVault()
    const edge = device.stamp(bench.clock.ms + CLOCK_DRIFT_MS_MAX)
    const sizeBytes = ENVELOPE_BYTES_MAX
    const full = [0, 1, 2, 3].map((i) => [at(i, edge, { sizeBytes })])
    const id = device.stamp()
    const many = Array.from({ length: 1000 }, (_, i) => [at(10 + i, id)])
    const verdicts = await device.push([edge, full], [id, many])
    expect(verdicts.map(codeOf)).toEqual(['applied', 'applied'])
  })

  it('may be of any author and time when it has no id', async () => {
    const { device } = await openVault()
    const foreign = (ms: number) => {
      const timestamp = device.stamp(ms).slice() as Timestamp
      timestamp.set(random(8), 8)
      return timestamp
    }
    const [verdict] = await device.push([null, [[at(1, foreign(5))], [at(2, foreign(9))]]])
    expect(verdict).toMatchObject({ type: 'applied', stale: [] })
    const frames = await device.pull()
    expect(frames[0]?.[3]).toBeNull()
  })
})

describe('a malformed push', () => {
  it('is refused whole, wherever it is wrong, as its schema would', async () => {
    const { bench, device } = await openVault()
    const id = device.stamp()
    const op = [at(1, id)]
    const before = await dump(bench.store)
    const wrong: unknown[] = [
      null,
      [],
      { transactions: [] },
      { transactions: {} },
      { transactions: [[id, [op]]], more: 1 },
      { transactions: [[id, []]] },
      { transactions: [[id]] },
      { transactions: [[id, [op], 1]] },
      { transactions: [[random(15), [op]]] },
      { transactions: [['id', [op]]] },
      { transactions: [[id, [[]]]] },
      { transactions: [[id, [at(1, id)]]] },
      { transactions: [[id, [['text']]]] },
      { transactions: [[id, [[at(1, id), random(15)]]]] },
      { transactions: [[id, [[at(1, id), id, id]]]] },
    ]
    for (const message of wrong) {
      expect(() => parseMessage(PushRequest, bodyOf(message)), JSON.stringify(message)).toThrow()
      expect((await device.post('/v1/push', message)).problem?.code).toBe('malformed')
    }
    const wrongInside: unknown[] = [
      [id, [op, op]],
      [id, [[at(1, device.stamp())]]],
      [null, [[at(1, id), TIMESTAMP_NONE]]],
      [id, [[random(100)]]],
      [id, [[at(1, id, { epoch: 0 })]]],
      [id, [[Object.assign(at(1, id).slice(), { 1: 2 })]]],
    ]
    const fine = [id, [op]]
    for (const transaction of wrongInside) {
      const answer = await device.post('/v1/push', { transactions: [fine, transaction] })
      expect(answer.problem?.code).toBe('malformed')
    }
    expect(await dump(bench.store)).toEqual(before)
    expect(bench.faults).toEqual([])
  })

  it('is refused when it is hostile CBOR', async () => {
    const { bench, device } = await openVault()
    const bodies = [
      new Uint8Array(0),
      random(500),
      Uint8Array.of(0x9f, 0xff),
      new Uint8Array(100_000).fill(0x81),
      Uint8Array.of(0xbb, 255, 255, 255, 255, 255, 255, 255, 255),
      Uint8Array.of(...bodyOf({ transactions: 1 }), 0),
    ]
    for (const body of bodies) {
      const init = { method: 'POST', headers: device.headers, body: new Uint8Array(body) }
      expect((await ask(device.app, '/v1/push', init)).problem?.code).toBe('malformed')
    }
    expect(bench.faults).toEqual([])
  })

  it('is refused while it arrives when it is too large', async () => {
    const { bench, device } = await openVault()
    let sentBytes = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sentBytes += 1_000_000
        controller.enqueue(new Uint8Array(1_000_000))
      },
    })
    const init = { method: 'POST', headers: device.headers, body, duplex: 'half' } as RequestInit
    const answer = await ask(device.app, '/v1/push', init)
    expect(answer.status).toBe(413)
    expect(sentBytes).toBeLessThan(PUSH_BYTES_MAX + 3_000_000)
    const declared = { ...device.headers, 'Content-Length': String(PUSH_BYTES_MAX + 1) }
    const short = { method: 'POST', headers: declared, body: new Uint8Array(1) }
    expect((await ask(device.app, '/v1/push', short)).problem?.code).toBe('too-large')
    expect(bench.faults).toEqual([])
  })
})
