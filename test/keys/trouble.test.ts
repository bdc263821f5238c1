/**
 * A device that may not write any more: the keychain has taken it out, or a hostile member has
 * begun an epoch whose key it cannot open. It says so by name, reads on, also after a restart, and
 * loses nothing that waits.
 *
 * Threats: 1, 4. Lessons: C2.
 */
import { codeOf } from '@blindcopy/client'
import {
  encodeKeychainBody,
  encodeKeychainEntry,
  encodeMessage,
  KeychainAppendRequest,
  type KeychainPayload,
  keychainSignedBytes,
  parseKeychainEntry,
  parseMessage,
  parseVaultIdText,
} from '@blindcopy/protocol'
import { createMemoryStore } from '@blindcopy/secondary'
import { expect, it } from 'vitest'
import {
  behaveHonestly,
  type EndFrame,
  exchange,
  flip,
  rewriteHistory,
} from '../hostile/adversary.ts'
import { refusal } from '../simulation/world.ts'
import {
  expectSame,
  type Held,
  idOf,
  insideOf,
  join,
  keysOf,
  makeFleet,
  put,
  reasonsOf,
  sealAs,
  storedChain,
  syncAll,
  textOf,
  watchEpochs,
} from './keys.ts'

const refusedWith = async (promise: Promise<unknown>): Promise<string | undefined> =>
  codeOf(await refusal(promise))

type EpochPayload = Extract<KeychainPayload, { type: 'epoch' }>

/** The hostile member begins an epoch, as `spoil` has it. */
async function beginSpoiled(
  hostile: Held,
  spoil: (payload: EpochPayload) => EpochPayload,
): Promise<void> {
  const keys = await keysOf(hostile)
  const vaultId = parseVaultIdText(hostile.vault.vaultId)
  const { fetch } = hostile.device.network
  hostile.device.network.fetch = async (request, carry) => {
    if (request.method !== 'POST' || !request.url.endsWith('/v1/keychain')) {
      return fetch(request, carry)
    }
    const body = parseMessage(
      KeychainAppendRequest,
      new Uint8Array(await request.clone().arrayBuffer()),
    )
    const { entries } = body
    const { payload, ...entry } = parseKeychainEntry(entries[0] as Uint8Array)
    const { index, previous, signer, timeMs } = entry
    const spoiled = spoil(payload as EpochPayload)
    const place = { index, previous, signer, timeMs }
    const signed = encodeKeychainBody(place, spoiled)
    const made = encodeKeychainEntry(signed, keys.sign(keychainSignedBytes(vaultId, signed)))
    const changed = encodeMessage(KeychainAppendRequest, { ...body, entries: [made] })
    const answer = await carry(new Request(request, { body: changed as Uint8Array<ArrayBuffer> }))
    expect(answer.status).toBe(200)
    return answer
  }
  // What it keeps of it itself is of no interest.
  await hostile.vault.keys.rotate().catch(() => undefined)
}

async function reopened(held: Held): Promise<Held> {
  await held.vault.close()
  behaveHonestly(held.device)
  return { ...held, vault: await held.device.open() }
}

const spoilFor = (victim: Held, payload: EpochPayload): EpochPayload => ({
  ...payload,
  wraps: payload.wraps.map((one) =>
    Buffer.from(one.memberId).toString('hex') === memberHex(victim)
      ? { ...one, wrap: flip(one.wrap, one.wrap.length - 1) }
      : one,
  ),
})
const memberHex = ({ vault }: Held): string =>
  Buffer.from(vault.deviceId, 'base64url').toString('hex')

