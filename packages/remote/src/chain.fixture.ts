/**
 * Chain fixture: keychains as their members make them, of node:crypto keys and random wraps (the
 * remote cannot tell). Only tests import it.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import {
  encodeKeychainBody,
  encodeKeychainEntry,
  HASH_NONE,
  type Hash,
  type KemPublicKey,
  type KeychainPayload,
  keychainEntryHash,
  keychainSignedBytes,
  type MemberId,
  type MemberKind,
  memberIdOf,
  memberProofBytes,
  parseKeychainEntry,
  SEALED_EPOCH_BYTES,
  type Signature,
  type SigningPublicKey,
  type VaultId,
  vaultIdOf,
  WRAP_BYTES,
} from '@blindcopy/protocol'

export const START_MS = 1_700_000_000_000

export const random = (sizeBytes: number): Uint8Array => new Uint8Array(randomBytes(sizeBytes))

export type Signer = {
  readonly signingKey: SigningPublicKey
  readonly kemKey: KemPublicKey
  readonly memberId: MemberId
  sign(message: Uint8Array): Signature
}

export function makeSigner(): Signer {
  const pair = generateKeyPairSync('ed25519')
  const signingKey = rawKey(pair.publicKey)
  return {
    signingKey,
    kemKey: random(1216) as KemPublicKey,
    memberId: memberIdOf(signingKey),
    sign: (message) =>
      new Uint8Array(sign(null, message, pair.privateKey)) as Uint8Array as Signature,
  }
}

const rawKey = (key: KeyObject): SigningPublicKey =>
  new Uint8Array(key.export({ format: 'der', type: 'spki' }).subarray(12)) as SigningPublicKey

/** A vault's keychain as its members hold it. */
export class Chain {
  readonly root: Signer
  readonly vaultId: VaultId
  readonly entries: Uint8Array[] = []
  readonly members: Signer[] = []
  head: Hash = HASH_NONE
  epoch = 0
  /** The greatest number an epoch has had, on replaced branches too. */
  greatestEpoch = 0

  constructor(root: Signer = makeSigner()) {
    this.root = root
    this.vaultId = vaultIdOf(root.signingKey, root.kemKey)
    this.append(root, {
      type: 'genesis',
      rootSigningKey: root.signingKey,
      rootKemKey: root.kemKey,
      idKeyCommitment: random(32) as Hash,
    })
  }

  append(signer: Signer, payload: KeychainPayload): Uint8Array {
    const place = {
      index: this.entries.length,
      previous: this.head,
      signer: signer.memberId,
      timeMs: START_MS,
    }
    const body = encodeKeychainBody(place, payload)
    const signature = signer.sign(keychainSignedBytes(this.vaultId, body))
    const entry = encodeKeychainEntry(body, signature)
    this.entries.push(entry)
    this.head = keychainEntryHash(body.slice(), signature)
    return entry
  }

  addDevice(by: Signer, device: Signer = makeSigner()): Signer {
    return this.#addMember(by, 'device', device)
  }

  addRecovery(by: Signer, key: Signer = makeSigner()): Signer {
    return this.#addMember(by, 'recovery', key)
  }

  #addMember(by: Signer, kind: MemberKind, member: Signer): Signer {
    this.append(by, {
      type: 'member-add',
      kind,
      signingKey: member.signingKey,
      kemKey: member.kemKey,
      proof: member.sign(memberProofBytes(this.vaultId, member)),
      sealedName: random(40),
      wrap: this.epoch === 0 ? null : random(WRAP_BYTES),
      vaultProof: kind === 'recovery' ? (random(32) as Hash) : null,
    })
    this.members.push(member)
    return member
  }

  /** Takes members out, and begins the epoch that must follow: the two entries. */
  revoke(by: Signer, members: readonly Signer[]): Uint8Array[] {
    const memberIds = members.map(({ memberId }) => memberId)
    const stay = this.members.filter((member) => !members.includes(member))
    this.append(by, { type: 'member-revoke', memberIds })
    this.members.splice(0, this.members.length, ...stay)
    this.addEpoch(by)
    return this.entries.slice(-2)
  }

  /**
   * The root's word that what `branch` has beyond this chain, or what of it is named, gives way to
   * what follows here; an epoch must end that.
   */
  replace(branch: Chain, named: readonly Uint8Array[] = this.beyond(branch)): void {
    const replaced = named.map((entry) => parseKeychainEntry(entry).hash)
    this.append(this.root, { type: 'replace', replaced, greatestEpoch: branch.epoch })
    this.greatestEpoch = Math.max(this.greatestEpoch, branch.greatestEpoch)
  }

  /** What another chain, that goes on from this one, has more. */
  beyond(branch: Chain): Uint8Array[] {
    return branch.entries.slice(this.entries.length)
  }

  addEpoch(by: Signer): void {
    const older = this.epoch
    this.greatestEpoch++
    this.epoch = this.greatestEpoch
    this.append(by, {
      type: 'epoch',
      epoch: this.epoch,
      commitment: random(32) as Hash,
      wraps: this.members.map(({ memberId }) => ({ memberId, wrap: random(WRAP_BYTES) })),
      rootWrap: random(WRAP_BYTES),
      sealedEpochs: older === 0 ? [] : [{ epoch: older, sealed: random(SEALED_EPOCH_BYTES) }],
    })
  }

  /** The same vault seen elsewhere: what is appended there does not show here. */
  fork(): Chain {
    const other = new Chain(this.root)
    other.entries.splice(0, other.entries.length, ...this.entries)
    other.members.push(...this.members)
    other.head = this.head
    other.epoch = this.epoch
    other.greatestEpoch = this.greatestEpoch
    return other
  }
}

/** A vault of one device, ready to write. */
export function makeChain(): { chain: Chain; device: Signer } {
  const chain = new Chain()
  const device = chain.addDevice(chain.root)
  chain.addEpoch(device)
  return { chain, device }
}
