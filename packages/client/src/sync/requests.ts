/**
 * Requests: who waits for an exchange, and which ways it must go so that all of them are served.
 */
export type Direction = 'both' | 'push' | 'pull'

type Request = {
  readonly direction: Direction
  resolve(): void
  reject(error: unknown): void
}

export class Requests {
  #waiting: Request[] = []
  /** Of the sync that stays on; null when none does. */
  #standing: Direction | null = null

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  set direction(direction: Direction | null) {
    this.#standing = direction
  }

  /** Both ways when they differ. */
  get direction(): Direction {
    const directions = new Set<Direction>(this.#waiting.map(({ direction }) => direction))
    if (this.#standing !== null) directions.add(this.#standing)
    const [only] = directions
    return directions.size === 1 && only !== undefined ? only : 'both'
  }

  add(direction: Direction): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ direction, resolve, reject })
    })
  }

  resolve(): void {
    for (const { resolve } of this.#take()) resolve()
  }

  reject(error: unknown): void {
    for (const { reject } of this.#take()) reject(error)
  }

  #take(): readonly Request[] {
    const waiting = this.#waiting
    this.#waiting = []
    return waiting
  }
}
