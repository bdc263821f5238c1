/**
 * Observe: what the routes of observation need beside the parts of the remote, put together.
 */
import type { Parts } from '../parts.ts'
import type { AdminToken } from './admin-gate.ts'
import { type Census, createCensus } from './census.ts'
import type { DiskUse, Metrics } from './metrics.ts'

/** All of it may be absent: then nothing is counted and nothing shown. */
export type ObserveOptions = {
  /** Without one, or with an empty one, there are no numbers and no admin page. */
  readonly adminToken?: AdminToken | undefined
  readonly metrics?: Metrics
  /** Both when absent. */
  readonly shows?: Shows
  readonly disk?: () => Promise<DiskUse | undefined>
  readonly version?: string
  /** Others than this machine may reach it. */
  readonly isExposed?: boolean
  /** Monotonic, for how long things take; the clock of the remote when absent. */
  readonly uptimeMs?: () => number
}

/** What the admin token opens. */
export type Shows = { readonly metrics: boolean; readonly adminPage: boolean }

export type Observation = {
  readonly shows: Shows
  readonly adminToken: AdminToken | undefined
  readonly census: Census
  readonly disk: () => Promise<DiskUse | undefined>
  readonly version: string
  readonly startMs: number
  readonly isExposed: boolean
  readonly uptimeMs: () => number
}

export function observe(parts: Parts, options: ObserveOptions): Observation {
  const { metrics, live, vaults, nowMs } = parts
  const disk = options.disk ?? (async () => undefined)
  const census = createCensus(parts)
  metrics.watch({
    sockets: () => live.count(),
    waiting: () => vaults.waiting(),
    disk,
    // A store that does not answer must not take the other numbers away.
    totals: () =>
      census.read().then(
        (counted) => counted?.totals,
        () => undefined,
      ),
  })
  return {
    adminToken: options.adminToken,
    shows: options.shows ?? { metrics: true, adminPage: true },
    census,
    disk,
    version: options.version ?? 'unknown',
    startMs: nowMs(),
    isExposed: options.isExposed ?? false,
    uptimeMs: options.uptimeMs ?? nowMs,
  }
}
