/**
 * Checkpoints of honest devices: when one is made, what it costs, how others learn of it, and what
 * becomes of the records that it names.
 *
 * Lessons: C3. Threats: 22, 24.
 */
import type { Vault } from '@blindcopy/client'
import {
  CheckpointsAnswer,
  checkpointSignedBytes,
  type Envelope,
  encodeCheckpoint,
  encodeCheckpointBody,
  encodeMessage,
  envelopePair,
  parseCheckpoint,
} from '@blindcopy/protocol'
import { decodeDeviceKeyFile } from '@blindcopy/vault'
import { describe, expect, it } from 'vitest'
import {
  cbor,
  exchange,
  makePair,
  readChanges,
  rewriteRoute,
  transactionsOf,
} from '../hostile/adversary.ts'
import { type Device, turn, until } from '../simulation/world.ts'
import { codesOf, put } from './recovery.ts'

const MINUTE_MS = 60_000

/** Method and path of all that a device asks, with the query. */
function watch(device: Device): string[] {
  const asked: string[] = []
  const before = device.network.fetch
  device.network.fetch = (request, carry) => {
    const { pathname, search } = new URL(request.url)
    asked.push(`${request.method} ${pathname}${search}`)
    return before(request, carry)
  }
  return asked
}

const SIGNED = 'PUT /v1/checkpoints'
const isWalk = (asked: string): boolean => asked.includes('digests=1')

const seenOf = async (vault: Vault, name: string) =>
  (await vault.verify()).devices.find((device) => device.name === name)

describe('a checkpoint', () => {
  it('is made when something has changed, at most once a minute, and after a day', async () => {
    const { world, writer, writerVault } = await makePair(720)
    const asked = watch(writer)
    const signs = async (): Promise<number> => {
      asked.splice(0)
      await writerVault.sync.once()
      return asked.filter((one) => one === SIGNED).length
    }
    world.clock.ms += 2 * MINUTE_MS
    await put(writerVault, 'a', '1')
    expect(await signs()).toBe(1)
    await put(writerVault, 'a', '2')
    expect(await signs()).toBe(0)
    world.clock.ms += MINUTE_MS
    expect(await signs()).toBe(1)
    world.clock.ms += 2 * MINUTE_MS
    expect(await signs()).toBe(0)
    world.clock.ms += 24 * 60 * MINUTE_MS
    expect(await signs()).toBe(1)
  })

  it('is made while live by one timer, and no timer is left when nothing has changed', async () => {
    const { world, writer, writerVault, victimVault } = await makePair(721)
    world.clock.ms += 2 * MINUTE_MS
    await put(writerVault, 'a', '1')
    writerVault.sync.start()
    victimVault.sync.start()
    const isLive = ({ phase }: Vault['sync']['status']): boolean => phase === 'live'
    await until(writer, writerVault, isLive)
    const asked = watch(writer)
    await put(writerVault, 'a', '2')
    for (let i = 0; i < 300; i++) await turn()
    expect(asked.filter((one) => one === SIGNED)).toEqual([])
    world.clock.ms += MINUTE_MS + 1
    writer.fireTimers()
    for (let i = 0; i < 300; i++) await turn()
    expect(asked.filter((one) => one === SIGNED)).toHaveLength(1)
    // The other device is told of it at once.
    const seen = await seenOf(victimVault, 'writer')
    expect(seen).toMatchObject({ state: 'linked', seq: (await writerVault.verify()).seq })
    expect(victimVault.sync.status.lastCheckedMs).toBe(world.clock.ms)
    // Nothing has changed since: time alone makes none, and nothing is asked.
    asked.splice(0)
    world.clock.ms += 10 * MINUTE_MS
    writer.fireTimers()
    for (let i = 0; i < 100; i++) await turn()
    expect(asked).toEqual([])
    for (const vault of [writerVault, victimVault]) await vault.sync.stop()
  })

  it('is not made by a device that only pulls, or only pushes', async () => {
    const { world, writer, writerVault } = await makePair(722)
    const asked = watch(writer)
    world.clock.ms += 2 * MINUTE_MS
    await put(writerVault, 'a', '1')
    await writerVault.sync.once({ direction: 'push' })
    await writerVault.sync.once({ direction: 'pull' })
    expect(asked).not.toContain(SIGNED)
    await writerVault.sync.once()
    expect(asked).toContain(SIGNED)
  })

  it('counts on from what a copy of the folder has signed', async () => {
    const { world, writer, writerVault, victimVault } = await makePair(723)
    const copy = world.makeDevice({ disk: await writer.disk.copy() })
    const copied = await copy.open()
    for (const [vault, key] of [
      [writerVault, 'a'],
      [copied, 'b'],
      [writerVault, 'c'],
      [copied, 'd'],
    ] as const) {
      world.clock.ms += 2 * MINUTE_MS
      await put(vault, key, key)
      expect(await exchange(vault)).toBeUndefined()
      expect(vault.sync.status.problem).toBeNull()
    }
    expect(await exchange(victimVault)).toBeUndefined()
    expect(await seenOf(victimVault, 'writer')).toMatchObject({ state: 'linked' })
    expect((await victimVault.verify()).isSound).toBe(true)
  })

  it('is linked by the digests alone when it stands before the cursor, and once', async () => {
    const { world, writerVault, victim, victimVault } = await makePair(724)
    world.clock.ms += 2 * MINUTE_MS
    await put(writerVault, 'a', 'a')
    await writerVault.sync.once()
    await put(writerVault, 'b', 'b')
    await put(writerVault, 'c', 'c')
    await writerVault.sync.once()
    // It is not served until the log has passed it.
    rewriteRoute(victim, '/v1/checkpoints', async (request, carry) =>
      request.method === 'GET'
        ? cbor(encodeMessage(CheckpointsAnswer, { checkpoints: [] }))
        : carry(request),
    )
    await victimVault.sync.once()
    victim.network.fetch = (request, carry) => carry(request)
    const asked = watch(victim)
    for (let i = 0; i < 2; i++) await victimVault.sync.once()
    expect(asked.filter(isWalk)).toHaveLength(1)
    expect(await seenOf(victimVault, 'writer')).toMatchObject({ state: 'linked' })
  })

  it('is passed by a pull without asking for anything twice', async () => {
    const { world, writerVault, victim, victimVault } = await makePair(725)
    for (const key of ['a', 'b', 'c']) {
      world.clock.ms += 2 * MINUTE_MS
      await put(writerVault, key, key)
      await writerVault.sync.once()
    }
    await put(writerVault, 'd', 'd')
    await writerVault.sync.once()
    const asked = watch(victim)
    await victimVault.sync.once()
    expect(asked.filter(isWalk)).toEqual([])
    expect(await seenOf(victimVault, 'writer')).toMatchObject({ state: 'linked' })
  })

  it('holds up nothing where the remote takes or serves none', async () => {
    const { world, writer, writerVault, victimVault } = await makePair(726)
    rewriteRoute(writer, '/v1/checkpoints', async () =>
      Response.json(
        { type: 'about:blank', title: 't', status: 404, code: 'not-found', detail: 'no route' },
        { status: 404, headers: { 'content-type': 'application/problem+json' } },
      ),
    )
    world.clock.ms += 2 * MINUTE_MS
    await put(writerVault, 'a', 'a')
    expect(await exchange(writerVault)).toBeUndefined()
    expect(writerVault.sync.status).toMatchObject({ pending: 0, problem: { code: 'not-found' } })
    await victimVault.sync.once()
    writer.network.fetch = (request, carry) => carry(request)
    expect(await exchange(writerVault)).toBeUndefined()
    expect(writerVault.sync.status.problem).toBeNull()
  })
})

