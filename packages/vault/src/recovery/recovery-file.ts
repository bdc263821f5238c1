/**
 * Key file: the seed of a recovery key under a passphrase, as text to keep or print (armor.ts).
 *
 *   offset  size  field
 *        0     8  "bcrecovr"
 *        8     1  version      1
 *        9     2  size         of all bytes
 *       11     4  passes       of Argon2id
 *       15     4  KiB          of Argon2id
 *       19    16  salt
 *       35    32  commitment   BLAKE2b-256(key = subkey of the stretched passphrase, label ‖ 0–34)
 *       67     …  box          of the content under another subkey; associated data: bytes 0–66
 *        …    32  checksum     SHA-256 over a label and all bytes before
 *
 *   content   seed (32) ‖ VaultId (32) ‖ keychain head (32) ‖ keychain length (4) ‖ time made, in
 *             ms (8) ‖ size (2) and UTF-8 of the remote's address ‖ zeros to a multiple of 64
 *
 * Whoever finds the file may guess at leisure, unlike at a device's: so 256 MiB at least. The
 * checksum finds damage before a passphrase is blamed; the commitment keeps one file from opening
 * to many passphrases. Magic, size and checksum stay where they are in later versions. Frozen by
 * test/vectors/recovery.json; decision 0024.
 */
import {
  concat,
  decodeUint32,
  decodeUint64,
  decodeUtf8,
  encodeUint32,
  encodeUint64,
  encodeUtf8,
  equalBytes,
  equalBytesConstantTime,
  HASH_BYTES,
  type Hash,
  NONCE_BYTES,
  ProtocolError,
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
} from '../argon2id.ts'
import { openBox, sealBox } from '../box.ts'
import { derive } from '../derivation.ts'
import { VaultError } from '../error.ts'
import type { RandomBytes } from '../random.ts'
import { blake2b } from '../raw-sodium.ts'
import { type PassphraseKey, type RecoverySeed, SECRET_BYTES, Secret } from '../secret.ts'
import { damaged, formatArmor, parseArmor, type Unarmored } from './armor.ts'

export type RecoveryFile = {
  readonly seed: RecoverySeed
  readonly vaultId: VaultId
  /** Of the keychain when the file was made: a chain that lacks it is not the vault's. */
  readonly keychainHead: Hash
  readonly keychainLength: number
  readonly madeAtMs: number
  /** At most 512 bytes; empty for none. */
  readonly remote: string
}

/** What can be said of a whole file without its passphrase. */
export type RecoveryFileForm = Argon2idParameters & {
  readonly version: number
  readonly bytes: number
}

/** 256 MiB and 3 passes: 0.9 s for each guess on a machine like ours. */
export const RECOVERY_FILE_BOUNDS: Argon2idBounds = {
  floor: { passes: 3, memoryKib: 256 * 1024 },
  ceiling: ARGON2ID_BOUNDS.ceiling,
}
/** The least of NIST SP 800-63B, revision 3: it keeps slips out, and measures nothing. */
export const PASSPHRASE_CHARACTERS_MIN = 8
export const REMOTE_BYTES_MAX = 512

const MAGIC = encodeUtf8('bcrecovr')
const VERSION = 1
const PARAMETERS_OFFSET = 11
const SALT_OFFSET = PARAMETERS_OFFSET + 8
const COMMITMENT_OFFSET = SALT_OFFSET + SALT_BYTES
const COMMITMENT_BYTES = 32
const BOX_OFFSET = COMMITMENT_OFFSET + COMMITMENT_BYTES
const CHECKSUM_BYTES = 32
const REMOTE_OFFSET = SECRET_BYTES + VAULT_ID_BYTES + HASH_BYTES + 4 + 8
const CONTENT_UNIT_BYTES = 64
const CHECKSUM_LABEL = encodeUtf8('blindcopy.recovery-file-checksum.v1')
const COMMITMENT_LABEL = encodeUtf8('blindcopy.recovery-file-commitment.v1')

/**
 * The text of the file, and nothing else. Takes a second, in which nothing else runs here. Throws
 * `passphrase-required`, `passphrase-weak`, `memory-refused`, or `too-large` for the address.
 */
