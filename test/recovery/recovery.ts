/**
 * What the tests of recovery share: two devices in step, remotes that lose something, and what must
 * hold once all devices have exchanged.
 */
import type { Vault } from '@blindcopy/client'
import { expect } from 'vitest'
import { exportOf, type World } from '../simulation/world.ts'

export const notes = (vault: Vault) => vault.collection('notes')

export const put = (vault: Vault, key: string, text: string): Promise<void> =>
  notes(vault).put(key, { text })

export const codesOf = (vault: Vault): string[] => vault.sync.status.notices.map(({ code }) => code)

/** Every device exchanges until nothing is left to pass on, and all of them hold the same. */
export async function expectInStep(world: World, vaults: readonly Vault[]): Promise<string> {
  for (let round = 0; round < 2; round++) for (const vault of vaults) await vault.sync.once()
  const exports = new Set<string>()
  for (const vault of vaults) {
    expect(vault.sync.status).toMatchObject({
      phase: 'resting',
      pending: 0,
      attention: 0,
      problem: null,
    })
    expect(await vault.quarantined()).toEqual([])
    exports.add(await exportOf(vault))
  }
  expect(exports.size).toBe(1)
  expect(world.faults).toEqual([])
  return [...exports][0] as string
}
