/**
 * Recovery key: a member of the keychain that no device holds. A key file or a set of shares keeps
 * its seed, from which it derives the same two key pairs as the root; unlike the root it can be
 * revoked, so one lost backup costs no new phrase.
 *
 *   vault proof   BLAKE2b-256(key = subkey of the seed, label ‖ VaultId)
 *
 * The entry that adds the key carries its vault proof. Someone who restores by file or shares asks
 * the remote for the vault that names the recovery key: public keys are public, so a hostile one
 * could found a vault of its own that names it. It cannot make the proof (design 15).
 */
import { concat, encodeUtf8, HASH_BYTES, type Hash, type VaultId } from '@blindcopy/protocol'
import { derive } from '../derivation.ts'
import { type MemberKeys, memberKeysOf } from '../member-keys.ts'
import type { RandomBytes } from '../random.ts'
import { blake2b } from '../raw-sodium.ts'
import { type RecoverySeed, SECRET_BYTES, Secret } from '../secret.ts'

const VAULT_PROOF_LABEL = encodeUtf8('blindcopy.recovery-vault-proof.v1')

export function generateRecoverySeed(random: RandomBytes): RecoverySeed {
  return new Secret('RecoverySeed', random(SECRET_BYTES))
}

/** Wipe them as soon as they have done what they are for; `wipe` leaves `seed` as it is. */
export function recoveryKeysOf(seed: RecoverySeed): MemberKeys {
  return memberKeysOf(derive('recoverySigning', seed), derive('recoveryKem', seed))
}

/** To be compared with `equalBytesConstantTime`. */
export function recoveryVaultProof(seed: RecoverySeed, vaultId: VaultId): Hash {
  const key = derive('recoveryVaultProof', seed)
  const proof = blake2b(HASH_BYTES, concat(VAULT_PROOF_LABEL, vaultId), key.bytes)
  key.wipe()
  return proof as Hash
}
