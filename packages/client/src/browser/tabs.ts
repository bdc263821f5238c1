/**
 * Tabs: how several openings of one vault, in one browser, act as one. A port; no code.
 *
 * All of them read and write the same store, under one lock; one of them syncs. What they tell each
 * other are hints that make them look: the store is what is true (decision 0017).
 */
import type { StateLock } from '../local/local-state.ts'
import type { OnceOptions } from '../sync/modes.ts'
import type { SyncStatus } from '../sync/status.ts'

export type TabMessage =
  /** Something was written; these records (tab-changes.ts) look different now. */
  | { readonly type: 'written'; readonly changes: Uint8Array }
  /** The tab that syncs, and how it stands. */
  | { readonly type: 'status'; readonly leader: string; readonly status: SyncStatus }
  /** A new tab asks who syncs. */
  | { readonly type: 'hello' }
  /** Somebody wants sync: the tab that syncs goes on if it had stopped. */
  | { readonly type: 'start' }
  /** Asks the tab that syncs to exchange everything once. */
  | {
      readonly type: 'once'
      readonly request: string
      readonly options: OnceOptions | undefined
    }
  | { readonly type: 'answer'; readonly request: string; readonly failure: TabFailure | null }

export type TabFailure = { readonly code: string | undefined; readonly message: string }

export interface Tabs {
  /** Of this tab, random. */
  readonly id: string
  readonly lock: StateLock
  /** Tells every other tab that has the vault open, this one not. */
  post(message: TabMessage): void
  onMessage(listener: (message: TabMessage) => void): () => void
  /** Waits for its turn to sync; resolves to how to end it. Rejects when the signal aborts. */
  lead(signal: AbortSignal): Promise<() => Promise<void>>
  /** Resolves when no tab syncs. Rejects when the signal aborts. */
  untilUnled(signal: AbortSignal): Promise<void>
  close(): void
}
