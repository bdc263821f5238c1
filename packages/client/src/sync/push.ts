/**
 * Push: the outbox, oldest first, in requests of about 1.5 MiB.
 *
 * While one request travels the next is read from the disk, and the verdicts of one are taken while
 * the next travels. What is sent is marked before it is sent: a crash in between repeats a push,
 * which the remote answers from its log, while the other order would lose one.
 */
import {
  compareTimestamps,
  ProtocolError,
  STATUS_BY_CODE,
  type Timestamp,
  type Verdict,
} from '@blindcopy/protocol'
import { ClientError, codeOf } from '../error.ts'
import { type OpenArrival, opens } from '../local/arrival.ts'
import type { OutboxBounds } from '../local/local-reading.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { OutboxTransaction } from '../local/outbox.ts'
import type { Settled } from '../local/settlement.ts'
import type { AgainCode, TakenVerdict } from '../local/verdict.ts'
import type { DataRequest, Transport } from './transport.ts'

export type PushContext = {
  readonly local: LocalSecondary
  readonly transport: Transport
  /** What the remote takes in one request. */
  readonly bytesMax: number
  /** What the requests carry; asked for each, because the cursor moves. */
  readonly data: () => DataRequest
  readonly onSettled: (transactionCount: number) => void
  /** Reasons that were dealt with already: for these nothing is sent again. */
  readonly final?: ReadonlySet<AgainCode>
  /** Whether an epoch has begun since what waits was looked through: then no more of it is sent. */
  readonly isSealedOld?: () => boolean
}

/**
 * Each request waits for one sync of the remote's disk: fewer are faster, larger ones take memory.
 */
export const REQUEST_BYTES = 1_572_864
const SETTLED_OPS = 500

export type Pushed = {
  /** Of all that was applied; 0 when nothing was. */
  readonly greatestSeq: number
  /** Why some must be sent again: the engine deals with the reason first. */
  readonly again: ReadonlySet<AgainCode>
}

/**
 * Pushes every transaction numbered below `below` (all, without it). The first one that must be
 * sent again ends it: what follows may be built on top of it.
 */
export async function pushOutbox(context: PushContext, below?: number): Promise<Pushed> {
  const { local } = context
  const boundsFrom = (from: number): OutboxBounds => ({
    from,
    bytesMax: Math.min(REQUEST_BYTES, context.bytesMax),
    ...(below === undefined ? {} : { below }),
  })
  let greatestSeq = 0
  const again = new Set<AgainCode>()
  let bounds = boundsFrom(0)
  let sent = await sendBatch(context, await local.outboxTransactions(bounds), bounds)
  while (sent !== undefined) {
    const { batch, verdicts } = sent
    bounds = boundsFrom(nextNumber(batch))
    const next = await bothOf(local.outboxTransactions(bounds), verdicts)
    const settled = pairVerdicts(batch, await verdicts, context.final)
    for (const { verdict } of settled) if (verdict.type === 'again') again.add(verdict.code)
    // What was sent once is repeated whatever becomes of it: it may have been applied then.
    const goesOn = again.size === 0 || below !== undefined
    sent = goesOn ? await sendBatch(context, next, bounds) : undefined
    await bothOf(settleAll(local, settled), sent?.verdicts)
    for (const { verdict } of settled) {
      if (verdict.type === 'applied') greatestSeq = Math.max(greatestSeq, verdict.position.seq)
    }
    context.onSettled(settled.length)
  }
  await local.thaw()
  return { greatestSeq, again }
}

/** What a push meets when a version that waits is no longer what was sealed. */
const DISK_CODES: ReadonlySet<string> = new Set(['malformed', 'vault-damaged'])

/** A version that the disk has spoiled must not hold up the others. */
export async function setSpoiledAside(
  local: LocalSecondary,
  open: OpenArrival,
  error: unknown,
): Promise<Pushed> {
  if (!DISK_CODES.has(codeOf(error) ?? '')) throw error
  const moved = await local.setDamagedAside((envelope) => opens(envelope, open))
  if (moved === 0) throw error
  return { greatestSeq: 0, again: new Set() }
}

/** In batches of their own, so that the objects of one are gone before they count as lasting. */
async function settleAll(local: LocalSecondary, settled: readonly Settled[]): Promise<void> {
  let batch: Settled[] = []
  let opCount = 0
  for (const one of settled) {
    batch.push(one)
    opCount += one.transaction.opCount
    if (opCount < SETTLED_OPS) continue
    await local.settle(batch)
    batch = []
    opCount = 0
  }
  if (batch.length > 0) await local.settle(batch)
}

/** Awaits `first`; `second` may fail meanwhile, and is awaited by the caller later. */
function bothOf<T>(first: Promise<T>, second: Promise<unknown> | undefined): Promise<T> {
  second?.catch(() => undefined)
  return first
}

const nextNumber = (batch: readonly OutboxTransaction[]): number =>
  (batch[batch.length - 1]?.number ?? 0) + 1

/** Transactions under way to the remote, and what it will answer. */
type Sent = {
  readonly batch: readonly OutboxTransaction[]
  readonly verdicts: Promise<readonly Verdict[]>
}

async function sendBatch(
  context: PushContext,
  read: readonly OutboxTransaction[],
  bounds: OutboxBounds,
): Promise<Sent | undefined> {
  if (read.length === 0) return undefined
  if (context.isSealedOld?.()) return undefined
  const batch = await context.local.markSent(read, bounds)
  if (batch.length === 0 || context.isSealedOld?.()) return undefined
  return { batch, verdicts: verdictsOn(context, batch) }
}

async function verdictsOn(
  { transport, data }: PushContext,
  batch: readonly OutboxTransaction[],
): Promise<readonly Verdict[]> {
  const { verdicts } = await transport.push(
    data(),
    batch.map(({ pushed }) => pushed),
  )
  if (verdicts.length !== batch.length) {
    throw new ProtocolError('malformed', 'the remote answered another number of verdicts')
  }
  return verdicts
}

function pairVerdicts(
  batch: readonly OutboxTransaction[],
  verdicts: readonly Verdict[],
  final: ReadonlySet<AgainCode> = new Set(),
): Settled[] {
  return batch.map((transaction, i) => {
    const verdict = takenVerdict(verdicts[i] as Verdict, transaction.timestamp)
    const isFinal = verdict.type === 'again' && final.has(verdict.code)
    return { transaction, verdict: isFinal ? { type: 'refused', code: verdict.code } : verdict }
  })
}

function takenVerdict(verdict: Verdict, pushed: Timestamp): TakenVerdict {
  switch (verdict.type) {
    case 'applied': {
      const { seq, chain } = verdict
      const staleByOp = new Map<number, Timestamp>(verdict.stale)
      // Taken at its word, this version would stay here alone, neither waiting nor confirmed.
      for (const lostTo of staleByOp.values()) {
        if (compareTimestamps(lostTo, pushed) >= 0) continue
        throw new ClientError('integrity', 'the remote says that a version lost to an older one')
      }
      return { type: 'applied', position: { seq, chain }, staleByOp }
    }
    case 'conflict':
      return { type: 'again', code: 'conflict' }
    case 'refused': {
      const { code } = verdict
      if (code === 'clock-drift' || code === 'epoch-old') return { type: 'again', code }
      // The code is kept beside the transaction: none but ours, whatever else the remote says.
      const isKnown = Object.hasOwn(STATUS_BY_CODE, verdict.code)
      return { type: 'refused', code: isKnown ? verdict.code : 'internal' }
    }
  }
}
