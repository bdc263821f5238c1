/**
 * Pulling: whole transactions, page after page, from which anybody can recompute the chain; and the
 * law that a remote is a plain last-write-wins map under any sequence of pushes.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ChangesFrame,
  chainNext,
  chainStart,
  compareBytes,
  type EndFrame,
  type Envelope,
  envelopePair,
  Fingerprint,
  formatHex,
  keychainDigest,
  type LogPosition,
  PAGE_BYTES_MAX,
  parseKeychainEntry,
  RECORDS_BY_ID_MAX,
  RecordsAnswer,
  TRANSACTION_BYTES_MAX,
  transactionDigest,
} from '@blindcopy/protocol'
import { openLevelStore } from '@blindcopy/secondary'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { changeFrames } from './changes.ts'
import { type Device, makeEnvelope, must, openVault, readFrames, record } from './remote.fixture.ts'
import { createVaults, mustVault } from './vaults.ts'

const pairsOf = (frame: ChangesFrame): Uint8Array[] => {
  if (frame[0] !== 0) return []
  const joined = frame[5]
  const others = Array.from({ length: joined.length / 32 }, (_, i) =>
    joined.subarray(i * 32, i * 32 + 32),
  )
  return [...frame[4].map((envelope) => envelopePair(envelope as Envelope)), ...others]
}

const digestOf = (frame: ChangesFrame) =>
  frame[0] === 1
    ? keychainDigest(frame[3].map((entry) => parseKeychainEntry(entry).hash))
    : transactionDigest(pairsOf(frame))

/** Pulls to the head as a client does, checks every link, and answers all frames but the ends. */
async function pullAll(device: Device, query: string, from: LogPosition): Promise<ChangesFrame[]> {
  const frames: ChangesFrame[] = []
  device.cursor = from
  for (;;) {
    const page = await device.pull(query)
    const end = page.pop() as EndFrame
    for (const frame of page) {
      const chain = chainNext(device.cursor.chain, digestOf(frame))
      expect(frame[1]).toBe(device.cursor.seq + 1)
      expect(frame[2]).toEqual(chain)
      device.cursor = { seq: device.cursor.seq + 1, chain }
      frames.push(frame)
    }
    if (end[1] > device.cursor.seq) continue
    expect(end[2]).toEqual(device.cursor.chain)
    return frames
  }
}

const START = (device: Device): LogPosition => ({ seq: 0, chain: chainStart(device.chain.vaultId) })

async function pushSome(device: Device, count: number, sizeBytes = 334): Promise<void> {
  for (let i = 0; i < count; i++) {
    const id = device.stamp()
    const numbers = [i % 3, 10 + i]
    const ops = numbers.map((n) => [
      makeEnvelope({ recordId: record(n), timestamp: id, sizeBytes }),
    ])
    await device.push([id, ops])
  }
}

describe('GET /v1/changes', () => {
  it('streams from any cursor, by pages of any size, in whole transactions', async () => {
    const { device } = await openVault()
    await pushSome(device, 20)
    for (const query of ['', '?limit=0', '?limit=1', '?limit=900', '?limit=5000']) {
      const frames = await pullAll(device, query, START(device))
      expect(frames.length).toBe(21)
      expect(frames[0]?.[0]).toBe(1)
      expect(frames.flatMap((frame) => (frame[0] === 0 ? frame[4] : [])).length).toBe(23)
    }
    const middle = await pullAll(device, '?limit=1', START(device))
    const chain = middle[9]?.[2] as LogPosition['chain']
    expect((await pullAll(device, '', { seq: 10, chain })).length).toBe(11)
    expect(await pullAll(device, '', device.cursor)).toEqual([])
  })

  it('sends pairs alone when asked for digests', async () => {
    const { device } = await openVault()
    await pushSome(device, 10)
    const frames = await pullAll(device, '?digests=1', START(device))
    expect(frames.every((frame) => frame[0] !== 0 || frame[4].length === 0)).toBe(true)
  })

  it('keeps a page within its bound, or to one transaction', async () => {
    const { device } = await openVault()
    const start = device.cursor
    const id = device.stamp()
    const sizeBytes = TRANSACTION_BYTES_MAX / 4
    const full = [1, 2, 3, 4].map((n) => [
      makeEnvelope({ recordId: record(n), timestamp: id, sizeBytes }),
    ])
    await device.push([id, full])
    for (let i = 0; i < 6; i++) {
      const stamp = device.stamp()
      const envelope = makeEnvelope({ recordId: record(9 + i), timestamp: stamp, sizeBytes })
      await device.push([stamp, [[envelope]]])
    }
    const sizes: number[] = []
    for (device.cursor = start; device.cursor.seq < 8; ) {
      const { bytes } = await device.get('/v1/changes')
      sizes.push(bytes.length)
      const last = readFrames(bytes).at(-2) as ChangesFrame
      device.cursor = { seq: last[1], chain: last[2] as never }
    }
    expect(sizes.length).toBe(3)
    expect(Math.max(...sizes.slice(1))).toBeLessThan(PAGE_BYTES_MAX)
  })

  it('refuses a limit that is none', async () => {
    const { device } = await openVault()
    for (const limit of ['-1', '1.5', 'x', '', '99999999999999999999']) {
      const answer = await device.get(`/v1/changes?limit=${limit}`)
      expect(answer.problem?.code, limit).toBe('malformed')
    }
  })

  it('turns a record that moved on between the reads into a pair', async () => {
    const { bench, chain, device } = await openVault()
    await pushSome(device, 3)
    const vault = mustVault(await createVaults(bench.store).read(chain.vaultId))
    const request = {
      vault,
      after: 1,
      bytesMax: PAGE_BYTES_MAX,
      digestsOnly: false,
      onFault: () => {},
    }
    const frames = changeFrames(bench.store, request)
    const bytes: number[] = [...((await frames.next()).value as Uint8Array)]
    const id = device.stamp()
    await device.push([id, [[makeEnvelope({ recordId: record(11), timestamp: id })]]])
    for await (const frame of frames) bytes.push(...frame)
    const read = readFrames(Uint8Array.from(bytes))
    expect(read.map((frame) => frame[1])).toEqual([2, 3, 4, 4])
    expect(read.map((frame) => pairsOf(frame).length)).toEqual([2, 2, 2, 0])
    let { chain: link } = { chain: device.cursor.chain }
    for (const frame of read.slice(0, 3)) {
      link = chainNext(link, digestOf(frame))
      expect(frame[2]).toEqual(link)
    }
  })

  it('lets go of the store when the reader leaves', async () => {
    const path = await mkdtemp(join(tmpdir(), 'blindcopy-remote-'))
    const store = await openLevelStore({ path })
    const { device } = await openVault({ store })
    await pushSome(device, 30, 10_000)
    const response = await device.app.request('/v1/changes', { headers: device.headers })
    const reader = response.body?.getReader()
    expect((await reader?.read())?.value?.length).toBeGreaterThan(60_000)
    await reader?.cancel()
    await store.close()
    await rm(path, { recursive: true })
  })
})

