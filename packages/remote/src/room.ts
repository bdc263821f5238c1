/**
 * Room: so many bytes of memory for work of one kind, of all vaults together. What does not fit
 * waits for its turn, in the order in which it came.
 */

export type Room = {
  /** Does the job when its bytes fit; more than there is room for counts as all of it. */
  hold<T>(sizeBytes: number, job: () => Promise<T>): Promise<T>
  readonly heldBytes: number
}

type Waiting = { readonly bytes: number; readonly begin: () => void }

export function createRoom(bytesMax: number): Room {
  const queue: Waiting[] = []
  let heldBytes = 0

  function beginThoseThatFit(): void {
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      if (heldBytes + next.bytes > bytesMax) return
      queue.shift()
      heldBytes += next.bytes
      next.begin()
    }
  }

  return {
    async hold(sizeBytes, job) {
      const bytes = Math.min(sizeBytes, bytesMax)
      await new Promise<void>((begin) => {
        queue.push({ bytes, begin })
        beginThoseThatFit()
      })
      try {
        return await job()
      } finally {
        heldBytes -= bytes
        beginThoseThatFit()
      }
    },
    get heldBytes() {
      return heldBytes
    },
  }
}
