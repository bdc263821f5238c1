/**
 * History: superseded versions, kept for a time, so that a person can look at one and bring it
 * back (decision 0030).
 *
 *   superseded by a push    its envelope moves out of the live set, in the batch of that push
 *   too old                 a sweep drops it
 *   no room                 the oldest are dropped first, in the batch of the push that needs room
 *
 * History is counted apart and gives way: what a vault may keep of it is what is configured, and
 * never more than the live set leaves of the quota.
 */
import {
  encodeUint32,
  type HistoryAnswer,
  type HistoryRequest,
  PAGE_BYTES_MAX,
  type VaultId,
} from '@blindcopy/protocol'
import {
  encodeHistory,
  parseExpiry,
  parseHistory,
  type RemoteKeyspace,
  type Store,
  type StoreOp,
} from '@blindcopy/secondary'
import type { RemoteLimits } from './limits.ts'
import type { Parts } from './parts.ts'
import type { Lost, PushDraft } from './push-draft.ts'
import { quotaOf } from './quota.ts'
import type { VaultState } from './vault-state.ts'
import type { Vault } from './vaults.ts'

/**
 * A push of small envelopes may supersede a thousand times its own bytes: what is beyond this is
 * dropped at once, so that no push holds more than that in memory.
 */
export const MOVED_BYTES_MAX: number = 32 * 1024 * 1024
/** And all pushes together no more than this; a small push does not wait behind large ones. */
export const MOVING_BYTES_MAX: number = 2 * MOVED_BYTES_MAX
const MOVED_AT_ONCE_BYTES = 64 * 1024
/** Envelopes are up to 1 MiB each, so only a few are read at once. */
const READ_AT_ONCE = 64
const DROPPED_AT_ONCE = 1_000

const isKept = ({ history }: RemoteLimits): boolean =>
  history.retentionMs > 0 && history.bytesMax > 0

/**
 * Keeps what a push supersedes, and then commits it: as soon as there is memory for what it moves,
 * which is held until the disk has it.
 */
export async function keepAndCommit(
  parts: Parts,
  draft: PushDraft,
  commit: () => Promise<void>,
): Promise<void> {
  const job = async (): Promise<void> => {
    await keepSuperseded(parts, draft)
    await commit()
  }
  const bytes = draft.lost.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  if (!isKept(parts.limits) || bytes <= MOVED_AT_ONCE_BYTES) return job()
  return parts.moving.hold(Math.min(bytes, MOVED_BYTES_MAX), job)
}

/** Moves what a push supersedes into the history; inside the vault's section, before the commit. */
async function keepSuperseded(parts: Parts, draft: PushDraft): Promise<void> {
  if (!isKept(parts.limits)) return
  const roomBytes = roomFor(parts.limits, draft.vault.state, draft.bytes)
  const kept = withinBytes(draft.lost, Math.min(roomBytes, MOVED_BYTES_MAX))
  for (let first = 0; first < kept.length; first += READ_AT_ONCE) {
    await moveSome(parts.store, draft, kept.slice(first, first + READ_AT_ONCE))
  }
  const excessBytes = draft.historyBytes - roomBytes
  if (excessBytes <= 0) return
  const dropped = await findOldest(parts.store, draft.vault.keys, (bytes) => bytes >= excessBytes)
  takeOut(draft, draft.batch, draft.vault.keys, dropped)
}

/** What the history of a vault may hold. */
function roomFor(limits: RemoteLimits, state: VaultState, liveBytes: number): number {
  const { bytesMax } = quotaOf(state, limits)
  return Math.max(0, Math.min(limits.history.bytesMax, bytesMax - liveBytes))
}

/** The newest of them that fit. */
function withinBytes(lost: readonly Lost[], bytesMax: number): Lost[] {
  let bytes = 0
  let first = lost.length
  while (first > 0 && bytes + (lost[first - 1] as Lost).sizeBytes <= bytesMax) {
    bytes += (lost[--first] as Lost).sizeBytes
  }
  return lost.slice(first)
}

