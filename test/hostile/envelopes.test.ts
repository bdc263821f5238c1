/**
 * A hostile remote that spoils, swaps, relabels or invents envelopes on their way to a device: over
 * changes, records and the live socket, also with a chain that it has computed anew.
 *
 * Threats: 6, 12, 13, 15, 16, 18 (as far as a vault has no signatures yet), 20, 25, 36, 39.
 * Lessons: A2, A7, A9, A16, A20.
 */
import type { Vault } from '@blindcopy/client'
import { type Envelope, envelopeTimestamp, equalBytes } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { makeWorld } from '../simulation/world.ts'
import {
  behaveHonestly,
  exchange,
  type Frame,
  flip,
  get,
  makePair,
  mapEnvelopes,
  type Pair,
  put,
  readChanges,
  rewriteChanges,
  rewriteHistory,
  rewriteLive,
  rewriteRecords,
  rewriteRoute,
  transactionsOf,
  turnUntil,
} from './adversary.ts'

/** Bytes 6 to 37, record id and timestamp: all that the chain covers. */
const isPairByte = (offset: number): boolean => offset >= 6 && offset < 38
const SMALLEST_ENVELOPE_BYTES = 334

const quarantineOf = async (vault: Vault): Promise<number> => (await vault.quarantined()).length

/** The victim holds the old version; the new one and another record are on their way. */
async function makeTravelling(seed: number): Promise<Pair & { target: Uint8Array }> {
  const pair = await makePair(seed, { target: { text: 'old' } })
  await put(pair.writerVault, 'target', { text: 'new' })
  await put(pair.writerVault, 'other', { text: 'beside it' })
  await pair.writerVault.sync.once()
  let target: Uint8Array | undefined
  rewriteChanges(pair.victim, (frames) => {
    target = transactionsOf(frames)[0]?.[4][0]
    throw new Error('only looked at')
  })
  await exchange(pair.victimVault)
  behaveHonestly(pair.victim)
  if (target === undefined) throw new Error('nothing travels')
  expect(target.length).toBe(SMALLEST_ENVELOPE_BYTES)
  return { ...pair, target }
}

const spoil = (target: Uint8Array, offset: number) => (envelope: Uint8Array) =>
  equalBytes(envelope, target) ? flip(envelope, offset) : envelope

describe('an envelope with one bit flipped, over changes and records', () => {
  it('never replaces the good record, at any of its bytes, and the rest goes on', async () => {
    const { world, victim, victimVault, target } = await makeTravelling(101)
    await victimVault.close()
    for (let offset = 0; offset < target.length; offset++) {
      const device = world.makeDevice({ disk: await victim.disk.copy() })
      const vault = await device.open()
      rewriteChanges(device, (frames) => mapEnvelopes(frames, spoil(target, offset)))
      rewriteRecords(device, (envelopes) =>
        envelopes.map((envelope) => envelope && spoil(target, offset)(envelope)),
      )
      const code = await exchange(vault)
      expect(await get(vault, 'target'), `byte ${offset}`).toEqual({ text: 'old' })
      if (isPairByte(offset)) {
        expect(code).toBe('integrity')
        expect(await quarantineOf(vault)).toBe(0)
      } else {
        expect(code).toBeUndefined()
        expect(await get(vault, 'other')).toEqual({ text: 'beside it' })
        expect(await quarantineOf(vault)).toBe(1)
      }
      behaveHonestly(device)
      expect(await exchange(vault)).toBeUndefined()
      expect(await get(vault, 'target')).toEqual({ text: 'new' })
      expect(await get(vault, 'other')).toEqual({ text: 'beside it' })
      expect(await quarantineOf(vault)).toBe(0)
      await vault.close()
    }
  })

  it('never replaces it either when the chain is computed anew', async () => {
    const { world, victim, victimVault, target } = await makeTravelling(102)
    await victimVault.close()
    for (let offset = 6; offset < 38; offset++) {
      const device = world.makeDevice({ disk: await victim.disk.copy() })
      const vault = await device.open()
      rewriteHistory(device, (frames) => mapEnvelopes(frames, spoil(target, offset)))
      expect(await exchange(vault)).toBeUndefined()
      // Found at the head, it may have been healed: then the true one is there.
      const held = (await get(vault, 'target')) as { text: string }
      expect(['old', 'new'], `byte ${offset}`).toContain(held.text)
      expect(await get(vault, 'other')).toEqual({ text: 'beside it' })
      // One that claims to be older than what is held is not even worth putting aside.
      expect(await quarantineOf(vault)).toBeLessThanOrEqual(1)
      await vault.close()
    }
  })
})