export function encodeRecoveryFile(
  file: RecoveryFile,
  passphrase: string,
  random: RandomBytes,
): Promise<string> {
  return encodeRecoveryFileWith(RECOVERY_FILE_BOUNDS.floor, file, passphrase, random)
}

/**
 * Throws `recovery-kind-wrong`, `recovery-file-damaged`, `recovery-newer`, `parameters-refused`,
 * `memory-refused`, `passphrase-required` or `passphrase-wrong`.
 */
export function decodeRecoveryFile(text: string, passphrase: string): Promise<RecoveryFile> {
  return decodeRecoveryFileWithin(RECOVERY_FILE_BOUNDS, text, passphrase)
}

/** Says that a file is whole and could be opened: all that can be known without its passphrase. */
export function inspectRecoveryFile(text: string): RecoveryFileForm {
  const bytes = wholeFile(parseArmor(text))
  const parameters = parametersOf(bytes)
  checkParameters(parameters, RECOVERY_FILE_BOUNDS)
  return { ...parameters, version: VERSION, bytes: bytes.length }
}

/** Parameters as given: for tests, which cannot wait for real ones. */
export async function encodeRecoveryFileWith(
  parameters: Argon2idParameters,
  file: RecoveryFile,
  passphrase: string,
  random: RandomBytes,
): Promise<string> {
  checkPassphrase(passphrase)
  const content = encodeContent(file)
  const size = BOX_OFFSET + NONCE_BYTES + content.length + TAG_BYTES + CHECKSUM_BYTES
  const salt = random(SALT_BYTES)
  const head = concat(
    MAGIC,
    Uint8Array.of(VERSION, size >> 8, size & 0xff),
    encodeUint32(parameters.passes),
    encodeUint32(parameters.memoryKib),
    salt,
  )
  try {
    const stretched = await stretchPassphrase(passphrase, salt, parameters)
    const associatedData = concat(head, commitTo(stretched, head))
    const key = derive('recoveryFileSealing', stretched)
    const body = concat(associatedData, sealBox(content, { key, associatedData }, random))
    for (const secret of [stretched, key]) secret.wipe()
    return formatArmor(concat(body, checksumOf(body)))
  } finally {
    content.fill(0)
  }
}

/** Bounds as given: for tests. */
export async function decodeRecoveryFileWithin(
  bounds: Argon2idBounds,
  text: string,
  passphrase: string,
): Promise<RecoveryFile> {
  const bytes = wholeFile(parseArmor(text))
  const parameters = parametersOf(bytes)
  checkParameters(parameters, bounds)
  if (passphrase === '') throw passphraseRequired()
  const salt = bytes.slice(SALT_OFFSET, COMMITMENT_OFFSET)
  const stretched = await stretchPassphrase(passphrase, salt, parameters)
  try {
    return parseContent(openContent(bytes, stretched))
  } finally {
    stretched.wipe()
  }
}

/** The bytes, once form and checksum say that they are what was written. */
function wholeFile({ bytes, isEnded }: Unarmored): Uint8Array {
  const cut = isEnded ? 'it looks cut, lines are missing' : 'it looks cut, its end is missing'
  if (!equalBytes(bytes.subarray(0, MAGIC.length), MAGIC.subarray(0, bytes.length))) {
    throw damaged('its beginning is not that of a key file')
  }
  if (bytes.length < PARAMETERS_OFFSET) throw damaged(cut)
  const size = ((bytes[9] as number) << 8) | (bytes[10] as number)
  if (bytes.length < size) throw damaged(`${cut}: ${bytes.length} of ${size} bytes are there`)
  if (bytes.length > size) throw damaged('it holds more than was written')
  const body = bytes.subarray(0, Math.max(0, size - CHECKSUM_BYTES))
  if (!equalBytes(bytes.subarray(body.length), checksumOf(body))) {
    throw damaged('a character of it was changed')
  }
  checkVersion(bytes)
  const contentBytes = size - BOX_OFFSET - NONCE_BYTES - TAG_BYTES - CHECKSUM_BYTES
  if (contentBytes < 2 * CONTENT_UNIT_BYTES || contentBytes % CONTENT_UNIT_BYTES !== 0) {
    throw damaged('its size is not one that a key file has')
  }
  return bytes
}

