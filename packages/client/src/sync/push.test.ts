/**
 * Pushing to a remote that answers what no honest one does: what waits stays whole and waits on.
 */
import {
  chainStart,
  concat,
  encodeBoundHeader,
  type MemberId,
  type RecordId,
  type SyncId,
  TIMESTAMP_NONE,
  type VaultId,
  type Verdict,
} from '@blindcopy/protocol'
import { createMemoryStore } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import type { Draft } from '../local/draft.ts'
import { LocalSecondary } from '../local/local-secondary.ts'
import { pushOutbox } from './push.ts'
import type { Transport } from './transport.ts'

const vaultId = new Uint8Array(32).fill(7) as VaultId
const syncId = new Uint8Array(16).fill(9) as SyncId
const recordId = new Uint8Array(16).fill(1) as RecordId

const draft: Draft = {
  recordId,
  tag: new Uint8Array(16),
  tombstone: false,
  compareAndSet: false,
  seal: ({ timestamp }) => {
    const header = encodeBoundHeader({ tombstone: false, epoch: 1, recordId, timestamp })
    return concat(header, new Uint8Array(296)) as ReturnType<Draft['seal']>
  },
}

/** A device with one write that waits. */
async function openLocal() {
  const local = await LocalSecondary.open({
    store: createMemoryStore(),
    vaultId,
    clockIdentity: { deviceId: new Uint8Array(8) as MemberId, tail: new Uint8Array(4) },
    nowMs: () => 1_800_000_000_000,
  })
  await local.adoptSyncId(syncId)
  await local.commit([draft])
  return local
}

function push(local: LocalSecondary, verdict: Verdict) {
  const transport = { push: async () => ({ verdicts: [verdict] }) } as unknown as Transport
  const data = () => ({ token: 't', syncId, position: local.cursor.position })
  return pushOutbox({ local, transport, data, bytesMax: 1_000, onSettled: () => undefined })
}

describe('pushOutbox', () => {
  it('keeps a refused transaction whole, whatever the remote calls its reason', async () => {
    for (const code of ['x'.repeat(300), 'é'.repeat(200), '']) {
      const local = await openLocal()
      const [before] = await local.outboxTransactions({ bytesMax: 1 })
      await push(local, { type: 'refused', code, message: '', details: {} })
      expect([local.pendingCount, local.attentionCount]).toEqual([0, 1])
      expect(await local.retryAttention()).toBe(1)
      expect(await local.outboxTransactions({ bytesMax: 1 })).toEqual([{ ...before, number: 2 }])
    }
  })

  it('takes no version for lost to an older one', async () => {
    const local = await openLocal()
    const stale: [number, typeof TIMESTAMP_NONE][] = [[0, TIMESTAMP_NONE]]
    const lie: Verdict = { type: 'applied', seq: 1, chain: chainStart(vaultId), stale }
    await expect(push(local, lie)).rejects.toMatchObject({ code: 'integrity' })
    expect(local.pendingCount).toBe(1)
  })
})
