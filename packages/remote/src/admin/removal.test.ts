/** Removal: what a vault took of the disk is there again when it is gone. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { formatHex } from '@blindcopy/protocol'
import { openLevelStore } from '@blindcopy/secondary'
import { describe, expect, it, onTestFinished } from 'vitest'
import { makeEnvelope, openVault, record } from '../remote.fixture.ts'
import { openFolder } from './admin.fixture.ts'

async function bytesOf(path: string): Promise<number> {
  let bytes = 0
  for (const name of await readdir(path)) {
    // The database clears away what it no longer needs when it likes.
    const found = await stat(join(path, name)).catch(() => undefined)
    bytes += found?.size ?? 0
  }
  return bytes
}

describe('the disk', () => {
  it.each([
    ['DELETE', ''],
    ['POST', '/reset'],
  ])('has its room back at once after %s %s', async (method, path) => {
    const folder = join(await openFolder(), 'vaults')
    const store = await openLevelStore({ path: folder })
    onTestFinished(() => store.close())
    const { bench, chain, device } = await openVault({ store })
    for (let push = 0; push < 10; push++) {
      const id = device.stamp()
      const ops = Array.from({ length: 400 }, (_, i) => [
        makeEnvelope({ recordId: record(push * 400 + i), timestamp: id, sizeBytes: 5_000 }),
      ])
      await device.push([id, ops])
    }
    expect(await bytesOf(folder)).toBeGreaterThan(20_000_000)
    const url = `/vaults/${formatHex(chain.vaultId)}${path}`
    expect((await bench.remote.admin.request(url, { method })).status).toBe(200)
    expect(await bytesOf(folder)).toBeLessThan(1_000_000)
  })
})
