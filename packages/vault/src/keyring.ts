/**
 * Keyring: the keys a device holds unlocked, by epoch, and the id key that never changes.
 *
 * `openKeyring` believes nothing it unwraps until it fits what the keychain commits to: the newest
 * epoch's keys against its entry and genesis, then every older key against its own entry. Whatever
 * does not fit throws `key-mismatch`: such a device must not write, and should tell the person.
 */
import {
  type Epoch,
  envelopeAssociatedData,
  equalBytes,
  findMember,
  KEYED_SUM_BYTES,
  type Keychain,
  type MemberId,
  newestEpoch,
  type RecordId,
  type VaultId,
} from '@blindcopy/protocol'
import { commitToEpoch, commitToIdKey } from './commitment.ts'
import { derive } from './derivation.ts'
import { VaultError } from './error.ts'
import type { KemHolder } from './member-keys.ts'
import { openOlderEpoch } from './older-epoch.ts'
import { blake2b } from './raw-sodium.ts'
import { hashCollectionTag, hashRecordId } from './record-id.ts'
import type { CollectionTagKey, EpochKey, FingerprintKey, IdKey, SealingKey } from './secret.ts'
import { unwrapKeys, type WrapPlace, type WrappedKeys } from './wrap.ts'

export class Keyring {
  readonly vaultId: VaultId
  /** The number of the epoch that everything is sealed under. */
  readonly newestEpoch: number
  /** Label and vault id: what the associated data of every envelope begins with. */
  readonly associatedDataStart: Uint8Array
  readonly #idKey: IdKey
  readonly #collectionTagKey: CollectionTagKey
  /** Several of one number where the root has joined branches of the keychain; mostly one. */
  readonly #keysByEpoch = new Map<number, [EpochKey, ...EpochKey[]]>()
  readonly #sealingKeysByEpoch = new Map<number, SealingKey[]>()
  readonly #fingerprintKey: FingerprintKey

