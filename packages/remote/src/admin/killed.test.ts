/**
 * A process that is killed between any two writes of a restore, a replacement, a deletion, a reset
 * or a repair: what it leaves is a sound vault or none, other vaults are as they were, and the same
 * command, run again, comes to its end.
 */
import { CreateAnswer } from '@blindcopy/protocol'
import { createMemoryStore, type Store, StoreError } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { dump, must, openBench } from '../remote.fixture.ts'
import {
  addVault,
  admin,
  backup,
  contentOf,
  type Host,
  type Hosted,
  judge,
  list,
  restore,
  write,
} from './admin.fixture.ts'
import { sections } from './store-scan.ts'

async function copyOf(store: Store): Promise<Store> {
  const copy = createMemoryStore()
  const batch = (await dump(store)).map(([key, value]) => ({ type: 'put', key, value }) as const)
  await copy.write(batch, { sync: false })
  return copy
}

/** As far as the disk is concerned the process ends after so many writes. */
function killedAfter(store: Store, writes: number): { store: Store; isKilled: () => boolean } {
  let left = writes
  const killed = Object.create(store) as Store
  killed.write = async (batch, how) => {
    if (left-- <= 0) throw new StoreError('store-failed', 'killed')
    await store.write(batch, how)
  }
  for (const name of ['get', 'getMany', 'pages', 'keyPages', 'close'] as const) {
    killed[name] = store[name].bind(store) as never
  }
  return { store: killed, isKilled: () => left < 0 }
}

const hostOn = (store: Store): Host => ({ store, bench: openBench({ store }) })

/** Two vaults; what is large takes several batches. */
async function begin(): Promise<{ big: Hosted; other: Hosted }> {
  const host = hostOn(createMemoryStore())
  const big = await addVault(host)
  for (let n = 0; n < 40; n++) await write(big.device, n, 100_000)
  return { big, other: await addVault(host) }
}

type Command = (host: Host) => Promise<unknown>

async function killEverywhere(
  before: Store,
  { big, other }: { big: Hosted; other: Hosted },
  command: Command,
): Promise<number> {
  const kept = await contentOf(before, other.vaultId)
  for (let writes = 0; ; writes++) {
    const disk = await copyOf(before)
    const { store, isKilled } = killedAfter(disk, writes)
    await command(hostOn(store)).catch(() => undefined)
    const after = hostOn(disk)
    if (!isKilled()) {
      expect(await judge(after)).toEqual({})
      return writes
    }
    expect(await contentOf(disk, other.vaultId)).toEqual(kept)
    const found = await judge(after)
    const isThere = (await list(after)).some(({ id, isReadable }) => id === big.id && isReadable)
    if (!isThere) expect([undefined, ['state-missing']]).toContainEqual(found[big.id])
    await expectNewBegin(await copyOf(disk), big, isThere)
    await command(hostOn(disk)).catch((error) => {
      // A deletion or a reset that has come so far finds nothing to do.
      expect(String(error)).toContain('no-such-vault')
    })
    expect(await judge(hostOn(disk), '/repair')).toEqual({})
    expect(await judge(hostOn(disk))).toEqual({})
  }
}

/** A device that comes before anybody mends anything begins a sound vault where there is none. */
async function expectNewBegin(store: Store, { device }: Hosted, isThere: boolean): Promise<void> {
  if (isThere) return
  const host = hostOn(store)
  const again = Object.create(device, { bench: { value: host.bench } }) as typeof device
  must(CreateAnswer, await again.create())
  expect((await judge(host))[Buffer.from(device.chain.vaultId).toString('hex')]).toBeUndefined()
}

describe('killed after any write', () => {
  it('a restore', async () => {
    const scene = await begin()
    const file = await backup(scene.big, `/vaults/${scene.big.id}/backup`)
    const empty = hostOn(createMemoryStore())
    await restore(empty, await backup(scene.big, `/vaults/${scene.other.id}/backup`))
    const writes = await killEverywhere(empty.store, scene, (host) => restore(host, file))
    expect(writes).toBeGreaterThan(3)
  })

  it('a replacement', async () => {
    const scene = await begin()
    const file = await backup(scene.big, `/vaults/${scene.big.id}/backup`)
    await admin(scene.big, `/vaults/${scene.big.id}/reset`, { method: 'POST' })
    const query = `?replace=${scene.big.id}`
    const command: Command = (host) => restore(host, file, query)
    const writes = await killEverywhere(scene.big.store, scene, command)
    expect(writes).toBeGreaterThan(4)
  })

  it('a deletion, and a reset', async () => {
    const scene = await begin()
    const path = `/vaults/${scene.big.id}`
    const deletion: Command = (host) => admin(host, path, { method: 'DELETE' })
    expect(await killEverywhere(scene.big.store, scene, deletion)).toBeGreaterThan(1)
    const reset: Command = (host) => admin(host, `${path}/reset`, { method: 'POST' })
    expect(await killEverywhere(scene.big.store, scene, reset)).toBeGreaterThan(2)
  })

  it('a repair', async () => {
    const scene = await begin()
    const { store, keys } = scene.big
    const gone: Uint8Array[] = []
    for (const range of [sections.envelopes(keys), sections.records(keys)]) {
      for await (const page of store.keyPages(range))
        gone.push(...page.filter((_, i) => i % 4 === 0))
    }
    await store.write(
      gone.map((key) => ({ type: 'delete', key }) as const),
      { sync: false },
    )
    const repair: Command = (host) => admin(host, '/repair', { method: 'POST' })
    expect(await killEverywhere(store, scene, repair)).toBeGreaterThan(2)
  })
})
