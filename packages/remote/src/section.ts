/**
 * Section: lets one job at a time change a vault, and jobs of different vaults run side by side.
 *
 * What is read, decided and written about a vault happens inside one section, so nothing can come
 * between. A vault's entry is gone when nobody waits; a vault that too many wait for answers
 * `busy`.
 */
import { ProtocolError } from '@blindcopy/protocol'

export type Sections = {
  /** Runs the job when all earlier ones of the same key have ended, however they ended. */
  run<T>(key: string, job: () => Promise<T>): Promise<T>
  /** Jobs that wait or are at work, of all keys together. */
  count(): number
}

type Queue = { tail: Promise<unknown>; length: number }

const WAITING_MAX = 512

export function createSections(): Sections {
  const queuesByKey = new Map<string, Queue>()
  let jobs = 0

  async function run<T>(key: string, job: () => Promise<T>): Promise<T> {
    const queue = queuesByKey.get(key) ?? { tail: Promise.resolve(), length: 0 }
    if (queue.length >= WAITING_MAX) {
      throw new ProtocolError('busy', 'too many requests wait for this vault: try again', {
        details: { retryAfterSeconds: 1 },
      })
    }
    queuesByKey.set(key, queue)
    queue.length++
    jobs++
    const result = queue.tail.then(job, job)
    queue.tail = result.catch(() => {})
    try {
      return await result
    } finally {
      queue.length--
      jobs--
      if (queue.length === 0) queuesByKey.delete(key)
    }
  }

  return { run, count: () => jobs }
}
