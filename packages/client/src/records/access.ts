/**
 * Access: whether a vault may be read and written now. It is open until it is closed for good, or
 * locked until it is unlocked.
 *
 * Each time it is open is a period with a signal of its own, which aborts when that ends: whatever
 * holds plaintext (live queries, indexes, a mutation that runs) ends or forgets with it.
 */
import { ClientError } from '../error.ts'

export type AccessState = 'open' | 'locked' | 'closed'

export class Access {
  #state: AccessState = 'open'
  #period = new AbortController()
  readonly #closed = new AbortController()

  get state(): AccessState {
    return this.#state
  }

  /** Of this period. */
  get ended(): AbortSignal {
    return this.#period.signal
  }

  /** Of the whole vault, locked or not. */
  get closed(): AbortSignal {
    return this.#closed.signal
  }

  /** Throws `locked` or `closed`. */
  check(): void {
    if (this.#state !== 'open') throw accessError(this.ended)
  }

  lock(): void {
    if (this.#state !== 'open') return
    this.#state = 'locked'
    this.#period.abort(lockedError())
  }

  unlock(): void {
    if (this.#state !== 'locked') return
    this.#state = 'open'
    this.#period = new AbortController()
  }

  close(): void {
    this.#state = 'closed'
    this.#period.abort(closedError())
    // One that was locked has aborted already, and says from now on that it is closed.
    if ((this.ended.reason as ClientError).code !== 'closed') {
      this.#period = new AbortController()
      this.#period.abort(closedError())
    }
    this.#closed.abort(closedError())
  }
}

/** What ended a period, as a new error. */
export function accessError(ended: AbortSignal): ClientError {
  const { reason } = ended as { reason: unknown }
  const isLocked = reason instanceof ClientError && reason.code === 'locked'
  return isLocked ? lockedError() : closedError()
}

export function lockedError(): ClientError {
  return new ClientError('locked', 'the vault is locked: unlock it to go on')
}

export function closedError(): ClientError {
  return new ClientError('closed', 'the vault is closed: open it again')
}
