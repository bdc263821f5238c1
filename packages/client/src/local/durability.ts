/**
 * Durability: whether what was written so far is safe, and where (design 10).
 *
 *   local    on the disk of this device, also after a power cut
 *   remote   on the disk of the remote
 *   device   opened by another device of the vault, which has signed that it has (covered.ts)
 */
import type { MemberId } from '@blindcopy/protocol'
import { numberedRange, parseNumberedKey, type Store } from '@blindcopy/secondary'
import { ClientError } from '../error.ts'
import type { SyncStatus } from '../sync/status.ts'
import { isCovered } from './covered.ts'
import { putSentBelow } from './local-meta.ts'
import type { LocalState } from './local-state.ts'

export type DurabilityTier = 'local' | 'remote' | 'device'

export type DurabilityContext = {
  readonly state: LocalState
  /** The status now, and after each change. */
  readonly watch: (signal?: AbortSignal) => AsyncIterable<SyncStatus>
  /** Whether a device is a member of the vault now. */
  readonly isActive: (memberId: MemberId) => boolean
}

/**
 * Resolves when everything that was written before the call has reached the tier. Throws
 * `sync-stopped` when that cannot happen without the person, `write-refused` when one of these
 * writes went to attention or was taken back into the conflict log, `closed` when it is called off.
 */
export async function untilDurable(
  context: DurabilityContext,
  tier: DurabilityTier,
  signal?: AbortSignal,
): Promise<void> {
  switch (tier) {
    case 'local':
      return syncDisk(context.state)
    case 'remote':
      return untilRemote(context, signal)
    case 'device':
      await untilRemote(context, signal)
      return untilDevice(context, signal)
    default:
      throw new ClientError(
        'invalid-argument',
        'a tier of durability is "local", "remote" or "device"',
      )
  }
}

/** A value that changes nothing, written through to the disk, with all that came before it. */
function syncDisk(state: LocalState): Promise<void> {
  return state.run(() => state.writeOps([putSentBelow(state.outbox.sentBelow)], { sync: true }))
}

async function untilRemote(
  { state, watch }: DurabilityContext,
  signal?: AbortSignal,
): Promise<void> {
  // Under the lock: what was asked for before is numbered, and what is awaited is not dropped.
  const { awaited, release } = await state.run(async () => {
    const below = state.outbox.nextNumber
    const refused = await numbersBelow(state.store, 'attention', below)
    const awaited: Awaited = { below, refused, isTakenBack: false }
    const endHold = hold(state, below)
    const endListening = state.onTakenBack((number) => {
      if (number < below) awaited.isTakenBack = true
    })
    const release = (): void => {
      endListening()
      endHold()
    }
    return { awaited, release }
  })
  const end = new AbortController()
  const endOn = signal === undefined ? end.signal : AbortSignal.any([end.signal, signal])
  try {
    for await (const status of watch(endOn)) {
      if (await hasReached(state.store, awaited)) return
      if (status.phase === 'resting' || status.phase === 'stopped') throw cannotReach(status)
    }
  } finally {
    end.abort()
    release()
  }
  throw new ClientError('closed', 'nobody waits for these writes any more')
}

/** Everything stands at the remote: until another device has opened it. */
async function untilDevice(
  { state, watch, isActive }: DurabilityContext,
  signal?: AbortSignal,
): Promise<void> {
  for await (const status of watch(signal)) {
    if (await isCovered(state, isActive)) return
    if (status.phase === 'resting' || status.phase === 'stopped') throw cannotReach(status)
  }
  throw new ClientError('closed', 'nobody waits for these writes any more')
}

/** What is awaited is not dropped for a later write of the same records. */
const heldBelow = new WeakMap<LocalState, Set<{ readonly below: number }>>()

function hold(state: LocalState, below: number): () => void {
  const holds = heldBelow.get(state) ?? new Set()
  heldBelow.set(state, holds)
  const own = { below }
  const apply = (): void => {
    state.outbox.awaitedBelow = Math.max(0, ...[...holds].map((held) => held.below))
  }
  holds.add(own)
  apply()
  return () => {
    holds.delete(own)
    apply()
  }
}

type Awaited = {
  readonly below: number
  readonly refused: ReadonlySet<number>
  /** One left the outbox for the conflict log. */
  isTakenBack: boolean
}

async function hasReached(store: Store, awaited: Awaited): Promise<boolean> {
  const { below, refused } = awaited
  const now = await numbersBelow(store, 'attention', below)
  for (const number of now) {
    if (refused.has(number)) continue
    throw new ClientError(
      'write-refused',
      'the remote refused one of these writes: it is kept, and listed among those that need attention',
    )
  }
  const isEmpty = (await numbersBelow(store, 'outbox', below, 1)).size === 0
  if (!awaited.isTakenBack) return isEmpty
  throw new ClientError(
    'write-refused',
    'one of these writes met a newer version and was taken back: it is kept in the conflict log',
  )
}

async function numbersBelow(
  store: Store,
  section: 'outbox' | 'attention',
  below: number,
  limit?: number,
): Promise<ReadonlySet<number>> {
  const numbers = new Set<number>()
  const range = { ...numberedRange(section), ...(limit === undefined ? {} : { limit }) }
  for await (const page of store.keyPages(range)) {
    for (const number of page.map(parseNumberedKey)) if (number < below) numbers.add(number)
  }
  return numbers
}

function cannotReach({ phase, problem }: SyncStatus): ClientError {
  const message =
    phase === 'stopped' && problem !== null
      ? `sync has stopped (${problem.code}): ${problem.remedy}`
      : 'sync is not running, so that nothing reaches the remote: start it, and await this again'
  return new ClientError('sync-stopped', message)
}
