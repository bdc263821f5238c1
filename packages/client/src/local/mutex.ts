/**
 * Mutex: one writer at a time in a local secondary, in the order they asked.
 */
export class Mutex {
  readonly isShared = false
  #last: Promise<unknown> = Promise.resolve()

  run<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job, job)
    this.#last = result.catch(() => undefined)
    return result
  }
}
