/**
 * Writing the keychain: founding a vault, adding and revoking members, beginning an epoch.
 *
 * Each function gives signed bytes to append and keeps nothing; what it makes is put through the
 * same rules that both ends apply (protocol's keychain-rules.ts) before it is handed out. The
 * caller appends the bytes at the remote, and makes them anew when another entry came first. How
 * the root ends a fork is keychain-branch.ts.
 */
import {
  assert,
  equalBytes,
  type Hash,
  type Keychain,
  keychainHead,
  type Member,
  type MemberId,
  type MemberKind,
  memberIdOf,
  newestEpoch,
  type Signature,
  WRAP_BYTES,
} from '@blindcopy/protocol'
import { commitToEpoch, commitToIdKey } from './commitment.ts'
import type { DeviceKeys } from './device.ts'
import { VaultError } from './error.ts'
import { foundDraft, KeychainDraft } from './keychain-draft.ts'
import { Keyring } from './keyring.ts'
import { type MemberPublicKeys, memberProof, type Signer } from './member-keys.ts'
import { sealMemberName } from './member-name.ts'
import { sealOlderEpoch } from './older-epoch.ts'
import type { RandomBytes } from './random.ts'
import type { Root } from './root.ts'
import { type EpochKey, SECRET_BYTES, Secret } from './secret.ts'
import { type Recipient, type WrapPlace, type WrappedKeys, wrapKeys } from './wrap.ts'

/** The parameters that every entry needs. */
export type Writing = {
  readonly keychain: Keychain
  readonly signer: Signer
  readonly nowMs: number
  readonly random: RandomBytes
}

export type Newcomer = MemberPublicKeys & {
  readonly kind: MemberKind
  /** From `memberProof`, made by the newcomer itself. */
  readonly proof: Signature
  /** Of a recovery key: from `recoveryVaultProof`. */
  readonly vaultProof?: Hash | undefined
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
}): { entries: readonly Uint8Array[]; keyring: Keyring } {
  const { root, device, deviceName, nowMs, random } = options
  const { vaultId } = root
  const keys = { idKey: generate('IdKey', random), epochKey: generate('EpochKey', random) }
  const draft = foundDraft(root, { idKeyCommitment: commitToIdKey(vaultId, keys.idKey), nowMs })
  const namePlace = { vaultId, memberId: device.memberId, epoch: 1 }
  draft.append({
    type: 'member-add',
    kind: 'device',
    signingKey: device.signingKey,
    kemKey: device.kemKey,
    proof: memberProof(vaultId, device),
    sealedName: sealMemberName(deviceName, keys.epochKey, namePlace, random),
    wrap: null,
    vaultProof: null,
  })
  appendEpoch(draft, { epoch: 1, keys, older: [], random })
  const keyring = new Keyring(vaultId, keys.idKey, [[1, keys.epochKey]])
  return { entries: draft.finish().keychain.entries, keyring }
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
  const draft = new KeychainDraft(options)
  checkNewest(options.keychain, options.keyring)
  appendMember(draft, options)
  return draft.finish().entries[0] as Uint8Array
}

/**
 * A member that is added and, in the same append, members that are no more and the epoch that they
 * do not get. Throws as `addMember` and `revokeMembers` do.
 */
export function admitMember(
  options: Writing & {
    readonly keyring: Keyring
    readonly newcomer: Newcomer
    readonly name: string
    readonly revoke: readonly MemberId[]
  },
): { entries: readonly Uint8Array[]; keychain: Keychain } {
  const draft = new KeychainDraft(options)
  const { keychain, keyring, revoke } = options
  checkNewest(keychain, keyring)
  const [gone, goneLast] = inTurns(keychain, ({ memberId }) =>
    revoke.some((one) => equalBytes(one, memberId)),
  )
  if (gone.length + goneLast.length < revoke.length) {
    // Refused by the rules, as one who is no member.
    draft.append({ type: 'member-revoke', memberIds: revoke })
  }
  appendRevocation(draft, gone)
  appendMember(draft, options)
  appendRevocation(draft, goneLast)
  if (revoke.length > 0) appendNextEpoch(draft, options).wipe()
  return draft.finish()
}

/**
 * Who goes before others are added, so that a list that was filled up has room; and who goes last
 * where no device stays, for a chain is never without one.
 */
export function inTurns(
  { membersById }: Keychain,
  goes: (member: Member) => boolean,
): readonly [readonly Member[], readonly Member[]] {
  const members = [...membersById.values()]
  const gone = members.filter(goes)
  const isDevice = ({ kind }: Member): boolean => kind === 'device'
  const hasDevice = members.some((member) => isDevice(member) && !gone.includes(member))
  const last = hasDevice ? undefined : gone.find(isDevice)
  return last === undefined ? [gone, []] : [gone.filter((member) => member !== last), [last]]
}

