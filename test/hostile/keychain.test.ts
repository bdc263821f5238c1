/**
 * A hostile remote that serves a keychain of its making: shortened, turned round, forked, with
 * members nobody signed, wraps of other keys, entries of another vault, any byte another. To a
 * device that restores, and to one that has pinned the chain.
 *
 * Threats: 1, 2, 3, 6, 8, 9, 11 (of the vault's id), 18. Lessons: B3, B7, B12. That a shortened
 * chain served to a device that has nothing pinned is not noticed is said at its test.
 */

import { codeOf } from '@blindcopy/client'
import {
  encodeKeychainBody,
  encodeKeychainEntry,
  encodeMessage,
  KeychainAnswer,
  keychainHead,
  keychainSignedBytes,
  parseKeychainEntry,
  parseMessage,
  parseVaultIdText,
  type VaultId,
  validateKeychain,
} from '@blindcopy/protocol'
import {
  deriveRoot,
  generateDeviceKeys,
  memberProof,
  parsePhrase,
  verifySignature,
} from '@blindcopy/vault'
import { describe, expect, it } from 'vitest'
import { type Device, exportOf, type World } from '../simulation/world.ts'
import {
  behaveHonestly,
  cbor,
  exchange,
  type Frame,
  flip,
  get,
  makePair,
  put,
  rewriteHistory,
  rewriteRoute,
} from './adversary.ts'

/** The chain as the device has stored it. */
async function chainOf(device: Device): Promise<Uint8Array[]> {
  const entries = await device.disk.entries()
  return entries.flatMap(([key, value]) => (key[0] === 0x6b ? [value] : []))
}

/** A vault of the adversary's own, with the keys to sign with. */
async function makeStranger(world: World) {
  const device = world.makeDevice()
  const { vault, recoveryPhrase } = await device.create()
  await vault.sync.once()
  await vault.close()
  const root = deriveRoot(parsePhrase(recoveryPhrase))
  const chain = await chainOf(device)
  return { chain, root }
}

/** A member-add that follows `chain`, with the adversary's signature and its own keys wrapped. */
async function forgeMember(
  world: World,
  vaultId: VaultId,
  chain: readonly Uint8Array[],
): Promise<Uint8Array> {
  const { root, chain: ownChain } = await makeStranger(world)
  const device = generateDeviceKeys(world.chance.bytes)
  const keychain = validateKeychain(vaultId, chain, verifySignature)
  const own = ownChain.map((bytes) => parseKeychainEntry(bytes).payload)
  const epoch = own.find((payload) => payload.type === 'epoch')
  if (epoch === undefined) throw new Error('the stranger has an epoch')
  const place = {
    index: chain.length,
    previous: keychainHead(keychain),
    signer: root.memberId,
    timeMs: world.clock.ms,
  }
  const body = encodeKeychainBody(place, {
    type: 'member-add',
    kind: 'device',
    signingKey: device.signingKey,
    kemKey: device.kemKey,
    proof: memberProof(vaultId, device),
    sealedName: new Uint8Array(80),
    wrap: epoch.rootWrap,
    vaultProof: null,
  })
  return encodeKeychainEntry(body, root.sign(keychainSignedBytes(vaultId, body)))
}

/** Serves the chain that `lie` makes of the honest one, page by page. */
function serveChain(device: Device, lie: (chain: Uint8Array[]) => Promise<Uint8Array[]>): void {
  let lied: Uint8Array[] | undefined
  rewriteRoute(device, '/v1/keychain', async (request, carry) => {
    const response = await carry(request)
    if (request.method !== 'GET') return response
    const from = Number(new URL(request.url).searchParams.get('from'))
    const { entries } = parseMessage(KeychainAnswer, new Uint8Array(await response.arrayBuffer()))
    lied ??= await lie(entries)
    return cbor(encodeMessage(KeychainAnswer, { entries: lied.slice(from) }))
  })
}

describe('a keychain served to a device that restores', () => {
  async function expectRefused(
    seed: number,
    lie: (chain: Uint8Array[], world: World, vaultId: VaultId) => Promise<Uint8Array[]>,
  ): Promise<void> {
    const { world, writerVault, recoveryPhrase } = await makePair(seed)
    const device = world.makeDevice()
    const vaultId = parseVaultIdText(writerVault.vaultId)
    serveChain(device, (chain) => lie(chain, world, vaultId))
    const error = await device.restore(recoveryPhrase).then(
      () => undefined,
      (cause: unknown) => cause,
    )
    expect(error, 'it was taken').toBeDefined()
    expect(codeOf(error), `${error}`).toBeDefined()
    expect(device.disk.config).toBeUndefined()
    behaveHonestly(device)
    const vault = await device.restore(recoveryPhrase)
    await vault.sync.once()
    expect(await exportOf(vault)).toBe(await exportOf(writerVault))
    await vault.close()
  }

  it('is refused when it is empty', () => expectRefused(601, async () => []))
  it('is refused when it does not begin at its root', () =>
    expectRefused(602, async ([, ...rest]) => rest))
  it('is refused with an entry missing', () =>
    expectRefused(603, async ([first, second, , ...rest]) => [
      first as Uint8Array,
      second as Uint8Array,
      ...rest,
    ]))
  it('is refused turned round', () => expectRefused(604, async (chain) => [...chain].reverse()))
  it('is refused when it is that of another vault', () =>
    expectRefused(605, async (_, world) => (await makeStranger(world)).chain))
  it('is refused with a member that nobody of the vault signed', () =>
    expectRefused(606, async (chain, world, vaultId) => [
      ...chain,
      await forgeMember(world, vaultId, chain),
    ]))
  it('is refused with an entry of another vault behind its own', () =>
    expectRefused(607, async (chain, world) => [
      ...chain,
      (await makeStranger(world)).chain[1] as Uint8Array,
    ]))
  it('is refused cut before its first epoch', () =>
    // Who holds no key at all cannot even be given one.
    expectRefused(608, async (chain) => chain.slice(0, 1)))

  it('is refused with any byte of it another', async () => {
    const { victim, victimVault } = await makePair(609)
    const vaultId = parseVaultIdText(victimVault.vaultId)
    const chain = await chainOf(victim)
    const step = process.env.SLOW === '1' ? 1 : 7
    let tried = 0
    for (const [index, entry] of chain.entries()) {
      for (let offset = 0; offset < entry.length; offset += step) {
        const spoiled = chain.with(index, flip(entry, offset))
        let code: string | undefined = 'it was taken'
        try {
          validateKeychain(vaultId, spoiled, verifySignature)
        } catch (error) {
          code = codeOf(error)
        }
        expect(['keychain-invalid', 'keychain-unsupported'], `${index} ${offset}`).toContain(code)
        tried++
      }
    }
    expect(tried).toBeGreaterThan(500)
    await victimVault.close()
  })

  it('is taken when it is only shorter: nothing here can tell (checkpoints will)', async () => {
    const { world, writerVault, recoveryPhrase } = await makePair(610)
    const device = world.makeDevice()
    serveChain(device, async (chain) => chain.slice(0, -1))
    // The honest remote behind refuses the fork that this makes, so nothing is joined.
    const error = await device.restore(recoveryPhrase).catch((cause: unknown) => cause)
    expect(codeOf(error)).toBe('keychain-race')
    expect(device.disk.config).toBeUndefined()
    expect(writerVault.devices()).toHaveLength(2)
    await writerVault.close()
  })
})

