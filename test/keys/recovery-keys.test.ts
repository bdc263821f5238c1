/**
 * Every way back into a vault: made, tried without changing anything, used on a new device, and
 * revoked; after that it opens nothing any more, whatever a remote serves with it.
 *
 * Threats: 9. Lessons: B9, B10.
 */
import { codeOf, type RecoverySource, restoreVaultOn, type Vault } from '@blindcopy/client'
import { encodeMessage, KeychainAnswer, parseKeychainEntry } from '@blindcopy/protocol'
import { openEnvelope, openKeyring } from '@blindcopy/vault'
import { describe, expect, it } from 'vitest'
import { cbor, rewriteRoute } from '../hostile/adversary.ts'
import { copyOf, type Device, REMOTE, refusal, type World } from '../simulation/world.ts'
import {
  expectSame,
  type Held,
  idOf,
  insideOf,
  makeFleet,
  passMinutes,
  put,
  remoteOn,
  rootOf,
  sealAs,
  storedChain,
  textOf,
} from './keys.ts'

const PASSPHRASE = 'four words that hold'

type Made = { readonly keyId: string; readonly source: RecoverySource }

const forms: Record<string, (vault: Vault) => Promise<Made>> = {
  'a key file': async (vault) => {
    const { keyId, text } = await vault.keys.createKeyFile({ passphrase: PASSPHRASE })
    return { keyId, source: { keyFile: text, keyFilePassphrase: PASSPHRASE } }
  },
  'two of three shares': async (vault) => {
    const { keyId, shares } = await vault.keys.createShares({ threshold: 2, count: 3 })
    const [, second, third] = shares.map(({ words }) => words)
    return { keyId, source: { shares: [third as string, second as string] } }
  },
}

async function restoreBy(world: World, source: RecoverySource, device = world.makeDevice()) {
  const options = { path: 'folder', remote: REMOTE, deviceName: 'restored', ...source }
  const vault = await restoreVaultOn(device.platform, options)
  return { device, vault, name: 'restored' } satisfies Held
}

