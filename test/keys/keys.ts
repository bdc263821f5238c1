/**
 * What the tests of keys share: a vault of several devices, a watch on what leaves each of them,
 * and the inside of a vault that a thief would have: its keys, its keychain, and all that the remote
 * stores.
 */
import { joinVaultOn, type Vault } from '@blindcopy/client'
import {
  type Envelope,
  encodeTimestamp,
  envelopeEpoch,
  type Keychain,
  PushRequest,
  parseMessage,
  parseVaultIdText,
  replayKeychain,
  type Timestamp,
  validateKeychain,
} from '@blindcopy/protocol'
import { createRemote, type Remote } from '@blindcopy/remote'
import type { Store } from '@blindcopy/secondary'
import {
  type DeviceKeys,
  decodeDeviceKeyFile,
  deriveRoot,
  type Keyring,
  openKeyring,
  parsePhrase,
  type Root,
  sealRecord,
  verifySignature,
} from '@blindcopy/vault'
import { expect } from 'vitest'
import { type Device, exportOf, makeWorld, REMOTE, turn, type World } from '../simulation/world.ts'

export type Held = { readonly device: Device; readonly vault: Vault; readonly name: string }

export type Fleet = {
  readonly world: World
  readonly recoveryPhrase: string
  readonly held: readonly Held[]
}

/** A vault with so many devices, all in step. */
export async function makeFleet(seed: number, count: number): Promise<Fleet> {
  const world = makeWorld(seed)
  const first = world.makeDevice()
  const { vault, recoveryPhrase } = await first.create({ deviceName: 'd0' })
  await vault.sync.once()
  const held: Held[] = [{ device: first, vault, name: 'd0' }]
  for (let i = 1; i < count; i++) held.push(await join(world, recoveryPhrase, `d${i}`))
  await syncAll(held)
  return { world, recoveryPhrase, held }
}

export async function join(world: World, recoveryPhrase: string, name: string): Promise<Held> {
  const device = world.makeDevice()
  const vault = await device.restore(recoveryPhrase, { deviceName: name })
  return { device, vault, name }
}

export async function syncAll(held: readonly Held[], rounds = 2): Promise<void> {
  for (let round = 0; round < rounds; round++) for (const { vault } of held) await vault.sync.once()
}

/** Every device exchanges, has nothing to complain of, and holds the same as all others. */
export async function expectSame(held: readonly Held[]): Promise<string> {
  await syncAll(held)
  const exports = new Set<string>()
  for (const { vault, name } of held) {
    const expected = { phase: 'resting', pending: 0, attention: 0, problem: null }
    expect(vault.sync.status, name).toMatchObject(expected)
    expect(vault.keys.status().trouble, name).toBeNull()
    exports.add(await exportOf(vault))
  }
  expect(exports.size).toBe(1)
  return [...exports][0] as string
}

/** The epochs of what a device sends to the remote, as it does. */
export function watchEpochs(
  { device, vault }: Held,
  /** What it knows then; older than that must not leave it. */
  knows: () => number = () => vault.keys.status().epoch,
): { readonly pushed: number[]; readonly old: number[] } {
  const pushed: number[] = []
  const old: number[] = []
  const before = device.network.fetch
  device.network.fetch = async (request, carry) => {
    if (new URL(request.url).pathname === '/v1/push') {
      const newest = knows()
      for (const envelope of await envelopesOf(request.clone() as Request)) {
        const epoch = envelopeEpoch(envelope)
        pushed.push(epoch)
        if (epoch !== newest) old.push(epoch)
      }
    }
    return before(request, carry)
  }
  return { pushed, old }
}

export async function envelopesOf(request: Request): Promise<Envelope[]> {
  const body = parseMessage(PushRequest, new Uint8Array(await request.arrayBuffer()))
  return body.transactions.flatMap(([, ops]) => ops.map(([envelope]) => envelope as Envelope))
}

export const idOf = ({ vault }: Held): string => vault.deviceId

