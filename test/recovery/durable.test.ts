/**
 * Awaiting where a write is safe, and exchanging one way only.
 *
 * Lessons: C3. Threats: 27 (a promise that is kept only when the remote has acknowledged).
 */
import { describe, expect, it } from 'vitest'
import {
  behaveHonestly,
  exchange,
  flip,
  get,
  makePair,
  mapEnvelopes,
  rewriteChanges,
  rewriteRoute,
} from '../hostile/adversary.ts'
import { refusal, turn, unreachable, until } from '../simulation/world.ts'
import { expectInStep, put } from './recovery.ts'

describe('durable', () => {
  it('local, once it is written through to the disk', async () => {
    const { victim, victimVault } = await makePair(960)
    await put(victimVault, 'a', 'a')
    await expect(victimVault.durable('local')).resolves.toBeUndefined()
    victim.disk.failure = new Error('the disk is gone')
    await expect(victimVault.durable('local')).rejects.toThrow('the disk is gone')
  })

  it('remote, when the remote has it and not before', async () => {
    const { victim, victimVault, writerVault } = await makePair(961)
    victim.network.fetch = async () => unreachable()
    await put(victimVault, 'a', '1')
    victimVault.sync.start()
    let isThere = false
    const awaited = victimVault.durable('remote').then(() => {
      isThere = true
    })
    for (let i = 0; i < 50; i++) await turn()
    // A later write of the same record does not take the place of what is awaited.
    await put(victimVault, 'a', '2')
    expect(isThere).toBe(false)
    victim.network.fetch = (request, carry) => carry(request)
    await until(victim, victimVault, ({ phase }) => phase === 'live')
    await awaited
    await writerVault.sync.once()
    expect(await get(writerVault, 'a')).toEqual({ text: '2' })
    await expect(victimVault.durable('remote')).resolves.toBeUndefined()
    await victimVault.sync.stop()
  })

  it('remote, refuses when sync does not run, has stopped, or is stopped meanwhile', async () => {
    const { victim, victimVault } = await makePair(962)
    await put(victimVault, 'a', 'a')
    expect(await refusal(victimVault.durable('remote'))).toMatchObject({ code: 'sync-stopped' })
    victim.network.fetch = async () => unreachable()
    victimVault.sync.start()
    const awaited = refusal(victimVault.durable('remote'))
    for (let i = 0; i < 20; i++) await turn()
    await victimVault.sync.stop()
    expect(await awaited).toMatchObject({ code: 'sync-stopped' })
    const called = new AbortController()
    victimVault.sync.start()
    const off = refusal(victimVault.durable('remote', called.signal))
    called.abort()
    expect(await off).toMatchObject({ code: 'closed' })
    await victimVault.sync.stop()
  })

  it('remote, refuses when one of the writes is refused', async () => {
    const { world, victim, victimVault } = await makePair(963)
    // Nobody agrees to a correction by years: what was written then is refused.
    victim.skewMs = 3 * 365 * 24 * 3_600_000
    await put(victimVault, 'ahead', 'by years')
    world.restartRemote({ tokenKey: world.chance.bytes(32) })
    const done = victimVault.sync.once()
    expect(await refusal(victimVault.durable('remote'))).toMatchObject({ code: 'write-refused' })
    await done
    expect(victimVault.sync.status.attention).toBe(1)
  })

  it('device, when another device has opened it and has signed that, and not before', async () => {
    const { world, writer, victimVault, writerVault } = await makePair(964)
    for (const vault of [victimVault, writerVault]) vault.sync.start()
    await put(victimVault, 'a', 'a')
    await victimVault.durable('remote')
    let isThere = false
    const awaited = victimVault.durable('device').then(() => {
      isThere = true
    })
    for (let i = 0; i < 200; i++) await turn()
    expect(isThere).toBe(false)
    // The other one has it, and may sign a minute after it last did.
    world.clock.ms += 61_000
    writer.fireTimers()
    await awaited
    expect(await get(writerVault, 'a')).toEqual({ text: 'a' })
    await expect(victimVault.durable('device')).resolves.toBeUndefined()
    for (const vault of [victimVault, writerVault]) await vault.sync.stop()
  })

  it('device, is not reached by a device that could not open it, nor by a remote alone', async () => {
    const { world, writer, victimVault, writerVault } = await makePair(967)
    rewriteChanges(writer, (frames) =>
      mapEnvelopes(frames, (envelope) => flip(envelope, envelope.length - 1)),
    )
    rewriteRoute(writer, '/v1/records', async () => new Response(null, { status: 503 }))
    world.clock.ms += 61_000
    await put(victimVault, 'a', 'a')
    await victimVault.sync.once()
    await writerVault.sync.once()
    expect((await writerVault.verify()).devices[0]).toMatchObject({ isThis: true, unopened: 1 })
    victimVault.sync.start()
    let isThere = false
    const awaited = victimVault.durable('device').then(() => {
      isThere = true
    })
    for (let i = 0; i < 200; i++) await turn()
    expect(isThere).toBe(false)
    // It was written again meanwhile; a device that can open it makes it so.
    behaveHonestly(writer)
    world.clock.ms += 61_000
    await writerVault.sync.once()
    await awaited
    expect(await get(writerVault, 'a')).toEqual({ text: 'a' })
    await victimVault.sync.stop()
  })

  it('device, refuses when sync does not run, and what is no tier', async () => {
    const { victimVault } = await makePair(968)
    await put(victimVault, 'a', 'a')
    await victimVault.sync.once()
    expect(await refusal(victimVault.durable('device'))).toMatchObject({ code: 'sync-stopped' })
    expect(await refusal(victimVault.durable('moon' as never))).toMatchObject({
      code: 'invalid-argument',
    })
  })
})

describe('one way', () => {
  it('pull only takes and gives nothing, not even what was sent before', async () => {
    const { world, victim, victimVault, writerVault } = await makePair(965)
    await put(victimVault, 'mine', 'mine')
    rewriteRoute(victim, '/v1/push', async (request, carry) => {
      await carry(request)
      return unreachable()
    })
    expect(await exchange(victimVault)).toBe('network')
    await put(writerVault, 'theirs', 'theirs')
    await writerVault.sync.once()
    let pushes = 0
    rewriteRoute(victim, '/v1/push', async (request, carry) => {
      pushes++
      return carry(request)
    })
    await victimVault.sync.once({ direction: 'pull' })
    expect(pushes).toBe(0)
    expect(await get(victimVault, 'theirs')).toEqual({ text: 'theirs' })
    victim.network.fetch = (request, carry) => carry(request)
    expect(await expectInStep(world, [victimVault, writerVault])).toContain('mine')
  })

  it('push only gives and takes nothing', async () => {
    const { world, victimVault, writerVault } = await makePair(966)
    await put(writerVault, 'theirs', 'theirs')
    await writerVault.sync.once()
    await put(victimVault, 'mine', 'mine')
    await victimVault.sync.once({ direction: 'push' })
    expect(victimVault.sync.status.pending).toBe(0)
    expect(await get(victimVault, 'theirs')).toBeUndefined()
    await writerVault.sync.once()
    expect(await get(writerVault, 'mine')).toEqual({ text: 'mine' })
    await expectInStep(world, [victimVault, writerVault])
  })
})