  /** Takes the keys over: `wipe` clears them. Of one number, the first is the chain's own. */
  constructor(vaultId: VaultId, idKey: IdKey, epochKeys: Iterable<readonly [number, EpochKey]>) {
    this.vaultId = vaultId
    this.associatedDataStart = envelopeAssociatedData(vaultId, new Uint8Array(0))
    this.#idKey = idKey
    this.#collectionTagKey = derive('idCollectionTag', idKey)
    for (const [epoch, epochKey] of epochKeys) {
      const held = this.#keysByEpoch.get(epoch)
      if (held === undefined) this.#keysByEpoch.set(epoch, [epochKey])
      else held.push(epochKey)
      const sealingKeys = this.#sealingKeysByEpoch.get(epoch) ?? []
      this.#sealingKeysByEpoch.set(epoch, [...sealingKeys, derive('epochSealing', epochKey)])
    }
    this.newestEpoch = Math.max(...this.#keysByEpoch.keys())
    this.#fingerprintKey = derive('epochFingerprint', this.newestKeys().epochKey)
  }

  has(epoch: number): boolean {
    return this.#keysByEpoch.has(epoch)
  }

  /** Throws `record-too-large` for a name beyond its limit. */
  recordIdOf(collection: string, key: string): RecordId {
    return hashRecordId(this.#idKey, collection, key)
  }

  /** 16 bytes that stand for a collection in local index keys. */
  collectionTag(collection: string): Uint8Array {
    return hashCollectionTag(this.#collectionTagKey, collection)
  }

  /**
   * What a version counts as in the fingerprint of a checkpoint: BLAKE2b-256 of its pair, under a
   * subkey of the newest epoch key. Who lacks that key can neither tell a sum of these nor find two
   * sets of one sum (keyed-sum.ts of the protocol); who was revoked before the epoch lacks it too.
   */
  pairHash(pair: Uint8Array): Uint8Array {
    return blake2b(KEYED_SUM_BYTES, pair, this.#fingerprintKey.bytes)
  }

  sealingKey(epoch: number): SealingKey | undefined {
    return this.#sealingKeysByEpoch.get(epoch)?.[0]
  }

  /** All keys that may have sealed an envelope of this epoch; the likeliest first. */
  sealingKeys(epoch: number): readonly SealingKey[] {
    return this.#sealingKeysByEpoch.get(epoch) ?? []
  }

  epochKey(epoch: number): EpochKey | undefined {
    return this.#keysByEpoch.get(epoch)?.[0]
  }

  /** Every key with its number. Borrowed: wiped with this keyring. */
  *epochKeys(): Generator<readonly [number, EpochKey]> {
    for (const [epoch, held] of this.#keysByEpoch) {
      for (const epochKey of held) yield [epoch, epochKey]
    }
  }

  /** What a new member is given. Borrowed: wiped with this keyring. */
  newestKeys(): WrappedKeys {
    const epochKey = this.epochKey(this.newestEpoch)
    if (epochKey === undefined) throw keyMismatch('the keyring holds no epoch')
    return { epochKey, idKey: this.#idKey }
  }

  /** Another keyring with one more epoch; each is wiped by itself. */
  withEpoch(epoch: number, epochKey: EpochKey): Keyring {
    const copies = [...this.epochKeys()].map(([older, key]) => [older, key.copy()] as const)
    return new Keyring(this.vaultId, this.#idKey.copy(), [...copies, [epoch, epochKey]])
  }

  /** Afterwards every use fails. */
  wipe(): void {
    this.#idKey.wipe()
    this.#collectionTagKey.wipe()
    this.#fingerprintKey.wipe()
    for (const keys of [this.#keysByEpoch, this.#sealingKeysByEpoch]) {
      for (const key of [...keys.values()].flat()) key.wipe()
    }
  }
}

/**
 * Opens every epoch of a checked keychain for a member or the root. After new epochs, open it
 * again. Throws `key-mismatch`.
 */
export function openKeyring(options: {
  readonly keychain: Keychain
  readonly holder: KemHolder
}): Keyring {
  const { keychain, holder } = options
  const newest = newestEpoch(keychain)
  if (newest === undefined) throw keyMismatch('the keychain has no epoch yet')
  const { wrap, place } = findWrap(keychain, newest, holder.memberId)
  const { epochKey, idKey } = unwrapKeys(wrap, holder, place)
  const expected = keychain.root.idKeyCommitment
  if (!equalBytes(commitToIdKey(keychain.vaultId, idKey), expected)) {
    throw keyMismatch('the id key is not the one that the vault began with')
  }
  checkEpochKey(keychain, newest, epochKey, idKey)
  return new Keyring(keychain.vaultId, idKey, openOlderEpochs(keychain, newest, epochKey, idKey))
}

/** A member has its wrap in the newest epoch, or, added after that, in its own entry. */
function findWrap(
  keychain: Keychain,
  newest: Epoch,
  memberId: MemberId,
): { wrap: Uint8Array; place: WrapPlace } {
  const { vaultId } = keychain
  const { epoch, previous } = newest
  if (equalBytes(memberId, keychain.root.memberId)) {
    return { wrap: newest.rootWrap, place: { vaultId, epoch, previous } }
  }
  const member = findMember(keychain, memberId)
  if (member === undefined) throw keyMismatch('these keys are of no active member')
  if (member.wrap !== null && member.entryIndex > newest.entryIndex) {
    return { wrap: member.wrap, place: { vaultId, epoch, previous: member.previous } }
  }
  const found = newest.wraps.find((wrap) => equalBytes(wrap.memberId, memberId))
  if (found === undefined) throw keyMismatch('the newest epoch is not wrapped to this member')
  return { wrap: found.wrap, place: { vaultId, epoch, previous } }
}

function isCommitted(keychain: Keychain, epoch: Epoch, epochKey: EpochKey, idKey: IdKey): boolean {
  const place = { vaultId: keychain.vaultId, epoch: epoch.epoch }
  return equalBytes(commitToEpoch(place, epochKey, idKey), epoch.commitment)
}

function checkEpochKey(keychain: Keychain, epoch: Epoch, epochKey: EpochKey, idKey: IdKey): void {
  if (!isCommitted(keychain, epoch, epochKey, idKey)) {
    throw keyMismatch(`the key of epoch ${epoch.epoch} is not the one its entry commits to`)
  }
}

/**
 * From the newest down: each epoch whose key is known opens those that its entry seals. Keys of the
 * branches that a root has joined have no entry in the chain; the root's own seal vouches for them.
 */
function openOlderEpochs(
  keychain: Keychain,
  newest: Epoch,
  newestKey: EpochKey,
  idKey: IdKey,
): (readonly [number, EpochKey])[] {
  const { vaultId } = keychain
  const epochsByNumber = new Map(keychain.epochs.map((epoch) => [epoch.epoch, epoch]))
  const keysByEpoch = new Map([[newest.epoch, newestKey]])
  const ofBranches: (readonly [number, EpochKey])[] = []
  for (const { epoch, previous, sealedEpochs, joinsBranches } of keychain.epochs.toReversed()) {
    const newer = keysByEpoch.get(epoch)
    if (newer === undefined) continue
    for (const { epoch: olderEpoch, sealed } of sealedEpochs) {
      const older = epochsByNumber.get(olderEpoch)
      // One that the chain does not hold has no commitment to check its key against.
      if (!joinsBranches && (older === undefined || keysByEpoch.has(olderEpoch))) continue
      const key = openSealed(sealed, newer, { vaultId, epoch, olderEpoch, previous })
      const isOwn = older !== undefined && isCommitted(keychain, older, key, idKey)
      if (!isOwn && !joinsBranches) checkEpochKey(keychain, older as Epoch, key, idKey)
      if (isOwn && !keysByEpoch.has(olderEpoch)) keysByEpoch.set(olderEpoch, key)
      else ofBranches.push([olderEpoch, key])
    }
  }
  return [...keysByEpoch, ...ofBranches]
}

function openSealed(...sealed: Parameters<typeof openOlderEpoch>): EpochKey {
  try {
    return openOlderEpoch(...sealed)
  } catch (cause) {
    throw keyMismatch(`the key of epoch ${sealed[2].olderEpoch} does not open`, cause)
  }
}

function keyMismatch(why: string, cause?: unknown): VaultError {
  return new VaultError('key-mismatch', `the keys do not open this vault: ${why}`, { cause })
}
