/** The sweep on a disk: history that is given up gives its room back. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { openLevelStore, remoteKeyspace } from '@blindcopy/secondary'
import { expect, it, onTestFinished, vi } from 'vitest'
import { openFolder } from './admin/admin.fixture.ts'
import { LIMITS_DEFAULT } from './limits.ts'
import { makeEnvelope, openBench, openVault, record } from './remote.fixture.ts'
import { decodeVaultState } from './vault-state.ts'

async function bytesOf(path: string): Promise<number> {
  let bytes = 0
  for (const name of await readdir(path)) {
    bytes += await stat(join(path, name)).then(
      ({ size }) => size,
      // Removed by the database in between.
      () => 0,
    )
  }
  return bytes
}

it('makes room on the disk of whoever keeps less history from now on', async () => {
  const folder = join(await openFolder(), 'vaults')
  const store = await openLevelStore({ path: folder })
  onTestFinished(() => store.close())
  const { bench, chain, device } = await openVault({ store })
  for (let push = 0; push < 24; push++) {
    const id = device.stamp()
    const ops = Array.from({ length: 400 }, (_, i) => [
      makeEnvelope({ recordId: record(i), timestamp: id, sizeBytes: 5_000 }),
    ])
    await device.push([id, ops])
  }
  bench.remote.close()
  const before = await bytesOf(folder)
  expect(before).toBeGreaterThan(40_000_000)
  const history = { ...LIMITS_DEFAULT.history, bytesMax: 1_000_000 }
  const { remote } = openBench({ store, limits: { ...LIMITS_DEFAULT, history } })
  await vi.waitFor(
    async () => {
      remote.beat()
      const state = await store.get(remoteKeyspace(chain.vaultId).state)
      expect(decodeVaultState(state as Uint8Array).historyBytes).toBeLessThanOrEqual(1_000_000)
      expect(await bytesOf(folder)).toBeLessThan(before / 3)
    },
    { timeout: 20_000, interval: 20 },
  )
  remote.close()
})
