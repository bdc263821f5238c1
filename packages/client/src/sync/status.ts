/**
 * Status: what an app can show of sync, and a person can trust. decision.ts draws the states.
 */
import type { Notice } from '../local/local-meta.ts'

export type SyncPhase =
  /** Nobody asked for sync, or it has been stopped. */
  | 'resting'
  | 'connecting'
  /** Comparing all that is held with a remote that was reset, restored or replaced. */
  | 'reconciling'
  | 'pulling'
  | 'pushing'
  /** Until the next exchange is due, or until there is something to send. */
  | 'waiting'
  /** Everything is exchanged, and changes arrive as they are made. */
  | 'live'
  /** The last attempt failed; another follows by itself. */
  | 'backing-off'
  /** Sync has stopped: `problem` says what the person can do. */
  | 'stopped'

export type SyncProblem = {
  /** A code of docs/protocol.md. */
  readonly code: string
  readonly message: string
  /** What the person can do, in a sentence; also when there is nothing to do. */
  readonly remedy: string
  readonly atMs: number
}

/** `done` of `total`: transactions, or records that differ. `total` may grow. */
export type SyncProgress = {
  readonly direction: 'pull' | 'push' | 'reconcile'
  readonly done: number
  readonly total: number
}

export type SyncStatus = {
  readonly phase: SyncPhase
  /** Local transactions that the remote has not confirmed. */
  readonly pending: number
  /** Transactions that the remote refused; they are kept and need the person. */
  readonly attention: number
  /** Versions that lost, or wait for a person to choose, in the conflict log. */
  readonly conflicts: number
  /** When the head of the remote was last reached, in milliseconds since 1970. */
  readonly lastSyncedMs: number | null
  /** When the remote last answered anything. */
  readonly lastContactMs: number | null
  /** When the checkpoint of another device last fitted, since the vault was opened. */
  readonly lastCheckedMs: number | null
  /**
   * Whether everything the remote held was once received: an empty list before that means nothing.
   */
  readonly initialSyncComplete: boolean
  /** Versions of other devices that came in since the vault was opened. */
  readonly received: number
  readonly progress: SyncProgress | null
  readonly problem: SyncProblem | null
  /** What happened by itself and the person should know, oldest first; a bounded list. */
  readonly notices: readonly Notice[]
  /** What is added to the clock of this device, once the remote has shown it to be wrong. */
  readonly clock: { readonly offsetMs: number } | null
}

/** Holds the status and hands each change to whoever watches; slow watchers see the latest only. */
export class StatusBoard {
  #status: SyncStatus
  readonly #listeners = new Set<() => void>()

  constructor(status: SyncStatus) {
    this.#status = status
  }

  get status(): SyncStatus {
    return this.#status
  }

  set(change: Partial<SyncStatus>): void {
    const keys = Object.keys(change) as (keyof SyncStatus)[]
    if (keys.every((key) => Object.is(change[key], this.#status[key]))) return
    this.#status = { ...this.#status, ...change }
    for (const listener of this.#listeners) listener()
  }

  /** The status now and after each change, until the loop ends or `signal` aborts. */
  async *watch(signal?: AbortSignal): AsyncGenerator<SyncStatus> {
    let wake: () => void = () => undefined
    const listener = (): void => wake()
    this.#listeners.add(listener)
    signal?.addEventListener('abort', listener)
    try {
      for (let shown: SyncStatus | undefined; !signal?.aborted; ) {
        if (shown !== this.#status) {
          shown = this.#status
          yield shown
          continue
        }
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      this.#listeners.delete(listener)
      signal?.removeEventListener('abort', listener)
    }
  }
}
