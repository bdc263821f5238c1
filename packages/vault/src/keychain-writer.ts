/**
 * Writing the keychain: founding a vault, adding a member, beginning an epoch.
 *
 * Each function gives signed bytes to append and keeps nothing; what it makes is put through the
 * same rules that both ends apply (protocol's keychain.ts) before it is handed out. The caller
 * appends the bytes at the remote, and makes them anew when another entry came first.
 */
import {
  assert,
  encodeKeychainBody,
  encodeKeychainEntry,
  extendKeychain,
  HASH_NONE,
  type Keychain,
  type KeychainPayload,
  keychainHead,
  keychainSignedBytes,
  type MemberKind,
  memberIdOf,
  newestEpoch,
  type Signature,
  validateKeychain,
  WRAP_BYTES,
} from '@blindcopy/protocol'
import { commitToEpoch, commitToIdKey } from './commitment.ts'
import type { DeviceKeys } from './device.ts'
import { VaultError } from './error.ts'
import { Keyring } from './keyring.ts'
import { type MemberPublicKeys, memberProof, type Signer } from './member-keys.ts'
import { sealMemberName } from './member-name.ts'
import { sealOlderEpoch } from './older-epoch.ts'
import type { RandomBytes } from './random.ts'
import type { Root } from './root.ts'
import { SECRET_BYTES, Secret } from './secret.ts'
import { verifySignature } from './sodium.ts'
import { type Recipient, type WrapPlace, type WrappedKeys, wrapKeys } from './wrap.ts'

/** The parameters that every entry needs. */
type Writing = {
  readonly keychain: Keychain
  readonly signer: Signer
  readonly nowMs: number
  readonly random: RandomBytes
}

export type Newcomer = MemberPublicKeys & {
  readonly kind: MemberKind
  /** From `memberProof`, made by the newcomer itself. */
  readonly proof: Signature
}

/**
 * The first three entries of a new vault: genesis, its first device, and epoch 1, signed by the
 * root. The keyring holds epoch 1.
 */
export function foundKeychain(options: {
  readonly root: Root
  readonly device: DeviceKeys
  readonly deviceName: string
  readonly nowMs: number
  readonly random: RandomBytes
}): { entries: Uint8Array[]; keyring: Keyring } {
  const { root, device, deviceName, nowMs, random } = options
  const { vaultId } = root
  const keys = { idKey: generate('IdKey', random), epochKey: generate('EpochKey', random) }
  const genesis = writeGenesis(root, commitToIdKey(vaultId, keys.idKey), nowMs)
  const begun = validateKeychain(vaultId, [genesis], verifySignature)
  const namePlace = { vaultId, memberId: device.memberId, epoch: 1 }
  const member = writeEntry(
    { keychain: begun, signer: root, nowMs },
    {
      type: 'member-add',
      kind: 'device',
      signingKey: device.signingKey,
      kemKey: device.kemKey,
      proof: memberProof(vaultId, device),
      sealedName: sealMemberName(deviceName, keys.epochKey, namePlace, random),
      wrap: null,
    },
  )
  const joined = extendKeychain(begun, [member], verifySignature)
  const epoch = writeEpoch({ keychain: joined, signer: root, nowMs, random }, 1, keys, [])
  const keyring = new Keyring(vaultId, keys.idKey, new Map([[1, keys.epochKey]]))
  return { entries: [genesis, member, epoch], keyring }
}

/**
 * Throws `keychain-invalid` when the newcomer cannot be a member (its proof, its id, too many), and
 * `key-mismatch` when its KEM key is no key, or the keyring is behind the keychain.
 */
export function addMember(
  options: Writing & {
    readonly keyring: Keyring
    readonly newcomer: Newcomer
    readonly name: string
  },
): Uint8Array {
  const { keychain, keyring, newcomer, name, random } = options
  checkNewest(keychain, keyring)
  const { vaultId, newestEpoch: epoch } = keyring
  const memberId = memberIdOf(newcomer.signingKey)
  const keys = keyring.newestKeys()
  const wrapPlace = { vaultId, epoch, previous: keychainHead(keychain) }
  const recipient = { memberId, kemKey: newcomer.kemKey }
  const wrap = wrapKeys(keys, recipient, wrapPlace, random)
  if (wrap === undefined) {
    throw new VaultError('key-mismatch', 'the KEM key of the new member is not a usable key')
  }
  const { kind, signingKey, kemKey, proof } = newcomer
  const sealedName = sealMemberName(name, keys.epochKey, { vaultId, memberId, epoch }, random)
  return writeEntry(options, {
    type: 'member-add',
    kind,
    signingKey,
    kemKey,
    proof,
    sealedName,
    wrap,
  })
}

