/**
 * A local disk that has gone bad, or was written to by somebody without the keys: every byte of
 * every stored value flipped, values cut and exchanged. What is read is right or refused with a
 * code; wrong plaintext is never shown, here or, by way of the remote, on another device.
 *
 * Threats: 12, 38 (as far as it can be found). Lessons: A16, A20, A23.
 */
import { codeOf, type Vault } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { copyOf, type Device, Disk, type World } from '../simulation/world.ts'
import {
  exchange,
  flip,
  get,
  makePair,
  mapEnvelopes,
  put,
  rewriteChanges,
  rewriteRecords,
} from './adversary.ts'

const [VERSION, ROW, INDEX, OUTBOX, ATTENTION, QUARANTINE, KEYCHAIN, META] = Array.from(
  'vrcoaqkm',
  (letter) => letter.charCodeAt(0),
) as [number, number, number, number, number, number, number, number]

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  synced: ['synced'],
  pending: ['pending', 'synced before'],
  refused: ['refused'],
  aside: ['old'],
}

type Prepared = {
  readonly world: World
  readonly disk: Disk
  readonly remoteCopy: () => Promise<World>
}

/** A disk with something in every section: synced, pending, refused, put aside, deleted. */
async function prepare(seed: number): Promise<Prepared> {
  const pair = await makePair(seed, {
    synced: { text: 'synced' },
    pending: { text: 'synced before' },
    aside: { text: 'old' },
  })
  const { world, victim, victimVault, writerVault } = pair
  await put(victimVault, 'gone', { text: 'gone' })
  await victimVault.collection('notes').delete('gone')
  // By more than a day: nobody corrects that unasked.
  victim.skewMs = 2 * 86_400_000
  await put(victimVault, 'refused', { text: 'refused' })
  await exchange(victimVault)
  victim.skewMs = 0
  await put(writerVault, 'aside', { text: 'new' })
  await writerVault.sync.once()
  rewriteChanges(victim, (frames) => mapEnvelopes(frames, (envelope) => flip(envelope, 100)))
  rewriteRecords(victim, (envelopes) => envelopes.map(() => null))
  await exchange(victimVault)
  expect(victimVault.sync.status.attention).toBe(1)
  expect(await victimVault.quarantined()).toHaveLength(1)
  await put(victimVault, 'pending', { text: 'pending' })
  await victimVault.close()
  const store = await copyOf(world.store)
  return {
    world,
    disk: victim.disk,
    remoteCopy: async () => {
      world.restartRemote({ store: await copyOf(store) })
      return world
    },
  }
}

/** Whatever can be read is right; whatever cannot has a code. Returns how many were refused. */
async function expectTrue(vault: Vault, allowed: readonly string[] = []): Promise<number> {
  let refused = 0
  const check = (key: string, fields: unknown): void => {
    if (fields === undefined) return
    const texts = [...(KNOWN[key] ?? []), ...allowed]
    expect(texts, key).toContain((fields as { text: string }).text)
  }
  const attempt = async (read: () => Promise<void>): Promise<void> => {
    try {
      await read()
    } catch (error) {
      const code = codeOf(error)
      if (code === undefined) throw error
      refused++
    }
  }
  for (const key of Object.keys(KNOWN)) await attempt(async () => check(key, await get(vault, key)))
  await attempt(async () => {
    for (const { key, fields } of await vault.collection('notes').list()) check(key, fields)
  })
  await attempt(async () => {
    for await (const { key, fields } of vault.records()) check(key, fields)
  })
  return refused
}

async function sectionOf(disk: Disk, section: number): Promise<[Uint8Array, Uint8Array][]> {
  const entries = await disk.entries()
  return entries.flatMap(([key, value]) => (key[0] === section ? [[key, value]] : []))
}

const write = (disk: Disk, key: Uint8Array, value: Uint8Array): Promise<void> =>
  disk.records.write([{ type: 'put', key, value }], { sync: false })

/** Spoils one value at a time, in an open vault. */
async function spoilOpen(
  seed: number,
  section: number,
  spoil: (value: Uint8Array) => Iterable<Uint8Array>,
): Promise<{ refused: number; tried: number }> {
  const { world, disk } = await prepare(seed)
  const vault = await world.makeDevice({ disk }).open()
  let refused = 0
  let tried = 0
  for (const [key, value] of await sectionOf(disk, section)) {
    for (const spoiled of spoil(value)) {
      await write(disk, key, spoiled)
      refused += (await expectTrue(vault)) > 0 ? 1 : 0
      tried++
    }
    await write(disk, key, value)
  }
  expect(await expectTrue(vault)).toBe(0)
  await vault.close()
  return { refused, tried }
}