/** What a drill must not touch: the disk of this device, and all of the remote's. */
async function stateOf(world: World, { device }: Held): Promise<string> {
  const rows = [...(await device.disk.entries())]
  for await (const page of world.store.pages({})) rows.push(...page)
  return rows.map(([key, value]) => `${hex(key)} ${hex(value)}`).join('\n')
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

// Argon2id takes its time, more of it on a machine that is busy.
describe.each(Object.keys(forms))('%s', { timeout: 120_000 }, (name) => {
  it('opens the keys of now in a drill and in a restore, and nothing once it is revoked', async () => {
    const { world, held } = await makeFleet(7501, 2)
    const [first, second] = held as [Held, Held]
    await put(first.vault, 'note', 'before')
    const { keyId, source } = await (forms[name] as (typeof forms)[string])(first.vault)
    await second.vault.keys.rotate()
    passMinutes(world)
    await put(second.vault, 'note', 'after a rotation')
    await expectSame([first, second])

    const before = await stateOf(world, first)
    const drill = await first.vault.keys.verify(source)
    expect(drill).toMatchObject({ epoch: 2, isRemoteAsked: true, since: { epochs: 1 } })
    expect(await stateOf(world, first)).toBe(before)

    const restored = await restoreBy(world, source)
    await expectSame([first, second, restored])
    expect(await textOf(restored.vault, 'note')).toBe('after a rotation')
    const status = restored.vault.keys.status()
    expect(status.devices.find(({ isThis }) => isThis)?.addedBy).toBe(keyId)
    passMinutes(world)
    // What a thief of the backup keeps of the remote.
    const image = await copyOf(world.store)

    const gone = await first.vault.keys.revoke([keyId])
    expect(gone.map(({ deviceId }) => deviceId)).toEqual([keyId])
    await put(first.vault, 'note', 'a secret')
    await expectSame([first, second, restored])
    expect(await codeOfRefusal(first.vault.keys.verify(source))).toBe('key-revoked')
    const device = world.makeDevice()
    expect(await codeOfRefusal(restoreBy(world, source, device))).toBe('key-revoked')
    await expectNothing(device)
    // A remote that serves the list with the key still in it lets it in there, and only there.
    const apart = remoteOn(world, image)
    device.network.fetch = async (request) => apart.app.fetch(request)
    const stolen = await restoreBy(world, source, device)
    await stolen.vault.sync.once()
    expect(await textOf(stolen.vault, 'note')).toBe('after a rotation')
    device.network.fetch = (request, carry) => carry(request)
    expect(await codeOfRefusal(stolen.vault.sync.once())).toBe('sync-stopped')
    expect(await textOf(stolen.vault, 'note')).toBe('after a rotation')
    const sealed = sealAs(world, await insideOf(first), { key: 'x', text: 'y' })
    const { keyring } = await insideOf(stolen)
    expect(openEnvelope(keyring, sealed).type).toBe('unknown-epoch')
    await expectSame([first, second, restored])
  })

  it('wrong in any way is refused before anything is written', async () => {
    const { world, held } = await makeFleet(7502, 1)
    const [first] = held as [Held]
    const { source } = await (forms[name] as (typeof forms)[string])(first.vault)
    const { held: others } = await makeFleet(7503, 1)
    const strange = (await (forms[name] as (typeof forms)[string])((others[0] as Held).vault))
      .source
    const chain = await storedChain(first)
    const device = world.makeDevice()
    const wrong = [strange, ...spoiled(source)]
    for (const one of wrong) {
      const code = await codeOfRefusal(restoreBy(world, one, device))
      expect(code).toBeDefined()
      expect(await codeOfRefusal(first.vault.keys.verify(one))).toBeDefined()
      await expectNothing(device)
    }
    await first.vault.sync.once()
    expect(await storedChain(first)).toEqual(chain)
    await restoreBy(world, source, device)
  })
})

/** Not the right passphrase; a share too few. */
function spoiled(source: RecoverySource): RecoverySource[] {
  if ('keyFile' in source) return [{ ...source, keyFilePassphrase: 'five words that do not' }]
  if ('shares' in source) return [{ shares: source.shares.slice(1) }]
  return []
}

const codeOfRefusal = async (promise: Promise<unknown>): Promise<string | undefined> =>
  codeOf(await refusal(promise))

async function expectNothing({ disk }: Device): Promise<void> {
  expect([disk.config, disk.keys]).toEqual([undefined, undefined])
  expect(await disk.entries()).toEqual([])
}

describe('the phrase', () => {
  it('opens every epoch there ever is, in a drill and in a restore; it is not revoked', async () => {
    const { world, held, recoveryPhrase } = await makeFleet(7510, 2)
    const [first, second] = held as [Held, Held]
    await put(first.vault, 'note', 'before')
    await expectSame([first, second])
    for (let i = 0; i < 3; i++) await second.vault.keys.rotate()
    passMinutes(world)
    await put(second.vault, 'note', 'after')
    await expectSame([first, second])
    const before = await stateOf(world, first)
    const drill = await first.vault.keys.verify({ recoveryPhrase })
    expect(drill).toMatchObject({ form: 'phrase', epoch: 4, isRemoteAsked: true })
    expect(await stateOf(world, first)).toBe(before)
    const restored = await restoreBy(world, { recoveryPhrase })
    await expectSame([first, second, restored])
    expect(await textOf(restored.vault, 'note')).toBe('after')
    const root = rootOf(recoveryPhrase)
    const { keychain } = await insideOf(first)
    expect(openKeyring({ keychain, holder: root }).newestEpoch).toBe(4)
    const rootId = Buffer.from(root.memberId).toString('base64url')
    expect(await codeOfRefusal(first.vault.keys.revoke([rootId]))).toBe('not-found')
  })

  it('of another vault is refused, also where the remote says that it is of this one', async () => {
    const { world, held } = await makeFleet(7511, 1)
    const [first] = held as [Held]
    const other = await makeFleet(7512, 1)
    const device = world.makeDevice()
    const chain = await storedChain(first)
    rewriteRoute(device, '/v1/keychain', async (request, carry) => {
      const response = await carry(request)
      if (request.method !== 'GET' || !response.ok) return response
      const from = Number(new URL(request.url).searchParams.get('from'))
      return cbor(encodeMessage(KeychainAnswer, { entries: chain.slice(from) }))
    })
    const apart = remoteOn(other.world, other.world.store)
    const { fetch } = device.network
    device.network.fetch = (request) => fetch(request, async (passed) => apart.app.fetch(passed))
    const { recoveryPhrase } = other
    expect(await codeOfRefusal(restoreBy(world, { recoveryPhrase }, device))).toBe(
      'keychain-invalid',
    )
    await expectNothing(device)
    expect(await codeOfRefusal(first.vault.keys.verify({ recoveryPhrase }))).toBe('wrong-phrase')
    expect(await storedChain(first)).toEqual(chain)
  })
})

it('a backup that a revoked device has made goes with it, if the person says so', async () => {
  const { world, held } = await makeFleet(7520, 2)
  const [first, second] = held as [Held, Held]
  const sinceMs = world.clock.ms
  const { keyId, source } = await (forms['two of three shares'] as (typeof forms)[string])(
    second.vault,
  )
  await first.vault.sync.once()
  const gone = await first.vault.keys.revoke([idOf(second)], { withAddedSinceMs: sinceMs })
  expect(gone.map(({ deviceId }) => deviceId)).toEqual([idOf(second), keyId])
  expect(await codeOfRefusal(restoreBy(world, source))).toBe('key-revoked')
  const types = (await storedChain(first)).map((entry) => parseKeychainEntry(entry).payload.type)
  expect(types.slice(-2)).toEqual(['member-revoke', 'epoch'])
})