export const put = (vault: Vault, key: string, text: string): Promise<void> =>
  vault.collection('notes').put(key, { text })

export async function textOf(vault: Vault, key: string): Promise<unknown> {
  const fields = await vault.collection('notes').get(key)
  return fields === undefined ? undefined : (fields as { text: unknown }).text
}

/** The entries that a device has stored, in the order in which they came to it. */
export async function storedChain({ device }: Pick<Held, 'device'>): Promise<Uint8Array[]> {
  const entries = await device.disk.entries()
  return entries.flatMap(([key, value]) => (key[0] === 0x6b ? [value] : []))
}

/** What a thief of the device has. */
export async function insideOf(
  held: Held,
): Promise<{ keys: DeviceKeys; keychain: Keychain; keyring: Keyring }> {
  const vaultId = parseVaultIdText(held.vault.vaultId)
  const keychain = replayKeychain(vaultId, await storedChain(held), verifySignature)
  const keys = await keysOf(held)
  return { keys, keychain, keyring: openKeyring({ keychain, holder: keys }) }
}

export async function keysOf({ device }: Held): Promise<DeviceKeys> {
  return (await decodeDeviceKeyFile(device.disk.keys as Uint8Array, {})).deviceKeys
}

export const rootOf = (recoveryPhrase: string): Root => deriveRoot(parsePhrase(recoveryPhrase))

export const chainAt = (vaultId: string, entries: readonly Uint8Array[]): Keychain =>
  validateKeychain(parseVaultIdText(vaultId), entries, verifySignature)

/** A note that is sealed with what a thief holds, under its newest epoch; as of now, if not said. */
export function sealAs(
  world: World,
  { keys, keyring }: { keys: DeviceKeys; keyring: Keyring },
  note: { readonly key: string; readonly text: string; readonly timestamp?: Timestamp },
): Envelope {
  const { key, text } = note
  const identity = { deviceId: keys.memberId, tail: world.chance.bytes(4) }
  const now = { milliseconds: world.clock.ms, counter: 0 }
  const { timestamp = encodeTimestamp(now, identity) } = note
  const names = { collection: 'notes', key, base: null, transactionSize: 1 }
  return sealRecord(keyring, { ...names, fields: { text } }, timestamp, world.chance.bytes)
}

/** Long enough for the next checkpoint. */
export function passMinutes({ clock }: World, minutes = 2): void {
  clock.ms += minutes * 60_000
}

/** All that a device would carry to another. */
export async function bundleOf({ vault }: Held): Promise<Uint8Array[]> {
  const bundle: Uint8Array[] = []
  for await (const chunk of vault.exportBundle()) bundle.push(chunk)
  return bundle
}

export async function importInto({ vault }: Held, bundle: readonly Uint8Array[]) {
  return vault.importBundle(async function* () {
    yield* bundle
  })
}

export const reasonsOf = async ({ vault }: Held): Promise<string[]> =>
  (await vault.quarantined()).map(({ reason }) => reason)

/** Another process on another disk, which believes itself to be the same remote. */
export function remoteOn(world: World, store: Store): Remote {
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

/** A device that another one lets in, by a code, without the phrase. */
export async function invite(world: World, inviter: Held, name: string): Promise<Held> {
  const device = world.makeDevice()
  const invitation = await inviter.vault.pairing.invite({ form: 'code' })
  let isOver = false
  const passTime = async (): Promise<void> => {
    for (let turns = 0; !isOver && turns < 100_000; turns++) {
      await turn()
      world.clock.ms += 1
      for (const one of [inviter.device, device]) one.fireTimers()
    }
  }
  const joining = joinVaultOn(device.platform, {
    path: 'folder',
    deviceName: name,
    confirm: async () => true,
    code: invitation.code as string,
  })
  const approving = invitation.newcomer().then((newcomer) => newcomer.approve())
  const done = Promise.all([joining, approving]).finally(() => {
    isOver = true
  })
  const [[vault]] = await Promise.all([done, passTime()])
  return { device, vault, name }
}
