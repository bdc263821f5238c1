/**
 * Keys and sealing. This package alone holds libsodium; the remote never depends on it.
 */
export { type DeviceKeys, generateDeviceKeys } from './device.ts'
export { VaultError, type VaultErrorCode } from './error.ts'
export { CLOCKS_OWN, type ClockGroup, type FieldClocks } from './field-clocks.ts'
export {
  type DeviceKeyFile,
  decodeDeviceKeyFile,
  encodeDeviceKeyFile,
  type KeyFileHead,
  type KeyFileLock,
  type KeyFileOpening,
  readDeviceKeyFileHead,
} from './key-file.ts'
export {
  type KeptAt,
  parseStoreSecret,
  STORE_HANDLE_BYTES_MAX,
  STORE_SECRET_BYTES,
} from './key-file-keys.ts'
export { type BranchOptions, replaceBranches } from './keychain-branch.ts'
export {
  addMember,
  admitMember,
  beginEpoch,
  foundKeychain,
  type Newcomer,
  revokeMembers,
} from './keychain-writer.ts'
export { type Keyring, openKeyring } from './keyring.ts'
export {
  type KemHolder,
  type MemberKeys,
  type MemberPublicKeys,
  memberProof,
  type Signer,
} from './member-keys.ts'
export { MEMBER_NAME_BYTES_MAX, openMemberName } from './member-name.ts'
export {
  formatPairingCode,
  generatePairingSecret,
  type PairingCode,
  type PairingCodeSecret,
  parsePairingCode,
} from './pairing-code.ts'
export {
  openPairingMessage,
  type PairingKeys,
  pairingKeysOfCode,
  pairingKeysOfWords,
  sealPairingMessage,
} from './pairing-keys.ts'
export { generatePairingWords, PAIRING_WORDS, parsePairingWords } from './pairing-words.ts'
export { formatPhrase, generateRootSecret, parsePhrase } from './phrase.ts'
export { pooledRandom, type RandomBytes } from './random.ts'
export {
  type EncodedFields,
  encodeFields,
  type RecordDraft,
  SCHEMA_VERSION_MAX,
  type VaultRecord,
} from './record.ts'
export {
  decodeRecoveryFile,
  encodeRecoveryFile,
  inspectRecoveryFile,
  type RecoveryFile,
  type RecoveryFileForm,
} from './recovery/recovery-file.ts'
export {
  generateRecoverySeed,
  recoveryKeysOf,
  recoveryVaultProof,
} from './recovery/recovery-key.ts'
export { type RecoveryKind, recoveryKindOf } from './recovery/recovery-kind.ts'
export { inspectShare, SHARES_MAX, type ShareHead } from './recovery/share.ts'
export { combineShares, splitSeed, type WrittenShare } from './recovery/shares.ts'
export { deriveRoot, type Root } from './root.ts'
export { type OpenResult, openEnvelope, resealEnvelope, sealRecord } from './seal.ts'
export type { RecoverySeed, RootSecret, Secret, StoreSecret } from './secret.ts'
export { verifySignature } from './sodium.ts'
export { completeWord, likelyWords, readWords } from './word-list.ts'
export type { Mistake } from './word-mistake.ts'