function checkVersion(bytes: Uint8Array): void {
  const version = bytes[MAGIC.length] as number
  if (version === VERSION) return
  if (version < VERSION) throw damaged('it has no version')
  throw new VaultError(
    'recovery-newer',
    `the key file is of version ${version}, which this program does not know`,
  )
}

function parametersOf(bytes: Uint8Array): Argon2idParameters {
  return {
    passes: decodeUint32(bytes, PARAMETERS_OFFSET),
    memoryKib: decodeUint32(bytes, PARAMETERS_OFFSET + 4),
  }
}

function openContent(bytes: Uint8Array, stretched: PassphraseKey): Uint8Array {
  const commitment = bytes.subarray(COMMITMENT_OFFSET, BOX_OFFSET)
  if (
    !equalBytesConstantTime(commitTo(stretched, bytes.subarray(0, COMMITMENT_OFFSET)), commitment)
  ) {
    throw new VaultError('passphrase-wrong', 'the passphrase of this key file does not fit')
  }
  const key = derive('recoveryFileSealing', stretched)
  try {
    const box = bytes.subarray(BOX_OFFSET, bytes.length - CHECKSUM_BYTES)
    return openBox(box, { key, associatedData: bytes.subarray(0, BOX_OFFSET) })
  } catch {
    throw damaged('its content does not open')
  } finally {
    key.wipe()
  }
}

function encodeContent({ seed, vaultId, keychainHead, ...made }: RecoveryFile): Uint8Array {
  const remote = encodeUtf8(made.remote)
  if (remote.length > REMOTE_BYTES_MAX) {
    throw new ProtocolError(
      'too-large',
      `the address of the remote has ${remote.length} bytes, over the ${REMOTE_BYTES_MAX} of a key file`,
    )
  }
  const used = REMOTE_OFFSET + 2 + remote.length
  return concat(
    seed.bytes,
    vaultId,
    keychainHead,
    encodeUint32(made.keychainLength),
    encodeUint64(made.madeAtMs),
    Uint8Array.of(remote.length >> 8, remote.length & 0xff),
    remote,
    new Uint8Array(-used & (CONTENT_UNIT_BYTES - 1)),
  )
}

/** Takes `content` over. */
function parseContent(content: Uint8Array): RecoveryFile {
  const headOffset = SECRET_BYTES + VAULT_ID_BYTES
  const lengthOffset = headOffset + HASH_BYTES
  const remoteBytes =
    ((content[REMOTE_OFFSET] as number) << 8) | (content[REMOTE_OFFSET + 1] as number)
  const remoteEnd = REMOTE_OFFSET + 2 + remoteBytes
  if (remoteBytes > REMOTE_BYTES_MAX || remoteEnd > content.length) {
    throw damaged('its content has the wrong form')
  }
  const seed = new Secret('RecoverySeed', content.slice(0, SECRET_BYTES))
  content.fill(0, 0, SECRET_BYTES)
  return {
    seed,
    vaultId: parseVaultId(content.slice(SECRET_BYTES, headOffset)),
    keychainHead: content.slice(headOffset, lengthOffset) as Hash,
    keychainLength: decodeUint32(content, lengthOffset),
    madeAtMs: decodeUint64(content, lengthOffset + 4),
    remote: decodeUtf8(content.slice(REMOTE_OFFSET + 2, remoteEnd)),
  }
}

function commitTo(stretched: PassphraseKey, head: Uint8Array): Uint8Array {
  const key = derive('recoveryFileCommitment', stretched)
  const commitment = blake2b(COMMITMENT_BYTES, concat(COMMITMENT_LABEL, head), key.bytes)
  key.wipe()
  return commitment
}

function checksumOf(body: Uint8Array): Uint8Array {
  return sha256(concat(CHECKSUM_LABEL, body))
}

function checkPassphrase(passphrase: string): void {
  if (passphrase === '') throw passphraseRequired()
  const characters = [...passphrase.normalize('NFC').trim()].length
  if (characters >= PASSPHRASE_CHARACTERS_MIN) return
  throw new VaultError(
    'passphrase-weak',
    `the passphrase of a key file has at least ${PASSPHRASE_CHARACTERS_MIN} characters: ` +
      'whoever finds the file may try passphrases for ever',
  )
}

function passphraseRequired(): VaultError {
  return new VaultError('passphrase-required', 'the key file needs its passphrase')
}
