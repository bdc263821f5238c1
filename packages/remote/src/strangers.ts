/**
 * Strangers: what those may do who have not shown yet that they are members of a vault. Each
 * request of theirs counts against their address, and so does each wrong guess.
 *
 * Where the address is not known (an app that is called without a server, or a socket that is gone)
 * nothing is counted: whoever runs it so has the bounds of its own.
 */
import { ProtocolError, type ProtocolErrorCode } from '@blindcopy/protocol'
import { addressBlock } from './address.ts'
import type { RemoteLimits } from './limits.ts'
import { createPenalties } from './penalties.ts'
import { createRate } from './rates.ts'

export type Strangers = {
  /** A login or a new vault: unless the address has asked or failed too often. */
  logIn<T>(address: string | undefined, job: () => Promise<T>): Promise<T>
  /** What devices that pair ask for every second: unless the address has failed too often. */
  pair<T>(address: string | undefined, job: () => Promise<T>): Promise<T>
}

/** What only somebody who guesses meets again and again. */
const GUESSES: ReadonlySet<ProtocolErrorCode> = new Set([
  'challenge-failed',
  'registration-required',
  'mailbox-unknown',
  'origin-refused',
])

/** The challenge, and what answers it. */
const REQUESTS_A_LOGIN = 2

export function createStrangers({
  nowMs,
  limits,
}: {
  readonly nowMs: () => number
  readonly limits: RemoteLimits
}): Strangers {
  const { loginsPerMinute } = limits.rates
  const perSecond = loginsPerMinute / 60
  const rate = createRate({ nowMs, perSecond, burst: loginsPerMinute, what: 'logins' })
  const penalties = createPenalties({ nowMs })

  async function guarded<T>(key: string, job: () => Promise<T>): Promise<T> {
    penalties.check(key)
    try {
      return await job()
    } catch (error) {
      if (error instanceof ProtocolError && GUESSES.has(error.code)) penalties.fail(key)
      throw error
    }
  }

  return {
    async logIn(address, job) {
      if (address === undefined) return job()
      const key = addressBlock(address)
      rate.check(key)
      rate.charge(key, 1 / REQUESTS_A_LOGIN)
      return guarded(key, job)
    },
    async pair(address, job) {
      return address === undefined ? job() : guarded(addressBlock(address), job)
    },
  }
}