it('stops writing where its wrap is spoiled, reads on, and goes on after another rotation', async () => {
  const { held } = await makeFleet(7101, 3)
  const [first, victim, hostile] = held as [Held, Held, Held]
  await put(victim.vault, 'waiting', 'written before')
  await beginSpoiled(hostile, (payload) => spoilFor(victim, payload))
  await first.vault.sync.once()
  await put(first.vault, 'new', 'under the new key')
  await first.vault.sync.once()

  let now = victim
  for (const isReopened of [false, true]) {
    if (isReopened) now = await reopened(now)
    const { pushed } = watchEpochs(now)
    await now.vault.sync.once()
    expect(now.vault.sync.status).toMatchObject({
      pending: 1,
      attention: 0,
      problem: { code: 'key-mismatch' },
    })
    expect(now.vault.sync.status.problem?.remedy).toMatch(/rotate/)
    expect(pushed).toEqual([])
    expect(now.vault.keys.status().trouble).toBe('key-mismatch')
    expect(await refusedWith(put(now.vault, 'x', 'y'))).toBe('key-mismatch')
    expect(await refusedWith(now.vault.keys.rotate())).toBe('key-mismatch')
    expect(await textOf(now.vault, 'waiting')).toBe('written before')
    // Sealed under what it lacks: put aside, and opened later.
    expect((await now.vault.quarantined()).map(({ reason }) => reason)).toEqual(['unknown-epoch'])
  }

  await first.vault.keys.rotate()
  await syncAll([first, now])
  await expectSame([first, now])
  expect(await textOf(now.vault, 'new')).toBe('under the new key')
  expect(await textOf(first.vault, 'waiting')).toBe('written before')
  expect(await now.vault.quarantined()).toEqual([])
  await put(now.vault, 'x', 'y')
  await expectSame([first, now])
})

it('takes nothing late that comes while the keys are lacking', async () => {
  const { world, held } = await makeFleet(7104, 4)
  const [first, victim, hostile, other] = held as [Held, Held, Held, Held]
  await beginSpoiled(hostile, (payload) => spoilFor(victim, payload))
  // Sealed with the second key, and held back until the third has begun.
  const inside = await insideOf(hostile)
  expect(inside.keyring.newestEpoch).toBe(2)
  const forged = sealAs(world, inside, { key: 'late', text: 'forged' })
  await other.vault.sync.once()
  await beginSpoiled(other, (payload) => spoilFor(victim, payload))
  await first.vault.sync.once()
  rewriteHistory(victim.device, (frames) => {
    const end = frames[frames.length - 1] as EndFrame
    return [...frames.slice(0, -1), [0, 0, end[2], null, [forged], new Uint8Array(0)], end]
  })
  await exchange(victim.vault)
  expect(victim.vault.keys.status().trouble).toBe('key-mismatch')
  expect(await reasonsOf(victim)).toEqual(['late-old-epoch'])
  behaveHonestly(victim.device)
  await first.vault.keys.revoke([idOf(hostile), idOf(other)])
  await syncAll([first, victim])
  expect(victim.vault.keys.status()).toMatchObject({ epoch: 4, trouble: null })
  expect(await textOf(victim.vault, 'late')).toBeUndefined()
  await put(victim.vault, 'a', 'b')
  await expectSame([first, victim])
})

it('goes on live, without a restart', async () => {
  const { held } = await makeFleet(7102, 3)
  const [first, victim, hostile] = held as [Held, Held, Held]
  await beginSpoiled(hostile, (payload) => spoilFor(victim, payload))
  await syncAll([first, victim])
  expect(victim.vault.sync.status.problem?.code).toBe('key-mismatch')
  await first.vault.keys.revoke([idOf(hostile)])
  await victim.vault.sync.once()
  expect(victim.vault.sync.status.problem).toBeNull()
  await put(victim.vault, 'a', 'b')
  await expectSame([first, victim])
})

