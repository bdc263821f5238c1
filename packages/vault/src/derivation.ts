/**
 * Every key that is derived from another one, in one table: context, number, and what it is for.
 *
 * `crypto_kdf_derive_from_key` (BLAKE2b with the number as salt and the context as personalization;
 * doc.libsodium.org, "Key derivation") gives independent keys for different rows. A row is never
 * changed or used again for something else; a removed one keeps its number. Frozen by
 * test/vectors/derivation.json.
 */
import { SECRET_BYTES, Secret } from './secret.ts'
import { deriveSubkey } from './sodium.ts'

/** Each context has the 8 characters that the function wants. */
export const SUBKEYS = {
  rootSigning: { context: 'bcroot01', number: 1, from: 'RootSecret', to: 'SigningSeed' },
  rootKem: { context: 'bcroot01', number: 2, from: 'RootSecret', to: 'KemSeed' },
  /** Seals the records of an epoch. */
  epochSealing: { context: 'bcepoch1', number: 1, from: 'EpochKey', to: 'SealingKey' },
  /** Keys the fingerprints in checkpoints (design 16). */
  epochFingerprint: { context: 'bcepoch1', number: 2, from: 'EpochKey', to: 'FingerprintKey' },
  /** Seals the keys of older epochs inside the entry that begins this one. */
  epochOlder: { context: 'bcepoch1', number: 3, from: 'EpochKey', to: 'BoxKey' },
  epochMemberName: { context: 'bcepoch1', number: 4, from: 'EpochKey', to: 'BoxKey' },
  /** What an epoch entry publishes about its keys. */
  epochCommitment: { context: 'bcepoch1', number: 5, from: 'EpochKey', to: 'CommitmentKey' },
  idCollectionTag: { context: 'bcidkey1', number: 1, from: 'IdKey', to: 'CollectionTagKey' },
  /** What genesis publishes about the id key. */
  idCommitment: { context: 'bcidkey1', number: 2, from: 'IdKey', to: 'CommitmentKey' },
  storeSealing: { context: 'bcstore1', number: 1, from: 'PassphraseKey', to: 'BoxKey' },
  storeCommitment: { context: 'bcstore1', number: 2, from: 'PassphraseKey', to: 'CommitmentKey' },
  /** Of a key file under a key store: mixed with its salt, and with a passphrase if it has one. */
  keyStoreMixing: { context: 'bckstor1', number: 1, from: 'StoreSecret', to: 'MixingKey' },
  keyStoreCommitment: { context: 'bckstor1', number: 2, from: 'StoreSecret', to: 'CommitmentKey' },
  mixedSealing: { context: 'bckmixd1', number: 1, from: 'StoreKey', to: 'BoxKey' },
  mixedCommitment: { context: 'bckmixd1', number: 2, from: 'StoreKey', to: 'CommitmentKey' },
  recoverySigning: { context: 'bcrecov1', number: 1, from: 'RecoverySeed', to: 'SigningSeed' },
  recoveryKem: { context: 'bcrecov1', number: 2, from: 'RecoverySeed', to: 'KemSeed' },
  /** Shows, in the entry that adds a recovery key, which vault it was made for. */
  recoveryVaultProof: { context: 'bcrecov1', number: 3, from: 'RecoverySeed', to: 'VaultProofKey' },
  recoveryFileSealing: { context: 'bcrecfl1', number: 1, from: 'PassphraseKey', to: 'BoxKey' },
  recoveryFileCommitment: {
    context: 'bcrecfl1',
    number: 2,
    from: 'PassphraseKey',
    to: 'CommitmentKey',
  },
  /** Names a mailbox to the remote; which tells nothing of what seals the messages in it. */
  pairingMailbox: { context: 'bcpair01', number: 1, from: 'PairingSecret', to: 'MailboxName' },
  pairingSealing: { context: 'bcpair01', number: 2, from: 'PairingSecret', to: 'BoxKey' },
} as const

export type SubkeyName = keyof typeof SUBKEYS
type From<Name extends SubkeyName> = (typeof SUBKEYS)[Name]['from']
type To<Name extends SubkeyName> = (typeof SUBKEYS)[Name]['to']

/** The types say which key each row is derived from, so no other key can be put in. */
export function derive<Name extends SubkeyName>(
  name: Name,
  from: Secret<From<Name>>,
): Secret<To<Name>> {
  const { to, context, number } = SUBKEYS[name]
  return new Secret<To<Name>>(to, deriveSubkey(from.bytes, { context, number }, SECRET_BYTES))
}
