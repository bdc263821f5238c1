/**
 * Sync as an app sees it.
 */

import type { MemberId } from '@blindcopy/protocol'
import type { Syncing } from '../browser/tab-sync.ts'
import { codeOf } from '../error.ts'
import { markSettling } from '../local/checkpoint-store.ts'
import { type DurabilityTier, untilDurable } from '../local/durability.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import { accessError } from '../records/access.ts'
import { endWith } from '../records/collection.ts'
import type { WriteContext } from '../records/transaction.ts'
import type { OnceOptions, StartOptions } from '../sync/modes.ts'
import type { SyncStatus } from '../sync/status.ts'

export type VaultSync = {
  /**
   * Exchanges everything once, one way or both (the default). Rejects with the first failure;
   * nothing is lost by one.
   */
  once(options?: OnceOptions): Promise<void>
  /**
   * Stays in step until `stop`, live or at intervals. Failures are retried and shown in the status.
   * Throws `invalid-argument`.
   */
  start(options?: StartOptions): void
  stop(): Promise<void>
  readonly status: SyncStatus
  /** The status now and after each change, until `signal` aborts or the vault is closed. */
  watch(signal?: AbortSignal): AsyncGenerator<SyncStatus>
  /** Moves what was refused back to be sent again. Resolves to how many transactions. */
  retry(): Promise<number>
  /**
   * Lets this device go on after sync has stopped for `history-forked` or `history-differs`: it
   * compares all it holds with the remote and drops nothing. The checkpoints that sync stopped for
   * do not stop it again; later ones may.
   */
  reconcile(): Promise<void>
  /**
   * Takes the remote's clock for right where it is more than a day from this device's (problem
   * `clock-wrong`); what was refused for its time is sent again.
   */
  acceptClock(): Promise<void>
}

/** For locking: sync ends, and begins again as it was asked for. */
export type SyncControl = {
  pause(): Promise<void>
  resume(): void
}

export function syncOf(
  syncing: Syncing,
  /** The status is shown until the vault is closed, also while it is locked. */
  { local, closed }: { local: LocalSecondary; closed: AbortSignal },
  checkOpen: () => void,
): { sync: VaultSync; control: SyncControl } {
  let started: { readonly options: StartOptions | undefined } | undefined
  const sync: VaultSync = {
    async once(options) {
      checkOpen()
      await syncing.once(options).catch((error: unknown) => {
        checkOpen()
        throw error
      })
    },
    start(options) {
      checkOpen()
      syncing.start(options)
      started = { options }
    },
    stop() {
      started = undefined
      return syncing.stop()
    },
    watch: (signal) => syncing.watch(endWith(signal, closed)),
    get status() {
      return syncing.status
    },
    async retry() {
      checkOpen()
      const count = await local.retryAttention()
      syncing.noteWrite()
      return count
    },
    async reconcile() {
      checkOpen()
      await markSettling(local.state, true)
      try {
        await sync.once()
      } finally {
        await markSettling(local.state, false)
      }
    },
    async acceptClock() {
      checkOpen()
      await syncing.acceptClock()
    },
  }
  const control: SyncControl = {
    pause() {
      syncing.quiet?.(true)
      return syncing.stop()
    },
    resume() {
      syncing.quiet?.(false)
      if (started !== undefined) syncing.start(started.options)
    },
  }
  return { sync, control }
}

/** What `durable` of a vault does. */
export async function durableOf(
  syncing: Syncing,
  { local, ended }: WriteContext,
  awaited: {
    tier: DurabilityTier
    signal?: AbortSignal | undefined
    isActive: (memberId: MemberId) => boolean
  },
): Promise<void> {
  const watch = (signal?: AbortSignal) => syncing.watch(endWith(signal, ended))
  try {
    const { isActive } = awaited
    await untilDurable({ state: local.state, watch, isActive }, awaited.tier, awaited.signal)
  } catch (error) {
    // Sync was stopped because the vault was locked or closed, which says more.
    const isEnd = codeOf(error) === 'closed' || codeOf(error) === 'sync-stopped'
    throw ended.aborted && isEnd ? accessError(ended) : error
  }
}
