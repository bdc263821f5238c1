/**
 * Tab hints: says to other tabs which records a write has changed, and hears the same of them.
 *
 * What is said is only where to look: watches read the store again, and the state in memory is read
 * again under the lock. So a hint that is lost or late costs a moment, never a record.
 */
import type { RecordChange } from '../local/row-batch.ts'
import { decodeChanges, encodeChanges } from './tab-changes.ts'
import type { Tabs } from './tabs.ts'

export type SharedState = {
  onChange(listener: (changes: readonly RecordChange[]) => void): () => void
  /** Tells watches and indexes of changes that another tab has made. */
  tell(changes: readonly RecordChange[]): void
  /** Reads again, first, what another tab may have written. */
  run<T>(job: () => Promise<T>): Promise<T>
}

export type SetTimer = (callback: () => void, delayMs: number) => () => void

/** How old the counts may be that a tab shows which neither syncs nor writes. */
const CATCH_UP_MS = 100

export class TabHints {
  readonly #state: SharedState
  readonly #tabs: Tabs
  readonly #onCaughtUp: () => void
  readonly #onSaid: () => void
  readonly #endListening: () => void
  readonly #setTimer: SetTimer
  #outgoing: RecordChange[] = []
  #isSaying = false
  #isTelling = false
  #isEnded = false
  #catchingUp: Promise<void> | undefined
  #mustCatchUp = false
  #endDelay: (() => void) | undefined

  constructor(options: {
    readonly state: SharedState
    readonly tabs: Tabs
    readonly setTimer: SetTimer
    /** The state in memory is that of the store. */
    readonly onCaughtUp: () => void
    /** Something was written here, and the others know. */
    readonly onSaid: () => void
  }) {
    this.#state = options.state
    this.#tabs = options.tabs
    this.#setTimer = options.setTimer
    this.#onCaughtUp = options.onCaughtUp
    this.#onSaid = options.onSaid
    this.#endListening = options.state.onChange((changes) => this.say(changes))
  }

  /** Tells the other tabs, once for all that is written in one turn. */
  say(changes: readonly RecordChange[]): void {
    if (this.#isTelling || this.#isEnded) return
    for (const change of changes) this.#outgoing.push(change)
    if (this.#isSaying) return
    this.#isSaying = true
    queueMicrotask(() => {
      this.#isSaying = false
      const changed = encodeChanges(this.#outgoing)
      this.#outgoing = []
      this.#tabs.post({ type: 'written', changes: changed })
      this.#onSaid()
    })
  }

  /** Tells whoever watches here, at once: what they show is read from the store, which has it. */
  hear(changes: Uint8Array): void {
    this.#isTelling = true
    this.#state.tell(decodeChanges(changes))
    this.#isTelling = false
  }

  /** Not at each of many writes elsewhere: whoever reads the state again holds up who writes. */
  catchUpSoon(): void {
    this.#endDelay ??= this.#setTimer(() => {
      this.#endDelay = undefined
      void this.catchUp()
    }, CATCH_UP_MS)
  }

  /** One at a time, and once more when something came meanwhile. Never fails. */
  catchUp(): Promise<void> {
    this.#mustCatchUp = true
    this.#catchingUp ??= this.#catchUpAll().finally(() => {
      this.#catchingUp = undefined
    })
    return this.#catchingUp
  }

  /** Says and hears nothing more. */
  async end(): Promise<void> {
    this.#isEnded = true
    this.#endDelay?.()
    this.#endListening()
    await this.#catchingUp
  }

  async #catchUpAll(): Promise<void> {
    while (this.#mustCatchUp && !this.#isEnded) {
      this.#mustCatchUp = false
      // A store that fails says so to whoever reads or writes next.
      await this.#state.run(async () => undefined).catch(() => undefined)
      if (!this.#isEnded) this.#onCaughtUp()
    }
  }
}
