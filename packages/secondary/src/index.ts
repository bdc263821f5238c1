export { StoreError, type StoreErrorCode } from './error.ts'
export { type LevelDatabase, type LevelOptions, openLevelStore } from './level-store.ts'
export * from './local-keyspace.ts'
export { createMemoryStore } from './memory-store.ts'
export {
  encodeHistory,
  memberIndexKey,
  opIndexOfKey,
  parseExpiry,
  parseHistory,
  type RecordVersion,
  type RemoteKeyspace,
  recordIdOfKey,
  recordVersion,
  recordVersionSize,
  recordVersionTimestamp,
  remoteKeyspace,
  type SeqRange,
  type Superseded,
  seqOfKey,
} from './remote-keyspace.ts'
export { allocate } from './slab.ts'
export type { Durability, Entry, KeyRange, PageBounds, Store, StoreOp } from './store.ts'
