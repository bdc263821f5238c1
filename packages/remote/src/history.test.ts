/** History: superseded versions stay for a time, count apart, and give way. */
import {
  type Envelope,
  type HistoryAnswer,
  HistoryAnswer as HistoryAnswerSchema,
  PAGE_BYTES_MAX,
  type RecordId,
  RecordsAnswer,
  type Timestamp,
} from '@blindcopy/protocol'
import { createMemoryStore, recordVersionSize, remoteKeyspace } from '@blindcopy/secondary'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { MOVING_BYTES_MAX } from './history.ts'
import { LIMITS_DEFAULT } from './limits.ts'
import {
  type Bench,
  Device,
  dump,
  makeEnvelope,
  must,
  openVault,
  record,
} from './remote.fixture.ts'
import type { RemoteOptions } from './remote.ts'
import { decodeVaultState, type VaultState } from './vault-state.ts'

const DAY_MS = 24 * 60 * 60_000

async function writeOne(device: Device, number: number, sizeBytes = 334): Promise<Envelope> {
  await device.join()
  const id = device.stamp()
  const envelope = makeEnvelope({ recordId: record(number), timestamp: id, sizeBytes })
  expect(await device.push([id, [[envelope]]])).toMatchObject([{ type: 'applied' }])
  return envelope
}

async function historyOf(
  device: Device,
  id: RecordId,
  before: Timestamp | null = null,
): Promise<HistoryAnswer> {
  await device.join()
  return must(HistoryAnswerSchema, await device.post('/v1/history', { id, before }))
}

const envelopesOf = ({ versions }: HistoryAnswer): Uint8Array[] => versions.map(([, one]) => one)

async function stateOf(bench: Bench, device: Device): Promise<VaultState> {
  const bytes = await bench.store.get(remoteKeyspace(device.chain.vaultId).state)
  return decodeVaultState(bytes as Uint8Array)
}

/** What the counters must say, counted from the store. */
async function counted(bench: Bench, device: Device) {
  const keys = remoteKeyspace(device.chain.vaultId)
  const sums = { bytes: 0, historyCount: 0, historyBytes: 0, expiries: 0 }
  for await (const page of bench.store.pages(keys.all)) {
    for (const [key, value] of page) {
      const letter = String.fromCharCode(key[32] as number)
      if (letter === 'e' || letter === 'l') sums.bytes += value.length
      if (letter === 'h') sums.historyCount++
      if (letter === 'h') sums.historyBytes += value.length - 8
      if (letter === 'x') sums.expiries++
      if (letter === 'r') expect(recordVersionSize(value as never)).toBeGreaterThan(0)
    }
  }
  return sums
}

async function expectCounted(bench: Bench, device: Device): Promise<void> {
  const { bytes, historyCount, historyBytes } = await stateOf(bench, device)
  const sums = { bytes, historyCount, historyBytes, expiries: historyCount }
  expect(sums).toEqual(await counted(bench, device))
}

const limitsOf = (changes: {
  history?: Partial<typeof LIMITS_DEFAULT.history>
  quota?: Partial<typeof LIMITS_DEFAULT.quota>
}): Pick<RemoteOptions, 'limits'> => ({
  limits: {
    ...LIMITS_DEFAULT,
    history: { ...LIMITS_DEFAULT.history, ...changes.history },
    quota: { ...LIMITS_DEFAULT.quota, ...changes.quota },
  },
})

