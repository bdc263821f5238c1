/** Observation fixture: benches that are observed, and made-up views. Only tests import it. */
import { parseVaultId } from '@blindcopy/protocol'
import { type Bench, openBench, random } from '../remote.fixture.ts'
import type { RemoteOptions } from '../remote.ts'
import type { AdminView, VaultRow } from './admin-view.ts'
import { createPrometheus } from './prometheus.ts'

export const ADMIN_TOKEN = 'correct-horse-battery'

export function openObserved(options: Partial<RemoteOptions> = {}): Bench {
  const metrics = createPrometheus({ isOfProcess: false })
  return openBench({ adminToken: ADMIN_TOKEN, metrics, ...options })
}

export const bearer = (token: string = ADMIN_TOKEN): { headers: Record<string, string> } => ({
  headers: { Authorization: `Bearer ${token}` },
})

export const basic = (user: string, token: string): { headers: Record<string, string> } => ({
  headers: { Authorization: `Basic ${Buffer.from(`${user}:${token}`).toString('base64')}` },
})

/** Each series with its value, as `name{label="value"}`. */
export type Series = ReadonlyMap<string, number>

export function parseExposition(text: string): Series {
  const series = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const [, name = '', value = ''] = /^(\S+(?: \S+=.*})?) (\S+)$/.exec(line) ?? []
    if (name === '') throw new Error(`no series: ${line}`)
    if (series.has(name)) throw new Error(`twice: ${name}`)
    series.set(name, Number(value))
  }
  return series
}

export async function scrape(bench: Bench): Promise<Series> {
  const answer = await bench.remote.app.request('/metrics', bearer())
  if (answer.status !== 200) throw new Error(`/metrics answered ${answer.status}`)
  return parseExposition(await answer.text())
}

const GIB = 1024 ** 3
const NOW_MS = Date.UTC(2026, 10, 21, 16, 4)

export function makeRow(changes: Partial<VaultRow> = {}): VaultRow {
  return {
    vaultId: parseVaultId(random(32)),
    records: 1200,
    bytes: 3_400_000,
    historyBytes: 240_000,
    keychainBytes: 9000,
    createdMs: NOW_MS - 40 * 86_400_000,
    pushedMs: NOW_MS - 5 * 60_000,
    quota: { bytesMax: 10 * GIB, recordsMax: 10_000_000, devicesMax: 64 },
    use: 0.2,
    devices: 3,
    sockets: 2,
    ...changes,
  }
}

export function makeView(changes: Partial<AdminView> = {}): AdminView {
  return {
    nowMs: NOW_MS,
    upMs: 26 * 86_400_000,
    version: '0.1.0',
    registration: 'token',
    origins: ['https://sync.example.org'],
    isReady: true,
    disk: { storeBytes: 12 * GIB, freeBytes: 140 * GIB, sizeBytes: 240 * GIB },
    sockets: 5,
    waiting: 0,
    warnings: [],
    listed: {
      countedMs: NOW_MS - 3000,
      totals: {
        vaults: 1,
        unreadable: 0,
        nearQuota: 0,
        records: 1200,
        bytes: 3_400_000,
        historyBytes: 240_000,
      },
      sort: 'size',
      page: 1,
      pages: 1,
      remembered: 1,
      rows: [makeRow()],
    },
    ...changes,
  }
}
