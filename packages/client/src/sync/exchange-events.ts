/**
 * What the exchange tells the engine of.
 */
import type { Failure } from './failure.ts'
import type { SyncPhase, SyncProgress } from './status.ts'

/** What may be wrong while sync goes on. */
export type Concern =
  | 'head'
  | 'quarantine'
  | 'refusal'
  | 'clock'
  | 'one-way'
  | 'checkpoint'
  | 'keys'

/** What the engine is told. */
export type ExchangeEvents = {
  onPhase(phase: SyncPhase): void
  onProgress(progress: SyncProgress): void
  /** The remote has done what was asked of it. */
  onSuccess(): void
  /** The head of the remote is reached. */
  onSynced(): Promise<void>
  /** Something that does not end sync, and stays until it is withdrawn with null. */
  onConcern(concern: Concern, problem: Failure | null): void
  /** Refused for the same reason again: not at once. */
  onRefusedAgain(count: number): void
  /** What waits may be more than before. */
  onCounts(): void
  /** Something has arrived and is not applied yet. */
  onUnread(): void
  /** Facts have changed. */
  onWake(): void
  onClosed(error: Error): void
}
