/**
 * Push: takes the transactions of a member, answers a verdict for each, and writes all that were
 * applied as one batch that is on the disk before the answer leaves.
 *
 * A transaction that is in the log already is answered from it before anything else is asked: its
 * pusher lost our answer, and nothing that changed since may turn it into a refusal.
 */
import {
  CLOCK_DRIFT_MS_MAX,
  decodeUint64,
  envelopeEpoch,
  envelopeRecordId,
  envelopeTimestamp,
  isAuthoredBy,
  newestEpoch,
  ProtocolError,
  PUSH_BYTES_MAX,
  type PushAnswer,
  timestampMilliseconds,
  type Verdict,
} from '@blindcopy/protocol'
import type { RecordVersion } from '@blindcopy/secondary'
import { keepAndCommit } from './history.ts'
import { decodeLogEntry } from './log-entry.ts'
import { tallyPush } from './observe/push-tally.ts'
import type { Parts } from './parts.ts'
import { beginSyncId, checkSyncId, isInLog, type Position } from './position.ts'
import { plainDetails } from './problem.ts'
import {
  type Conflict,
  createPushDraft,
  draftedVault,
  draftTransaction,
  findConflicts,
  growthOf,
  type Held,
  type PushDraft,
} from './push-draft.ts'
import { type PushedTransaction, parsePush, recordText } from './push-request.ts'
import { findExcess, quotaOf } from './quota.ts'
import { mustMember } from './session.ts'
import type { Session } from './token.ts'
import { mustVault, type Vault } from './vaults.ts'

type ConflictVerdict = Extract<Verdict, { type: 'conflict' }>

export type Pushed = {
  readonly session: Session
  readonly position: Position
  readonly body: Uint8Array
}

export async function push(parts: Parts, { session, position, body }: Pushed): Promise<PushAnswer> {
  const transactions = parsePush(body)
  return parts.vaults.exclusively(session.vaultId, async (found) => {
    const vault = mustVault(found)
    mustMember(vault, session.memberId)
    checkSyncId(vault, position.syncId)
    const repeats = await findRepeats(parts, vault, transactions)
    const fresh = transactions.filter((_, i) => repeats[i] === undefined)
    if (fresh.length > 0 && !(await isInLog(parts, vault, position.cursor))) {
      await beginSyncId(parts, vault, session)
    }
    const draft = createPushDraft(vault, parts.nowMs())
    await readHeld(parts, draft, fresh)
    const verdicts = await judgeAll(parts, draft, { session, transactions, repeats })
    if (draft.committed.length > 0) {
      await keepAndCommit(parts, draft, () => commitDraft(parts, draft, session))
    }
    parts.metrics.pushed(tallyPush({ transactions, repeats, verdicts }))
    return { verdicts }
  })
}

async function commitDraft(parts: Parts, draft: PushDraft, session: Session): Promise<void> {
  const drafted = draftedVault(draft)
  await parts.summaries.follow(drafted.vaultId, draft, () =>
    parts.vaults.commit(drafted, draft.batch),
  )
  parts.live.broadcast(drafted, draft.committed, session)
}

/** For each transaction the verdict it got when it came first. */
async function findRepeats(
  parts: Parts,
  { keys }: Vault,
  transactions: readonly PushedTransaction[],
): Promise<(Verdict | undefined)[]> {
  const repeats: (Verdict | undefined)[] = []
  const ids = transactions.flatMap(({ id }) => (id === null ? [] : [id]))
  const seqs = await parts.store.getMany(ids.map((id) => keys.transaction(id)))
  let next = 0
  for (const { id } of transactions) {
    const found = id === null ? undefined : seqs[next++]
    if (found === undefined) {
      repeats.push(undefined)
      continue
    }
    const seq = decodeUint64(found)
    const bytes = await parts.store.get(keys.logEntry(seq))
    const entry = bytes === undefined ? undefined : decodeLogEntry(bytes)
    if (entry?.type !== 'transaction') throw new Error('a transaction id without its log entry')
    const stale = entry.stale.map(([op, by]): [number, typeof by] => [op, by])
    repeats.push({ type: 'applied', seq, chain: entry.chain, stale })
  }
  return repeats
}

/** One lookup for all records of the push: one each would cost ten times as much. */
async function readHeld(
  parts: Parts,
  { vault, heldByRecord }: PushDraft,
  transactions: readonly PushedTransaction[],
): Promise<void> {
  const records = new Set<string>()
  const keys: Uint8Array[] = []
  for (const { ops } of transactions) {
    for (const { record, envelope } of ops) {
      if (records.has(record)) continue
      records.add(record)
      keys.push(vault.keys.record(envelopeRecordId(envelope)))
    }
  }
  const versions = await parts.store.getMany(keys)
  let next = 0
  for (const record of records) {
    const version = versions[next++] as RecordVersion | undefined
    if (version !== undefined) heldByRecord.set(record, { version, envelope: undefined })
  }
}

type Judged = {
  readonly session: Session
  readonly transactions: readonly PushedTransaction[]
  readonly repeats: readonly (Verdict | undefined)[]
}

/** As many as take two milliseconds or so. */
const OPS_A_TURN = 200

