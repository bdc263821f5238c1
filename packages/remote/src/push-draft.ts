/**
 * Push draft: the transactions of one push, judged one after the other, and what they would write.
 *
 * Nothing here touches the disk: a draft sees the stored versions it was given and, above them,
 * what earlier transactions of the same push wrote. It becomes real as one batch, or not at all.
 *
 *   op against the stored version   no base            with a base
 *     none                          written            written if the base is "none", else conflict
 *     equal timestamp               stale              stale, whatever the base
 *     older                         written            written if it is the base, else conflict
 *     newer                         stale              stale if it is the base, else conflict
 *
 * One conflict, and nothing of its transaction is written. A transaction whose ops are all stale
 * still takes a seq: its pusher needs a verdict that stays true.
 */
import {
  chainNext,
  compareTimestamps,
  type Envelope,
  encodePair,
  encodeUint64,
  envelopePair,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  Fingerprint,
  type Hash,
  isTombstone,
  TIMESTAMP_NONE,
  type Timestamp,
  timestampMilliseconds,
  transactionDigest,
  type Verdict,
} from '@blindcopy/protocol'
import {
  type RecordVersion,
  recordVersion,
  recordVersionSize,
  recordVersionTimestamp,
  type StoreOp,
  type Superseded,
} from '@blindcopy/secondary'
import type { CommittedTransaction } from './live-frame.ts'
import { encodeTransactionEntry, type StaleOp, transactionEntryBytes } from './log-entry.ts'
import type { PushedOp, PushedTransaction } from './push-request.ts'
import type { Growth } from './quota.ts'
import type { Vault } from './vaults.ts'

/** A version that this push takes the place of; its envelope only when this push brought it. */
export type Lost = Superseded & { readonly sizeBytes: number; readonly held: Held }

/** The newest version of a record; its envelope is at hand only when this push brought it. */
export type Held = { readonly version: RecordVersion; readonly envelope: Envelope | undefined }

/** An op whose base is not what is held. */
export type Conflict = { readonly opIndex: number; readonly held: Held | undefined }

export type PushDraft = {
  readonly vault: Vault
  readonly heldByRecord: Map<string, Held>
  readonly batch: StoreOp[]
  readonly committed: CommittedTransaction[]
  readonly fingerprint: Fingerprint
  /** Pairs that the live set gains and loses, in any order. */
  readonly added: Uint8Array[]
  readonly removed: Uint8Array[]
  /** In the order in which they lost their place. */
  readonly lost: Lost[]
  readonly nowMs: number
  seq: number
  chain: Hash
  count: number
  bytes: number
  historyCount: number
  historyBytes: number
  greatestMs: number
}

export function createPushDraft(vault: Vault, nowMs: number): PushDraft {
  const { head, fingerprint, ...state } = vault.state
  return {
    vault,
    heldByRecord: new Map(),
    batch: [],
    committed: [],
    fingerprint: new Fingerprint(fingerprint),
    added: [],
    removed: [],
    lost: [],
    nowMs,
    seq: head.seq,
    chain: head.chain,
    count: state.count,
    bytes: state.bytes,
    historyCount: state.historyCount,
    historyBytes: state.historyBytes,
    greatestMs: state.greatestMs,
  }
}

/** The vault as it is once the draft is written. */
export function draftedVault({ vault, ...draft }: PushDraft): Vault {
  const state = {
    ...vault.state,
    head: { seq: draft.seq, chain: draft.chain },
    count: draft.count,
    bytes: draft.bytes,
    historyCount: draft.historyCount,
    historyBytes: draft.historyBytes,
    fingerprint: draft.fingerprint.toBytes(),
    greatestMs: draft.greatestMs,
    pushedMs: draft.nowMs,
  }
  return { ...vault, state }
}

export function findConflicts(draft: PushDraft, { ops }: PushedTransaction): Conflict[] {
  const conflicts: Conflict[] = []
  ops.forEach((op, opIndex) => {
    if (op.base === undefined) return
    const held = draft.heldByRecord.get(op.record)
    const stored = held === undefined ? TIMESTAMP_NONE : recordVersionTimestamp(held.version)
    const isThere = held !== undefined && equalBytes(stored, envelopeTimestamp(op.envelope))
    if (!isThere && !equalBytes(stored, op.base)) conflicts.push({ opIndex, held })
  })
  return conflicts
}

