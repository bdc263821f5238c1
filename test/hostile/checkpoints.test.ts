/**
 * Checkpoints against a remote that lies with what is validly sealed: two histories, records kept
 * back, acknowledgements that mean nothing, an old view for ever. Each lie is noticed by the first
 * device that can know, is told by its name, and changes nothing that is held.
 *
 * Threats: 15, 22, 23, 24, 25, 27, 28.
 */
import type { Vault } from '@blindcopy/client'
import {
  CheckpointsAnswer,
  checkpointSignedBytes,
  type Envelope,
  encodeCbor,
  encodeCheckpoint,
  encodeCheckpointBody,
  encodeMessage,
  envelopePair,
  equalBytes,
  Fingerprint,
  type Hash,
  parseCheckpoint,
  parseMessage,
} from '@blindcopy/protocol'
import { createRemote, type Remote } from '@blindcopy/remote'
import { verifySignature } from '@blindcopy/remote/node'
import { createMemoryStore, type Store } from '@blindcopy/secondary'
import { decodeDeviceKeyFile } from '@blindcopy/vault'
import { describe, expect, it } from 'vitest'
import { codesOf } from '../recovery/recovery.ts'
import { copyOf, type Device, exportOf, REMOTE, type World } from '../simulation/world.ts'
import {
  behaveHonestly,
  cbor,
  exchange,
  flip,
  get,
  makePair,
  mapEnvelopes,
  put,
  rewriteChanges,
  rewriteRoute,
  transactionsOf,
} from './adversary.ts'

const MINUTE_MS = 60_000
const WEEK_MS = 7 * 24 * 60 * MINUTE_MS

/** Enough for the next checkpoint. */
const pass = (world: World, ms = 2 * MINUTE_MS): void => {
  world.clock.ms += ms
}

/** Another process on another disk, which believes itself to be the same remote. */
function remoteOn(world: World, store: Store): Remote {
  return createRemote({
    store,
    verify: verifySignature,
    origins: [REMOTE],
    registration: { mode: 'open' },
    nowMs: () => world.clock.ms,
    random: world.chance.bytes,
    tokenKey: new Uint8Array(32).fill(7),
    onFault: (error) => world.faults.push(error),
  })
}

/** From here on the device is shown its own copy of the remote. */
async function showApart(world: World, device: Device): Promise<Remote> {
  const apart = remoteOn(world, await copyOf(world.store))
  device.network.fetch = async (request) => apart.app.fetch(request)
  return apart
}

/** What devices sign, as it goes by. */
function overhear(device: Device): Uint8Array[] {
  const signed: Uint8Array[] = []
  const before = device.network.fetch
  device.network.fetch = async (request, carry) => {
    if (request.method === 'PUT' && request.url.endsWith('/v1/checkpoints')) {
      signed.push(new Uint8Array(await request.clone().arrayBuffer()))
    }
    return before(request, carry)
  }
  return signed
}

/** Serves other checkpoints than the remote has. */
function rewriteCheckpoints(
  device: Device,
  rewrite: (checkpoints: Uint8Array[]) => Uint8Array[],
): void {
  rewriteRoute(device, '/v1/checkpoints', async (request, carry) => {
    const response = await carry(request)
    if (request.method !== 'GET' || !response.ok) return response
    const { checkpoints } = parseMessage(
      CheckpointsAnswer,
      new Uint8Array(await response.arrayBuffer()),
    )
    return cbor(encodeMessage(CheckpointsAnswer, { checkpoints: rewrite(checkpoints) }))
  })
}

/** In place of what the remote has of the same device. */
const withNewest =
  (signed: readonly Uint8Array[]) =>
  (checkpoints: Uint8Array[]): Uint8Array[] => {
    const newest = signed[signed.length - 1]
    if (newest === undefined) return checkpoints
    const { memberId } = parseCheckpoint(newest)
    const others = checkpoints.filter(
      (bytes) => !equalBytes(parseCheckpoint(bytes).memberId, memberId),
    )
    return [...others, newest]
  }

const seenOf = async (vault: Vault, name: string) =>
  (await vault.verify()).devices.find((device) => device.name === name)

