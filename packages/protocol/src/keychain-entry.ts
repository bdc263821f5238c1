/**
 * One entry of the keychain, in bytes and parsed.
 *
 *   entry = [body, signature]                              CBOR; both byte strings
 *   body  = [1, type, index, previous, signer, timeMs, …]  CBOR; positional
 *     0 genesis        rootSigningKey, rootKemKey, idKeyCommitment
 *     1 member-add     kind, signingKey, kemKey, proof, sealedName, wrap | null, vaultProof | null
 *     2 member-revoke  [member…]
 *     3 epoch          epoch, commitment, [[member, wrap]…], rootWrap, [[olderEpoch, sealed]…]
 *     4 replace        hashes of the entries it replaces, joined; the greatest epoch among them
 *
 * Entries are kept and passed on as the bytes that were signed, never encoded again. What an entry
 * means in its chain is keychain.ts.
 */
import { concat, encodeUtf8, equalBytes } from './bytes.ts'
import { decodeCbor, encodeCbor } from './codec.ts'
import { ProtocolError } from './error.ts'
import { sha256 } from './hash.ts'
import {
  HASH_BYTES,
  type Hash,
  type KemPublicKey,
  type MemberId,
  parseHash,
  parseKemPublicKey,
  parseMemberId,
  parseSignature,
  parseSigningPublicKey,
  type Signature,
  type SigningPublicKey,
} from './ids.ts'
import { KEYCHAIN_ENTRY_BYTES_MAX } from './limits.ts'
import { createFieldReaders } from './signed-fields.ts'

export type MemberKind = 'device' | 'recovery'

export type KeyWrap = { readonly memberId: MemberId; readonly wrap: Uint8Array }
export type SealedEpoch = { readonly epoch: number; readonly sealed: Uint8Array }

export type KeychainPayload =
  | {
      readonly type: 'genesis'
      readonly rootSigningKey: SigningPublicKey
      readonly rootKemKey: KemPublicKey
      readonly idKeyCommitment: Hash
    }
  | {
      readonly type: 'member-add'
      readonly kind: MemberKind
      readonly signingKey: SigningPublicKey
      readonly kemKey: KemPublicKey
      readonly proof: Signature
      readonly sealedName: Uint8Array
      /** The newest epoch's keys for the newcomer; null only before the first epoch. */
      readonly wrap: Uint8Array | null
      /**
       * Of a recovery key, which its seed makes of the vault id: a restore that knows only the seed
       * tells by it the vault it belongs to. Null for a device.
       */
      readonly vaultProof: Hash | null
    }
  | {
      readonly type: 'member-revoke'
      readonly memberIds: readonly MemberId[]
    }
  | {
      readonly type: 'replace'
      /** Every entry that gives way, by its hash: whoever stands on one of them may follow. */
      readonly replaced: readonly Hash[]
      /** The greatest number of an epoch among them; 0 for none. */
      readonly greatestEpoch: number
    }
  | {
      readonly type: 'epoch'
      readonly epoch: number
      readonly commitment: Hash
      readonly wraps: readonly KeyWrap[]
      readonly rootWrap: Uint8Array
      readonly sealedEpochs: readonly SealedEpoch[]
    }

/** What every entry has before its payload. */
export type KeychainPlace = {
  readonly index: number
  readonly previous: Hash
  readonly signer: MemberId
  readonly timeMs: number
}

export type KeychainEntry = KeychainPlace & {
  readonly payload: KeychainPayload
  readonly body: Uint8Array
  readonly signature: Signature
  readonly hash: Hash
}

const BODY_VERSION = 1
const TYPES = ['genesis', 'member-add', 'member-revoke', 'epoch', 'replace'] as const
const KINDS: readonly MemberKind[] = ['device', 'recovery']
/** X-Wing ciphertext, nonce, two keys of 32 bytes, tag. */
export const WRAP_BYTES: number = 1120 + 24 + 64 + 16
/** Nonce, key of 32 bytes, tag. */
export const SEALED_EPOCH_BYTES: number = 24 + 32 + 16
export const SEALED_NAME_BYTES_MAX = 512
/** The first entry follows nothing. */
export const HASH_NONE: Hash = new Uint8Array(32) as Uint8Array as Hash

export function encodeKeychainBody(place: KeychainPlace, payload: KeychainPayload): Uint8Array {
  const head = [
    BODY_VERSION,
    TYPES.indexOf(payload.type),
    place.index,
    place.previous,
    place.signer,
    place.timeMs,
  ]
  return encodeCbor([...head, ...encodePayload(payload)])
}

function encodePayload(payload: KeychainPayload): unknown[] {
  switch (payload.type) {
    case 'genesis':
      return [payload.rootSigningKey, payload.rootKemKey, payload.idKeyCommitment]
    case 'member-add':
      return [
        KINDS.indexOf(payload.kind),
        payload.signingKey,
        payload.kemKey,
        payload.proof,
        payload.sealedName,
        payload.wrap,
        payload.vaultProof,
      ]
    case 'member-revoke':
      return [[...payload.memberIds]]
    case 'replace':
      return [concat(...payload.replaced), payload.greatestEpoch]
    case 'epoch':
      return [
        payload.epoch,
        payload.commitment,
        payload.wraps.map(({ memberId, wrap }) => [memberId, wrap]),
        payload.rootWrap,
        payload.sealedEpochs.map(({ epoch, sealed }) => [epoch, sealed]),
      ]
  }
}

export function encodeKeychainEntry(body: Uint8Array, signature: Signature): Uint8Array {
  return encodeCbor([body, signature])
}

const ENTRY_LABEL = encodeUtf8('blindcopy.keychain-entry.v1')

