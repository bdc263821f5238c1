/** What waits for the person can be listed and given up, also where the disk has spoiled it. */
import {
  concat,
  type Envelope,
  encodeBoundHeader,
  type MemberId,
  type RecordId,
  type VaultId,
} from '@blindcopy/protocol'
import { createMemoryStore, numberedKey, numberedRange } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import type { Draft } from './draft.ts'
import { LocalSecondary } from './local-secondary.ts'

const TAG = new Uint8Array(16).fill(3)
const open = () => ({ type: 'opened', tag: TAG }) as const

const draftOf = (n: number): Draft => {
  const recordId = new Uint8Array(16).fill(n) as RecordId
  return {
    recordId,
    tag: TAG,
    tombstone: false,
    seal: ({ timestamp }) => {
      const header = encodeBoundHeader({ tombstone: false, epoch: 1, recordId, timestamp })
      return concat(header, new Uint8Array(24 + 256 + 16)) as Envelope
    },
  }
}

async function openLocal() {
  const store = createMemoryStore()
  const local = await LocalSecondary.open({
    store,
    vaultId: new Uint8Array(32).fill(7) as VaultId,
    clockIdentity: { deviceId: new Uint8Array(8) as MemberId, tail: new Uint8Array(4) },
    nowMs: () => 1_800_000_000_000,
  })
  return { local, store }
}

describe('an outbox entry that the disk has cut', () => {
  it('is set aside, holds up no other, is not sent again, and can be given up', async () => {
    const { local, store } = await openLocal()
    await local.commit([draftOf(1)])
    await local.commit([draftOf(2)])
    for await (const page of store.pages(numberedRange('outbox'))) {
      const [, value] = page[0] ?? []
      if (value === undefined) throw new Error('nothing waits')
      const key = page[0]?.[0] ?? numberedKey('outbox', 0)
      await store.write([{ type: 'put', key, value: value.slice(0, 18) }], { sync: false })
      break
    }
    expect(await local.setDamagedAside(() => true)).toBe(1)
    expect([local.pendingCount, local.attentionCount]).toEqual([1, 1])
    const kept = []
    for await (const page of local.attentionPages()) kept.push(...page)
    expect(kept).toMatchObject([{ code: 'tampered', envelopes: [] }])
    expect(await local.retryAttention()).toBe(0)
    expect(await local.discardAttention(kept[0]?.number ?? -1, open)).toBe(true)
    expect([local.pendingCount, local.attentionCount]).toEqual([1, 0])
  })
})

describe('a refused write that is sent again', () => {
  it('has all its tries for conflicts again', async () => {
    const { local } = await openLocal()
    await local.commit([draftOf(1)])
    const bounds = { bytesMax: 1_000 }
    const refuse = async () => {
      const [transaction] = await local.markSent(await local.outboxTransactions(bounds), bounds)
      if (transaction === undefined) throw new Error('nothing waits')
      await local.settle([{ transaction, verdict: { type: 'again', code: 'conflict' } }])
      await local.thaw()
    }
    for (let n = 0; n < 20; n++) await refuse()
    expect([local.pendingCount, local.attentionCount]).toEqual([0, 1])
    await local.retryAttention()
    for (let n = 0; n < 19; n++) await refuse()
    expect([local.pendingCount, local.attentionCount]).toEqual([1, 0])
    await refuse()
    expect([local.pendingCount, local.attentionCount]).toEqual([0, 1])
  })
})