describe('an honest remote', () => {
  it('lets each device see what the other has signed, and stops nobody', async () => {
    const { world, writerVault, victimVault } = await makePair(700, { a: { text: 'a' } })
    pass(world)
    await victimVault.sync.once()
    await writerVault.sync.once()
    for (const [vault, other] of [
      [writerVault, 'victim'],
      [victimVault, 'writer'],
    ] as const) {
      expect(await seenOf(vault, other)).toMatchObject({ state: 'linked', isSilent: false })
      expect((await vault.verify()).isSound).toBe(true)
      expect(vault.sync.status).toMatchObject({ problem: null, phase: 'resting' })
      expect(codesOf(vault)).toEqual([])
    }
    const [one, other] = [await writerVault.verify(), await victimVault.verify()]
    expect([one.seq, one.chain, one.keychain]).toEqual([other.seq, other.chain, other.keychain])
  })
})

describe('threat 23: two devices are shown different histories', () => {
  it('stops the first device that is shown what the other has signed, and drops nothing', async () => {
    const { world, writer, writerVault, victim, victimVault } = await makePair(701)
    await showApart(world, victim)
    const signed = overhear(writer)
    rewriteCheckpoints(victim, withNewest(signed))
    pass(world)
    await put(writerVault, 'one', { text: 'of the writer' })
    await writerVault.sync.once()
    expect(signed).toHaveLength(1)
    await put(victimVault, 'two', { text: 'of the victim' })
    await put(victimVault, 'three', { text: 'of the victim too' })
    const before = await exportOf(victimVault)
    const code = (await exchange(victimVault)) ?? (await exchange(victimVault))
    expect(code).toBe('history-forked')
    expect(victimVault.sync.status).toMatchObject({ phase: 'stopped' })
    expect(victimVault.sync.status.problem?.remedy).toContain('blindcopy verify')
    expect(await exportOf(victimVault)).toBe(before)
    expect(await seenOf(victimVault, 'writer')).toMatchObject({ state: 'forked' })
    expect((await victimVault.verify()).isSound).toBe(false)
    // It stays so, also in another process.
    expect(await exchange(victimVault)).toBe('history-forked')
    await victimVault.close()
    const again = await victim.open()
    expect(again.sync.status.problem?.code).toBe('history-forked')
    expect(await exchange(again)).toBe('history-forked')
    // The person lets it go on: nothing is dropped, and the same checkpoint does not stop it again.
    await again.sync.reconcile()
    expect(await exportOf(again)).toBe(before)
    expect(await exchange(again)).toBeUndefined()
    expect(await seenOf(again, 'writer')).toMatchObject({ state: 'settled' })
    // What the writer signs next is judged by itself.
    pass(world)
    await put(writerVault, 'four', { text: 'later' })
    await writerVault.sync.once()
    await put(again, 'five', { text: 'later too' })
    expect((await exchange(again)) ?? (await exchange(again))).toBe('history-forked')
  })

  it('is no fork when the remote no longer serves what was signed', async () => {
    const { world, writer, writerVault, victim, victimVault } = await makePair(702)
    await showApart(world, victim)
    const signed = overhear(writer)
    let isRelayed = true
    rewriteCheckpoints(victim, (own) => (isRelayed ? withNewest(signed)(own) : own))
    pass(world)
    await put(writerVault, 'one', { text: 'of the writer' })
    await writerVault.sync.once()
    expect(await exchange(victimVault)).toBeUndefined()
    expect(codesOf(victimVault)).toEqual(['remote-rolled-back'])
    isRelayed = false
    for (const key of ['two', 'three']) {
      await put(victimVault, key, { text: 'of the victim' })
      expect(await exchange(victimVault)).toBeUndefined()
    }
    const seen = await seenOf(victimVault, 'writer')
    expect(seen).toMatchObject({ state: 'rolled-back' })
    expect(victimVault.sync.status.problem).toBeNull()
    // A healing tells whose checkpoint is not covered by what this device could bring back.
    behaveHonestly(victim)
    world.restartRemote({ store: createMemoryStore() })
    expect(await exchange(victimVault)).toBeUndefined()
    const healed = victimVault.sync.status.notices.find(({ code }) => code === 'healed')
    expect(healed?.message).toContain(seen?.deviceId)
    expect(await seenOf(victimVault, 'writer')).toMatchObject({ state: 'before-reset' })
  })
})