async function moveSome(store: Store, draft: PushDraft, lost: readonly Lost[]): Promise<void> {
  const { batch, vault } = draft
  const stored = lost.filter(({ held }) => held.envelope === undefined)
  const envelopes = await store.getMany(stored.map(({ held }) => vault.keys.envelope(held.version)))
  let next = 0
  for (const version of lost) {
    const envelope = version.held.envelope ?? envelopes[next++]
    // Damage that a check finds; the push itself loses nothing by it.
    if (envelope === undefined) continue
    const key = vault.keys.history(version.recordId, version.timestamp)
    const value = encodeHistory(version.supersededMs, envelope)
    batch.push({ type: 'put', key, value })
    const size = encodeUint32(envelope.length)
    batch.push({ type: 'put', key: vault.keys.expiry(version), value: size })
    draft.historyCount++
    draft.historyBytes += envelope.length
  }
}

type Dropped = ReturnType<typeof parseExpiry>
type Counted = { historyCount: number; historyBytes: number }

/** The oldest versions, until they are enough; bounded, so that the next push does the rest. */
async function findOldest(
  store: Store,
  keys: RemoteKeyspace,
  isEnough: (bytes: number) => boolean,
  beforeMs?: number,
): Promise<Dropped[]> {
  const found: Dropped[] = []
  let bytes = 0
  const range = { ...keys.expiries(beforeMs), limit: DROPPED_AT_ONCE }
  for await (const page of store.pages(range)) {
    for (const entry of page) {
      if (isEnough(bytes)) return found
      const expiry = parseExpiry(entry)
      found.push(expiry)
      bytes += expiry.sizeBytes
    }
  }
  return found
}

function takeOut(
  counted: Counted,
  batch: StoreOp[],
  keys: RemoteKeyspace,
  dropped: readonly Dropped[],
): void {
  for (const version of dropped) {
    batch.push({ type: 'delete', key: keys.expiry(version) })
    batch.push({ type: 'delete', key: keys.history(version.recordId, version.timestamp) })
    counted.historyBytes -= version.sizeBytes
  }
  counted.historyCount -= dropped.length
}

/**
 * Superseded versions of one record, the newest first, as many as fit a page and always one. Who
 * gets fewer than all asks again before the last timestamp.
 */
export async function readHistory(
  parts: Parts,
  { keys }: Vault,
  { id, before }: HistoryRequest,
): Promise<HistoryAnswer> {
  const { retentionMs } = parts.limits.history
  const oldestMs = parts.nowMs() - retentionMs
  const versions: HistoryAnswer['versions'] = []
  let bytes = 0
  let last: HistoryAnswer['next'] = null
  const range = { ...keys.historyOf(id, before ?? undefined), reverse: true }
  for await (const page of parts.store.pages(range, { entriesMax: READ_AT_ONCE })) {
    for (const entry of page) {
      const { supersededMs, timestamp, envelope } = parseHistory(entry)
      if (supersededMs < oldestMs) continue
      bytes += envelope.length
      if (versions.length > 0 && bytes > PAGE_BYTES_MAX)
        return { versions, next: last, retentionMs }
      versions.push([supersededMs, envelope])
      last = timestamp
    }
  }
  return { versions, next: null, retentionMs }
}

/** What one turn of the sweep has dropped, and what is left. */
export type Expired = { readonly droppedBytes: number; readonly leftBytes: number }

/** Drops what is too old or too much, a bounded number at a time; undefined when nothing is. */
export async function expireHistory(parts: Parts, vaultId: VaultId): Promise<Expired | undefined> {
  return parts.vaults.exclusively(vaultId, async (vault) => {
    if (vault === undefined || vault.state.historyCount === 0) return undefined
    const { state, keys } = vault
    const dropped = await findExpired(parts, vault)
    if (dropped.length === 0) return undefined
    const counted = { historyCount: state.historyCount, historyBytes: state.historyBytes }
    const batch: StoreOp[] = []
    takeOut(counted, batch, keys, dropped)
    await parts.vaults.commit({ ...vault, state: { ...state, ...counted } }, batch)
    const leftBytes = counted.historyBytes
    return { droppedBytes: state.historyBytes - leftBytes, leftBytes }
  })
}

async function findExpired(parts: Parts, { state, keys }: Vault): Promise<Dropped[]> {
  // What is there when history is switched off goes too.
  if (!isKept(parts.limits)) return findOldest(parts.store, keys, () => false)
  const beforeMs = parts.nowMs() - parts.limits.history.retentionMs
  const old = await findOldest(parts.store, keys, () => false, beforeMs)
  if (old.length > 0) return old
  const excessBytes = state.historyBytes - roomFor(parts.limits, state, state.bytes)
  return findOldest(parts.store, keys, (bytes) => bytes >= excessBytes)
}
