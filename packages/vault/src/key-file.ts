/**
 * Key file: the bytes in which a device keeps its own two seeds and the id of its vault.
 *
 *   offset  size  field
 *        0     8  "bcdevice"
 *        8     1  version      1
 *        9     1  form         1 for a passphrase, added to 2 for a key store; 0 for neither
 *       10     …  by form      0: VaultId and seeds as they are (96)
 *                              1: passes (4), KiB (4), salt (16)
 *                              2: salt (16), id of the key store (1 + n), its handle (2 + n)
 *                              3: passes (4), KiB (4), then as 2
 *        …    32  commitment   to the secret of the key store (2 and 3)
 *        …    32  commitment   to the passphrase (1), or to passphrase and secret (3)
 *        …   136  box          nonce, VaultId and seeds sealed, tag (1 to 3)
 *        …    32  checksum     SHA-256 over a label and all bytes before
 *
 * The checksum finds damage before a passphrase is blamed for it; a commitment finds a wrong
 * passphrase or secret before anything is opened, and keeps one file from opening to two of them
 * (Len et al., "Partitioning Oracle Attacks", 2021). All bytes before a commitment are bound into
 * it, and with it into the associated data. Neither protects a plain file from who can write it:
 * folder rights do. Frozen by test/vectors/device-key-file.json.
 */
import {
  concat,
  decodeUint32,
  encodeUint32,
  encodeUtf8,
  equalBytes,
  equalBytesConstantTime,
  NONCE_BYTES,
  parseVaultId,
  sha256,
  TAG_BYTES,
  VAULT_ID_BYTES,
  type VaultId,
} from '@blindcopy/protocol'
import {
  ARGON2ID_BOUNDS,
  type Argon2idBounds,
  type Argon2idParameters,
  checkParameters,
  SALT_BYTES,
  stretchPassphrase,
} from './argon2id.ts'
import { openBox, sealBox } from './box.ts'
import { type DeviceKeys, deviceKeysOf } from './device.ts'
import { VaultError } from './error.ts'
import {
  encodeKeptAt,
  type KeptAt,
  type KeyFileKeys,
  mixedKeys,
  parseKeptAt,
  passphraseKeys,
} from './key-file-keys.ts'
import type { RandomBytes } from './random.ts'
import { blake2b } from './raw-sodium.ts'
import { type CommitmentKey, SECRET_BYTES, Secret, type StoreSecret } from './secret.ts'

export type DeviceKeyFile = { readonly deviceKeys: DeviceKeys; readonly vaultId: VaultId }

/** What a key file is closed with: nothing, a passphrase, the secret of a key store, or both. */
export type KeyFileLock = {
  readonly passphrase?: string | undefined
  readonly keyStore?: (KeptAt & { readonly secret: StoreSecret }) | undefined
}

/** What opens one. What its form does not need is not used. */
export type KeyFileOpening = {
  readonly passphrase?: string | undefined
  readonly storeSecret?: StoreSecret | undefined
}

/** What a key file says to everybody. */
export type KeyFileHead = {
  readonly hasPassphrase: boolean
  /** Where the secret is that opens it; null for nowhere. */
  readonly keptAt: KeptAt | null
}

const MAGIC = encodeUtf8('bcdevice')
const VERSION = 1
const PASSPHRASE_BIT = 1
const KEY_STORE_BIT = 2
const HEAD_BYTES = 10
const CHECKSUM_BYTES = 32
const COMMITMENT_BYTES = 32
const CONTENT_BYTES = VAULT_ID_BYTES + 2 * SECRET_BYTES
const BOX_BYTES = NONCE_BYTES + CONTENT_BYTES + TAG_BYTES
const PARAMETERS_BYTES = 8
const PLAIN_BYTES = HEAD_BYTES + CONTENT_BYTES + CHECKSUM_BYTES
const CHECKSUM_LABEL = encodeUtf8('blindcopy.key-file.v1')
const COMMITMENT_LABEL = encodeUtf8('blindcopy.key-file-commitment.v1')

/** Throws `passphrase-required` for an empty passphrase. */
export function encodeDeviceKeyFile(
  file: DeviceKeyFile,
  lock: KeyFileLock,
  random: RandomBytes,
): Promise<Uint8Array> {
  return encodeDeviceKeyFileWith(ARGON2ID_BOUNDS.floor, file, lock, random)
}

/**
 * Throws `key-file-damaged`, `passphrase-required`, `passphrase-wrong`, `key-store-required`,
 * `key-store-wrong`, or `parameters-refused`.
 */
export function decodeDeviceKeyFile(
  bytes: Uint8Array,
  opening: KeyFileOpening = {},
): Promise<DeviceKeyFile> {
  return decodeDeviceKeyFileWithin(ARGON2ID_BOUNDS, bytes, opening)
}

