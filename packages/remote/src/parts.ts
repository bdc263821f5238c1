/**
 * Parts: what the routes of one remote share. Clock, randomness and signature check come from
 * outside and become real only in node.ts.
 */
import type { VerifySignature } from '@blindcopy/protocol'
import type { Store } from '@blindcopy/secondary'
import type { Challenges } from './challenge.ts'
import type { RemoteLimits } from './limits.ts'
import type { Live } from './live.ts'
import type { Mailboxes } from './mailboxes.ts'
import type { Metrics } from './observe/metrics.ts'
import type { Rate } from './rates.ts'
import type { Registration } from './registration.ts'
import type { Room } from './room.ts'
import type { Strangers } from './strangers.ts'
import type { Summaries } from './summaries.ts'
import type { Tokens } from './token.ts'
import type { Vaults } from './vaults.ts'

export type Parts = {
  readonly store: Store
  readonly vaults: Vaults
  readonly summaries: Summaries
  readonly challenges: Challenges
  readonly tokens: Tokens
  readonly mailboxes: Mailboxes
  readonly live: Live
  readonly verify: VerifySignature
  /** The addresses under which this remote is known; a login for another is a relayed one. */
  readonly origins: readonly string[]
  readonly registration: Registration
  readonly limits: RemoteLimits
  readonly metrics: Metrics
  readonly strangers: Strangers
  /** By vault id. */
  readonly pushes: Rate
  readonly pushedBytes: Rate
  /** For what pushes move into histories. */
  readonly moving: Room
  readonly nowMs: () => number
  readonly random: (sizeBytes: number) => Uint8Array
  /** Resolves when what waits meanwhile has had its turn. */
  readonly nextTurn: () => Promise<void>
}
