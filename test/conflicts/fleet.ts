/**
 * Fleet: several devices of one vault and a real remote in one process, for tests of what becomes
 * of writes that did not know of each other. The clock is the test's; nothing waits for real time.
 */
import type { Vault } from '@blindcopy/client'
import { expect } from 'vitest'
import { type Device, makeWorld, type World } from '../simulation/world.ts'

export type Member = { readonly device: Device; vault: Vault }

export type Fleet = {
  readonly world: World
  readonly members: readonly Member[]
  /** Said of a vault at every opening: what its collections and mutations are. */
  declare(setUp: (vault: Vault) => void): void
  vault(n: number): Vault
  /** Moves the clock on, so that what is written next is newer. */
  pass(ms?: number): void
  /** Ends a member's process and opens its vault again. */
  reopen(n: number): Promise<void>
  /** Each of these exchanges everything once, one after the other. */
  sync(...order: readonly number[]): Promise<void>
  /**
   * Everybody exchanges everything until nothing is left to do. Returns how many rounds it took.
   */
  settle(): Promise<number>
}

/** For a property; with SLOW it runs many times. */
export const PROPERTY_MS: number = process.env.SLOW ? 300_000 : 60_000

const ROUNDS_MAX = 6

export async function makeFleet(count: number, seed = 1): Promise<Fleet> {
  const world = makeWorld(seed)
  const first = world.makeDevice()
  const { vault, recoveryPhrase } = await first.create()
  await vault.sync.once()
  const members: Member[] = [{ device: first, vault }]
  for (let n = 1; n < count; n++) {
    const device = world.makeDevice()
    members.push({ device, vault: await device.restore(recoveryPhrase) })
  }
  let declare: (vault: Vault) => void = () => undefined
  const memberOf = (n: number): Member => members[n] as Member
  const fleet: Fleet = {
    world,
    members,
    declare(setUp) {
      declare = setUp
      for (const member of members) setUp(member.vault)
    },
    vault: (n) => memberOf(n).vault,
    pass(ms = 10) {
      world.clock.ms += ms
    },
    async reopen(n) {
      const member = memberOf(n)
      member.device.kill()
      member.vault = await member.device.open()
      declare(member.vault)
    },
    async sync(...order) {
      for (const n of order) {
        fleet.pass(1)
        await exchange(memberOf(n))
      }
    },
    async settle() {
      for (let round = 1; round <= ROUNDS_MAX; round++) {
        const before = await headOf(fleet)
        await fleet.sync(...members.keys())
        if ((await headOf(fleet)) === before) return round
      }
      throw new Error(`the devices still write to each other after ${ROUNDS_MAX} rounds`)
    },
  }
  await fleet.sync(...members.keys())
  return fleet
}

/** A pause between refusals takes no time. */
async function exchange({ device, vault }: Member): Promise<void> {
  let isOver = false
  const done = vault.sync.once().finally(() => {
    isOver = true
  })
  done.catch(() => undefined)
  for (let turns = 0; turns < 20_000 && !isOver; turns++) {
    await new Promise((resolve) => setImmediate(resolve))
    device.fireTimers()
  }
  await done
}

/** How many transactions the remote has taken. */
export async function headOf(fleet: Fleet): Promise<number> {
  for await (const seen of fleet.vault(0).remoteView()) {
    if (seen.type === 'vault') return seen.seq
  }
  throw new Error('the remote showed nothing')
}

/** Nothing waits, nothing was refused, nothing went wrong. */
export function expectCalm(fleet: Fleet): void {
  for (const { vault } of fleet.members) {
    expect(vault.sync.status).toMatchObject({ pending: 0, attention: 0, problem: null })
  }
  expect(fleet.world.faults).toEqual([])
}

type Collected = {
  get(key: string): Promise<unknown>
  put(key: string, fields: never): Promise<void>
}

/** What every member reads under a key; they must read the same. */
export async function readEverywhere(
  fleet: Fleet,
  collectionOf: (vault: Vault) => Collected,
  key: string,
): Promise<unknown> {
  const read = await Promise.all(fleet.members.map(({ vault }) => collectionOf(vault).get(key)))
  for (const fields of read) expect(fields).toEqual(read[0])
  return read[0]
}
