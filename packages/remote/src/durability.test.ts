/** What is answered is on disk, what is told live was answered, no vault waits on another. */

import { CreateAnswer, encodeCbor, PROTOCOL_VERSION } from '@blindcopy/protocol'
import { createMemoryStore, type Durability, type Store, StoreError } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import {
  Device,
  dump,
  makeChain,
  makeEnvelope,
  must,
  openBench,
  openVault,
  record,
} from './remote.fixture.ts'
import { createRemote } from './remote.ts'

type Write = Store['write']

/** A memory store whose writes go through `around`. */
function watchedStore(
  around: (write: () => Promise<void>, how: Durability) => Promise<void>,
): Store {
  const store = createMemoryStore()
  const write: Write = store.write.bind(store)
  store.write = (batch, how) => around(() => write(batch, how), how)
  return store
}

function transactionOf(device: Device, number = 1): unknown {
  const id = device.stamp()
  return [id, [[makeEnvelope({ recordId: record(number), timestamp: id })]]]
}

describe('a write of the remote', () => {
  it('is one batch, synced, before the answer', async () => {
    const writes: boolean[] = []
    const store = watchedStore(async (write, { sync }) => {
      writes.push(sync)
      await write()
    })
    const { device } = await openVault({ store })
    expect(writes.splice(0)).toEqual([true])
    await device.push(transactionOf(device), transactionOf(device, 2), transactionOf(device, 3))
    expect(writes.splice(0)).toEqual([true])
    await device.pull()
    await device.join()
    expect(writes).toEqual([])
  })

  it('is told live only when it succeeded', async () => {
    const state = { fails: false }
    const store = watchedStore(async (write) => {
      if (state.fails) throw new StoreError('store-full', 'full')
      await write()
    })
    const { bench, device } = await openVault({ store })
    let framesCount = 0
    const connection = bench.remote.live.open({
      send: () => framesCount++,
      close: () => {},
      terminate: () => {},
      bufferedBytes: 0,
    })
    const cursor = [device.cursor.seq, device.cursor.chain]
    const { token, syncId } = device
    await connection.receive(encodeCbor({ protocol: PROTOCOL_VERSION, token, syncId, cursor }))
    expect(framesCount).toBe(1)
    state.fails = true
    const transactions = [transactionOf(device)]
    const refused = await device.post('/v1/push', { transactions })
    expect(refused.problem?.code).toBe('storage-full')
    expect(framesCount).toBe(1)
    state.fails = false
    await device.push(...transactions)
    expect(framesCount).toBe(2)
  })

  it('that failed, but reached the disk, is believed from the disk', async () => {
    const state = { fails: false }
    const store = watchedStore(async (write) => {
      await write()
      if (state.fails) throw new StoreError('store-failed', 'nobody knows')
    })
    const { device } = await openVault({ store })
    const first = transactionOf(device)
    state.fails = true
    expect((await device.post('/v1/push', { transactions: [first] })).status).toBe(500)
    state.fails = false
    const verdicts = await device.push(transactionOf(device, 2), first)
    expect(verdicts).toMatchObject([{ seq: 3 }, { type: 'applied', seq: 2 }])
  })

  it('of one vault holds up no other', async () => {
    const held: (() => void)[] = []
    const state = { holds: false }
    const store = watchedStore(async (write) => {
      if (state.holds) {
        state.holds = false
        await new Promise<void>((resolve) => held.push(resolve))
      }
      await write()
    })
    const { bench, device } = await openVault({ store })
    const { chain, device: signer } = makeChain()
    const other = new Device(bench, chain, signer)
    must(CreateAnswer, await other.create())
    await other.join()
    state.holds = true
    const slow = device.push(transactionOf(device))
    while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(await other.push(transactionOf(other))).toMatchObject([{ type: 'applied' }])
    // Reads of the held vault go on as well, and see nothing of what is not on the disk.
    expect((await device.pull()).map(([kind]) => kind)).toEqual([2])
    held[0]?.()
    expect(await slow).toMatchObject([{ type: 'applied' }])
  })
})

describe('a push by two devices at once', () => {
  it('gives gap-free seqs and one winner of a race', async () => {
    const { bench, device } = await openVault()
    const transactions = Array.from({ length: 20 }, (_, i) => transactionOf(device, i))
    const verdicts = await Promise.all(transactions.map((one) => device.push(one)))
    const seqs = verdicts.flat().map((verdict) => (verdict.type === 'applied' ? verdict.seq : 0))
    expect(seqs.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 2))
    expect(bench.faults).toEqual([])
  })
})

describe('createRemote', () => {
  it('stores nothing before it is asked to', async () => {
    const { store } = openBench()
    expect(await dump(store)).toEqual([])
  })

  it('refuses an address that is none', () => {
    const { store, clock } = openBench()
    const options = {
      store,
      verify: () => true,
      registration: { mode: 'open' as const },
      nowMs: () => clock.ms,
      random: (sizeBytes: number) => new Uint8Array(sizeBytes),
    }
    expect(() => createRemote({ ...options, origins: ['nowhere'] })).toThrow('no address')
  })
})
