/**
 * Key file: the bytes in which a device keeps its own two seeds and the id of its vault.
 *
 *   offset  size  field
 *        0     8  "bcdevice"
 *        8     1  version      1
 *        9     1  form         0 plain, 1 under a passphrase
 *                              plain            under a passphrase
 *       10     …  body         VaultId, seeds   passes (4) ‖ KiB (4) ‖ salt (16) ‖ commitment (32)
 * ‖
 *                                               box (nonce, VaultId and seeds sealed, tag)
 *        …    32  checksum     SHA-256 over a label and all bytes before
 *
 * The checksum finds damage before a passphrase is blamed for it; the commitment finds a wrong
 * passphrase before anything is opened, and keeps one file from opening to two passphrases (Len et
 * al., "Partitioning Oracle Attacks", 2021). All bytes before the commitment are bound into it, and
 * with it into the associated data. Neither protects a plain file from who can write it: folder
 * rights do.
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
import { derive } from './derivation.ts'
import { type DeviceKeys, deviceKeysOf } from './device.ts'
import { VaultError } from './error.ts'
import type { RandomBytes } from './random.ts'
import { blake2b } from './raw-sodium.ts'
import { type PassphraseKey, SECRET_BYTES, Secret } from './secret.ts'

export type KeyStore = { readonly deviceKeys: DeviceKeys; readonly vaultId: VaultId }

const MAGIC = encodeUtf8('bcdevice')
const VERSION = 1
const FORM_PLAIN = 0
const FORM_PASSPHRASE = 1
const HEAD_BYTES = 10
const CHECKSUM_BYTES = 32
const COMMITMENT_BYTES = 32
const CONTENT_BYTES = VAULT_ID_BYTES + 2 * SECRET_BYTES
const PARAMETERS_BYTES = 8
const COMMITMENT_OFFSET = HEAD_BYTES + PARAMETERS_BYTES + SALT_BYTES
const BOX_OFFSET = COMMITMENT_OFFSET + COMMITMENT_BYTES
const PLAIN_BYTES = HEAD_BYTES + CONTENT_BYTES + CHECKSUM_BYTES
const PASSPHRASE_BYTES = BOX_OFFSET + NONCE_BYTES + CONTENT_BYTES + TAG_BYTES + CHECKSUM_BYTES
const CHECKSUM_LABEL = encodeUtf8('blindcopy.key-file.v1')
const COMMITMENT_LABEL = encodeUtf8('blindcopy.key-file-commitment.v1')

export function encodeKeyStore(
  deviceKeys: DeviceKeys,
  vaultId: VaultId,
  passphrase: string | undefined,
  random: RandomBytes,
): Promise<Uint8Array> {
  return encodeKeyStoreWith(ARGON2ID_BOUNDS.floor, { deviceKeys, vaultId }, passphrase, random)
}

/**
 * Throws `key-file-damaged`, `passphrase-required`, `passphrase-wrong`, or `parameters-refused`. A
 * passphrase is not used for a plain file.
 */
export function decodeKeyStore(bytes: Uint8Array, passphrase?: string): Promise<KeyStore> {
  return decodeKeyStoreWithin(ARGON2ID_BOUNDS, bytes, passphrase)
}

/** Parameters as given: for tests, which cannot wait for real ones. */
export async function encodeKeyStoreWith(
  parameters: Argon2idParameters,
  { deviceKeys, vaultId }: KeyStore,
  passphrase: string | undefined,
  random: RandomBytes,
): Promise<Uint8Array> {
  const content = concat(vaultId, deviceKeys.signingSeed.bytes, deviceKeys.kemSeed.bytes)
  if (passphrase === undefined) {
    const bytes = withChecksum(concat(MAGIC, Uint8Array.of(VERSION, FORM_PLAIN), content))
    content.fill(0)
    return bytes
  }
  if (passphrase === '') throw passphraseRequired()
  const salt = random(SALT_BYTES)
  const head = concat(
    MAGIC,
    Uint8Array.of(VERSION, FORM_PASSPHRASE),
    encodeUint32(parameters.passes),
    encodeUint32(parameters.memoryKib),
    salt,
  )
  const stretched = await stretchPassphrase(passphrase, salt, parameters)
  const associatedData = concat(head, commitTo(stretched, head))
  const key = derive('storeSealing', stretched)
  const box = sealBox(content, { key, associatedData }, random)
  for (const secret of [stretched, key]) secret.wipe()
  content.fill(0)
  return withChecksum(concat(associatedData, box))
}