describe('a version of a closed epoch that a checkpoint names', () => {
  it('is written again by the device that wrote it, and by no other', async () => {
    const { world, writer, writerVault, victim, victimVault } = await makePair(727)
    world.clock.ms += 2 * MINUTE_MS
    let pair: Uint8Array | undefined
    rewriteRoute(victim, '/v1/changes', async (request, carry) => {
      const response = await carry(request)
      const frames = await readChanges(response.clone())
      const [envelope] = transactionsOf(frames).flatMap((frame) => frame[4])
      if (envelope !== undefined) pair = envelopePair(envelope as Envelope).slice()
      return response
    })
    await put(writerVault, 'note', 'of the writer')
    await writerVault.sync.once()
    await victimVault.sync.once()
    victim.network.fetch = (request, carry) => carry(request)
    // The other device has put it aside, and says so: each is shown what the other would have signed.
    const late = [pair as Uint8Array]
    const signedBy = async (device: Device, vault: Vault): Promise<Uint8Array> => {
      const { deviceKeys } = await decodeDeviceKeyFile(await device.disk.folder().readKeys())
      const newest = parseCheckpoint((await vault.checkpoints.newestCheckpoint()) as Uint8Array)
      const { memberId } = deviceKeys
      const number = newest.number + 100
      const body = encodeCheckpointBody({ ...newest, memberId, number, late })
      return encodeCheckpoint(body, deviceKeys.sign(checkpointSignedBytes(newest.vaultId, body)))
    }
    const show = async (device: Device, checkpoint: Uint8Array): Promise<void> =>
      rewriteRoute(device, '/v1/checkpoints', async (request, carry) =>
        request.method === 'GET'
          ? cbor(encodeMessage(CheckpointsAnswer, { checkpoints: [checkpoint] }))
          : carry(request),
      )
    await show(writer, await signedBy(victim, writerVault))
    await show(victim, await signedBy(writer, victimVault))
    const seq = (await writerVault.verify()).seq
    for (let i = 0; i < 2; i++) {
      await victimVault.sync.once()
      expect(codesOf(victimVault)).not.toContain('record-rewritten')
    }
    await writerVault.sync.once()
    expect(codesOf(writerVault)).toContain('record-rewritten')
    await writerVault.sync.once()
    expect((await writerVault.verify()).seq).toBe(seq + 1)
    expect(await writerVault.collection('notes').get('note')).toEqual({ text: 'of the writer' })
  })
})
