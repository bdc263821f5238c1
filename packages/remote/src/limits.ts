/**
 * Limits: what whoever runs a remote may set, beside what the protocol fixes (its `LIMITS`).
 *
 * A plain record that says nothing of where the values come from. Zero history is none; everything
 * else is at least 1. Each bound is enforced where the thing is that it bounds.
 */

export type RemoteLimits = {
  /** What one vault may hold. Over it a push is refused, and the vault goes on being served. */
  readonly quota: {
    /** Of envelopes and the log; history is counted apart. */
    readonly bytesMax: number
    readonly recordsMax: number
    /** Devices at once; the protocol allows no more than 64. */
    readonly devicesMax: number
  }
  /** Superseded envelopes of one vault; none when either is 0. */
  readonly history: {
    readonly retentionMs: number
    readonly bytesMax: number
  }
  readonly rates: {
    /** Pushes and checkpoints of one vault. */
    readonly pushesPerSecond: number
    /** Bytes of pushes of one vault. */
    readonly pushBytesPerSecond: number
    /** Logins and new vaults from one address. */
    readonly loginsPerMinute: number
  }
  readonly connectionsMax: number
  /** Live sockets of all vaults together. */
  readonly socketsMax: number
  readonly socketsPerVaultMax: number
  /** Bodies of members' requests that are held in memory at once. */
  readonly bodyBytesMax: number
  /** Whoever sends and takes nothing for so long is cut off. */
  readonly silenceMs: number
  /** How long the headers of a request may take to arrive. */
  readonly headersMs: number
  /** How long a body may take to arrive, and an answer to be fetched. */
  readonly transferMs: number
  /** How long requests under way may take to end when the remote goes down. */
  readonly drainMs: number
}

const MIB = 1024 * 1024
const SECOND_MS = 1000
const DAY_MS = 24 * 60 * 60 * SECOND_MS

export const LIMITS_DEFAULT: RemoteLimits = {
  quota: { bytesMax: 10 * 1024 * MIB, recordsMax: 10_000_000, devicesMax: 64 },
  history: { retentionMs: 30 * DAY_MS, bytesMax: 1024 * MIB },
  rates: { pushesPerSecond: 200, pushBytesPerSecond: 32 * MIB, loginsPerMinute: 120 },
  connectionsMax: 12_000,
  socketsMax: 10_000,
  socketsPerVaultMax: 256,
  bodyBytesMax: 512 * MIB,
  silenceMs: 120 * SECOND_MS,
  headersMs: 15 * SECOND_MS,
  // What 16 MiB take over a poor line.
  transferMs: 300 * SECOND_MS,
  drainMs: 10 * SECOND_MS,
}