function* flips(value: Uint8Array): Iterable<Uint8Array> {
  for (let offset = 0; offset < value.length; offset++) yield flip(value, offset)
}

function* cuts(value: Uint8Array): Iterable<Uint8Array> {
  for (const size of [0, 1, 5, 37, 38, 62, 78, 100]) {
    if (size < value.length) yield value.slice(0, size)
  }
  yield Uint8Array.of(...value, 0)
}

describe('a stored envelope', () => {
  it('is refused, with any byte of it another', async () => {
    const { refused, tried } = await spoilOpen(401, VERSION, flips)
    expect(tried).toBeGreaterThan(1_000)
    // A deleted record's envelope and those that nothing shows are not read.
    expect(refused).toBeGreaterThan(1_000)
  })

  it('is refused when it is cut or longer', async () => {
    const { refused } = await spoilOpen(402, VERSION, cuts)
    expect(refused).toBeGreaterThan(20)
  })

  it('is refused in the place of another record or version', async () => {
    const { world, disk } = await prepare(403)
    const vault = await world.makeDevice({ disk }).open()
    const versions = await sectionOf(disk, VERSION)
    for (const [key, value] of versions) {
      for (const [, other] of versions) {
        await write(disk, key, other)
        await expectTrue(vault)
      }
      await write(disk, key, value)
    }
    expect(await expectTrue(vault)).toBe(0)
    await vault.close()
  })
})

describe('a stored row or place in a list', () => {
  it('leads to what is right or to a refusal, with any byte of it another', async () => {
    const rows = await spoilOpen(404, ROW, flips)
    const places = await spoilOpen(405, INDEX, flips)
    expect(rows.tried + places.tried).toBeGreaterThan(150)
    expect(rows.refused).toBeGreaterThan(0)
  })

  it('leads to no crash when it is cut', async () => {
    await spoilOpen(406, ROW, cuts)
    await spoilOpen(407, INDEX, cuts)
  })
})

describe('what the device keeps of its keychain, outbox and cursor', () => {
  async function spoilClosed(
    seed: number,
    section: number,
    offsets: (size: number) => number[],
  ): Promise<void> {
    const { disk, remoteCopy } = await prepare(seed)
    const entries = await sectionOf(disk, section)
    expect(entries.length).toBeGreaterThan(0)
    for (const [key, value] of entries) {
      for (const offset of offsets(value.length)) {
        const world = await remoteCopy()
        const copy = await disk.copy()
        await write(copy, key, flip(value, offset))
        await expectSafe(world, world.makeDevice({ disk: copy }), `${key.slice(1)} ${offset}`)
      }
    }
  }

  async function expectSafe(world: World, device: Device, what: string): Promise<void> {
    let vault: Vault
    try {
      vault = await device.open()
    } catch (error) {
      expect(codeOf(error), `${what}: ${error}`).toBeDefined()
      return
    }
    await expectTrue(vault)
    const written = await put(vault, 'fresh', { text: 'fresh' }).catch((error: unknown) => error)
    if (written !== undefined) expect(codeOf(written), `${what}: ${written}`).toBeDefined()
    expect(await exchange(vault), what).not.toBe('internal')
    await expectTrue(vault, ['new', 'fresh'])
    await vault.close()
    expect(world.faults, what).toEqual([])
  }

  const every = (size: number): number[] => Array.from({ length: size }, (_, i) => i)
  // A keychain is hundreds of times longer than all else: all of it only with time to spare.
  const some = (size: number): number[] =>
    every(size).filter((i) => process.env.SLOW === '1' || i % 37 === 0)

  it('the keychain opens as it was, or not at all', () => spoilClosed(408, KEYCHAIN, some))
  it('the outbox changes nothing that is shown', () => spoilClosed(409, OUTBOX, every))
  it('what was refused stays refused, or has a code', () => spoilClosed(410, ATTENTION, every))
  it('what was put aside stays there, or is right', () =>
    spoilClosed(411, QUARANTINE, (size) => every(size).filter((i) => i % 5 === 0)))
  // Those of checkpoints are long, and signed: some bytes of them will do.
  it('cursor, clock and counters change nothing either', () =>
    spoilClosed(412, META, (size) => every(size).filter((i) => size < 128 || i % 11 === 0)))
})

it('a disk is prepared with something in every section', async () => {
  const { disk } = await prepare(413)
  for (const section of [VERSION, ROW, INDEX, OUTBOX, ATTENTION, QUARANTINE, KEYCHAIN, META]) {
    expect((await sectionOf(disk, section)).length, String.fromCharCode(section)).toBeGreaterThan(0)
  }
  expect(disk).toBeInstanceOf(Disk)
})
