/**
 * Admin view: what the admin page shows, gathered as plain data.
 *
 * Sums and sizes come from the census; only of the vaults on the page that is shown, devices and
 * sockets are looked up.
 */
import type { VaultId } from '@blindcopy/protocol'
import type { Live } from '../live.ts'
import { countDevices } from '../quota.ts'
import type { Registration } from '../registration.ts'
import type { Vaults } from '../vaults.ts'
import { type Census, type Counted, NEAR_QUOTA, type VaultUse } from './census.ts'
import type { DiskUse, Totals } from './metrics.ts'

export type AdminView = {
  readonly nowMs: number
  readonly upMs: number
  readonly version: string
  readonly registration: Registration['mode']
  readonly origins: readonly string[]
  readonly isReady: boolean
  readonly disk: DiskUse | undefined
  readonly sockets: number
  readonly waiting: number
  readonly warnings: readonly string[]
  /** Undefined while the vaults are counted for the first time. */
  readonly listed: ListedVaults | undefined
}

export type ListedVaults = {
  readonly countedMs: number
  readonly totals: Totals
  readonly sort: VaultSort
  /** From 1. */
  readonly page: number
  readonly pages: number
  /** Fewer than there are, where there are very many. */
  readonly remembered: number
  readonly rows: readonly VaultRow[]
}

export type VaultRow = VaultUse & {
  /** Undefined of a keychain that is too long to be read for this, or that cannot be read. */
  readonly devices: number | undefined
  readonly sockets: number
}

export const VAULT_SORTS = ['size', 'quota', 'push', 'age'] as const
export type VaultSort = (typeof VAULT_SORTS)[number]

export type AdminParts = {
  readonly vaults: Pick<Vaults, 'read' | 'waiting'>
  readonly live: Pick<Live, 'count' | 'countOf'>
  readonly registration: Registration
  readonly origins: readonly string[]
  readonly nowMs: () => number
  readonly census: Census
  readonly disk: () => Promise<DiskUse | undefined>
  readonly isReady: () => Promise<boolean>
  readonly version: string
  readonly startMs: number
  /** Others than this machine reach it. */
  readonly isExposed: boolean
}

export type AdminQuery = { readonly page: number; readonly sort: VaultSort }

export const PAGE_ROWS = 25
/** A longer keychain takes noticeable time to replay. */
const KEYCHAIN_BYTES_MAX = 1024 * 1024
/** Less than this part of the disk free is a warning. */
const FREE_SHARE_MIN = 0.1
/** A disk so large that a tenth of it is no reason to worry. */
const FREE_BYTES_ENOUGH = 50 * 1024 ** 3

/** Takes whatever stands in a query: what is no page or no order is the first one. */
export function parseAdminQuery(page: string | undefined, sort: string | undefined): AdminQuery {
  const isNumber = /^[1-9][0-9]{0,5}$/.test(page ?? '')
  return {
    page: isNumber ? Number(page) : 1,
    sort: VAULT_SORTS.find((known) => known === sort) ?? 'size',
  }
}

export async function gatherAdminView(parts: AdminParts, query: AdminQuery): Promise<AdminView> {
  const { nowMs, live, vaults, registration, origins, version } = parts
  const [counted, disk, isReady] = await Promise.all([
    parts.census.read(),
    parts.disk(),
    parts.isReady(),
  ])
  return {
    nowMs: nowMs(),
    upMs: nowMs() - parts.startMs,
    version,
    registration: registration.mode,
    origins,
    isReady,
    disk,
    sockets: live.count(),
    waiting: vaults.waiting(),
    warnings: findWarnings(parts, { isReady, disk, totals: counted?.totals }),
    listed: counted && (await listPage(parts, counted, query)),
  }
}

async function listPage(
  parts: AdminParts,
  { ms, totals, vaults }: Counted,
  { page, sort }: AdminQuery,
): Promise<ListedVaults> {
  const pages = Math.max(1, Math.ceil(vaults.length / PAGE_ROWS))
  const shown = Math.min(page, pages)
  const sorted = [...vaults].sort((a, b) => ORDERS[sort](a, b))
  const rows: VaultRow[] = []
  for (const use of sorted.slice((shown - 1) * PAGE_ROWS, shown * PAGE_ROWS)) {
    const devices = await devicesOf(parts, use)
    rows.push({ ...use, devices, sockets: parts.live.countOf(use.vaultId) })
  }
  return { countedMs: ms, totals, sort, page: shown, pages, remembered: vaults.length, rows }
}

const ORDERS: Readonly<Record<VaultSort, (a: VaultUse, b: VaultUse) => number>> = {
  size: (a, b) => b.bytes - a.bytes,
  quota: (a, b) => b.use - a.use,
  push: (a, b) => b.pushedMs - a.pushedMs,
  age: (a, b) => a.createdMs - b.createdMs,
}

async function devicesOf(
  { vaults }: AdminParts,
  { vaultId, keychainBytes }: { readonly vaultId: VaultId; readonly keychainBytes: number },
): Promise<number | undefined> {
  if (keychainBytes > KEYCHAIN_BYTES_MAX) return undefined
  // A damaged vault, or one that many wait for, must not take the page away.
  const vault = await vaults.read(vaultId).catch(() => undefined)
  return vault === undefined ? undefined : countDevices(vault.keychain)
}

type Found = {
  readonly isReady: boolean
  readonly disk: DiskUse | undefined
  readonly totals: Totals | undefined
}

export function findWarnings(
  { isExposed, origins }: Pick<AdminParts, 'isExposed' | 'origins'>,
  { isReady, disk, totals }: Found,
): string[] {
  const warnings: string[] = []
  if (!isReady) warnings.push('The store does not answer, or the remote is going down.')
  if (disk !== undefined && isNearlyFull(disk)) {
    warnings.push('The disk is nearly full. When it is full, pushes are refused; nothing is lost.')
  }
  if (isExposed && !origins.some((origin) => origin.startsWith('https:'))) {
    warnings.push(
      'Others can reach this remote, and it has no https origin: put a reverse proxy with TLS in front and name its address with --origin.',
    )
  }
  if (totals !== undefined && totals.nearQuota > 0) {
    const share = Math.round(NEAR_QUOTA * 100)
    const have = totals.nearQuota === 1 ? '1 vault has' : `${totals.nearQuota} vaults have`
    warnings.push(`${have} used ${share} % of the quota or more.`)
  }
  if (totals !== undefined && totals.unreadable > 0) {
    const of = totals.unreadable === 1 ? '1 vault' : `${totals.unreadable} vaults`
    warnings.push(`The state of ${of} cannot be read: run blindcopy remote check.`)
  }
  return warnings
}

export const isNearlyFull = ({ freeBytes, sizeBytes }: DiskUse): boolean =>
  freeBytes < Math.min(sizeBytes * FREE_SHARE_MIN, FREE_BYTES_ENOUGH)
