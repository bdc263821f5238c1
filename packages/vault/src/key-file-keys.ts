/**
 * The keys of a key file that is closed: from a passphrase, from the secret of a key store, or from
 * both; and the place in the file that says where such a secret is kept.
 *
 * A secret of a key store has 32 bytes that nobody can guess: it is not stretched. With a
 * passphrase too, neither opens the file alone, and each is told apart when it is wrong: the first
 * commitment follows from the secret only.
 */
import { concat, decodeUtf8, encodeUtf8 } from '@blindcopy/protocol'
import { derive } from './derivation.ts'
import { VaultError } from './error.ts'
import { blake2b } from './raw-sodium.ts'
import {
  type BoxKey,
  type CommitmentKey,
  type PassphraseKey,
  SECRET_BYTES,
  Secret,
  type StoreKey,
  type StoreSecret,
} from './secret.ts'

/** Which key store gives the secret, and what it needs to find it. Everybody can read both. */
export type KeptAt = {
  /** Its kind: 1 to 32 of a–z, 0–9 and "-". */
  readonly id: string
  /** Up to 2,048 bytes of its own. */
  readonly handle: Uint8Array
}

export type KeyFileKeys = {
  readonly sealing: BoxKey
  /** In the order of the file. */
  readonly commitments: readonly CommitmentKey[]
}

export const STORE_HANDLE_BYTES_MAX = 2048
export const STORE_SECRET_BYTES: number = SECRET_BYTES
const STORE_ID = /^[a-z0-9-]{1,32}$/
const MIXING_LABEL = encodeUtf8('blindcopy.key-store.v1')

export function passphraseKeys(stretched: PassphraseKey): KeyFileKeys {
  return {
    sealing: derive('storeSealing', stretched),
    commitments: [derive('storeCommitment', stretched)],
  }
}

export function mixedKeys(
  secret: StoreSecret,
  salt: Uint8Array,
  stretched: PassphraseKey | undefined,
): KeyFileKeys {
  const mixing = derive('keyStoreMixing', secret)
  const mixed = concat(MIXING_LABEL, salt, ...(stretched === undefined ? [] : [stretched.bytes]))
  const storeKey: StoreKey = new Secret('StoreKey', blake2b(SECRET_BYTES, mixed, mixing.bytes))
  mixed.fill(0)
  mixing.wipe()
  try {
    const own = derive('keyStoreCommitment', secret)
    const both = stretched === undefined ? [] : [derive('mixedCommitment', storeKey)]
    return { sealing: derive('mixedSealing', storeKey), commitments: [own, ...both] }
  } finally {
    storeKey.wipe()
  }
}

/** Takes the bytes over. Throws `key-store-wrong` when they have another size. */
export function parseStoreSecret(bytes: Uint8Array): StoreSecret {
  if (bytes.length === SECRET_BYTES) return new Secret('StoreSecret', bytes)
  bytes.fill(0)
  throw new VaultError('key-store-wrong', `a key store gives secrets of ${SECRET_BYTES} bytes`)
}

/** Throws `key-store-wrong` for an id or a handle that no key file carries. */
export function encodeKeptAt({ id, handle }: KeptAt): Uint8Array {
  if (!STORE_ID.test(id) || handle.length > STORE_HANDLE_BYTES_MAX) {
    throw new VaultError(
      'key-store-wrong',
      `a key store has an id of 1 to 32 of a-z, 0-9 and "-", and handles of at most ${STORE_HANDLE_BYTES_MAX} bytes`,
    )
  }
  const length = Uint8Array.of(handle.length >> 8, handle.length & 0xff)
  return concat(Uint8Array.of(id.length), encodeUtf8(id), length, handle)
}

/** Undefined when it is not whole, or what nobody writes. */
export function parseKeptAt(
  bytes: Uint8Array,
  offset: number,
): { keptAt: KeptAt; end: number } | undefined {
  const idEnd = offset + 1 + (bytes[offset] ?? 0)
  const handleOffset = idEnd + 2
  const handleBytes = ((bytes[idEnd] ?? 0) << 8) | (bytes[idEnd + 1] ?? 0)
  const end = handleOffset + handleBytes
  if (end > bytes.length || handleBytes > STORE_HANDLE_BYTES_MAX) return undefined
  const id = textOf(bytes.subarray(offset + 1, idEnd))
  if (!STORE_ID.test(id)) return undefined
  return { keptAt: { id, handle: bytes.slice(handleOffset, end) }, end }
}

function textOf(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes)
  } catch {
    return ''
  }
}
