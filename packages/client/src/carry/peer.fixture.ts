/**
 * For tests of what devices bring each other: devices of one vault that never met a remote, each
 * with a store in memory and a clock that is moved by hand, and streams between them that can be
 * cut, watched and spoiled.
 */
import {
  extendKeychain,
  formatHex,
  type Keychain,
  type VaultId,
  validateKeychain,
} from '@blindcopy/protocol'
import { createMemoryStore, keychainKey, type Store } from '@blindcopy/secondary'
import {
  addMember,
  type DeviceKeys,
  deriveRoot,
  foundKeychain,
  generateDeviceKeys,
  generateRootSecret,
  memberProof,
  openKeyring,
  pooledRandom,
  verifySignature,
} from '@blindcopy/vault'
import { type TestPlatform, testPlatform } from '../platform.fixture.ts'
import { DeviceKeyKeeper } from '../vault/device-keys.ts'
import { Membership } from '../vault/membership.ts'
import { Vault } from '../vault/vault.ts'
import type { PeerStream } from './peer-line.ts'

const REMOTE = 'http://127.0.0.1:9'
const random = pooledRandom()

export type TestDevice = {
  readonly vault: Vault
  readonly store: Store
  /** `silence` is its timer. */
  readonly platform: TestPlatform & { silence: (callback: () => void) => () => void }
  readonly keys: DeviceKeys
}

export type TestVault = {
  readonly vaultId: VaultId
  /** The keychain as it stands after each of its devices was added. */
  readonly chains: readonly (readonly Uint8Array[])[]
  readonly devices: readonly TestDevice[]
}

/**
 * A vault of so many devices. Each knows the keychain with all of them, or, where `known` says so,
 * only its beginning with so many.
 */
export async function makeVault(count: number, known: readonly number[] = []): Promise<TestVault> {
  const root = deriveRoot(generateRootSecret(random))
  const { vaultId } = root
  const keys = Array.from({ length: count }, () => generateDeviceKeys(random))
  const first = keys[0] as DeviceKeys
  const nowMs = 1_000
  const founded = foundKeychain({ root, device: first, deviceName: 'd0', nowMs, random })
  const chains: (readonly Uint8Array[])[] = [founded.entries]
  let keychain: Keychain = validateKeychain(vaultId, founded.entries, verifySignature)
  for (const [i, device] of keys.slice(1).entries()) {
    const entry = addDevice(keychain, root, device, `d${i + 1}`)
    keychain = extendKeychain(keychain, [entry], verifySignature)
    chains.push([...(chains[chains.length - 1] as readonly Uint8Array[]), entry])
  }
  const devices: TestDevice[] = []
  for (const [i, device] of keys.entries()) {
    const entries = chains[(known[i] ?? count) - 1] as readonly Uint8Array[]
    devices.push(await openDevice(vaultId, entries, device))
  }
  return { vaultId, chains, devices }
}

/** The same beginning, with another device added than the true chain has. */
export function forkOf(
  vaultId: VaultId,
  entries: readonly Uint8Array[],
  signer: DeviceKeys,
): readonly Uint8Array[] {
  const keychain = validateKeychain(vaultId, entries, verifySignature)
  return [...entries, addDevice(keychain, signer, generateDeviceKeys(random), 'another')]
}

function addDevice(
  keychain: Keychain,
  signer: DeviceKeys | ReturnType<typeof deriveRoot>,
  device: DeviceKeys,
  name: string,
): Uint8Array {
  const { signingKey, kemKey } = device
  const proof = memberProof(keychain.vaultId, device)
  const newcomer = { kind: 'device', signingKey, kemKey, proof } as const
  const keyring = openKeyring({ keychain, holder: signer })
  return addMember({ keychain, signer, keyring, newcomer, name, nowMs: 1_000, random })
}

export async function openDevice(
  vaultId: VaultId,
  entries: readonly Uint8Array[],
  keys: DeviceKeys,
  store: Store = createMemoryStore(),
): Promise<TestDevice> {
  const base = testPlatform({ setTimer: (callback) => platform.silence(callback) })
  const platform = Object.assign(base, { silence: (_callback: () => void) => () => undefined })
  const chain = entries.map((value, i) => ({ type: 'put', key: keychainKey(i), value }) as const)
  await store.write([...chain], { sync: false })
  const membership = Membership.open({ vaultId, entries, device: keys })
  const folder = platform.openFolder('device')
  const keeper = new DeviceKeyKeeper({ folder, vaultId, random: platform.random })
  const vault = await Vault.open({ vaultId, remote: REMOTE, store, membership, platform, keeper })
  return { vault, store, platform, keys }
}

/** Every byte of a store, to see that nothing in it has changed. */
export async function contentOf(store: Store): Promise<string[]> {
  const content: string[] = []
  for await (const page of store.pages({})) {
    for (const [key, value] of page) content.push(`${formatHex(key)} ${formatHex(value)}`)
  }
  return content
}

/** What readers see, and nothing of when it was written. */
export async function shownOf({ vault }: TestDevice): Promise<string[]> {
  const shown: string[] = []
  for await (const { collection, key, fields } of vault.records()) {
    const sorted = Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))
    if (!collection.startsWith('local'))
      shown.push(`${collection}/${key} ${JSON.stringify(sorted)}`)
  }
  return shown.sort()
}

/** What happens to what one end says: by default nothing. Returning null cuts the stream. */
export type Spoil = (chunk: Uint8Array, index: number) => Uint8Array | null

const whole: Spoil = (chunk) => chunk

/** Two ends of a stream in memory. */
export function makeStreams(spoil: Spoil = whole): [PeerStream, PeerStream] {
  const there = spoiledPipe(spoil)
  const back = spoiledPipe(whole)
  return [
    { readable: back.readable, writable: there.writable },
    { readable: there.readable, writable: back.writable },
  ]
}

function spoiledPipe(spoil: Spoil): PeerStream {
  let index = 0
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      const spoiled = spoil(chunk, index++)
      if (spoiled === null) controller.terminate()
      else controller.enqueue(spoiled)
    },
  })
}

type Report = Awaited<ReturnType<Vault['exchange']>>

/** Both devices exchange; settles when both have ended. */
export async function exchange(
  a: TestDevice,
  b: TestDevice,
  spoil?: Spoil,
): Promise<PromiseSettledResult<Report>[]> {
  const [left, right] = makeStreams(spoil)
  return Promise.allSettled([a.vault.exchange(left), b.vault.exchange(right)])
}

/** The same, and fails when either does. */
export async function exchanged(a: TestDevice, b: TestDevice): Promise<[Report, Report]> {
  const [left, right] = makeStreams()
  return Promise.all([a.vault.exchange(left), b.vault.exchange(right)])
}

export async function bundleOf({ vault }: TestDevice): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of vault.exportBundle()) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** A file in memory that is read in pieces of `size`. */
export function sourceOf(bytes: Uint8Array, size = 4_096): () => AsyncIterable<Uint8Array> {
  return async function* () {
    for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size)
  }
}