/** Into a draft; nothing for nobody. */
export function appendRevocation(draft: KeychainDraft, members: readonly Member[]): void {
  if (members.length === 0) return
  draft.append({ type: 'member-revoke', memberIds: members.map(({ memberId }) => memberId) })
}

/** Into a draft: a member with the keys of the newest epoch. Throws `key-mismatch`. */
export function appendMember(
  draft: KeychainDraft,
  options: {
    readonly keyring: Keyring
    readonly newcomer: Newcomer
    readonly name: string
    readonly random: RandomBytes
  },
): void {
  const { keyring, newcomer, name, random } = options
  const { vaultId, newestEpoch: epoch } = keyring
  const memberId = memberIdOf(newcomer.signingKey)
  const keys = keyring.newestKeys()
  const wrapPlace = { vaultId, epoch, previous: keychainHead(draft.keychain) }
  const recipient = { memberId, kemKey: newcomer.kemKey }
  const wrap = wrapKeys(keys, recipient, wrapPlace, random)
  if (wrap === undefined) {
    throw new VaultError('key-mismatch', 'the KEM key of the new member is not a usable key')
  }
  const { kind, signingKey, kemKey, proof, vaultProof = null } = newcomer
  const sealedName = sealMemberName(name, keys.epochKey, { vaultId, memberId, epoch }, random)
  const member = { kind, signingKey, kemKey, proof, sealedName, wrap, vaultProof }
  draft.append({ type: 'member-add', ...member })
}

/** A new key for what is written from now on, wrapped to every active member and the root. */
export function beginEpoch(options: Writing & { readonly keyring: Keyring }): {
  entry: Uint8Array
  keyring: Keyring
} {
  const draft = new KeychainDraft(options)
  const keyring = appendNextEpoch(draft, options)
  return { entry: draft.finish().entries[0] as Uint8Array, keyring }
}

/**
 * Members that are members no more, and an epoch whose key they do not get: one append. Throws
 * `keychain-invalid` for one who is not active, for the signer itself, and for the last device.
 */
export function revokeMembers(
  options: Writing & { readonly keyring: Keyring; readonly memberIds: readonly MemberId[] },
): { entries: readonly Uint8Array[]; keyring: Keyring } {
  const draft = new KeychainDraft(options)
  draft.append({ type: 'member-revoke', memberIds: options.memberIds })
  const keyring = appendNextEpoch(draft, options)
  return { entries: draft.finish().entries, keyring }
}

function appendNextEpoch(
  draft: KeychainDraft,
  { keychain, keyring, random }: Writing & { readonly keyring: Keyring },
): Keyring {
  checkNewest(keychain, keyring)
  const { epochKey: older, idKey } = keyring.newestKeys()
  const epoch = keychain.greatestEpoch + 1
  const epochKey = generate('EpochKey', random)
  const olderKeys = [[keyring.newestEpoch, older]] as const
  appendEpoch(draft, { epoch, keys: { epochKey, idKey }, older: olderKeys, random })
  return keyring.withEpoch(epoch, epochKey)
}

/** Into a draft: an epoch, wrapped to the members that the draft has by then. */
export function appendEpoch(
  draft: KeychainDraft,
  options: {
    readonly epoch: number
    readonly keys: WrappedKeys
    /** The keys that the new one opens. */
    readonly older: readonly (readonly [number, EpochKey])[]
    readonly random: RandomBytes
  },
): void {
  const { epoch, keys, older, random } = options
  const { vaultId, root, membersById } = draft.keychain
  const place = { vaultId, epoch, previous: keychainHead(draft.keychain) }
  const rootRecipient = { memberId: root.memberId, kemKey: root.rootKemKey }
  draft.append({
    type: 'epoch',
    epoch,
    commitment: commitToEpoch(place, keys.epochKey, keys.idKey),
    wraps: [...membersById.values()].map((member) => ({
      memberId: member.memberId,
      wrap: wrapForEpoch(keys, member, place, random),
    })),
    rootWrap: wrapForEpoch(keys, rootRecipient, place, random),
    sealedEpochs: older.map(([olderEpoch, key]) => ({
      epoch: olderEpoch,
      sealed: sealOlderEpoch(key, keys.epochKey, { ...place, olderEpoch }, random),
    })),
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

function checkNewest(keychain: Keychain, keyring: Keyring): void {
  const newest = newestEpoch(keychain)?.epoch
  if (newest !== keyring.newestEpoch) {
    throw new VaultError(
      'key-mismatch',
      `the keyring ends with epoch ${keyring.newestEpoch}, the keychain with ${newest ?? 'none'}`,
    )
  }
}

export function generate<Name extends string>(name: Name, random: RandomBytes): Secret<Name> {
  const bytes = random(SECRET_BYTES)
  assert(bytes.length === SECRET_BYTES, 'randomness has the size that was asked for')
  return new Secret(name, bytes)
}