describe('threats 24 and 25: a record is kept back from one device', () => {
  it('as superseded, the digest and the stated set made to fit: the set it signed tells', async () => {
    const { world, writerVault, victim, victimVault } = await makePair(703, { a: { text: 'a' } })
    pass(world)
    await victimVault.sync.once()
    await writerVault.sync.once()
    pass(world)
    await put(writerVault, 'kept', { text: 'kept back' })
    await put(writerVault, 'shown', { text: 'shown' })
    await writerVault.sync.once()
    const before = await exportOf(victimVault)
    let pair: Uint8Array | undefined
    rewriteChanges(victim, (frames) => {
      const first = transactionsOf(frames).find((frame) => frame[4].length > 0)
      if (pair === undefined && first !== undefined) {
        pair = envelopePair(first[4][0] as Envelope).slice()
      }
      return frames.map((frame) => {
        if (pair === undefined) return frame
        if (frame === first) return [0, frame[1], frame[2], frame[3], [], pair]
        if (frame[0] !== 2) return frame
        const set = new Fingerprint(frame[4])
        set.remove(pair)
        return [2, frame[1], frame[2], frame[3] - 1, set.toBytes() as (typeof frame)[4]]
      })
    })
    expect(await exchange(victimVault)).toBe('history-differs')
    expect(await seenOf(victimVault, 'writer')).toMatchObject({ state: 'differs' })
    expect(await exchange(victimVault)).toBe('history-differs')
    // What had arrived with it is kept, and nothing of what was here is gone.
    expect(await exportOf(victimVault)).toContain(before)
    expect(await get(victimVault, 'kept')).toBeUndefined()
    behaveHonestly(victim)
    await victimVault.sync.reconcile()
    expect(await exchange(victimVault)).toBeUndefined()
    expect(await get(victimVault, 'kept')).toEqual({ text: 'kept back' })
  })

  it('by an old view for ever: the other device is shown as silent', async () => {
    const { world, writerVault, victim, victimVault } = await makePair(704, { a: { text: 'a' } })
    pass(world)
    for (const vault of [writerVault, victimVault, writerVault]) await vault.sync.once()
    await showApart(world, victim)
    for (let day = 0; day < 8; day++) {
      pass(world, WEEK_MS / 7)
      await put(writerVault, `day ${day}`, { text: 'written' })
      await writerVault.sync.once()
      expect(await exchange(victimVault)).toBeUndefined()
    }
    expect(await seenOf(victimVault, 'writer')).toMatchObject({ isSilent: true, state: 'linked' })
    expect(await seenOf(writerVault, 'victim')).toMatchObject({ isSilent: true })
    expect((await victimVault.verify()).devices[0]).toMatchObject({ isThis: true, isSilent: false })
  })
})

describe('threat 22: the remote goes back', () => {
  it('behind what another device has signed: it is told with that device, and heals', async () => {
    const { world, writerVault, victimVault } = await makePair(705, { a: { text: 'a' } })
    pass(world)
    for (const vault of [writerVault, victimVault]) await vault.sync.once()
    const image = await copyOf(world.store)
    pass(world)
    await put(writerVault, 'lost', { text: 'not in the image' })
    await writerVault.sync.once()
    await victimVault.sync.once()
    world.restartRemote({ store: image })
    for (let round = 0; round < 2; round++) {
      for (const vault of [victimVault, writerVault]) expect(await exchange(vault)).toBeUndefined()
    }
    for (const vault of [victimVault, writerVault]) {
      expect(codesOf(vault)).toContain('healed')
      expect(await get(vault, 'lost')).toEqual({ text: 'not in the image' })
      expect((await vault.verify()).isSound).toBe(true)
    }
  })

  it('with an old checkpoint in place of a newer one: it is told, once', async () => {
    const { world, writer, writerVault, victim, victimVault } = await makePair(706)
    const signed = overhear(writer)
    for (const key of ['one', 'two']) {
      pass(world)
      await put(writerVault, key, { text: key })
      await writerVault.sync.once()
      expect(await exchange(victimVault)).toBeUndefined()
    }
    expect(signed).toHaveLength(2)
    rewriteCheckpoints(victim, withNewest(signed.slice(0, 1)))
    expect(await exchange(victimVault)).toBeUndefined()
    const told = victimVault.sync.status.notices
    expect(told.map(({ code }) => code)).toEqual(['remote-rolled-back'])
    expect(told[0]?.message).toContain((await seenOf(victimVault, 'writer'))?.deviceId)
    pass(world)
    expect(await exchange(victimVault)).toBeUndefined()
    expect(victimVault.sync.status.notices).toEqual(told)
  })

  it('for a device that was given a checkpoint by hand: it stops before it believes it', async () => {
    const { world, writerVault, recoveryPhrase } = await makePair(707, { a: { text: 'a' } })
    const image = await copyOf(world.store)
    pass(world)
    await put(writerVault, 'b', { text: 'b' })
    await writerVault.sync.once()
    const given = await writerVault.checkpoints.newestCheckpoint()
    // The newcomer is known to the old copy alone.
    world.restartRemote({ store: image })
    const newcomer = await world.makeDevice().restore(recoveryPhrase, { deviceName: 'new' })
    await newcomer.checkpoints.expectCheckpoint(given as Uint8Array)
    expect(await exchange(newcomer)).toBe('history-forked')
    expect(await exchange(newcomer)).toBe('history-forked')
    await newcomer.sync.reconcile()
    expect(await exchange(newcomer)).toBeUndefined()
  })
})