describe('POST /v1/records', () => {
  it('answers the newest version of each, or none', async () => {
    const { device } = await openVault()
    const id = device.stamp()
    const envelope = makeEnvelope({ recordId: record(1), timestamp: id })
    await device.push([id, [[envelope]]])
    const ids = [record(2), record(1), record(3), record(1)]
    const answer = must(RecordsAnswer, await device.post('/v1/records', { ids }))
    expect(answer.envelopes).toEqual([null, envelope, null, envelope])
  })

  it('answers as many as fit a page, and takes no more ids than allowed', async () => {
    const { device } = await openVault()
    for (let i = 0; i < 6; i++) {
      const id = device.stamp()
      const sizeBytes = 1024 * 1024
      await device.push([id, [[makeEnvelope({ recordId: record(i), timestamp: id, sizeBytes })]]])
    }
    const ids = [0, 1, 2, 3, 4, 5].map(record)
    const answer = must(RecordsAnswer, await device.post('/v1/records', { ids }))
    expect(answer.envelopes.length).toBe(4)
    const rest = must(RecordsAnswer, await device.post('/v1/records', { ids: ids.slice(4) }))
    expect(rest.envelopes.length).toBe(2)
    const many = Array.from({ length: RECORDS_BY_ID_MAX + 1 }, (_, i) => record(100 + i))
    const full = must(RecordsAnswer, await device.post('/v1/records', { ids: many.slice(1) }))
    expect(full.envelopes.length).toBe(RECORDS_BY_ID_MAX)
    expect((await device.post('/v1/records', { ids: many })).problem?.code).toBe('malformed')
  })
})

/** A push of the model: which records, at which of a few times, with an id or without. */
type ModelPush = { readonly records: readonly number[]; readonly time: number; withId: boolean }

const modelPush: fc.Arbitrary<ModelPush> = fc.record({
  records: fc.uniqueArray(fc.nat(7), { minLength: 1, maxLength: 4 }),
  time: fc.nat(12),
  withId: fc.boolean(),
})

const runs = process.env.SLOW === undefined ? 25 : 500

describe('any sequence of pushes', () => {
  it('leaves what last-write-wins leaves, and a log that recomputes', async () => {
    await fc.assert(fc.asyncProperty(fc.array(modelPush, { maxLength: 25 }), compareWithModel), {
      numRuns: runs,
    })
  })
})

async function compareWithModel(pushes: readonly ModelPush[]): Promise<void> {
  const { bench, device } = await openVault()
  const newest = new Map<string, Envelope>()
  const seen = new Map<string, Envelope>()
  // Times come back, so duplicates and equal timestamps are among the pushes.
  const times = Array.from({ length: 13 }, (_, i) => device.stamp(1000 + i))
  for (const { records, time, withId } of pushes) {
    const timestamp = times[time] as (typeof times)[number]
    const envelopes = records.map((n) => {
      const key = `${n}.${time}`
      const envelope = seen.get(key) ?? makeEnvelope({ recordId: record(n), timestamp })
      seen.set(key, envelope)
      return envelope
    })
    const transaction = [withId ? timestamp : null, envelopes.map((envelope) => [envelope])]
    const isRepeat = withId && seen.has(`id ${time}`)
    if (withId) seen.set(`id ${time}`, envelopes[0] as Envelope)
    await device.push(transaction)
    if (isRepeat) continue
    for (const envelope of envelopes) {
      const id = formatHex(envelope.subarray(6, 22))
      const held = newest.get(id)
      const isNewer =
        held === undefined || compareBytes(envelope.subarray(22, 38), held.subarray(22, 38)) > 0
      if (isNewer) newest.set(id, envelope)
    }
  }
  const frames = await pullAll(device, '?limit=2000', START(device))
  const live = frames.flatMap((frame) => (frame[0] === 0 ? frame[4] : []))
  const sorted = (list: readonly Uint8Array[]) => list.map((bytes) => formatHex(bytes)).sort()
  expect(sorted(live)).toEqual(sorted([...newest.values()]))
  const fingerprint = new Fingerprint()
  for (const envelope of newest.values()) fingerprint.add(envelopePair(envelope))
  const end = (await device.pull()).at(-1) as EndFrame
  expect(end[3]).toBe(newest.size)
  expect(end[4]).toEqual(fingerprint.toBytes())
  expect(bench.faults).toEqual([])
}
