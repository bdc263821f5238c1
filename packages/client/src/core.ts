/**
 * What the client is on every platform: the same as the package, but for the doors that choose one.
 */
export type { Fields, Value } from '@blindcopy/protocol'
export type { BundleProgress, BundleReport, BundleSource } from './bundle.ts'
export type { CarriedReport } from './carrier.ts'
export { Collection, type CollectionOptions, type IndexOf } from './collection.ts'
export type { ConflictPolicy, ConflictSides, CustomPolicy } from './conflict-policy.ts'
export type { Migrate } from './declaration.ts'
export type { DurabilityTier } from './durability.ts'
export { ClientError, type ClientErrorCode, codeOf } from './error.ts'
export type { QueryTrace } from './find-records.ts'
export { createHttpTransport, type WebSocketLike } from './http-transport.ts'
export type { Notice, NoticeCode } from './local-meta.ts'
export type { Mutation, Mutations } from './mutation.ts'
export type { ExchangeProgress } from './peer-exchange.ts'
export type { PeerStream } from './peer-line.ts'
export type { FolderContent, Platform, VaultFolder } from './platform.ts'
export type { Condition, Direction, Item, OrderBy, Query, Where } from './query.ts'
export type { RemoteView, SeenRecord } from './remote-view.ts'
export type { AnySchema, InputOf, OutputOf, Schema } from './schema.ts'
export { decide, type Facts, type Step } from './sync/decision.ts'
export type { OnceOptions, StartOptions } from './sync/modes.ts'
export type { Direction as SyncDirection } from './sync/requests.ts'
export type { SyncPhase, SyncProblem, SyncProgress, SyncStatus } from './sync/status.ts'
export type { Transport } from './sync/transport.ts'
export type { Transaction, TransactionCollection } from './transaction.ts'
export type {
  ExportedRecord,
  QuarantinedRecord,
  Vault,
  VaultDevice,
} from './vault.ts'
export type { RefusedRecord, RefusedWrite, VaultAttention } from './vault-attention.ts'
export type {
  Conflict,
  ConflictChange,
  ConflictChoice,
  VaultConflicts,
} from './vault-conflicts.ts'
export {
  type CreatedVault,
  type CreateOptions,
  createVaultOn,
  type OpenOptions,
  openVaultOn,
  type RestoreOptions,
  restoreVaultOn,
} from './vault-doors.ts'
export type { VaultSync } from './vault-sync.ts'
