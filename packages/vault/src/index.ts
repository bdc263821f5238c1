/**
 * Keys and sealing. This package alone holds libsodium; the remote never depends on it.
 */
export { type DeviceKeys, generateDeviceKeys } from './device.ts'
export { VaultError, type VaultErrorCode } from './error.ts'
export { CLOCKS_OWN, type ClockGroup, type FieldClocks } from './field-clocks.ts'
export { decodeKeyStore, encodeKeyStore, type KeyStore } from './key-file.ts'
export { addMember, beginEpoch, foundKeychain, type Newcomer } from './keychain-writer.ts'
export { type Keyring, openKeyring } from './keyring.ts'
export {
  type KemHolder,
  type MemberKeys,
  type MemberPublicKeys,
  memberProof,
  type Signer,
} from './member-keys.ts'
export { MEMBER_NAME_BYTES_MAX, openMemberName } from './member-name.ts'
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
  generateRecoverySeed,
  recoveryKeysOf,
  recoveryVaultProof,
} from './recovery/recovery-key.ts'
export { deriveRoot, type Root } from './root.ts'
export { type OpenResult, openEnvelope, resealEnvelope, sealRecord } from './seal.ts'
export type { RecoverySeed, RootSecret, Secret } from './secret.ts'
export { verifySignature } from './sodium.ts'