describe('an envelope with one bit flipped, over the live socket', () => {
  it('never shows, at any of its bytes, and the next exchange brings the good one', async () => {
    const { victim, victimVault, writerVault } = await makePair(103, { target: { text: 'v' } })
    victimVault.sync.start()
    let offset = 0
    let seen = 0
    rewriteLive(victim, (frame) => {
      if (frame[0] !== 0) return [frame]
      seen++
      return [[0, frame[1], frame[2], frame[3], frame[4].map((e) => flip(e, offset)), frame[5]]]
    })
    await victimVault.sync.once()
    for (; offset < SMALLEST_ENVELOPE_BYTES; offset++) {
      await turnUntil(() => victimVault.sync.status.phase === 'live')
      const before = seen
      await put(writerVault, 'target', { text: `v${offset}` })
      await writerVault.sync.once()
      await turnUntil(() => seen > before)
      const shown = (await get(victimVault, 'target')) as { text: string }
      expect([`v${offset - 1}`, 'v']).toContain(shown.text)
      await victimVault.sync.once()
      expect(await get(victimVault, 'target')).toEqual({ text: `v${offset}` })
    }
    await victimVault.close()
  })
})

describe('a relabelled envelope', () => {
  const relabel: Record<string, (envelope: Uint8Array) => Uint8Array> = {
    'as another epoch': (envelope) => changed(envelope, 5, 9),
    'as epoch 0': (envelope) => changed(envelope, 5, 0),
    'as a deletion': (envelope) => changed(envelope, 1, 1),
    'as a signed one': (envelope) => changed(envelope, 1, 2),
    'as a later version': (envelope) => changed(envelope, 0, 2),
    'as later by an hour': (envelope) => changed(envelope, 24, (envelope[24] as number) + 1),
    'as older': (envelope) => changed(envelope, 24, (envelope[24] as number) - 1),
    'as another record': (envelope) => changed(envelope, 6, (envelope[6] as number) ^ 0xff),
    'cut behind its header': (envelope) => envelope.slice(0, 62),
    'cut in its header': (envelope) => envelope.slice(0, 40),
    'cut by a byte': (envelope) => envelope.slice(0, -1),
    'longer by a byte': (envelope) => Uint8Array.of(...envelope, 0),
    'as nothing': () => new Uint8Array(0),
  }
  for (const [how, map] of Object.entries(relabel)) {
    it(`does not take effect: ${how}`, async () => {
      const { victim, victimVault, target } = await makeTravelling(104)
      const relabelled = (envelope: Uint8Array): Uint8Array =>
        equalBytes(envelope, target) ? map(envelope) : envelope
      // A chain that fits can be made of whatever still has a record id and a timestamp.
      const rewrite = map(target).length >= 38 ? rewriteHistory : rewriteChanges
      rewrite(victim, (frames) => mapEnvelopes(frames, relabelled))
      rewriteRecords(victim, (envelopes) => envelopes.map((one) => one && relabelled(one)))
      const code = await exchange(victimVault)
      expect(await get(victimVault, 'target')).toEqual({ text: 'old' })
      expect([undefined, 'integrity', 'malformed', 'network']).toContain(code)
      if (code === undefined) {
        expect(await quarantineOf(victimVault)).toBe(how === 'as older' ? 0 : 1)
        expect(await get(victimVault, 'other')).toEqual({ text: 'beside it' })
      }
      await put(victimVault, 'target', { text: 'mine' })
      expect(await get(victimVault, 'target')).toEqual({ text: 'mine' })
      await victimVault.close()
    })
  }
})

const changed = (bytes: Uint8Array, offset: number, value: number): Uint8Array => {
  const copy = bytes.slice()
  copy[offset] = value
  return copy
}