describe('threat 27: an acknowledgement for what is not stored', () => {
  it('is told to the first device that sees what the writer has signed', async () => {
    const { world, writer, writerVault, victim, victimVault } = await makePair(708)
    // Whatever the writer pushes goes to a place that nobody else is shown.
    await showApart(world, writer)
    const signed = overhear(writer)
    pass(world)
    await put(writerVault, 'gone', { text: 'acknowledged and thrown away' })
    expect(await exchange(writerVault)).toBeUndefined()
    expect(writerVault.sync.status.pending).toBe(0)
    rewriteCheckpoints(victim, withNewest(signed))
    expect(await exchange(victimVault)).toBeUndefined()
    expect(codesOf(victimVault)).toEqual(['remote-rolled-back'])
    expect(await seenOf(victimVault, 'writer')).toMatchObject({ state: 'rolled-back' })
    // The log goes on without it: now it is a fork.
    await put(victimVault, 'mine', { text: 'mine' })
    expect((await exchange(victimVault)) ?? (await exchange(victimVault))).toBe('history-forked')
  })

  it('does not make a write durable on another device', async () => {
    const { world, writer, writerVault } = await makePair(709)
    await showApart(world, writer)
    pass(world)
    await put(writerVault, 'gone', { text: 'acknowledged and thrown away' })
    await writerVault.sync.once()
    const [end] = [new AbortController()]
    const awaited = writerVault.durable('device', end.signal)
    const outcome = awaited.then(
      () => 'durable',
      (error: { code?: string }) => error.code,
    )
    expect(await outcome).toBe('sync-stopped')
  })
})

describe('threat 15: what is served as a checkpoint and is none', () => {
  const lies: Record<string, (own: Uint8Array[], strange: Uint8Array) => Uint8Array[]> = {
    'of another vault': (own, strange) => [...own, strange],
    'with a bit flipped': (own) => own.map((bytes) => flip(bytes, bytes.length - 1)),
    'of random bytes': (own) => [...own, new Uint8Array(300).fill(7)],
  }
  it.each(Object.keys(lies))('%s: it counts for nothing and is told', async (name) => {
    const { world, writerVault, victim, victimVault } = await makePair(710, { a: { text: 'a' } })
    const elsewhere = await makePair(711, { a: { text: 'a' } })
    const strange = await elsewhere.writerVault.checkpoints.newestCheckpoint()
    pass(world)
    await put(writerVault, 'b', { text: 'b' })
    await writerVault.sync.once()
    const lie = lies[name] as (typeof lies)[string]
    rewriteCheckpoints(victim, (own) => lie(own, strange as Uint8Array))
    expect(await exchange(victimVault)).toBeUndefined()
    expect(['integrity', 'malformed']).toContain(victimVault.sync.status.problem?.code)
    expect(await get(victimVault, 'b')).toEqual({ text: 'b' })
    behaveHonestly(victim)
    expect(await exchange(victimVault)).toBeUndefined()
    expect(victimVault.sync.status.problem).toBeNull()
    expect(await seenOf(victimVault, 'writer')).toMatchObject({ state: 'linked' })
  })
})

