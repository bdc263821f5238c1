/**
 * A browser with tabs, for tests: locks in the order they are asked for, and messages that arrive a
 * moment later. A tab that crashes lets go of its locks and says nothing.
 */
import { Mutex } from '../local/mutex.ts'
import type { TabMessage, Tabs } from './tabs.ts'

/** A timer that is over after a turn of the loop. */
export function soon(callback: () => void): () => void {
  const timer = setImmediate(callback)
  return () => clearImmediate(timer)
}

type Claim = { tab: string; mode: 'shared' | 'exclusive'; granted: () => void }

export type TestTab = Tabs & { crash(): void }

export class TestBrowser {
  readonly #writing = new Mutex()
  readonly #listeners = new Map<string, Set<(message: TabMessage) => void>>()
  readonly messages: TabMessage[] = []
  #holders: Claim[] = []
  #queue: Claim[] = []
  #tabCount = 0

  get leader(): string | undefined {
    return this.#holders.find(({ mode }) => mode === 'exclusive')?.tab
  }

  openTab(): TestTab {
    const id = `tab${++this.#tabCount}`
    const listeners = new Set<(message: TabMessage) => void>()
    this.#listeners.set(id, listeners)
    return {
      id,
      lock: { isShared: true, run: (job) => this.#writing.run(job) },
      post: (message) => this.#post(id, message),
      onMessage(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      lead: (signal) => this.#claim(id, 'exclusive', signal),
      untilUnled: async (signal) => {
        const release = await this.#claim(id, 'shared', signal)
        await release()
      },
      close: () => void this.#listeners.delete(id),
      crash: () => this.#crash(id),
    }
  }

  #post(from: string, message: TabMessage): void {
    if (!this.#listeners.has(from)) return
    this.messages.push(message)
    for (const [id, listeners] of this.#listeners) {
      if (id === from) continue
      // As in a browser: a copy, and not at once.
      const copy = structuredClone(message)
      setImmediate(() => {
        if (this.#listeners.has(id)) for (const listener of listeners) listener(copy)
      })
    }
  }

  #claim(tab: string, mode: Claim['mode'], signal: AbortSignal): Promise<() => Promise<void>> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(new Error('aborted'))
      const claim: Claim = {
        tab,
        mode,
        granted: () => {
          resolve(async () => {
            this.#holders = this.#holders.filter((held) => held !== claim)
            this.#grant()
          })
        },
      }
      signal.addEventListener('abort', () => {
        this.#queue = this.#queue.filter((waiting) => waiting !== claim)
        reject(new Error('aborted'))
        this.#grant()
      })
      this.#queue.push(claim)
      this.#grant()
    })
  }

  #grant(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const isFree =
        this.#holders.length === 0 ||
        (next.mode === 'shared' && this.#holders.every(({ mode }) => mode === 'shared'))
      if (!isFree) return
      this.#queue.shift()
      this.#holders.push(next)
      next.granted()
    }
  }

  #crash(id: string): void {
    this.#listeners.delete(id)
    this.#queue = this.#queue.filter(({ tab }) => tab !== id)
    this.#holders = this.#holders.filter(({ tab }) => tab !== id)
    this.#grant()
  }
}