/** Bounds as given: for tests. */
export async function decodeKeyStoreWithin(
  bounds: Argon2idBounds,
  bytes: Uint8Array,
  passphrase?: string,
): Promise<KeyStore> {
  const form = checkForm(bytes)
  const body = bytes.subarray(0, bytes.length - CHECKSUM_BYTES)
  if (form === FORM_PLAIN) return parseContent(body.slice(HEAD_BYTES))
  if (passphrase === undefined || passphrase === '') throw passphraseRequired()
  const parameters = {
    passes: decodeUint32(body, HEAD_BYTES),
    memoryKib: decodeUint32(body, HEAD_BYTES + 4),
  }
  checkParameters(parameters, bounds)
  const salt = body.slice(HEAD_BYTES + PARAMETERS_BYTES, COMMITMENT_OFFSET)
  const stretched = await stretchPassphrase(passphrase, salt, parameters)
  try {
    return parseContent(openContent(body, stretched))
  } finally {
    stretched.wipe()
  }
}

function openContent(body: Uint8Array, stretched: PassphraseKey): Uint8Array {
  const head = body.subarray(0, COMMITMENT_OFFSET)
  const commitment = body.subarray(COMMITMENT_OFFSET, BOX_OFFSET)
  if (!equalBytesConstantTime(commitTo(stretched, head), commitment)) {
    throw new VaultError('passphrase-wrong', 'the passphrase of this device does not fit')
  }
  const key = derive('storeSealing', stretched)
  try {
    return openBox(body.subarray(BOX_OFFSET), { key, associatedData: body.subarray(0, BOX_OFFSET) })
  } catch {
    throw damaged('its content does not open')
  } finally {
    key.wipe()
  }
}

/** Takes `content` over. */
function parseContent(content: Uint8Array): KeyStore {
  const seedsOffset = VAULT_ID_BYTES + SECRET_BYTES
  const vaultId = parseVaultId(content.slice(0, VAULT_ID_BYTES))
  const signingSeed = new Secret('SigningSeed', content.slice(VAULT_ID_BYTES, seedsOffset))
  const kemSeed = new Secret('KemSeed', content.slice(seedsOffset))
  content.fill(0)
  return { deviceKeys: deviceKeysOf(signingSeed, kemSeed), vaultId }
}

function checkForm(bytes: Uint8Array): number {
  const checksumOffset = bytes.length - CHECKSUM_BYTES
  if (checksumOffset < HEAD_BYTES) throw damaged('it is too short')
  const expected = checksumOf(bytes.subarray(0, checksumOffset))
  if (!equalBytes(bytes.subarray(checksumOffset), expected)) throw damaged('its checksum is wrong')
  if (!equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)) throw damaged('it is no key file')
  if (bytes[8] !== VERSION) throw damaged(`its version ${bytes[8]} is not known to this program`)
  const form = bytes[9]
  if (form === FORM_PLAIN && bytes.length === PLAIN_BYTES) return form
  if (form === FORM_PASSPHRASE && bytes.length === PASSPHRASE_BYTES) return form
  throw damaged('its form and its length do not fit')
}

function commitTo(stretched: PassphraseKey, head: Uint8Array): Uint8Array {
  const key = derive('storeCommitment', stretched)
  const commitment = blake2b(COMMITMENT_BYTES, concat(COMMITMENT_LABEL, head), key.bytes)
  key.wipe()
  return commitment
}

function withChecksum(bytes: Uint8Array): Uint8Array {
  return concat(bytes, checksumOf(bytes))
}

function checksumOf(bytes: Uint8Array): Uint8Array {
  return sha256(concat(CHECKSUM_LABEL, bytes))
}

function passphraseRequired(): VaultError {
  return new VaultError('passphrase-required', 'the keys of this device need their passphrase')
}

function damaged(why: string): VaultError {
  return new VaultError('key-file-damaged', `the key file is damaged: ${why}`)
}