/** A whole round of the sweep. */
async function sweep(bench: Bench): Promise<void> {
  for (let round = 0; round < 4; round++) {
    bench.remote.beat()
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('a superseded version', () => {
  it('is kept with the time, and listed from the newest on', async () => {
    const { bench, device } = await openVault()
    const written: Envelope[] = []
    for (let i = 0; i < 4; i++) {
      bench.clock.ms += 1_000
      written.push(await writeOne(device, 1))
    }
    await writeOne(device, 2)
    const answer = await historyOf(device, record(1))
    expect(envelopesOf(answer)).toEqual(written.slice(0, 3).reverse())
    expect(answer).toMatchObject({ next: null, retentionMs: 30 * DAY_MS })
    expect(answer.versions.map(([ms]) => ms)).toEqual(
      [0, 1, 2].map((s) => bench.clock.ms - s * 1_000),
    )
    expect(envelopesOf(await historyOf(device, record(2)))).toEqual([])
    await expectCounted(bench, device)
  })

  it('is in no pull and in no answer by id', async () => {
    const { device } = await openVault()
    const old = await writeOne(device, 1)
    const newest = await writeOne(device, 1)
    const pulled = JSON.stringify(await device.pull('?since=0'))
    expect(pulled).toContain(JSON.stringify(newest))
    expect(pulled).not.toContain(JSON.stringify(old))
    const answer = must(RecordsAnswer, await device.post('/v1/records', { ids: [record(1)] }))
    expect(answer.envelopes).toEqual([newest])
  })

  it('of the same push is kept as well', async () => {
    const { bench, device } = await openVault()
    const ids = [device.stamp(), device.stamp(), device.stamp()]
    const envelopes = ids.map((timestamp) => makeEnvelope({ recordId: record(1), timestamp }))
    await device.push(...ids.map((id, i) => [id, [[envelopes[i]]]]))
    const kept = envelopesOf(await historyOf(device, record(1)))
    expect(kept).toEqual([envelopes[1], envelopes[0]])
    await expectCounted(bench, device)
  })

  it('is answered in pages that go on where the last one ended', async () => {
    const { device } = await openVault()
    const sizeBytes = 1024 * 1024
    const written: Envelope[] = []
    for (let i = 0; i < 10; i++) written.push(await writeOne(device, 1, sizeBytes))
    const found: Uint8Array[] = []
    let next: Timestamp | null = null
    let pages = 0
    do {
      const answer: HistoryAnswer = await historyOf(device, record(1), next)
      expect(answer.versions.length * sizeBytes).toBeLessThanOrEqual(PAGE_BYTES_MAX)
      found.push(...envelopesOf(answer))
      next = answer.next
      pages++
    } while (next !== null && pages < 10)
    const isSame = (one: Uint8Array, i: number): boolean =>
      Buffer.compare(one, written[8 - i] as Uint8Array) === 0
    expect([found.length, found.every(isSame)]).toEqual([9, true])
    expect(pages).toBe(3)
  })

  it('is given up when its time is over, and not a moment before', async () => {
    const { bench, device } = await openVault()
    await writeOne(device, 1)
    bench.clock.ms += DAY_MS
    const second = await writeOne(device, 1)
    bench.clock.ms += DAY_MS
    await writeOne(device, 1)
    bench.clock.ms += 28 * DAY_MS
    await sweep(bench)
    expect((await stateOf(bench, device)).historyCount).toBe(2)
    bench.clock.ms += DAY_MS + 1
    // Not shown any more before the sweep has come by.
    expect(envelopesOf(await historyOf(device, record(1)))).toEqual([second])
    await sweep(bench)
    expect((await stateOf(bench, device)).historyCount).toBe(1)
    await expectCounted(bench, device)
    bench.clock.ms += DAY_MS
    await sweep(bench)
    expect(await counted(bench, device)).toMatchObject({ historyCount: 0, expiries: 0 })
    await expectCounted(bench, device)
  })

  it('gives way to newer ones when the history is full', async () => {
    const { bench, device } = await openVault(limitsOf({ history: { bytesMax: 1_000 } }))
    for (let i = 0; i < 8; i++) {
      bench.clock.ms += 1
      await writeOne(device, 1, 400)
    }
    expect(envelopesOf(await historyOf(device, record(1)))).toHaveLength(2)
    await expectCounted(bench, device)
  })

  it('gives way to what is live, and never makes a push fail', async () => {
    const { bench, device } = await openVault(limitsOf({ quota: { bytesMax: 4_000 } }))
    for (let i = 0; i < 6; i++) await writeOne(device, 1, 400)
    expect((await stateOf(bench, device)).historyCount).toBeGreaterThan(3)
    for (let i = 2; i < 8; i++) await writeOne(device, i, 400)
    const { bytes, historyBytes } = await stateOf(bench, device)
    expect(bytes + historyBytes).toBeLessThanOrEqual(4_000)
    await expectCounted(bench, device)
  })

  it('is not kept where history is switched off, and what was kept goes', async () => {
    const { bench, device } = await openVault()
    for (let i = 0; i < 3; i++) await writeOne(device, 1)
    const off = await openVault({
      store: bench.store,
      ...limitsOf({ history: { retentionMs: 0 } }),
    })
    await writeOne(off.device, 1)
    await writeOne(off.device, 1)
    expect((await stateOf(bench, off.device)).historyCount).toBe(0)
    await sweep(off.bench)
    expect((await stateOf(bench, device)).historyCount).toBe(0)
    await expectCounted(bench, device)
  })
})

describe('pushes of many vaults that supersede large records at once', () => {
  it('hold no more in memory together than they may', async () => {
    const store = createMemoryStore()
    const write = store.write.bind(store)
    let moving = 0
    let most = 0
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    store.write = async (batch, how) => {
      const bytes = batch.reduce((sum, op) => {
        const isHistory = op.type === 'put' && op.key[32] === 'h'.charCodeAt(0)
        return isHistory ? sum + op.value.length : sum
      }, 0)
      moving += bytes
      most = Math.max(most, moving)
      if (bytes > 0) await gate
      await write(batch, how)
      moving -= bytes
    }
    const opsOf = (device: Device, sizeBytes: number, count: number) => {
      const id = device.stamp()
      const envelopeOf = (i: number) =>
        makeEnvelope({ recordId: record(i), timestamp: id, sizeBytes })
      return [id, Array.from({ length: count }, (_, i) => [envelopeOf(i)])]
    }
    const devices: Device[] = []
    for (let vault = 0; vault < 30; vault++) {
      const { device } = await openVault({ store })
      await device.push(opsOf(device, 900_000, 4))
      devices.push(device)
    }
    // One process has one room: all speak to the remote of the first.
    const [{ bench }] = devices as [Device]
    const all = devices.map((one) => new Device(bench, one.chain, one.signer))
    for (const one of all) await one.join()
    bench.clock.ms += 1_000
    const pushed = Promise.all(all.map((one) => one.push(opsOf(one, 334, 4))))
    // No disk takes anything until as many wait as may.
    const one = 4 * 900_000
    await vi.waitFor(() => expect(moving).toBeGreaterThan(MOVING_BYTES_MAX - 1.1 * one), 20_000)
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    open()
    const answers = await pushed
    expect(answers.every(([verdict]) => verdict?.type === 'applied')).toBe(true)
    expect(most).toBeLessThan(MOVING_BYTES_MAX * 1.01)
    for (const one of all) expect((await stateOf(bench, one)).historyCount).toBe(4)
  })
})

describe('POST /v1/history', () => {
  it('is for members alone, at the right place of the log', async () => {
    const { device } = await openVault()
    const ask = () => device.post('/v1/history', { id: record(1), before: null })
    device.syncId = new Uint8Array(16) as typeof device.syncId
    expect((await ask()).problem?.code).toBe('sync-id-mismatch')
    device.token = ''
    expect((await ask()).problem?.code).toBe('session-required')
  })

  it('refuses what is no request, and changes nothing', async () => {
    const { bench, device } = await openVault()
    const before = await dump(bench.store)
    for (const message of [{}, { id: record(1) }, { id: new Uint8Array(15), before: null }, []]) {
      expect((await device.post('/v1/history', message)).problem?.code).toBe('malformed')
    }
    expect(await dump(bench.store)).toEqual(before)
  })
})

it('keeps every counter what a count from the store says, whatever is pushed', async () => {
  const ops = fc.array(
    fc.record({ number: fc.nat(3), size: fc.integer({ min: 334, max: 900 }), back: fc.boolean() }),
    { minLength: 1, maxLength: 6 },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(ops, { maxLength: 12 }), fc.nat(4_000), async (pushes, bytesMax) => {
      const { bench, device } = await openVault(limitsOf({ history: { bytesMax } }))
      for (const push of pushes) {
        bench.clock.ms += 10
        const transactions = push.map(({ number, size, back }) => {
          const id = device.stamp(bench.clock.ms - (back ? 15 : 0))
          return [
            id,
            [[makeEnvelope({ recordId: record(number), timestamp: id, sizeBytes: size })]],
          ]
        })
        await device.push(...transactions)
        await expectCounted(bench, device)
        expect((await stateOf(bench, device)).historyBytes).toBeLessThanOrEqual(bytesMax)
      }
    }),
    { numRuns: 40 },
  )
})