/** Names the entry, its signature included: the next entry and a pinned head hold this. */
export function keychainEntryHash(body: Uint8Array, signature: Signature): Hash {
  return sha256(concat(ENTRY_LABEL, body, signature))
}

/**
 * Throws `keychain-invalid` for a wrong form, `keychain-unsupported` for an entry of a later time.
 */
export function parseKeychainEntry(bytes: Uint8Array): KeychainEntry {
  if (bytes.length > KEYCHAIN_ENTRY_BYTES_MAX) invalid('an entry is too large')
  try {
    const [body, signatureBytes] = tuple(decodeCbor(bytes), 2)
    const signature = parseSignature(byteString(signatureBytes))
    const bodyBytes = byteString(body).slice()
    // The hash does not cover the two lengths around body and signature: they have one spelling.
    if (!equalBytes(encodeKeychainEntry(bodyBytes, signature), bytes)) {
      invalid('an entry is not spelled in the one way')
    }
    const items = list(decodeCbor(bodyBytes))
    const [version, type, index, previous, signer, timeMs, ...rest] = items
    if (version !== BODY_VERSION || TYPES[integer(type)] === undefined) unsupported(version, type)
    return {
      index: integer(index),
      previous: parseHash(byteString(previous)),
      signer: parseMemberId(byteString(signer)),
      timeMs: moment(timeMs),
      payload: parsePayload(TYPES[integer(type)], rest),
      body: bodyBytes,
      signature: signature.slice() as Signature,
      hash: keychainEntryHash(bodyBytes, signature),
    }
  } catch (cause) {
    if (cause instanceof ProtocolError && cause.code.startsWith('keychain')) throw cause
    throw new ProtocolError('keychain-invalid', 'keychain entry has a wrong form', { cause })
  }
}

function parsePayload(type: (typeof TYPES)[number] | undefined, rest: unknown[]): KeychainPayload {
  switch (type) {
    case 'genesis': {
      const [rootSigningKey, rootKemKey, idKeyCommitment] = tuple(rest, 3)
      return {
        type,
        rootSigningKey: parseSigningPublicKey(byteString(rootSigningKey)),
        rootKemKey: parseKemPublicKey(byteString(rootKemKey)),
        idKeyCommitment: parseHash(byteString(idKeyCommitment)),
      }
    }
    case 'member-add':
      return parseMemberAdd(rest)
    case 'member-revoke': {
      const [memberIds] = tuple(rest, 1)
      return { type, memberIds: list(memberIds).map((id) => parseMemberId(byteString(id))) }
    }
    case 'epoch':
      return parseEpoch(rest)
    case 'replace': {
      const [replaced, greatestEpoch] = tuple(rest, 2)
      return {
        type,
        replaced: splitHashes(byteString(replaced)),
        greatestEpoch: integer(greatestEpoch),
      }
    }
    default:
      return unsupported(BODY_VERSION, type)
  }
}

function parseMemberAdd(rest: unknown[]): KeychainPayload {
  const [kindIndex, signingKey, kemKey, proof, sealedName, wrap, vaultProof] = tuple(rest, 7)
  const kind = KINDS[integer(kindIndex)]
  if (kind === undefined) return unsupported(BODY_VERSION, 'member kind')
  const name = byteString(sealedName)
  if (name.length > SEALED_NAME_BYTES_MAX) invalid('a member name is too long')
  return {
    type: 'member-add',
    kind,
    signingKey: parseSigningPublicKey(byteString(signingKey)),
    kemKey: parseKemPublicKey(byteString(kemKey)),
    proof: parseSignature(byteString(proof)),
    sealedName: name,
    wrap: wrap === null ? null : byteString(wrap, WRAP_BYTES),
    vaultProof: vaultProof === null ? null : parseHash(byteString(vaultProof)),
  }
}

function splitHashes(joined: Uint8Array): Hash[] {
  if (joined.length % HASH_BYTES !== 0) invalid('hashes have a wrong length')
  const hashes: Hash[] = []
  for (let at = 0; at < joined.length; at += HASH_BYTES) {
    hashes.push(parseHash(joined.slice(at, at + HASH_BYTES)))
  }
  return hashes
}

function parseEpoch(rest: unknown[]): KeychainPayload {
  const [epoch, commitment, wraps, rootWrap, sealedEpochs] = tuple(rest, 5)
  return {
    type: 'epoch',
    epoch: integer(epoch),
    commitment: parseHash(byteString(commitment)),
    wraps: list(wraps).map((item) => {
      const [memberId, wrap] = tuple(item, 2)
      return { memberId: parseMemberId(byteString(memberId)), wrap: byteString(wrap, WRAP_BYTES) }
    }),
    rootWrap: byteString(rootWrap, WRAP_BYTES),
    sealedEpochs: list(sealedEpochs).map((item) => {
      const [older, sealed] = tuple(item, 2)
      return { epoch: integer(older), sealed: byteString(sealed, SEALED_EPOCH_BYTES) }
    }),
  }
}

function invalid(why: string): never {
  throw new ProtocolError('keychain-invalid', `keychain entry refused: ${why}`)
}

function unsupported(version: unknown, type: unknown): never {
  // Only numbers are said again: anything else may be of any length.
  const [saidVersion, saidType] = [version, type].map((said) =>
    typeof said === 'number' ? said : 'unknown',
  )
  throw new ProtocolError(
    'keychain-unsupported',
    `keychain entry of a later version (version ${saidVersion}, type ${saidType}): ` +
      'update this program',
  )
}

const { list, tuple, byteString, integer, moment } = createFieldReaders(invalid)