describe('the ciphertexts of two records, swapped', () => {
  it('open as neither, and both records stay as they were', async () => {
    const pair = await makePair(105, { a: { text: 'old a' }, b: { text: 'old b' } })
    const { victim, victimVault, writerVault } = pair
    await writerVault.transaction(async (transaction) => {
      const notes = transaction.collection(writerVault.collection('notes'))
      await notes.put('a', { text: 'new a' })
      await notes.put('b', { text: 'new b' })
    })
    await writerVault.sync.once()
    const swap = (envelopes: Uint8Array[]): Uint8Array[] => {
      const [one, two] = envelopes
      if (one === undefined || two === undefined) return envelopes
      return [graft(one, two), graft(two, one)]
    }
    rewriteChanges(victim, (frames) =>
      frames.map((frame): Frame => {
        if (frame[0] !== 0) return frame
        return [0, frame[1], frame[2], frame[3], swap(frame[4]), frame[5]]
      }),
    )
    rewriteRecords(victim, (envelopes) => swap(envelopes as Uint8Array[]))
    expect(await exchange(victimVault)).toBeUndefined()
    expect(await get(victimVault, 'a')).toEqual({ text: 'old a' })
    expect(await get(victimVault, 'b')).toEqual({ text: 'old b' })
    expect(await quarantineOf(victimVault)).toBe(2)
    behaveHonestly(victim)
    expect(await exchange(victimVault)).toBeUndefined()
    expect(await get(victimVault, 'a')).toEqual({ text: 'new a' })
    expect(await get(victimVault, 'b')).toEqual({ text: 'new b' })
    await victimVault.close()
  })
})

/** The header of one envelope on the nonce and ciphertext of another. */
const graft = (header: Uint8Array, body: Uint8Array): Uint8Array =>
  Uint8Array.of(...header.subarray(0, 38), ...body.subarray(38))

describe('an old envelope, replayed', () => {
  /** Serves `old` once more, at the end of the log. */
  const replay = (pair: Pair, old: Uint8Array): void =>
    rewriteHistory(pair.victim, (frames) => {
      const end = frames[frames.length - 1] as Frame
      const id = envelopeTimestamp(old as Envelope)
      const again: Frame = [0, 0, old.slice(0, 32) as never, id, [old], new Uint8Array(0)]
      return [...frames.slice(0, -1), again, end]
    })

  const served = async (pair: Pair): Promise<Uint8Array> => {
    let old: Uint8Array | undefined
    rewriteRoute(pair.victim, '/v1/changes', async (request, carry) => {
      const response = await carry(request)
      const copy = response.clone()
      old = transactionsOf(await readChanges(copy)).at(-1)?.[4][0]
      return response
    })
    await pair.victimVault.sync.once()
    behaveHonestly(pair.victim)
    if (old === undefined) throw new Error('nothing was served')
    return old
  }

  it('does not bring an older version back', async () => {
    const pair = await makePair(106)
    await put(pair.writerVault, 'target', { text: 'old' })
    await pair.writerVault.sync.once()
    const old = await served(pair)
    await put(pair.writerVault, 'target', { text: 'new' })
    await pair.writerVault.sync.once()
    await pair.victimVault.sync.once()
    replay(pair, old)
    await exchange(pair.victimVault)
    expect(await get(pair.victimVault, 'target')).toEqual({ text: 'new' })
    await pair.victimVault.close()
  })

  it('does not bring a deleted record back', async () => {
    const pair = await makePair(107)
    await put(pair.writerVault, 'target', { text: 'deleted' })
    await pair.writerVault.sync.once()
    const old = await served(pair)
    await pair.writerVault.collection('notes').delete('target')
    await pair.writerVault.sync.once()
    await pair.victimVault.sync.once()
    replay(pair, old)
    await exchange(pair.victimVault)
    expect(await get(pair.victimVault, 'target')).toBeUndefined()
    expect(await pair.victimVault.collection('notes').list()).toEqual([])
    await pair.victimVault.close()
  })

  it('does not stand in for a version that was put aside', async () => {
    const pair = await makePair(108)
    await put(pair.writerVault, 'target', { text: 'old' })
    await pair.writerVault.sync.once()
    const old = await served(pair)
    await put(pair.writerVault, 'target', { text: 'new' })
    await pair.writerVault.sync.once()
    rewriteChanges(pair.victim, (frames) => mapEnvelopes(frames, (bytes) => flip(bytes, 100)))
    rewriteRecords(pair.victim, (envelopes) => envelopes.map(() => old))
    expect(await exchange(pair.victimVault)).toBeUndefined()
    expect(await get(pair.victimVault, 'target')).toEqual({ text: 'old' })
    expect(await quarantineOf(pair.victimVault)).toBe(1)
    behaveHonestly(pair.victim)
    expect(await exchange(pair.victimVault)).toBeUndefined()
    expect(await get(pair.victimVault, 'target')).toEqual({ text: 'new' })
    await pair.victimVault.close()
  })
})