async function judgeAll(
  parts: Parts,
  draft: PushDraft,
  { session, transactions, repeats }: Judged,
): Promise<Verdict[]> {
  const verdicts: Verdict[] = []
  const appliedById = new Map<string, Verdict>()
  let roomBytes = PUSH_BYTES_MAX
  let ops = 0
  for (const [i, transaction] of transactions.entries()) {
    // A push may hold 40,000 records: others come between.
    ops += transaction.ops.length
    if (ops >= OPS_A_TURN) {
      ops = 0
      await parts.nextTurn()
    }
    const id = transaction.id === null ? undefined : recordText(transaction.id)
    const repeat = repeats[i] ?? (id === undefined ? undefined : appliedById.get(id))
    if (repeat !== undefined) {
      verdicts.push(repeat)
      continue
    }
    const verdict = judge(parts, draft, { session, transaction })
    if (verdict.type === 'conflicts') {
      const current = await readCurrent(parts, draft, verdict.conflicts, roomBytes)
      for (const [, envelope] of current) roomBytes -= envelope?.length ?? 0
      verdicts.push({ type: 'conflict', current })
      continue
    }
    if (id !== undefined && verdict.type === 'applied') appliedById.set(id, verdict)
    verdicts.push(verdict)
  }
  return verdicts
}

type Judgement =
  | Exclude<Verdict, ConflictVerdict>
  | { readonly type: 'conflicts'; readonly conflicts: readonly Conflict[] }

function judge(
  parts: Parts,
  draft: PushDraft,
  { session, transaction }: { session: Session; transaction: PushedTransaction },
): Judgement {
  const refusal = transaction.refusal ?? findRefusal(parts, draft, session, transaction)
  if (refusal !== undefined) return refusedFor(refusal)
  const conflicts = findConflicts(draft, transaction)
  if (conflicts.length > 0) return { type: 'conflicts', conflicts }
  const quota = quotaOf(draft.vault.state, parts.limits)
  const excess = findExcess(quota, draft, growthOf(draft, transaction))
  return excess === undefined ? draftTransaction(draft, transaction) : refusedFor(excess)
}

const refusedFor = ({ code, message, details }: ProtocolError): Judgement => ({
  type: 'refused',
  code,
  message,
  details: plainDetails(details),
})

/** What refuses a transaction whatever versions are stored. */
function findRefusal(
  parts: Parts,
  { vault, greatestMs }: PushDraft,
  session: Session,
  { id, ops }: PushedTransaction,
): ProtocolError | undefined {
  if (id !== null && !isAuthoredBy(id, session.memberId)) {
    return new ProtocolError('wrong-author', 'the transaction bears the id of another device')
  }
  const remoteMs = parts.nowMs()
  const latestMs = Math.max(remoteMs + CLOCK_DRIFT_MS_MAX, greatestMs)
  const epoch = newestEpoch(vault.keychain)?.epoch ?? 0
  for (const { envelope } of ops) {
    const transactionMs = timestampMilliseconds(envelopeTimestamp(envelope))
    if (transactionMs > latestMs) {
      return new ProtocolError(
        'clock-drift',
        'the transaction is ahead of the clock of the remote',
        {
          details: { remoteMs, transactionMs },
        },
      )
    }
    if (envelopeEpoch(envelope) !== epoch) return wrongEpoch(envelopeEpoch(envelope), epoch)
  }
  return undefined
}

function wrongEpoch(sealed: number, newest: number): ProtocolError {
  const details = { epoch: sealed, newestEpoch: newest }
  return sealed < newest
    ? new ProtocolError('epoch-old', 'sealed under an old epoch: seal it again', { details })
    : new ProtocolError('epoch-unknown', 'sealed under an epoch unknown here', { details })
}

/** Envelopes are up to 1 MiB each, so only a few are read before the room is looked at again. */
const READ_AT_ONCE = 8

/**
 * The versions that stand against a transaction, as many as there is room for. The verdict is a
 * conflict even when none has room: the device gets them by a pull.
 */
async function readCurrent(
  parts: Parts,
  { vault }: PushDraft,
  conflicts: readonly Conflict[],
  roomBytes: number,
): Promise<ConflictVerdict['current']> {
  const current: ConflictVerdict['current'] = []
  let bytes = 0
  for (let first = 0; first < conflicts.length && bytes <= roomBytes; first += READ_AT_ONCE) {
    const some = conflicts.slice(first, first + READ_AT_ONCE)
    const stored = some.flatMap(({ held }) => (isStored(held) ? [held.version] : []))
    const envelopes = await parts.store.getMany(
      stored.map((version) => vault.keys.envelope(version)),
    )
    let next = 0
    for (const { opIndex, held } of some) {
      const envelope = isStored(held) ? envelopes[next++] : held?.envelope
      bytes += envelope?.length ?? 0
      if (bytes > roomBytes) break
      current.push([opIndex, envelope ?? null])
    }
  }
  return current
}

const isStored = (held: Held | undefined): held is StoredHeld =>
  held !== undefined && held.envelope === undefined

type StoredHeld = Held & { readonly envelope: undefined }
