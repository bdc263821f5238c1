/**
 * Trying again what did not open: all of it, and a little at a time, however much a remote served.
 */
import {
  chainNext,
  chainStart,
  concat,
  type Envelope,
  encodeBoundHeader,
  encodeTimestamp,
  envelopePair,
  type MemberId,
  ProtocolError,
  type RecordId,
  type SyncId,
  transactionDigest,
  type VaultId,
} from '@blindcopy/protocol'
import { createMemoryStore } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { ClientError } from '../error.ts'
import type { OpenArrival } from '../local/arrival.ts'
import { LocalSecondary } from '../local/local-secondary.ts'
import { retryQuarantine } from './head-check.ts'

const vaultId = new Uint8Array(32).fill(7) as VaultId
const syncId = new Uint8Array(16).fill(9) as SyncId
const author = { deviceId: new Uint8Array(8) as MemberId, tail: new Uint8Array(4) }
const timestamp = encodeTimestamp({ milliseconds: 1, counter: 0 }, author)
const closed: OpenArrival = () => ({ type: 'closed', reason: 'unknown-epoch' })
const opened: OpenArrival = () => ({
  type: 'opened',
  tag: new Uint8Array(16),
})

function envelopeOf(n: number, sizeBytes: number): Envelope {
  const recordId = concat(new Uint8Array(14), Uint8Array.of(n >> 8, n)) as RecordId
  const header = encodeBoundHeader({ tombstone: false, epoch: 1, recordId, timestamp })
  return concat(header, new Uint8Array(sizeBytes)) as Envelope
}

/** A device to which a remote served envelopes that do not open. */
async function openLocal(count: number, sizeBytes: number) {
  const local = await LocalSecondary.open({
    store: createMemoryStore(),
    vaultId,
    clockIdentity: author,
    nowMs: () => 1_000,
  })
  await local.adoptSyncId(syncId)
  const envelopes = Array.from({ length: count }, (_, n) => envelopeOf(n, sizeBytes))
  const chain = chainNext(chainStart(vaultId), transactionDigest(envelopes.map(envelopePair)))
  const step = { type: 'transaction', seq: 1, chain, envelopes, others: new Uint8Array(0) } as const
  await local.applyLog([step], { open: closed, takeKeychain: () => [] })
  return local
}

/** How many ids each request names, and how many bytes each release looks at. */
async function retry(local: LocalSecondary, open: OpenArrival) {
  const asked: number[] = []
  const lookedAt: number[] = []
  const release = local.release.bind(local)
  local.release = (retried, opener) => {
    const envelopes = [...retried.held.map(({ envelope }) => envelope), ...retried.fetched]
    lookedAt.push(envelopes.reduce((sum, { length }) => sum + length, 0))
    return release(retried, opener)
  }
  const records = async (_data: unknown, ids: readonly RecordId[]) => {
    asked.push(ids.length)
    return ids.map(() => null)
  }
  const identity = { open }
  await retryQuarantine({ local, identity, data: () => ({}), transport: { records } } as never)
  return { asked, lookedAt }
}

describe('retryQuarantine', () => {
  it('asks again for every version that was put aside', async () => {
    const local = await openLocal(150, 296)
    expect((await retry(local, closed)).asked).toEqual([100, 50])
    expect(await local.quarantined()).toHaveLength(150)
    await retry(local, opened)
    expect(await local.quarantined()).toEqual([])
    expect(await retry(local, opened)).toEqual({ asked: [], lookedAt: [] })
  })

  it('holds few of them at once', async () => {
    const local = await openLocal(60, 200_000)
    const { lookedAt } = await retry(local, closed)
    expect(Math.max(...lookedAt)).toBeLessThan(2_000_000)
  })
})

describe('a remote that does not answer for what did not open', () => {
  const contextOf = async (error: Error) => ({
    local: await openLocal(1, 300),
    transport: { records: () => Promise.reject(error) } as never,
    identity: { open: closed } as never,
    data: () => ({}) as never,
    onProgress: () => undefined,
  })

  it('is told as a problem, and holds up nothing', async () => {
    const context = await contextOf(new ClientError('network', 'cut'))
    expect(await retryQuarantine(context)).toMatchObject({ code: 'network', message: 'cut' })
  })

  it('is left for the healing when it has another SyncId', async () => {
    const context = await contextOf(new ProtocolError('sync-id-mismatch', 'another'))
    await expect(retryQuarantine(context)).rejects.toMatchObject({ code: 'sync-id-mismatch' })
  })
})
