/**
 * What the tests of this package share: randomness that repeats, and a vault made of it.
 *
 * `fixedRandom` is the stream SHA-256(label ‖ 0) ‖ SHA-256(label ‖ 1) ‖ … with 4-byte counters,
 * which the vectors name by its label. Two streams of one label are the same: what a cloned process
 * has.
 */
import {
  concat,
  encodeUint32,
  encodeUtf8,
  type Keychain,
  sha256,
  type Timestamp,
  validateKeychain,
} from '@blindcopy/protocol'
import { type DeviceKeys, generateDeviceKeys } from './device.ts'
import type { VaultErrorCode } from './error.ts'
import { foundKeychain } from './keychain-writer.ts'
import type { Keyring } from './keyring.ts'
import { generateRootSecret } from './phrase.ts'
import type { RandomBytes } from './random.ts'
import type { VaultRecord } from './record.ts'
import { deriveRoot, type Root } from './root.ts'
import { verifySignature } from './sodium.ts'

export function fixedRandom(label: string): RandomBytes {
  let counter = 0
  let held = new Uint8Array(0)
  return (size) => {
    while (held.length < size) {
      const block = sha256(concat(encodeUtf8(label), encodeUint32(counter++)))
      held = concat(held, block) as Uint8Array<ArrayBuffer>
    }
    const bytes = held.slice(0, size)
    held = held.slice(size)
    return bytes
  }
}

export type TestVault = {
  readonly root: Root
  readonly device: DeviceKeys
  readonly entries: readonly Uint8Array[]
  readonly keychain: Keychain
  readonly keyring: Keyring
  readonly random: RandomBytes
}

export function foundTestVault(label = 'vault'): TestVault {
  const random = fixedRandom(label)
  const root = deriveRoot(generateRootSecret(random))
  const device = generateDeviceKeys(random)
  const { entries, keyring } = foundKeychain({
    root,
    device,
    deviceName: 'first laptop',
    nowMs: 1_700_000_000_000,
    random,
  })
  const keychain = validateKeychain(root.vaultId, entries, verifySignature)
  return { root, device, entries, keychain, keyring, random }
}

export function timestampOf(milliseconds: number): Timestamp {
  return concat(encodeUint32(0), encodeUint32(milliseconds), new Uint8Array(8)) as Timestamp
}

export const NOTE: VaultRecord = {
  collection: 'notes',
  key: '3f2c9a60-1111-4222-8333-0123456789ab',
  fields: { title: 'Groceries', body: 'bread, tea, canary-4711', done: false, tags: ['a', 'b'] },
  base: null,
  transactionSize: 1,
  fieldClocks: null,
  schemaVersion: 0,
}

/** The code of what `run` throws, or undefined when it throws nothing. */
export function codeOf(run: () => unknown): VaultErrorCode | string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    return (error as { code?: string }).code ?? `no code: ${String(error)}`
  }
}

export async function codeOfAsync(running: Promise<unknown>): Promise<string | undefined> {
  return running.then(
    () => undefined,
    (error) => error.code ?? `no code: ${String(error)}`,
  )
}
