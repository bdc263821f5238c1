/**
 * What the client is on every platform: the same as the package, but for the doors that choose one.
 */
export type { Fields, Value } from '@blindcopy/protocol'
export {
  completeWord,
  inspectShare,
  likelyWords,
  type RecoveryKind,
  readWords,
  recoveryKindOf,
  type WrittenShare,
} from '@blindcopy/vault'
export type {
  BackupProgress,
  BackupSink,
  BackupSource,
  CreatedBackup,
} from './backup/backup.ts'
export {
  type EmergencyKit,
  type EmergencyKitOptions,
  isKit,
  makeEmergencyKit,
  parseKit,
} from './backup/emergency-kit.ts'
export { restoreBackupBy } from './backup/restore-backup.ts'
export {
  type RestoreBackupOptions,
  type RestoredBackup,
  restoreBackupOn,
} from './backup/restore-backup-door.ts'
export type { BackupReport, VaultBackup } from './backup/vault-backup.ts'
export {
  type BackupCheck,
  type BackupComparison,
  type BackupDrill,
  type BackupHolder,
  type BackupOpening,
  readBackupKeychain,
  verifyBackup,
  verifyBackupBy,
  verifyBackupByPhrase,
  verifyBackupWith,
} from './backup/verify-backup.ts'
export type { BundleProgress, BundleReport, BundleSource } from './carry/bundle.ts'
export type { CarriedReport } from './carry/carrier.ts'
export type { ExchangeProgress } from './carry/peer-exchange.ts'
export type { PeerStream } from './carry/peer-line.ts'
export { ClientError, type ClientErrorCode, codeOf } from './error.ts'
export type { DurabilityTier } from './local/durability.ts'
export type { Notice, NoticeCode } from './local/local-meta.ts'
export type { FolderContent, Platform, VaultFolder } from './platform.ts'
export type { QueryTrace } from './query/find-records.ts'
export type { Condition, Direction, Item, OrderBy, Query, Where } from './query/query.ts'
export { Collection, type CollectionOptions, type IndexOf } from './records/collection.ts'
export type { ConflictPolicy, ConflictSides, CustomPolicy } from './records/conflict-policy.ts'
export type { Migrate } from './records/declaration.ts'
export type { Mutation, Mutations } from './records/mutation.ts'
export type { HistoryOptions, RecordHistory, RecordVersion } from './records/record-history.ts'
export type { AnySchema, InputOf, OutputOf, Schema } from './records/schema.ts'
export type { Transaction, TransactionCollection } from './records/transaction.ts'
export { decide, type Facts, type Step } from './sync/decision.ts'
export type { OnceOptions, StartOptions } from './sync/modes.ts'
export type { Direction as SyncDirection } from './sync/requests.ts'
export type { SyncPhase, SyncProblem, SyncProgress, SyncStatus } from './sync/status.ts'
export type { Transport } from './sync/transport.ts'
export { createHttpTransport, type WebSocketLike } from './transport/http-transport.ts'
export type {
  DeviceProtection,
  KeyStoreChange,
  KeyStoreChanged,
  PassphraseChange,
} from './vault/device-keys.ts'
export type { KeyCheck } from './vault/key-check.ts'
export type { KeptSecret, KeyStore, KeyStoreVault } from './vault/key-store.ts'
export type { ReviewedMember, ReviewMembers } from './vault/member-review.ts'
export { joinVaultOn } from './vault/pairing/join-door.ts'
export type {
  Invitation,
  InviteOptions,
  JoinOptions,
  Newcomer,
  PairingQuestion,
  VaultPairing,
} from './vault/pairing/pairing.ts'
export type { RecoveryForm, RecoverySource } from './vault/recovery-source.ts'
export type { RemoteView, SeenRecord } from './vault/remote-view.ts'
export { type RestoreOptions, restoreVaultOn } from './vault/restore-door.ts'
export type {
  ExportedRecord,
  QuarantinedRecord,
  Vault,
} from './vault/vault.ts'
export type { RefusedRecord, RefusedWrite, VaultAttention } from './vault/vault-attention.ts'
export type {
  SeenDevice,
  SeenState,
  VaultCheckpoints,
  VerifyReport,
} from './vault/vault-checkpoints.ts'
export type {
  Conflict,
  ConflictChange,
  ConflictChoice,
  VaultConflicts,
} from './vault/vault-conflicts.ts'
export {
  type CreatedVault,
  type CreateOptions,
  createVaultOn,
  type OpenOptions,
  openVaultOn,
} from './vault/vault-doors.ts'
export type {
  CreatedKey,
  KeysStatus,
  RevokedDevice,
  RevokeOptions,
  VaultDevice,
  VaultKeys,
} from './vault/vault-keys.ts'
export type { VaultProtection } from './vault/vault-protection.ts'
export type { VaultSync } from './vault/vault-sync.ts'