it('reads on where versions to be merged arrive that it may not join', async () => {
  const { held } = await makeFleet(7103, 3)
  const [first, victim, hostile] = held as [Held, Held, Held]
  const cards = ({ vault }: Held) => vault.collection('cards', { conflict: 'merge' })
  for (const one of held) cards(one)
  await cards(first).put('card', { a: '1', b: '1' })
  await expectSame([first, victim, hostile])
  await cards(victim).put('card', { a: '2', b: '1' })
  await cards(first).put('card', { a: '1', b: '2' })
  await first.vault.sync.once()
  await beginSpoiled(hostile, (payload) => spoilFor(victim, payload))
  await put(hostile.vault, 'other', 'text').catch(() => undefined)
  await victim.vault.sync.once()
  expect(victim.vault.sync.status.problem?.code).toBe('key-mismatch')
  await syncAll([first])
  await first.vault.keys.rotate()
  await expectSame([first, victim])
  expect(await cards(first).get('card')).toEqual({ a: '2', b: '2' })
})

it('says that it was removed where the keychain tells it so, and reads on', async () => {
  const { held } = await makeFleet(7110, 3)
  const [first, second, third] = held as [Held, Held, Held]
  await put(third.vault, 'waiting', 'mine')
  await first.vault.keys.revoke([idOf(third)])
  // As a lagging remote, or a device that passes it on, would tell.
  const bundle: Uint8Array[] = []
  for await (const chunk of first.vault.exportBundle()) bundle.push(chunk)
  await third.vault
    .importBundle(async function* () {
      yield* bundle
    })
    .catch(() => undefined)
  let now = third
  for (const isReopened of [false, true]) {
    if (isReopened) now = await reopened(now)
    expect(now.vault.keys.status().trouble).toBe('device-revoked')
    expect(await refusedWith(now.vault.sync.once())).toBe('sync-stopped')
    expect(now.vault.sync.status).toMatchObject({
      phase: 'stopped',
      pending: 1,
      problem: { code: 'device-revoked' },
    })
    now.vault.sync.start()
    for (let turns = 0; turns < 500; turns++) await new Promise((done) => setImmediate(done))
    expect(now.vault.sync.status).toMatchObject({
      phase: 'stopped',
      problem: { code: 'device-revoked' },
    })
    await now.vault.sync.stop()
    expect(await refusedWith(put(now.vault, 'x', 'y'))).toBe('device-revoked')
    expect(await textOf(now.vault, 'waiting')).toBe('mine')
  }
  await expectSame([first, second])
  expect(await textOf(first.vault, 'waiting')).toBeUndefined()
})

it('makes no remote anew when it was removed', async () => {
  const { world, held } = await makeFleet(7111, 2)
  const [first, second] = held as [Held, Held]
  await first.vault.keys.revoke([idOf(second)])
  const vaultEntries = await storedChain(first)
  const bundle: Uint8Array[] = []
  for await (const chunk of first.vault.exportBundle()) bundle.push(chunk)
  await second.vault
    .importBundle(async function* () {
      yield* bundle
    })
    .catch(() => undefined)
  expect((await storedChain(second)).length).toBe(vaultEntries.length)
  world.restartRemote({ store: createMemoryStore() })
  expect(await refusedWith(second.vault.sync.once())).toBe('sync-stopped')
  expect(second.vault.sync.status.problem?.code).toBe('device-revoked')
  await expectSame([first])
})

it('whose epoch nobody can open is undone by the phrase', async () => {
  const { world, held, recoveryPhrase } = await makeFleet(7120, 3)
  const [first, second, hostile] = held as [Held, Held, Held]
  await put(first.vault, 'a', 'before')
  await expectSame([first, second])
  await beginSpoiled(hostile, (payload) => ({
    ...payload,
    rootWrap: flip(payload.rootWrap, payload.rootWrap.length - 1),
    wraps: payload.wraps.map((one) => ({ ...one, wrap: flip(one.wrap, one.wrap.length - 1) })),
  }))
  await syncAll([first, second])
  expect(first.vault.sync.status.problem?.code).toBe('key-mismatch')
  const restored = await join(world, recoveryPhrase, 'restored')
  await expectSame([restored, first, second])
  expect(await textOf(restored.vault, 'a')).toBe('before')
  await put(second.vault, 'b', 'after')
  await restored.vault.keys.revoke([idOf(hostile)])
  await expectSame([restored, first, second])
  expect(await textOf(restored.vault, 'b')).toBe('after')
})
