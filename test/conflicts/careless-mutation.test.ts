/**
 * Mutations that break the rules: that never end, or that write beside their transaction. A device
 * that runs one goes on.
 */
import type { Collection, Transaction, Vault } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { turn } from '../simulation/world.ts'
import { type Fleet, makeFleet } from './fleet.ts'

type Note = { text: string }
const notes = (vault: Vault): Collection<Note> => vault.collection<Note>('notes')

type Ill = (vault: Vault, tx: Transaction) => Promise<void>

/** Member 1 has a mutation waiting that must run again, and does then what `ill` says. */
async function makeConflict(ill: Ill): Promise<Fleet> {
  const fleet = await makeFleet(2)
  let isIll = false
  fleet.declare((vault) => {
    const write = async (tx: Transaction, text: string): Promise<void> => {
      await tx.collection(notes(vault)).get('n')
      if (isIll) await ill(vault, tx)
      await tx.collection(notes(vault)).put('n', { text })
    }
    vault.mutations({ write })
  })
  await fleet.vault(0).mutate('write', 'a')
  await fleet.vault(1).mutate('write', 'b')
  await fleet.sync(0)
  isIll = true
  return fleet
}

const memberOf = ({ members }: Fleet): Fleet['members'][number] =>
  members[1] as Fleet['members'][number]

async function turns(fleet: Fleet, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await turn()
    fleet.members[1]?.device.fireTimers()
  }
}

describe('a mutation that never ends when it runs again', () => {
  it('is taken back after a while, and everything else flows', async () => {
    const fleet = await makeConflict(() => new Promise(() => undefined))
    const { device, vault } = memberOf(fleet)
    await notes(vault).put('other', { text: 'x' })
    const synced = vault.sync.once()
    await turns(fleet, 200)
    device.fallSilent()
    await synced
    expect(await notes(vault).get('n')).toEqual({ text: 'a' })
    expect(await vault.conflicts.list()).toMatchObject([{ kind: 'rolled-back', key: 'n' }])
    expect(vault.sync.status).toMatchObject({ pending: 0, attention: 0, problem: null })
  })

  it('does not keep the vault from being closed, and is not lost by that', async () => {
    const fleet = await makeConflict(() => new Promise(() => undefined))
    const { device, vault } = memberOf(fleet)
    vault.sync.start()
    await turns(fleet, 200)
    let isClosed = false
    const closed = vault.close().then(() => {
      isClosed = true
    })
    await turns(fleet, 200)
    expect(isClosed).toBe(true)
    await closed
    const reopened = await device.open()
    expect(reopened.sync.status.pending).toBe(1)
    expect(await reopened.conflicts.list()).toEqual([])
  })
})

describe('a mutation that writes to the vault beside its transaction', () => {
  it('is taken back after a while, and does not fill the disk', async () => {
    let written = 0
    const fleet = await makeConflict(async (vault) => {
      await notes(vault).put(`audit ${written++}`, { text: 'it ran' })
    })
    const { device, vault } = memberOf(fleet)
    const synced = vault.sync.once()
    await turns(fleet, 500)
    device.fallSilent()
    await turns(fleet, 500)
    await synced
    expect(written).toBeLessThan(20)
    expect(await vault.conflicts.list()).toMatchObject([{ kind: 'rolled-back', key: 'n' }])
    expect(vault.sync.status).toMatchObject({ pending: 0, attention: 0, problem: null })
  })
})
