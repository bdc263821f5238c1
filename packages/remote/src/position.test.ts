/** Cursor and SyncId: what a data request must carry, and what a cursor from a lost future does. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  chainStart,
  formatSyncId,
  HASH_NONE,
  type Hash,
  HEADER_CURSOR,
  HEADER_SYNC_ID,
  parseSyncIdText,
  SessionAnswer,
} from '@blindcopy/protocol'
import { openLevelStore } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { SYNC_IDS_A_DAY_MAX } from './allowance.ts'
import {
  type Answer,
  type Device,
  dump,
  makeEnvelope,
  must,
  openVault,
  random,
  record,
} from './remote.fixture.ts'

type Ask = (device: Device) => Promise<Answer>

const pushOne: Ask = (device) => {
  const id = device.stamp()
  const envelope = makeEnvelope({ recordId: record(1), timestamp: id })
  return device.post('/v1/push', { transactions: [[id, [[envelope]]]] })
}

const EMPTY_SET = { count: 0, fingerprint: new Uint8Array(16) }

const DATA_REQUESTS: readonly [string, Ask][] = [
  ['push', pushOne],
  ['changes', (device) => device.get('/v1/changes')],
  ['records', (device) => device.post('/v1/records', { ids: [record(1)] })],
  [
    'reconcile',
    (device) => device.post('/v1/reconcile', { ...EMPTY_SET, nodes: Uint8Array.of(0) }),
  ],
]

describe.each(DATA_REQUESTS)('%s', (_name, request) => {
  it('takes any cursor that is in the log', async () => {
    const { chain, device } = await openVault()
    for (let i = 0; i < 3; i++) await pushOne(device)
    const frames = await device.pull()
    const starts = [{ seq: 0, chain: chainStart(chain.vaultId) }, device.cursor]
    const others = frames.slice(0, -1).map((frame) => ({ seq: frame[1], chain: frame[2] as Hash }))
    for (const cursor of [...starts, ...others]) {
      device.cursor = cursor
      expect((await request(device)).status).toBe(200)
    }
  })

  it('needs a session, and well-formed headers', async () => {
    const { bench, device } = await openVault()
    const before = await dump(bench.store)
    const { headers, token } = device
    device.token = 'x'
    expect((await request(device)).problem?.code).toBe('session-required')
    device.token = token
    for (const name of [HEADER_SYNC_ID, HEADER_CURSOR]) {
      for (const value of ['', 'x', '01.abc', `-1.${'A'.repeat(43)}`]) {
        const changed = { ...headers, [name]: value }
        Object.defineProperty(device, 'headers', { value: changed, configurable: true })
        expect((await request(device)).problem?.code).toBe('malformed')
      }
    }
    expect(await dump(bench.store)).toEqual(before)
  })

  it('is told the right SyncId when it carries another', async () => {
    const { bench, device } = await openVault()
    const right = device.syncId
    const before = await dump(bench.store)
    device.syncId = parseSyncIdText(formatSyncId(random(16) as never))
    // Whatever its cursor: it belongs to the other SyncId.
    for (const seq of [0, 1, 7]) {
      device.cursor = { seq, chain: HASH_NONE }
      const answer = await request(device)
      expect(answer.status).toBe(409)
      expect(answer.problem).toMatchObject({
        code: 'sync-id-mismatch',
        syncId: formatSyncId(right),
      })
    }
    expect(await dump(bench.store)).toEqual(before)
  })

  it.each([
    ['ahead of the log', { seq: 2, chain: HASH_NONE }],
    ['on another chain', { seq: 1, chain: HASH_NONE }],
    ['with a wrong start', { seq: 0, chain: HASH_NONE }],
  ])('begins a new SyncId for a cursor %s', async (_case, cursor) => {
    const { bench, device } = await openVault()
    const { head } = must(SessionAnswer, await device.logIn())
    const before = device.syncId
    device.cursor = cursor
    const answer = await request(device)
    expect(answer.problem?.code).toBe('sync-id-mismatch')
    const fresh = parseSyncIdText(String(answer.problem?.syncId))
    expect(fresh).not.toEqual(before)
    expect((await request(device)).problem?.syncId).toBe(formatSyncId(fresh))
    bench.restart()
    await device.join()
    expect(device.syncId).toEqual(fresh)
    expect(device.cursor).toEqual({ seq: head[0], chain: head[1] })
    expect((await request(device)).status).toBe(200)
  })
})

describe('a new SyncId', () => {
  it('is begun a few times a day for one device, restarts or not', async () => {
    const { bench, device } = await openVault()
    const lose = async (): Promise<string | undefined> => {
      await device.join()
      device.cursor = { seq: 99, chain: HASH_NONE }
      return (await device.get('/v1/changes')).problem?.code
    }
    for (let i = 0; i < SYNC_IDS_A_DAY_MAX; i++) {
      expect(await lose()).toBe('sync-id-mismatch')
      bench.restart()
    }
    const before = await dump(bench.store)
    expect(await lose()).toBe('too-many-requests')
    expect(await dump(bench.store)).toEqual(before)
    bench.clock.ms += 24 * 60 * 60_000
    expect(await lose()).toBe('sync-id-mismatch')
  })

  it('is one, however many requests find out at once', async () => {
    const { device } = await openVault()
    device.cursor = { seq: 99, chain: HASH_NONE }
    const answers = await Promise.all([1, 2, 3, 4].map(() => device.get('/v1/changes')))
    const told = answers.map(({ problem }) => problem?.syncId)
    expect(new Set(told).size).toBe(1)
  })

  it('outlives the process on a disk', async () => {
    const path = await mkdtemp(join(tmpdir(), 'blindcopy-remote-'))
    const store = await openLevelStore({ path })
    const { bench, device } = await openVault({ store })
    expect((await pushOne(device)).status).toBe(200)
    device.cursor = { seq: 99, chain: HASH_NONE }
    const { problem } = await device.get('/v1/changes')
    bench.restart()
    await device.join()
    expect(formatSyncId(device.syncId)).toBe(problem?.syncId)
    expect(device.cursor.seq).toBe(2)
    await store.close()
    await rm(path, { recursive: true })
  })
})
