/**
 * Strangers: what those may do who have not shown yet that they are members of a vault. Each
 * request of theirs counts against their address, and so does each wrong guess.
 *
 *   wrong                     makes wait
 *     signature, nonce        logins
 *     registration token      new vaults; without one nothing is guessed
 *     code of a pairing       pairings
 *
 * A household has one address: what one device of it does wrong holds up the others in nothing
 * else.
 *
 * Where the address is not known (an app that is called without a server, or a socket that is gone)
 * nothing is counted: whoever runs it so has the bounds of its own.
 */
import {
  encodeUtf8,
  formatHex,
  ProtocolError,
  type ProtocolErrorCode,
  sha256,
} from '@blindcopy/protocol'
import { addressBlock } from './address.ts'
import type { RemoteLimits } from './limits.ts'
import { createPenalties, type Penalties } from './penalties.ts'
import { createRate } from './rates.ts'

export type Strangers = {
  /** A login or a new vault: unless the address has asked or failed too often. */
  logIn<T>(address: string | undefined, job: () => Promise<T>): Promise<T>
  /** Inside of that, a vault that may be new, with the token that came for it. */
  register<T>(address: string | undefined, offer: Offer<T>): Promise<T>
  /** What devices that pair ask for every second: unless the address has failed too often. */
  pair<T>(address: string | undefined, job: () => Promise<T>): Promise<T>
}

type Offer<T> = { readonly token: string | undefined; readonly job: () => Promise<T> }

/** What only somebody who guesses meets again and again. */
const LOGIN_GUESSES: ReadonlySet<ProtocolErrorCode> = new Set([
  'challenge-failed',
  'origin-refused',
])
const TOKEN_GUESSES: ReadonlySet<ProtocolErrorCode> = new Set(['registration-required'])
const CODE_GUESSES: ReadonlySet<ProtocolErrorCode> = new Set(['mailbox-unknown'])

/** The challenge, and what answers it. */
const REQUESTS_A_LOGIN = 2

export type StrangersParts = {
  /** Monotonic. */
  readonly uptimeMs: () => number
  readonly limits: RemoteLimits
}

export function createStrangers({ uptimeMs, limits }: StrangersParts): Strangers {
  const { loginsPerMinute } = limits.rates
  const rate = createRate({
    nowMs: uptimeMs,
    perSecond: loginsPerMinute / 60,
    burst: loginsPerMinute,
    what: 'logins',
  })
  const logins = guardedBy(createPenalties({ uptimeMs }), LOGIN_GUESSES)
  const tokens = guardedBy(createPenalties({ uptimeMs }), TOKEN_GUESSES)
  const codes = guardedBy(createPenalties({ uptimeMs }), CODE_GUESSES)
  return {
    async logIn(address, job) {
      if (address === undefined) return job()
      const key = addressBlock(address)
      rate.check(key)
      rate.charge(key, 1 / REQUESTS_A_LOGIN)
      return logins(key, job)
    },
    async register(address, { token, job }) {
      if (address === undefined || token === undefined) return job()
      return tokens(addressBlock(address), job, formatHex(sha256(encodeUtf8(token))))
    },
    async pair(address, job) {
      return address === undefined ? job() : codes(addressBlock(address), job)
    },
  }
}

type Guarded = <T>(key: string, job: () => Promise<T>, guess?: string) => Promise<T>

function guardedBy(penalties: Penalties, guesses: ReadonlySet<ProtocolErrorCode>): Guarded {
  return async (key, job, guess) => {
    penalties.check(key)
    try {
      return await job()
    } catch (error) {
      if (error instanceof ProtocolError && guesses.has(error.code)) penalties.fail(key, guess)
      throw error
    }
  }
}
