/**
 * Census: counts what all vaults hold together, and remembers which are the largest.
 *
 * It walks the store only when somebody asks, one walk at a time, a page after the other, so that
 * requests go on between. A walk of many vaults takes long: then its result stands for twenty times
 * as long, and who asks gets the last one at once. The very first is waited for, but not beyond
 * some thousands of vaults.
 */
import type { VaultId } from '@blindcopy/protocol'
import type { Store } from '@blindcopy/secondary'
import type { RemoteLimits } from '../limits.ts'
import { type Quota, quotaOf } from '../quota.ts'
import { type VaultSummary, walkVaults } from '../vault-list.ts'
import type { VaultState } from '../vault-state.ts'
import type { Totals } from './metrics.ts'

export type Census = {
  /** Undefined while the first one is being taken and has many vaults to go. */
  read(): Promise<Counted | undefined>
}

export type Counted = {
  /** When it was begun. */
  readonly ms: number
  readonly totals: Totals
  /** The largest vaults, in no order; all of them unless there are very many. */
  readonly vaults: readonly VaultUse[]
}

/** What is shown of one vault. */
export type VaultUse = {
  readonly vaultId: VaultId
  readonly records: number
  readonly bytes: number
  readonly historyBytes: number
  readonly keychainBytes: number
  readonly createdMs: number
  /** 0 before the first push. */
  readonly pushedMs: number
  readonly quota: Quota
  /** The part of the quota that is used, of bytes or records, whichever is more. */
  readonly use: number
}

export type CensusParts = {
  readonly store: Store
  readonly limits: RemoteLimits
  readonly nowMs: () => number
  readonly vaultsMax?: number
  readonly patienceVaults?: number
}

/** Beyond this a vault is near its quota. */
export const NEAR_QUOTA = 0.9
/** The most vaults that are remembered. */
export const CENSUS_VAULTS_MAX = 10_000
const PATIENCE_VAULTS = 5_000
const PAGE_VAULTS = 64
const FRESH_MS_MIN = 5_000
/** A walk takes no more than this part of the time. */
const WALK_SHARE = 20
/** A walk that took no longer than this is waited for rather than told the last one. */
const SHORT_MS = 250

export function createCensus(parts: CensusParts): Census {
  let last: { readonly counted: Counted; readonly tookMs: number } | undefined
  let walking: Walk | undefined

  async function take(walk: Pick<Walk, 'passed'>): Promise<Counted> {
    const startMs = parts.nowMs()
    try {
      const counted = await count(parts, walk.passed)
      last = { counted, tookMs: parts.nowMs() - startMs }
      return counted
    } finally {
      walking = undefined
    }
  }

  return {
    async read() {
      if (last !== undefined && isFresh(last, parts.nowMs())) return last.counted
      walking ??= beginWalk(take, parts.patienceVaults ?? PATIENCE_VAULTS)
      if (last === undefined || last.tookMs <= SHORT_MS) return walking.awaited
      // Its failure is told to whoever waits for one; here nobody does.
      walking.awaited.catch(() => {})
      return last.counted
    },
  }
}

function isFresh(
  { counted, tookMs }: { counted: Counted; tookMs: number },
  nowMs: number,
): boolean {
  const ageMs = nowMs - counted.ms
  // Below nothing the clock was set back: it would be fresh for as long.
  return ageMs >= 0 && ageMs < Math.max(FRESH_MS_MIN, tookMs * WALK_SHARE)
}

type Walk = {
  /** The result, or undefined when more vaults than anybody waits for were passed. */
  readonly awaited: Promise<Counted | undefined>
  readonly passed: (vaults: number) => void
}

function beginWalk(
  take: (walk: Pick<Walk, 'passed'>) => Promise<Counted>,
  patienceVaults: number,
): Walk {
  let giveUp = (): void => {}
  const patience = new Promise<undefined>((resolve) => {
    giveUp = () => resolve(undefined)
  })
  const passed = (vaults: number): void => {
    if (vaults > patienceVaults) giveUp()
  }
  return { awaited: Promise.race([take({ passed }), patience]), passed }
}

async function count(
  { store, limits, nowMs, vaultsMax = CENSUS_VAULTS_MAX }: CensusParts,
  passed: (vaults: number) => void,
): Promise<Counted> {
  const ms = nowMs()
  const totals = { ...TOTALS_NONE }
  let vaults: VaultUse[] = []
  for await (const page of walkVaults(store, PAGE_VAULTS)) {
    for (const summary of page) {
      const use = addTo(totals, summary, limits)
      if (use !== undefined) vaults.push(use)
    }
    if (vaults.length >= 2 * vaultsMax) vaults = largest(vaults, vaultsMax)
    passed(totals.vaults)
  }
  return { ms, totals, vaults: largest(vaults, vaultsMax) }
}

type Sums = { -readonly [Name in keyof Totals]: number }

const TOTALS_NONE: Totals = {
  vaults: 0,
  unreadable: 0,
  nearQuota: 0,
  records: 0,
  bytes: 0,
  historyBytes: 0,
}

function addTo(
  totals: Sums,
  { vaultId, state }: VaultSummary,
  limits: RemoteLimits,
): VaultUse | undefined {
  if (state === undefined) {
    totals.unreadable++
    return undefined
  }
  const use = useOf(vaultId, state, limits)
  totals.vaults++
  totals.records += use.records
  totals.bytes += use.bytes
  totals.historyBytes += use.historyBytes
  if (use.use >= NEAR_QUOTA) totals.nearQuota++
  return use
}

function useOf(vaultId: VaultId, state: VaultState, limits: RemoteLimits): VaultUse {
  const quota = quotaOf(state, limits)
  const { bytes, historyBytes, keychainBytes, createdMs, pushedMs, count: records } = state
  const use = Math.max(bytes / quota.bytesMax, records / quota.recordsMax)
  return { vaultId, records, bytes, historyBytes, keychainBytes, createdMs, pushedMs, quota, use }
}

const sizeOf = ({ bytes, historyBytes }: VaultUse): number => bytes + historyBytes

function largest(vaults: VaultUse[], vaultsMax: number): VaultUse[] {
  if (vaults.length <= vaultsMax) return vaults
  return vaults.sort((a, b) => sizeOf(b) - sizeOf(a)).slice(0, vaultsMax)
}
