/** The list of vaults: every vault once, whatever else stands in the store, page after page. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateAnswer, compareBytes, formatHex, parseVaultId } from '@blindcopy/protocol'
import {
  createMemoryStore,
  openLevelStore,
  remoteKeyspace,
  type Store,
  type StoreOp,
} from '@blindcopy/secondary'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Device, makeChain, must, openBench, openVault, random } from './remote.fixture.ts'
import { listVaults, walkVaults } from './vault-list.ts'

const idBytes = fc.uint8Array({ minLength: 32, maxLength: 32 })
const VALUE = new Uint8Array([1])

async function put(
  store: Store,
  keys: readonly Uint8Array[],
  value: Uint8Array = VALUE,
): Promise<void> {
  const batch = keys.map((key): StoreOp => ({ type: 'put', key, value }))
  await store.write(batch, { sync: false })
}

async function namesOf(store: Store, limit: number): Promise<string[]> {
  const names: string[] = []
  for await (const page of walkVaults(store, limit)) {
    expect(page.length).toBeLessThanOrEqual(limit)
    names.push(...page.map(({ vaultId }) => formatHex(vaultId)))
  }
  return names
}

/** The value under which a real vault keeps its state. */
async function realState(): Promise<Uint8Array> {
  const { bench, chain } = await openVault()
  const state = await bench.store.get(remoteKeyspace(chain.vaultId).state)
  if (state === undefined) throw new Error('the vault has no state')
  return state
}

describe('listVaults', () => {
  it('finds every vault once, in order, between keys that belong to none', async () => {
    const ids = fc.uniqueArray(idBytes, { selector: formatHex, maxLength: 12 })
    const shorts = fc.array(fc.uint8Array({ minLength: 1, maxLength: 31 }), { maxLength: 4 })
    const indexes = fc.array(idBytes, { maxLength: 8 })
    const state = await realState()
    await fc.assert(
      fc.asyncProperty(ids, indexes, shorts, fc.integer({ min: 1, max: 5 }), async (...args) => {
        const [vaultIds, indexed, short, limit] = args
        const store = createMemoryStore()
        for (const id of vaultIds) {
          const keys = remoteKeyspace(parseVaultId(id))
          await put(store, [keys.state], state)
          await put(store, [keys.keychainEntry(0), keys.logEntry(1), keys.logEntry(2 ** 40)])
        }
        await put(store, [...indexed.map((id) => new Uint8Array([...id, 0x69])), ...short])
        const expected = [...vaultIds].sort(compareBytes).map(formatHex)
        expect(await namesOf(store, limit)).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })

  it('gives the state as last committed', async () => {
    const { bench, device, chain } = await openVault()
    const second = makeChain()
    must(CreateAnswer, await new Device(bench, second.chain, second.device).create())
    const { vaults, next } = await listVaults(bench.store, { limit: 10 })
    expect(next).toBeUndefined()
    expect(vaults.length).toBe(2)
    const mine = vaults.find(({ vaultId }) => formatHex(vaultId) === formatHex(chain.vaultId))
    expect(mine?.state?.syncId).toEqual(device.syncId)
    expect(mine?.state?.head.seq).toBe(1)
  })

  it('names a vault whose state is not there or cannot be read, and goes on', async () => {
    const { bench, chain } = await openVault()
    const first = remoteKeyspace(parseVaultId(new Uint8Array(32).fill(0)))
    const last = remoteKeyspace(parseVaultId(new Uint8Array(32).fill(255)))
    await put(bench.store, [first.logEntry(7)])
    await put(bench.store, [last.state], new Uint8Array([99, 1, 2]))
    const { vaults } = await listVaults(bench.store, { limit: 10 })
    expect(vaults.map(({ state }) => state !== undefined)).toEqual([false, true, false])
    expect(vaults[1]?.vaultId).toEqual(chain.vaultId)
  })

  it('ends a page early among thousands of keys of no vault, and the next goes on', async () => {
    const { store } = openBench()
    await put(
      store,
      Array.from({ length: 3000 }, () => new Uint8Array([...random(32), 0x69])),
    )
    const vaultId = parseVaultId(new Uint8Array(32).fill(255))
    await put(store, [remoteKeyspace(vaultId).state], await realState())
    const { vaults, next } = await listVaults(store, { limit: 10 })
    expect(vaults.length).toBe(0)
    expect(next).toBeDefined()
    expect(await namesOf(store, 10)).toEqual([formatHex(vaultId)])
  })

  it('does the same on LevelDB', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'vault-list-'))
    const store = await openLevelStore({ path: folder })
    try {
      const ids = Array.from({ length: 300 }, () => parseVaultId(random(32)))
      const state = await realState()
      for (const id of ids) {
        await put(store, [remoteKeyspace(id).state], state)
        await put(store, [remoteKeyspace(id).logEntry(1), new Uint8Array([...random(32), 0x69])])
      }
      const expected = ids.map(formatHex).sort()
      expect(await namesOf(store, 7)).toEqual(expected)
      expect(await namesOf(store, 1000)).toEqual(expected)
    } finally {
      await store.close()
      await rm(folder, { recursive: true })
    }
  })
})
