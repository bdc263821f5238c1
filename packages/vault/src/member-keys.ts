/**
 * MemberKeys: the two key pairs of one member, a device or the root, with their secret halves.
 *
 * What needs less asks for less: `Signer` signs entries and logins, `KemHolder` opens what was
 * wrapped to it. Seeds are kept because a device's key store keeps them (key-file.ts); both pairs
 * follow from them: Ed25519 (RFC 8032) and X-Wing (draft-connolly-cfrg-xwing-kem).
 */
import {
  type KemPublicKey,
  type MemberId,
  memberIdOf,
  memberProofBytes,
  type Signature,
  type SigningPublicKey,
  type VaultId,
} from '@blindcopy/protocol'
import {
  type KemSecretKey,
  type KemSeed,
  Secret,
  type SharedSecret,
  type SigningSecretKey,
  type SigningSeed,
} from './secret.ts'
import { decapsulate, kemPairOf, sign, signingPairOf } from './sodium.ts'

export type Signer = {
  readonly memberId: MemberId
  sign(message: Uint8Array): Signature
}

export type KemHolder = {
  readonly memberId: MemberId
  /** Undefined when nothing can be made of the ciphertext. */
  decapsulate(ciphertext: Uint8Array): SharedSecret | undefined
}

export type MemberPublicKeys = {
  readonly signingKey: SigningPublicKey
  readonly kemKey: KemPublicKey
}

export type MemberKeys = Signer &
  KemHolder &
  MemberPublicKeys & {
    readonly signingSeed: SigningSeed
    readonly kemSeed: KemSeed
    /** Afterwards every use fails. */
    wipe(): void
  }

export function memberKeysOf(signingSeed: SigningSeed, kemSeed: KemSeed): MemberKeys {
  const signing = signingPairOf(signingSeed.bytes)
  const kem = kemPairOf(kemSeed.bytes)
  const signingSecret: SigningSecretKey = new Secret('SigningSecretKey', signing.secretKey)
  const kemSecret: KemSecretKey = new Secret('KemSecretKey', kem.secretKey)
  return {
    memberId: memberIdOf(signing.publicKey),
    signingKey: signing.publicKey,
    kemKey: kem.publicKey,
    signingSeed,
    kemSeed,
    sign: (message) => sign(message, signingSecret.bytes),
    decapsulate: (ciphertext) => {
      const shared = decapsulate(ciphertext, kemSecret.bytes)
      return shared === undefined ? undefined : new Secret('SharedSecret', shared)
    },
    wipe: () => {
      for (const secret of [signingSeed, kemSeed, signingSecret, kemSecret]) secret.wipe()
    },
  }
}

/** What a new member hands over beside its public keys, to show that it holds the secret ones. */
export function memberProof(vaultId: VaultId, keys: Signer & MemberPublicKeys): Signature {
  return keys.sign(memberProofBytes(vaultId, keys))
}