/** A new key for what is written from now on, wrapped to every active member and the root. */
export function beginEpoch(options: Writing & { readonly keyring: Keyring }): {
  entry: Uint8Array
  keyring: Keyring
} {
  const { keychain, keyring, random } = options
  checkNewest(keychain, keyring)
  const { vaultId, newestEpoch: olderEpoch } = keyring
  const epoch = olderEpoch + 1
  const older = keyring.newestKeys()
  const epochKey = generate('EpochKey', random)
  const sealPlace = { vaultId, epoch, olderEpoch, previous: keychainHead(keychain) }
  const sealed = sealOlderEpoch(older.epochKey, epochKey, sealPlace, random)
  const keys = { epochKey, idKey: older.idKey }
  const entry = writeEpoch(options, epoch, keys, [{ epoch: olderEpoch, sealed }])
  return { entry, keyring: keyring.withEpoch(epoch, epochKey) }
}

function writeGenesis(
  root: Root,
  idKeyCommitment: ReturnType<typeof commitToIdKey>,
  nowMs: number,
) {
  const place = { index: 0, previous: HASH_NONE, signer: root.memberId, timeMs: nowMs }
  const { signingKey, kemKey } = root
  const body = encodeKeychainBody(place, {
    type: 'genesis',
    rootSigningKey: signingKey,
    rootKemKey: kemKey,
    idKeyCommitment,
  }).slice()
  return encodeKeychainEntry(body, root.sign(keychainSignedBytes(root.vaultId, body))).slice()
}

function writeEpoch(
  writing: Writing,
  epoch: number,
  keys: WrappedKeys,
  sealedEpochs: Extract<KeychainPayload, { type: 'epoch' }>['sealedEpochs'],
): Uint8Array {
  const { keychain, random } = writing
  const { vaultId, root } = keychain
  const place = { vaultId, epoch, previous: keychainHead(keychain) }
  const members = [...keychain.membersById.values()]
  const rootRecipient = { memberId: root.memberId, kemKey: root.rootKemKey }
  return writeEntry(writing, {
    type: 'epoch',
    epoch,
    commitment: commitToEpoch(place, keys.epochKey, keys.idKey),
    wraps: members.map((member) => ({
      memberId: member.memberId,
      wrap: wrapForEpoch(keys, member, place, random),
    })),
    rootWrap: wrapForEpoch(keys, rootRecipient, place, random),
    sealedEpochs,
  })
}

function wrapForEpoch(
  keys: WrappedKeys,
  recipient: Recipient,
  place: WrapPlace,
  random: RandomBytes,
): Uint8Array {
  // A member added with a KEM key that is no key cannot be let stop every later epoch, so it gets a
  // wrap that opens for nobody.
  return wrapKeys(keys, recipient, place, random) ?? random(WRAP_BYTES)
}

/** Signs an entry at the end of the chain, and makes sure that it fits there. */
function writeEntry(
  { keychain, signer, nowMs }: Omit<Writing, 'random'>,
  payload: KeychainPayload,
): Uint8Array {
  const place = {
    index: keychain.hashes.length,
    previous: keychainHead(keychain),
    signer: signer.memberId,
    timeMs: nowMs,
  }
  // Copies: cbor-x gives views onto a buffer that it goes on filling.
  const body = encodeKeychainBody(place, payload).slice()
  const signature = signer.sign(keychainSignedBytes(keychain.vaultId, body))
  const entry = encodeKeychainEntry(body, signature).slice()
  extendKeychain(keychain, [entry], verifySignature)
  return entry
}

function checkNewest(keychain: Keychain, keyring: Keyring): void {
  const newest = newestEpoch(keychain)?.epoch
  if (newest !== keyring.newestEpoch) {
    throw new VaultError(
      'key-mismatch',
      `the keyring ends with epoch ${keyring.newestEpoch}, the keychain with ${newest ?? 'none'}`,
    )
  }
}

function generate<Name extends string>(name: Name, random: RandomBytes): Secret<Name> {
  const bytes = random(SECRET_BYTES)
  assert(bytes.length === SECRET_BYTES, 'randomness has the size that was asked for')
  return new Secret(name, bytes)
}