describe('the envelopes of another vault', () => {
  it('are put aside, and the vault goes on', async () => {
    const { world, victim, victimVault, writerVault } = await makePair(109)
    const stranger = world.makeDevice()
    const { vault: strange } = await stranger.create()
    await put(strange, 'target', { text: 'from another vault' })
    await strange.sync.once()
    const foreign: Uint8Array[] = []
    for await (const page of stranger.disk.records.pages({ gte: Uint8Array.of(0x76) })) {
      for (const [, value] of page) if (value.length >= 334) foreign.push(value)
    }
    expect(foreign.length).toBeGreaterThan(0)
    await put(writerVault, 'own', { text: 'own' })
    await writerVault.sync.once()
    rewriteHistory(victim, (frames) => {
      const own = frames.find((frame) => frame[0] === 0)
      if (own === undefined) return frames
      const strangeFrames = foreign.map(
        (bytes): Frame => [
          0,
          0,
          own[2] as never,
          envelopeTimestamp(bytes as Envelope),
          [bytes],
          new Uint8Array(0),
        ],
      )
      return [...strangeFrames, ...frames]
    })
    rewriteRecords(victim, (envelopes) => envelopes.map(() => foreign[0] ?? null))
    expect(await exchange(victimVault)).toBeUndefined()
    expect(await get(victimVault, 'own')).toEqual({ text: 'own' })
    expect(await get(victimVault, 'target')).toBeUndefined()
    expect(await quarantineOf(victimVault)).toBe(foreign.length)
    await victimVault.close()
    await strange.close()
  })
})

describe('what is put aside', () => {
  it('looks the same whatever was wrong with it', async () => {
    const reasons = new Set<string>()
    for (const offset of [40, 70, 200, SMALLEST_ENVELOPE_BYTES - 1]) {
      const { victim, victimVault, target } = await makeTravelling(110)
      rewriteChanges(victim, (frames) => mapEnvelopes(frames, spoil(target, offset)))
      rewriteRecords(victim, (envelopes) => envelopes.map(() => null))
      await exchange(victimVault)
      for (const { reason } of await victimVault.quarantined()) reasons.add(reason)
      await victimVault.close()
    }
    expect([...reasons]).toEqual(['tampered'])
  })

  it('is written over by a newer write of this device, which other devices get', async () => {
    const pair = await makeTravelling(111)
    const { victim, victimVault, writerVault, target } = pair
    rewriteChanges(victim, (frames) => mapEnvelopes(frames, spoil(target, 100)))
    rewriteRecords(victim, (envelopes) => envelopes.map(() => null))
    await exchange(victimVault)
    await put(victimVault, 'target', { text: 'newest' })
    await exchange(victimVault)
    await writerVault.sync.once()
    expect(await get(writerVault, 'target')).toEqual({ text: 'newest' })
    expect(await quarantineOf(victimVault)).toBe(0)
    await victimVault.close()
  })
})

it('the adversary changes nothing when it passes everything on', async () => {
  const world = makeWorld(112)
  const device = world.makeDevice()
  const { vault } = await device.create()
  rewriteHistory(device, (frames) => frames)
  rewriteLive(device, (frame) => [frame])
  await put(vault, 'a', { text: 'a' })
  await vault.sync.once()
  await vault.sync.once()
  expect(vault.sync.status).toMatchObject({ pending: 0, problem: null })
  await vault.close()
})