/** Throws `key-file-damaged`. */
export function readDeviceKeyFileHead(bytes: Uint8Array): KeyFileHead {
  const { form, keptAt } = parse(bytes)
  return { hasPassphrase: (form & PASSPHRASE_BIT) !== 0, keptAt }
}

/** Parameters as given: for tests, which cannot wait for real ones. */
export async function encodeDeviceKeyFileWith(
  parameters: Argon2idParameters,
  { deviceKeys, vaultId }: DeviceKeyFile,
  { passphrase, keyStore }: KeyFileLock,
  random: RandomBytes,
): Promise<Uint8Array> {
  if (passphrase === '') throw passphraseRequired()
  const form = formOf(passphrase !== undefined, keyStore !== undefined)
  const start = concat(MAGIC, Uint8Array.of(VERSION, form))
  if (form === 0) return withChecksum([start, ...contentOf(deviceKeys, vaultId)])
  const salt = random(SALT_BYTES)
  const { passes, memoryKib } = parameters
  const costs = passphrase === undefined ? [] : [encodeUint32(passes), encodeUint32(memoryKib)]
  const keptAt = keyStore === undefined ? [] : [encodeKeptAt(keyStore)]
  const head = concat(start, ...costs, salt, ...keptAt)
  const opening = { passphrase, storeSecret: keyStore?.secret }
  const keys = await keysOf(opening, { form, salt, parameters })
  try {
    const associatedData = concat(head, ...keys.commitments.map((key) => commitTo(key, head)))
    const content = concat(...contentOf(deviceKeys, vaultId))
    const box = sealBox(content, { key: keys.sealing, associatedData }, random)
    content.fill(0)
    return withChecksum([associatedData, box])
  } finally {
    wipeKeys(keys)
  }
}

/** Bounds as given: for tests. */
export async function decodeDeviceKeyFileWithin(
  bounds: Argon2idBounds,
  bytes: Uint8Array,
  opening: KeyFileOpening,
): Promise<DeviceKeyFile> {
  const { form, salt, parameters, headBytes, boxOffset } = parse(bytes)
  if (form === 0) return parseContent(bytes.slice(HEAD_BYTES, HEAD_BYTES + CONTENT_BYTES))
  if ((form & KEY_STORE_BIT) !== 0 && opening.storeSecret === undefined) throw storeRequired()
  if ((form & PASSPHRASE_BIT) !== 0) {
    if ((opening.passphrase ?? '') === '') throw passphraseRequired()
    checkParameters(parameters, bounds)
  }
  const head = bytes.subarray(0, headBytes)
  const keys = await keysOf(opening, { form, salt, parameters })
  try {
    for (const [i, key] of keys.commitments.entries()) {
      const offset = headBytes + i * COMMITMENT_BYTES
      const commitment = bytes.subarray(offset, offset + COMMITMENT_BYTES)
      if (equalBytesConstantTime(commitTo(key, head), commitment)) continue
      throw i === 0 && (form & KEY_STORE_BIT) !== 0 ? storeWrong() : passphraseWrong()
    }
    const place = { key: keys.sealing, associatedData: bytes.subarray(0, boxOffset) }
    return parseContent(openContent(bytes.subarray(boxOffset, boxOffset + BOX_BYTES), place))
  } finally {
    wipeKeys(keys)
  }
}

function openContent(box: Uint8Array, place: Parameters<typeof openBox>[1]): Uint8Array {
  try {
    return openBox(box, place)
  } catch {
    throw damaged('its content does not open')
  }
}

type Parsed = {
  readonly form: number
  readonly parameters: Argon2idParameters
  readonly salt: Uint8Array
  readonly keptAt: KeptAt | null
  /** All that the commitments bind. */
  readonly headBytes: number
  readonly boxOffset: number
}

/** Throws `key-file-damaged` for what is not a key file from its first byte to its last. */
function parse(bytes: Uint8Array): Parsed {
  const form = checkForm(bytes)
  const parametersBytes = (form & PASSPHRASE_BIT) === 0 ? 0 : PARAMETERS_BYTES
  const saltOffset = HEAD_BYTES + parametersBytes
  const storeOffset = saltOffset + (form === 0 ? 0 : SALT_BYTES)
  const isStored = (form & KEY_STORE_BIT) !== 0
  const kept = isStored ? parseKeptAt(bytes, storeOffset) : { keptAt: null, end: storeOffset }
  if (kept === undefined) throw damaged('where its secret is kept is not said whole')
  const commitmentCount = (form & PASSPHRASE_BIT) + (isStored ? 1 : 0)
  const boxOffset = kept.end + commitmentCount * COMMITMENT_BYTES
  const end = form === 0 ? PLAIN_BYTES : boxOffset + BOX_BYTES + CHECKSUM_BYTES
  if (bytes.length !== end) throw damaged('its form and its length do not fit')
  return {
    form,
    parameters:
      parametersBytes === 0
        ? { passes: 0, memoryKib: 0 }
        : {
            passes: decodeUint32(bytes, HEAD_BYTES),
            memoryKib: decodeUint32(bytes, HEAD_BYTES + 4),
          },
    salt: bytes.slice(saltOffset, storeOffset),
    keptAt: kept.keptAt,
    headBytes: kept.end,
    boxOffset,
  }
}

