/**
 * Sync as an app sees it.
 */

import type { Syncing } from '../browser/tab-sync.ts'
import { type DurabilityTier, untilDurable } from '../local/durability.ts'
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
   * Takes the remote's clock for right where it is more than a day from this device's (problem
   * `clock-wrong`); what was refused for its time is sent again.
   */
  acceptClock(): Promise<void>
}

export function syncOf(
  syncing: Syncing,
  { local, ended }: WriteContext,
  checkOpen: () => void,
): VaultSync {
  return {
    async once(options) {
      checkOpen()
      await syncing.once(options)
    },
    start(options) {
      checkOpen()
      syncing.start(options)
    },
    stop: () => syncing.stop(),
    watch: (signal) => syncing.watch(endWith(signal, ended)),
    get status() {
      return syncing.status
    },
    async retry() {
      checkOpen()
      const count = await local.retryAttention()
      syncing.noteWrite()
      return count
    },
    async acceptClock() {
      checkOpen()
      await syncing.acceptClock()
    },
  }
}

/** What `durable` of a vault does. */
export function durableOf(
  syncing: Syncing,
  { local, ended }: WriteContext,
  awaited: { tier: DurabilityTier; signal?: AbortSignal | undefined },
): Promise<void> {
  const watch = (signal?: AbortSignal) => syncing.watch(endWith(signal, ended))
  return untilDurable({ state: local.state, watch }, awaited.tier, awaited.signal)
}
