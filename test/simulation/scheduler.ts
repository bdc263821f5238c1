/**
 * Scheduler: owns the time of a simulation. Whatever happens is an event at a moment of virtual
 * time; events of one moment happen in the order in which they were planned.
 *
 * After each event every promise that can go on does so, until all wait for another event: then,
 * and only then, time moves. The shipped code waits for nothing real (no socket, no disk, no
 * thread), so one turn of the platform's loop is enough for that, and more turns change nothing:
 * `determinism.test.ts` shows both.
 */

type Planned = { readonly atMs: number; readonly number: number; readonly run: () => void }

export class Scheduler {
  #nowMs = 0
  #planned = 0
  #happened = 0
  /** The next one last. */
  readonly #events: Planned[] = []
  readonly #turnsPerEvent: number

  constructor(options: { readonly turnsPerEvent?: number } = {}) {
    this.#turnsPerEvent = options.turnsPerEvent ?? 1
  }

  /** Milliseconds since the simulation began. */
  get nowMs(): number {
    return this.#nowMs
  }

  get eventCount(): number {
    return this.#happened
  }

  /** Plans an event; returns how to call it off. */
  after(delayMs: number, run: () => void): () => void {
    const event = {
      atMs: this.#nowMs + Math.max(0, Math.ceil(delayMs)),
      number: this.#planned++,
      run,
    }
    const events = this.#events
    let low = 0
    let high = events.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = events[middle] as Planned
      const isLater =
        other.atMs > event.atMs || (other.atMs === event.atMs && other.number > event.number)
      if (isLater) low = middle + 1
      else high = middle
    }
    events.splice(low, 0, event)
    return () => {
      const at = events.indexOf(event)
      if (at >= 0) events.splice(at, 1)
    }
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve)
    })
  }

  /** Lets time pass until `isDone`, at most until `untilMs`. Returns whether it was done. */
  async run(isDone: () => boolean, untilMs: number): Promise<boolean> {
    await this.#drain()
    while (!isDone()) {
      const event = this.#events.at(-1)
      if (event === undefined || event.atMs > untilMs) {
        this.#nowMs = Math.max(this.#nowMs, untilMs)
        return false
      }
      this.#events.pop()
      this.#nowMs = event.atMs
      this.#happened++
      event.run()
      await this.#drain()
    }
    return true
  }

  async #drain(): Promise<void> {
    for (let turns = 0; turns < this.#turnsPerEvent; turns++) {
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  }
}