describe('what a revoked device has signed', () => {
  it('stops nobody, whatever it says; the same of an active one does', async () => {
    const { world, writer, writerVault, victim, victimVault } = await makePair(713)
    const { deviceKeys } = await decodeDeviceKeyFile(await victim.disk.folder().readKeys())
    const newest = await victimVault.checkpoints.newestCheckpoint()
    const honest = parseCheckpoint(newest as Uint8Array)
    const { memberId } = deviceKeys
    const position = { ...honest.position, chain: new Uint8Array(32).fill(9) as Hash }
    const body = encodeCheckpointBody({ ...honest, memberId, position, number: 1_000 })
    const signature = deviceKeys.sign(checkpointSignedBytes(honest.vaultId, body))
    const forged = encodeCheckpoint(body, signature)
    rewriteCheckpoints(writer, () => [forged])
    expect(await exchange(writerVault)).toBe('history-forked')
    // Without it for a moment: the revocation must reach the remote.
    behaveHonestly(writer)
    await writerVault.sync.reconcile()
    pass(world)
    await writerVault.keys.revoke([victimVault.deviceId])
    rewriteCheckpoints(writer, () => [encodeCheckpoint(body, signature)])
    await put(writerVault, 'after', { text: 'the revocation' })
    for (let i = 0; i < 2; i++) expect(await exchange(writerVault)).toBeUndefined()
    expect(writerVault.sync.status.problem).toBeNull()
    expect((await writerVault.verify()).isSound).toBe(true)
  })
})

describe('a record that the remote spoils for one device', () => {
  it('is written again by the device that holds it, once', async () => {
    const { world, writer, writerVault, victim, victimVault } = await makePair(712)
    pass(world)
    await put(writerVault, 'note', { text: 'whole' })
    await writerVault.sync.once()
    let spoiled: Uint8Array | undefined
    const spoil = (envelope: Uint8Array): Uint8Array => {
      spoiled ??= envelopePair(envelope as Envelope).slice()
      const isIt = equalBytes(envelopePair(envelope as Envelope), spoiled)
      return isIt ? flip(envelope, envelope.length - 1) : envelope
    }
    rewriteChanges(victim, (frames) => mapEnvelopes(frames, spoil))
    rewriteRoute(victim, '/v1/records', async () => new Response(null, { status: 503 }))
    expect(await exchange(victimVault)).toBeUndefined()
    expect(await get(victimVault, 'note')).toBeUndefined()
    expect(await seenOf(victimVault, 'victim')).toMatchObject({ unopened: 1 })
    expect(await exchange(writerVault)).toBeUndefined()
    expect(codesOf(writerVault)).toEqual(['record-rewritten'])
    pass(world)
    expect(await exchange(victimVault)).toBeUndefined()
    expect(await get(victimVault, 'note')).toEqual({ text: 'whole' })
    expect(await victimVault.quarantined()).toEqual([])
    // Spoiled again, it is not written for ever.
    const pushes: string[] = []
    const before = writer.network.fetch
    writer.network.fetch = (request, carry) => {
      if (request.url.endsWith('/v1/push')) pushes.push(request.url)
      return before(request, carry)
    }
    pass(world)
    for (const vault of [victimVault, writerVault, writerVault]) await vault.sync.once()
    expect(pushes).toEqual([])
  })
})