function checkForm(bytes: Uint8Array): number {
  const checksumOffset = bytes.length - CHECKSUM_BYTES
  // A salt's room at least, so that what stands at fixed places can be read.
  if (checksumOffset < HEAD_BYTES + PARAMETERS_BYTES + SALT_BYTES) throw damaged('it is too short')
  const expected = checksumOf([bytes.subarray(0, checksumOffset)])
  if (!equalBytes(bytes.subarray(checksumOffset), expected)) throw damaged('its checksum is wrong')
  if (!equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)) throw damaged('it is no key file')
  if (bytes[8] !== VERSION) throw damaged(`its version ${bytes[8]} is not known to this program`)
  const form = bytes[9] ?? 0
  if (form > PASSPHRASE_BIT + KEY_STORE_BIT) throw damaged('its form is not known to this program')
  return form
}

function formOf(hasPassphrase: boolean, hasKeyStore: boolean): number {
  return (hasPassphrase ? PASSPHRASE_BIT : 0) + (hasKeyStore ? KEY_STORE_BIT : 0)
}

async function keysOf(
  { passphrase = '', storeSecret }: KeyFileOpening,
  from: { form: number; salt: Uint8Array; parameters: Argon2idParameters },
): Promise<KeyFileKeys> {
  const { form, salt, parameters } = from
  const hasPassphrase = (form & PASSPHRASE_BIT) !== 0
  const stretched = hasPassphrase
    ? await stretchPassphrase(passphrase, salt, parameters)
    : undefined
  try {
    if ((form & KEY_STORE_BIT) !== 0 && storeSecret !== undefined) {
      return mixedKeys(storeSecret, salt, stretched)
    }
    if (stretched === undefined) throw storeRequired()
    return passphraseKeys(stretched)
  } finally {
    stretched?.wipe()
  }
}

function wipeKeys({ sealing, commitments }: KeyFileKeys): void {
  for (const key of [sealing, ...commitments]) key.wipe()
}

/** Borrowed: the seeds stay with the keys. */
const contentOf = (deviceKeys: DeviceKeys, vaultId: VaultId): Uint8Array[] => [
  vaultId,
  deviceKeys.signingSeed.bytes,
  deviceKeys.kemSeed.bytes,
]

/** Takes `content` over. */
function parseContent(content: Uint8Array): DeviceKeyFile {
  const seedsOffset = VAULT_ID_BYTES + SECRET_BYTES
  const vaultId = parseVaultId(content.slice(0, VAULT_ID_BYTES))
  const signingSeed = new Secret('SigningSeed', content.slice(VAULT_ID_BYTES, seedsOffset))
  const kemSeed = new Secret('KemSeed', content.slice(seedsOffset))
  content.fill(0)
  return { deviceKeys: deviceKeysOf(signingSeed, kemSeed), vaultId }
}

function commitTo(key: CommitmentKey, head: Uint8Array): Uint8Array {
  return blake2b(COMMITMENT_BYTES, concat(COMMITMENT_LABEL, head), key.bytes)
}

function withChecksum(parts: readonly Uint8Array[]): Uint8Array {
  return concat(...parts, checksumOf(parts))
}

function checksumOf(parts: readonly Uint8Array[]): Uint8Array {
  // Of a plain file these are the seeds.
  const hashed = concat(CHECKSUM_LABEL, ...parts)
  const checksum = sha256(hashed)
  hashed.fill(0)
  return checksum
}

function passphraseRequired(): VaultError {
  return new VaultError('passphrase-required', 'the keys of this device need their passphrase')
}

function passphraseWrong(): VaultError {
  return new VaultError('passphrase-wrong', 'the passphrase of this device does not fit')
}

function storeRequired(): VaultError {
  return new VaultError(
    'key-store-required',
    'the keys of this device are closed with a key store: name it to open them',
  )
}

function storeWrong(): VaultError {
  return new VaultError(
    'key-store-wrong',
    'the key store gave another secret than the one the keys of this device are closed with',
  )
}

function damaged(why: string): VaultError {
  return new VaultError('key-file-damaged', `the key file is damaged: ${why}`)
}
