/**
 * Numbers of the outbox are never used twice, whatever the stored counter says, and a spoiled
 * transaction holds up no other.
 */
import { concat, type Envelope, encodeUint64 } from '@blindcopy/protocol'
import { createMemoryStore, metaKey, numberedRange, type Store } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { type TestFolder, testPlatform } from '../platform.fixture.ts'
import { createVaultOn, openVaultOn } from '../vault/vault-doors.ts'
import { LocalSecondary } from './local-secondary.ts'
import { OutboxState } from './outbox-state.ts'

const none = { count: 0, first: 0, last: 0 }

describe('OutboxState', () => {
  it('goes on above every number that is in use', () => {
    const stored = { nextNumber: 2, sentBelow: 0 }
    const pending = { count: 2, first: 4, last: 7 }
    expect(new OutboxState(stored, { pending, attention: none }).nextNumber).toBe(8)
    const attention = { count: 1, first: 9, last: 9 }
    expect(new OutboxState(stored, { pending, attention }).nextNumber).toBe(10)
    expect(new OutboxState(stored, { pending: none, attention: none }).nextNumber).toBe(2)
  })

  it('knows what was sent and has no verdict', () => {
    const state = new OutboxState(
      { nextNumber: 5, sentBelow: 5 },
      { pending: { count: 1, first: 4, last: 4 }, attention: none },
    )
    expect(state.hasSentUnanswered).toBe(true)
    state.settled({ gone: [4], again: [], refusedCount: 0 })
    expect(state.hasSentUnanswered).toBe(false)
    state.added(5)
    expect(state.hasSentUnanswered).toBe(false)
  })

  it('counts what was answered and waits again as sent, until all that was sent is answered', () => {
    const state = new OutboxState(
      { nextNumber: 5, sentBelow: 5 },
      { pending: { count: 3, first: 2, last: 4 }, attention: none },
    )
    state.settled({ gone: [2], again: [3], refusedCount: 0 })
    state.settled({ gone: [4], again: [], refusedCount: 0 })
    expect(state.hasSentUnanswered).toBe(true)
    expect(state.thawedBelow).toBe(3)
    state.thawed(3)
    expect([state.hasSentUnanswered, state.pendingCount]).toEqual([false, 1])
    expect(state.isUnsent(3)).toBe(true)
  })
})

async function entriesOf(store: Store): Promise<number> {
  let count = 0
  for await (const page of store.keyPages(numberedRange('outbox'))) count += page.length
  return count
}

describe('a vault whose counter was set back', () => {
  it('writes over nothing that waits', async () => {
    const platform = testPlatform()
    const { vault } = await createVaultOn(platform, { path: 'p', remote: 'http://127.0.0.1:9' })
    await vault.collection('c').put('a', { v: 1 })
    await vault.close()
    const { store } = platform.openFolder('p') as TestFolder
    const clock = (await store.get(metaKey('clock'))) as Uint8Array
    const value = concat(clock.subarray(0, 8), encodeUint64(1))
    await store.write([{ type: 'put', key: metaKey('clock'), value }], { sync: true })
    const again = await openVaultOn(platform, { path: 'p' })
    await again.collection('c').put('b', { v: 2 })
    expect(again.sync.status.pending).toBe(2)
    expect(await entriesOf(store)).toBe(2)
    await again.close()
  })
})

describe('a version that the disk has spoiled', () => {
  it('is set aside, and what waits beside it is not', async () => {
    const { local, drafts } = await prepared()
    for (const draft of drafts) await local.commit([draft])
    const spoiled = 0xee
    const isWhole = (envelope: Envelope): boolean => envelope[envelope.length - 1] !== spoiled
    expect(await local.setDamagedAside(isWhole)).toBe(1)
    expect([local.pendingCount, local.attentionCount]).toEqual([2, 1])
    expect(await local.setDamagedAside(isWhole)).toBe(0)
    const waiting = await local.outboxTransactions({ bytesMax: 1_000_000 })
    expect(waiting).toHaveLength(2)
  })
})

describe('transactions that are read to be sent', () => {
  const bounds = { bytesMax: 1_000_000 }

  it('are read again when a later write has taken the place of one meanwhile', async () => {
    const { local, drafts } = await prepared()
    for (const draft of drafts) await local.commit([draft])
    const read = await local.outboxTransactions(bounds)
    await local.commit([drafts[1] as (typeof drafts)[0]])
    const sent = await local.markSent(read, bounds)
    expect(read.map(({ number }) => number)).toEqual([1, 2, 3])
    expect(sent.map(({ number }) => number)).toEqual([1, 3, 4])
    // Sent, they stay: the next write of the record waits behind them.
    await local.commit([drafts[1] as (typeof drafts)[0]])
    expect(local.pendingCount).toBe(4)
  })

  it('are there though the first is counted before it is on the disk', async () => {
    const { store, local, drafts } = await prepared()
    const { write } = store
    let goOn: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const writing = new Promise<void>((resolve) => {
      store.write = async (...options) => {
        resolve()
        await held
        return write.apply(store, options)
      }
    })
    const committed = local.commit([drafts[0] as (typeof drafts)[0]])
    await writing
    expect(local.pendingCount).toBe(1)
    const read = local.outboxTransactions({ ...bounds, from: 0 })
    goOn()
    expect((await read).map(({ number }) => number)).toEqual([1])
    await committed
  })

  it('may be dropped in the middle of being read', async () => {
    const { store, local, drafts } = await prepared()
    for (const draft of drafts) await local.commit([draft])
    const { pages } = store
    let isFirst = true
    store.pages = async function* (range, pageBounds) {
      for await (const page of pages.call(store, range, pageBounds)) {
        if (isFirst) {
          isFirst = false
          await local.commit([drafts[2] as (typeof drafts)[0]])
        }
        yield page
      }
    }
    const sent = await local.outboxTransactions(bounds)
    expect(sent.map(({ number }) => number)).toEqual([1, 2, 4])
  })
})

async function prepared() {
  const store = createMemoryStore()
  const local = await LocalSecondary.open({
    store,
    vaultId: new Uint8Array(32) as never,
    clockIdentity: { deviceId: new Uint8Array(8) as never, tail: new Uint8Array(4) },
    nowMs: () => 1_800_000_000_000,
  })
  const drafts = [0, 0xee, 1].map((last, i) => ({
    recordId: new Uint8Array(16).fill(i + 1) as never,
    tag: new Uint8Array(16),
    tombstone: false,
    compareAndSet: false,
    seal: () => new Uint8Array(400).fill(last, 399) as Uint8Array as Envelope,
  }))
  return { store, local, drafts }
}