describe('a keychain served to a device that has pinned it', () => {
  /** Serves one more append, and then what is honest. */
  function serve(device: Device, make: (frames: Frame[]) => Uint8Array[]): void {
    rewriteHistory(device, (frames) => {
      // Its number and chain are computed where it is sent.
      return [[1, 0, (frames[0] as Frame)[2] as never, make(frames)], ...frames]
    })
  }

  it('is refused with a member that nobody signed, and sync stops', async () => {
    const { world, victim, victimVault } = await makePair(611, { held: { text: 'held' } })
    const vaultId = parseVaultIdText(victimVault.vaultId)
    const forged = await forgeMember(world, vaultId, await chainOf(victim))
    const devices = victimVault.devices()
    serve(victim, () => [forged])
    expect(await exchange(victimVault)).toBe('keychain-invalid')
    expect(victimVault.devices()).toEqual(devices)
    expect(victimVault.sync.status.phase).toBe('stopped')
    await put(victimVault, 'mine', { text: 'mine' })
    expect(await get(victimVault, 'held')).toEqual({ text: 'held' })
    behaveHonestly(victim)
    expect(await exchange(victimVault)).toBeUndefined()
    await victimVault.close()
  })

  it('is refused when it forks, and sync stops', async () => {
    const { world, victim, victimVault } = await makePair(612)
    const vaultId = parseVaultIdText(victimVault.vaultId)
    const chain = await chainOf(victim)
    const fork = await forgeMember(world, vaultId, chain.slice(0, -1))
    serve(victim, () => [fork])
    expect(await exchange(victimVault)).toBe('keychain-forked')
    expect(victimVault.sync.status.problem?.code).toBe('keychain-forked')
    await put(victimVault, 'mine', { text: 'mine' })
    behaveHonestly(victim)
    expect(await exchange(victimVault)).toBeUndefined()
    expect(victimVault.devices()).toHaveLength(2)
    await victimVault.close()
  })

  it('changes nothing when it is served again from its beginning', async () => {
    const { victim, victimVault } = await makePair(613)
    const chain = await chainOf(victim)
    serve(victim, () => chain)
    expect(await exchange(victimVault)).toBeUndefined()
    expect(await chainOf(victim)).toEqual(chain)
    expect(victimVault.devices()).toHaveLength(2)
    await victimVault.close()
  })

  it('is stored whole, also when a lie behind it, or the disk, stopped it once', async () => {
    for (const how of ['lie', 'disk'] as const) {
      const { world, victim, victimVault, recoveryPhrase } = await makePair(614)
      const vaultId = parseVaultIdText(victimVault.vaultId)
      const third = await world.makeDevice().restore(recoveryPhrase)
      if (how === 'lie') {
        const forged = await forgeMember(world, vaultId, await chainOf(victim))
        rewriteHistory(victim, (frames) => {
          const end = frames[frames.length - 1] as Frame
          return [...frames.slice(0, -1), [1, 0, end[2] as never, [forged]], end]
        })
        expect(['keychain-invalid', 'keychain-forked']).toContain(await exchange(victimVault))
      } else {
        victim.disk.failure = new Error('the disk is full')
        await victimVault.sync.once().catch(() => undefined)
        victim.disk.failure = undefined
      }
      behaveHonestly(victim)
      expect(await exchange(victimVault)).toBeUndefined()
      expect(victimVault.devices()).toHaveLength(3)
      await victimVault.close()
      const again = await victim.open()
      expect(again.devices(), how).toHaveLength(3)
      // And another member after it still fits.
      const fourth = await world.makeDevice().restore(recoveryPhrase)
      await put(fourth, 'theirs', { text: 'theirs' })
      await fourth.sync.once()
      expect(await exchange(again)).toBeUndefined()
      expect(await get(again, 'theirs')).toEqual({ text: 'theirs' })
      for (const vault of [again, third, fourth]) await vault.close()
    }
  })
})