describe('what could stop checkpoints for ever', () => {
  it('is no number that a remote only says it has', async () => {
    const { world, victim, victimVault } = await makePair(9471)
    const honest = victim.network.fetch
    const details = { number: Number.MAX_SAFE_INTEGER - 1 }
    victim.network.fetch = async (request, carry) => {
      if (request.method !== 'PUT') return honest(request, carry)
      const said = { type: 'about:blank', title: 'no', status: 409, detail: 'a newer one is there' }
      const problem = { ...said, code: 'checkpoint-old', ...details }
      const headers = { 'Content-Type': 'application/problem+json' }
      return new Response(JSON.stringify(problem), { status: 409, headers })
    }
    await put(victimVault, 'a', { text: 'b' })
    pass(world)
    await exchange(victimVault)
    expect(victimVault.sync.status.problem?.code).toBe('checkpoint-old')
    await victimVault.close()
    behaveHonestly(victim)
    const vault = await victim.open()
    const signed = overhear(victim)
    pass(world)
    await exchange(vault)
    expect(vault.sync.status.problem).toBeNull()
    expect(signed).toHaveLength(1)
    expect(parseCheckpoint(signed[0] as Uint8Array).number).toBeLessThan(100)
  })

  it('is none of a later version: it is told, and sync goes on', async () => {
    const { world, writerVault, victim, victimVault } = await makePair(9473)
    const later = encodeCbor([encodeCbor([2, 'later']).slice(), new Uint8Array(64)]).slice()
    rewriteCheckpoints(victim, (checkpoints) => [...checkpoints, later])
    await put(writerVault, 'a', { text: 'b' })
    await exchange(writerVault)
    pass(world)
    await exchange(victimVault)
    expect(await get(victimVault, 'a')).toEqual({ text: 'b' })
    expect(victimVault.sync.status.problem?.code).toBe('unsupported-version')
    behaveHonestly(victim)
    pass(world)
    await exchange(victimVault)
    expect(victimVault.sync.status.problem).toBeNull()
  })

  it('is no list that a member made up: it is named, and sync goes on without it', async () => {
    const { world, writer, writerVault, victimVault } = await makePair(9474)
    const { deviceKeys } = await decodeDeviceKeyFile(writer.disk.keys as Uint8Array, {})
    const passOn = writer.network.fetch
    writer.network.fetch = async (request, carry) => {
      if (request.method !== 'PUT') return passOn(request, carry)
      const checkpoint = parseCheckpoint(new Uint8Array(await request.arrayBuffer()))
      const keychainHead = new Uint8Array(32).fill(9) as Hash
      const body = encodeCheckpointBody({ ...checkpoint, keychainHead })
      const signed = checkpointSignedBytes(checkpoint.vaultId, body)
      const bytes = new Uint8Array(encodeCheckpoint(body, deviceKeys.sign(signed)))
      const { url, headers } = request
      return carry(new Request(url, { method: 'PUT', headers, body: bytes }))
    }
    await put(writerVault, 'a', { text: 'b' })
    pass(world)
    await exchange(writerVault)
    await expect(victimVault.sync.once()).rejects.toMatchObject({ code: 'sync-stopped' })
    const { problem } = victimVault.sync.status
    expect(problem).toMatchObject({ code: 'keychain-forked' })
    expect(problem?.message).toContain(writerVault.deviceId)
    expect(problem?.remedy).toMatch(/revoke/)
    await victimVault.keys.revoke([writerVault.deviceId])
    await exchange(victimVault)
    expect(victimVault.sync.status).toMatchObject({ phase: 'resting', problem: null })
  })

  it('is no time that no date can be made of: the remote refuses it', async () => {
    const { world, writer, writerVault, victimVault } = await makePair(9472)
    const { deviceKeys } = await decodeDeviceKeyFile(writer.disk.keys as Uint8Array, {})
    const statuses: number[] = []
    const passOn = writer.network.fetch
    writer.network.fetch = async (request, carry) => {
      if (request.method !== 'PUT') return passOn(request, carry)
      const checkpoint = parseCheckpoint(new Uint8Array(await request.arrayBuffer()))
      const { keychainLength, vaultId } = checkpoint
      const far = { timeMs: Number.MAX_SAFE_INTEGER, keychainLength: keychainLength + 1 }
      const body = encodeCheckpointBody({ ...checkpoint, ...far })
      const signature = deviceKeys.sign(checkpointSignedBytes(vaultId, body))
      const { url, headers } = request
      const bytes = new Uint8Array(encodeCheckpoint(body, signature))
      const answer = await carry(new Request(url, { method: 'PUT', headers, body: bytes }))
      statuses.push(answer.status)
      return answer
    }
    await put(writerVault, 'a', { text: 'b' })
    pass(world)
    await exchange(writerVault)
    expect(statuses).toEqual([400])
    pass(world)
    await exchange(victimVault)
    expect(victimVault.sync.status).toMatchObject({ phase: 'resting', problem: null })
  })
})