/** What a transaction would add if it were written. */
export function growthOf(draft: PushDraft, { id, ops }: PushedTransaction): Growth {
  let records = 0
  let envelopeBytes = 0
  let staleCount = 0
  let isEmptying = true
  for (const { envelope, record } of ops) {
    const held = draft.heldByRecord.get(record)?.version
    if (held === undefined) {
      records++
      envelopeBytes += envelope.length
      isEmptying = false
    } else if (compareTimestamps(envelopeTimestamp(envelope), recordVersionTimestamp(held)) > 0) {
      envelopeBytes += envelope.length - recordVersionSize(held)
      isEmptying &&= isTombstone(envelope)
    } else {
      staleCount++
    }
  }
  const logBytes = transactionEntryBytes({ hasId: id !== null, opCount: ops.length, staleCount })
  return { records, envelopeBytes, logBytes, isEmptying }
}

/** Writes a transaction without conflicts into the draft. */
export function draftTransaction(
  draft: PushDraft,
  { id, ops }: PushedTransaction,
): Extract<Verdict, { type: 'applied' }> {
  const { batch, vault } = draft
  const seq = draft.seq + 1
  const envelopes = ops.map(({ envelope }) => envelope)
  const stale: StaleOp[] = []
  ops.forEach((op, opIndex) => {
    const lostTo = draftOp(draft, op, { seq, opIndex })
    if (lostTo !== undefined) stale.push([opIndex, lostTo])
  })
  draft.seq = seq
  draft.chain = chainNext(draft.chain, transactionDigest(envelopes.map(envelopePair)))
  const entry = encodeTransactionEntry({ chain: draft.chain, id, envelopes, stale })
  batch.push({ type: 'put', key: vault.keys.logEntry(seq), value: entry })
  draft.bytes += entry.length
  if (id !== null) {
    batch.push({ type: 'put', key: vault.keys.transaction(id), value: encodeUint64(seq) })
  }
  draft.committed.push({ type: 'transaction', seq, chain: draft.chain, id, envelopes, stale })
  return { type: 'applied', seq, chain: draft.chain, stale: stale.map(([op, by]) => [op, by]) }
}

/** The timestamp it lost to; undefined when it is the newest now. */
function draftOp(
  draft: PushDraft,
  { envelope, record }: PushedOp,
  { seq, opIndex }: { seq: number; opIndex: number },
): Timestamp | undefined {
  const { batch, vault, fingerprint, heldByRecord } = draft
  const timestamp = envelopeTimestamp(envelope)
  const recordId = envelopeRecordId(envelope)
  const held = heldByRecord.get(record)
  if (held === undefined) {
    draft.count++
  } else {
    const stored = recordVersionTimestamp(held.version)
    if (compareTimestamps(timestamp, stored) <= 0) return stored
    const pair = encodePair(recordId, stored)
    fingerprint.remove(pair)
    draft.removed.push(pair)
    batch.push({ type: 'delete', key: vault.keys.envelope(held.version) })
    const sizeBytes = recordVersionSize(held.version)
    draft.bytes -= sizeBytes
    draft.lost.push({ recordId, timestamp: stored, supersededMs: draft.nowMs, sizeBytes, held })
  }
  draft.bytes += envelope.length
  const version = recordVersion(timestamp, { seq, opIndex, sizeBytes: envelope.length })
  const pair = envelopePair(envelope)
  fingerprint.add(pair)
  draft.added.push(pair)
  batch.push({ type: 'put', key: vault.keys.envelope(version), value: envelope })
  batch.push({ type: 'put', key: vault.keys.record(recordId), value: version })
  heldByRecord.set(record, { version, envelope })
  draft.greatestMs = Math.max(draft.greatestMs, timestampMilliseconds(timestamp))
  return undefined
}
