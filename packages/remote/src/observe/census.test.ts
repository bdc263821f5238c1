/** The census: sums that are true, few walks, and nobody who waits for thousands of vaults. */
import { parseVaultId } from '@blindcopy/protocol'
import { createMemoryStore, remoteKeyspace, type Store } from '@blindcopy/secondary'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LIMITS_DEFAULT } from '../limits.ts'
import { openVault, random } from '../remote.fixture.ts'
import { decodeVaultState, encodeVaultState, type VaultState } from '../vault-state.ts'
import { createCensus } from './census.ts'

async function realState(): Promise<VaultState> {
  const { bench, chain } = await openVault()
  return decodeVaultState(
    (await bench.store.get(remoteKeyspace(chain.vaultId).state)) as Uint8Array,
  )
}

async function storeWith(states: readonly VaultState[]): Promise<Store> {
  const store = createMemoryStore()
  for (const state of states) {
    const key = remoteKeyspace(parseVaultId(random(32))).state
    await store.write([{ type: 'put', key, value: encodeVaultState(state) }], { sync: false })
  }
  return store
}

/** Counts the walks, and says when the store is looked at. */
function watched(store: Store): { store: Store; steps: () => number } {
  let steps = 0
  const keyPages = store.keyPages.bind(store)
  store.keyPages = (range, bounds) => {
    steps++
    return keyPages(range, bounds)
  }
  return { store, steps: () => steps }
}

const limits = { ...LIMITS_DEFAULT, quota: { bytesMax: 1000, recordsMax: 100, devicesMax: 8 } }

describe('createCensus', () => {
  it('sums all vaults, and remembers the largest', async () => {
    const state = await realState()
    const sizes = fc.record({
      count: fc.nat(200),
      bytes: fc.nat(2000),
      historyBytes: fc.nat(500),
      hasOwnQuota: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(sizes, { maxLength: 40 }), async (vaults) => {
        const own = { bytesMax: 10_000, recordsMax: 1000, devicesMax: 2 }
        const states = vaults.map(({ hasOwnQuota, ...size }) => ({
          ...state,
          ...size,
          quota: hasOwnQuota ? own : undefined,
        }))
        const store = await storeWith(states)
        const census = createCensus({ store, limits, nowMs: () => 5, vaultsMax: 6 })
        const counted = await census.read()
        const sum = (of: (state: VaultState) => number) => states.reduce((n, s) => n + of(s), 0)
        const isNear = ({ bytes, count, quota }: VaultState) => {
          const { bytesMax, recordsMax } = quota ?? limits.quota
          return bytes / bytesMax >= 0.9 || count / recordsMax >= 0.9
        }
        expect(counted?.totals).toEqual({
          vaults: states.length,
          unreadable: 0,
          nearQuota: states.filter(isNear).length,
          records: sum(({ count }) => count),
          bytes: sum(({ bytes }) => bytes),
          historyBytes: sum(({ historyBytes }) => historyBytes),
        })
        const size = (use: { bytes: number; historyBytes: number }) => use.bytes + use.historyBytes
        const largest = states.map(size).sort((a, b) => b - a)
        const held = counted?.vaults.map(size).sort((a, b) => b - a)
        expect(held).toEqual(largest.slice(0, 6))
      }),
      { numRuns: 30 },
    )
  })

  it('counts vaults that cannot be read apart', async () => {
    const store = await storeWith([await realState()])
    const key = remoteKeyspace(parseVaultId(random(32))).state
    await store.write([{ type: 'put', key, value: new Uint8Array([9]) }], { sync: false })
    const counted = await createCensus({ store, limits, nowMs: () => 5 }).read()
    expect(counted?.totals).toMatchObject({ vaults: 1, unreadable: 1 })
  })

  it('walks once for all who ask at once, and not again while it is fresh', async () => {
    const state = await realState()
    const { store, steps } = watched(await storeWith([state, state, state]))
    const clock = { ms: 0 }
    const census = createCensus({ store, limits, nowMs: () => clock.ms })
    const [first, second] = await Promise.all([census.read(), census.read()])
    expect(second).toBe(first)
    expect(steps()).toBe(4)
    clock.ms += 4_999
    expect(await census.read()).toBe(first)
    clock.ms += 1
    expect(await census.read()).not.toBe(first)
    expect(steps()).toBe(8)
  })

  it('walks again when the clock was set back, rather than when it has caught up', async () => {
    const store = createMemoryStore()
    const clock = { ms: 10 * 60 * 60_000 }
    const census = createCensus({ store, limits, nowMs: () => clock.ms })
    await census.read()
    clock.ms -= 60 * 60_000
    expect((await census.read())?.ms).toBe(clock.ms)
  })

  it('gives the last one at once where a walk is long, and seldom walks then', async () => {
    const state = await realState()
    const clock = { ms: 0 }
    const { store, steps } = watched(await storeWith([state, state, state]))
    const keyPages = store.keyPages
    store.keyPages = (range, bounds) => {
      clock.ms += 1_000
      return keyPages(range, bounds)
    }
    const census = createCensus({ store, limits, nowMs: () => clock.ms })
    const first = await census.read()
    clock.ms = 4_000 * 20 - 1
    expect(await census.read()).toBe(first)
    expect(steps()).toBe(4)
    clock.ms++
    expect(await census.read()).toBe(first)
    expect(steps()).toBeGreaterThan(4)
  })

  it('waits for some vaults of the first one, not for all there are', async () => {
    const state = await realState()
    const { store } = watched(await storeWith(Array.from({ length: 300 }, () => state)))
    const census = createCensus({ store, limits, nowMs: () => 5, patienceVaults: 100 })
    expect(await census.read()).toBeUndefined()
    let counted = await census.read()
    while (counted === undefined) counted = await census.read()
    expect(counted.totals.vaults).toBe(300)
  })

  it('fails when the store does, and counts again when it answers', async () => {
    const store = await storeWith([await realState()])
    const keyPages = store.keyPages
    const census = createCensus({ store, limits, nowMs: () => 5 })
    store.keyPages = () => {
      throw new Error('the disk is gone')
    }
    await expect(census.read()).rejects.toThrow('the disk is gone')
    store.keyPages = keyPages
    expect((await census.read())?.totals.vaults).toBe(1)
  })
})
