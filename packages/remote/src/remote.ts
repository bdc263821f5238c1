/**
 * Remote: puts the parts of a remote secondary together, for any runtime that can serve a Hono app.
 *
 * It needs a store, a signature check, a clock and randomness, and someone who calls `beat()` about
 * once a second; node.ts gives it all of these on Node.
 */
import type { VerifySignature } from '@blindcopy/protocol'
import type { Store } from '@blindcopy/secondary'
import type { Hono } from 'hono'
import { createAdmin } from './admin/admin-app.ts'
import { createApp, type RequestLine } from './app.ts'
import { createChallenges } from './challenge.ts'
import { createCommits } from './commits.ts'
import { MOVING_BYTES_MAX } from './history.ts'
import { createHistorySweep } from './history-sweep.ts'
import { LIMITS_DEFAULT, type RemoteLimits } from './limits.ts'
import { type Admit, createLive, type Live } from './live.ts'
import { createMailboxes } from './mailboxes.ts'
import { NO_METRICS } from './observe/metrics.ts'
import { type ObserveOptions, observe } from './observe/observe.ts'
import { parseOrigin } from './origin.ts'
import type { Parts } from './parts.ts'
import { beginSyncId, checkSyncId, isInLog } from './position.ts'
import { createRate } from './rates.ts'
import type { Registration } from './registration.ts'
import { checkProtocol } from './request.ts'
import { createRoom } from './room.ts'
import { mustMember } from './session.ts'
import { createStrangers } from './strangers.ts'
import { createSummaries } from './summaries.ts'
import { createTokens, TOKEN_KEY_BYTES } from './token.ts'
import { createVaults, mustVault } from './vaults.ts'

export type RemoteOptions = ObserveOptions & {
  readonly store: Store
  /** Plain Ed25519; `verifySignature` of the node subpath is one. */
  readonly verify: VerifySignature
  /** The addresses (scheme, host, port) under which devices know this remote. */
  readonly origins: readonly string[]
  readonly registration: Registration
  /** `LIMITS_DEFAULT` when absent. */
  readonly limits?: RemoteLimits
  readonly nowMs: () => number
  readonly random: (sizeBytes: number) => Uint8Array
  /** 32 bytes. Drawn anew when absent: then a restart ends all sessions. */
  readonly tokenKey?: Uint8Array
  /** `setImmediate` where there is one; a timer of no time when absent. */
  readonly nextTurn?: () => Promise<void>
  /** Memory for the summaries of vaults that reconcile. */
  readonly summariesBytesMax?: number
  readonly log?: (line: RequestLine) => void
  /** Told of every failure of our own, whose sender only learns `internal`. */
  readonly onFault?: (error: unknown, requestId?: string) => void
}

export type Remote = {
  readonly app: Hono
  readonly live: Live
  /** For whoever runs the remote: never to be reached from where devices are. */
  readonly admin: Hono
  /** To be called about once a second: heartbeats, sessions that end, histories that expire. */
  beat(): void
  /** Ends the live sockets and begins nothing new; what is under way goes on. */
  drain(): void
  /** Ends the live sockets. The store is its owner's to close. */
  close(): void
}

export function createRemote(options: RemoteOptions): Remote {
  const { store, verify, registration, nowMs, random } = options
  const onFault = options.onFault ?? (() => {})
  const key = options.tokenKey ?? random(TOKEN_KEY_BYTES)
  const metrics = options.metrics ?? NO_METRICS
  const uptimeMs = options.uptimeMs ?? nowMs
  const commits = createCommits({ store, uptimeMs, onWrite: metrics.commit })
  const vaults = createVaults(store, commits)
  const limits = options.limits ?? LIMITS_DEFAULT
  const live = createLive({
    nowMs,
    onFault,
    limits,
    metrics,
    admit: (hello, join) => admit(parts, hello, join),
  })
  const parts: Parts = {
    store,
    vaults,
    summaries: createSummaries({ store, vaults, bytesMax: options.summariesBytesMax }),
    challenges: createChallenges({ nowMs, random }),
    tokens: createTokens({ key, nowMs, random }),
    mailboxes: createMailboxes({ nowMs }),
    live,
    verify,
    origins: [...new Set(options.origins.map(parseOrigin))],
    registration,
    limits,
    metrics,
    strangers: createStrangers({ uptimeMs, limits }),
    ...createPushRates(uptimeMs, limits),
    moving: createRoom(MOVING_BYTES_MAX),
    nowMs,
    random,
    nextTurn: options.nextTurn ?? (() => new Promise((resolve) => setTimeout(resolve, 0))),
  }
  const sweep = createHistorySweep(parts)
  let isGoingDown = false
  const app = createApp({
    ...parts,
    ...observe(parts, options),
    onFault,
    log: options.log ?? (() => {}),
    isGoingDown: () => isGoingDown,
  })
  const drain = (): void => {
    isGoingDown = true
    live.close()
  }
  /** A sweep that the store was closed under is no fault. */
  const tellFault = (error: unknown): void => {
    if (!isGoingDown) onFault(error)
  }
  const beat = (): void => {
    live.beat()
    if (!isGoingDown) sweep.beat().catch(tellFault)
  }
  const admin = createAdmin(parts)
  return { app, live, admin, beat, drain, close: () => live.close() }
}

/** So many seconds' worth may come at once after a pause. */
const BURST_SECONDS = 10

function createPushRates(
  uptimeMs: () => number,
  { rates }: RemoteLimits,
): Pick<Parts, 'pushes' | 'pushedBytes'> {
  const rateOf = (perSecond: number, what: string) =>
    createRate({ nowMs: uptimeMs, perSecond, burst: perSecond * BURST_SECONDS, what })
  return {
    pushes: rateOf(rates.pushesPerSecond, 'pushes to this vault'),
    pushedBytes: rateOf(rates.pushBytesPerSecond, 'bytes pushed to this vault'),
  }
}

/** The checks of a data request, and the join, in one section: nothing is committed in between. */
async function admit(
  parts: Parts,
  hello: Parameters<Admit>[0],
  join: Parameters<Admit>[1],
): Promise<void> {
  checkProtocol(hello.protocol)
  const session = parts.tokens.open(hello.token)
  const [seq, chain] = hello.cursor
  await parts.vaults.exclusively(session.vaultId, async (found) => {
    const vault = mustVault(found)
    mustMember(vault, session.memberId)
    checkSyncId(vault, hello.syncId)
    if (!(await isInLog(parts, vault, { seq, chain }))) await beginSyncId(parts, vault, session)
    join(session, vault.state.head)
  })
}
