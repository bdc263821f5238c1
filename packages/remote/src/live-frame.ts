/**
 * Live frame: what was committed, as the frames of the live socket.
 *
 * The session that pushed a transaction gets its pairs alone: it has the envelopes, and needs the
 * frame only to see its seq go by.
 */
import {
  concat,
  type Envelope,
  encodeMessage,
  envelopePair,
  type Hash,
  LiveFrame,
  type ProtocolError,
  type Timestamp,
} from '@blindcopy/protocol'
import type { StaleOp } from './log-entry.ts'
import { plainDetails } from './problem.ts'

export type CommittedTransaction = {
  readonly type: 'transaction'
  readonly seq: number
  readonly chain: Hash
  readonly id: Timestamp | null
  readonly envelopes: readonly Envelope[]
  readonly stale: readonly StaleOp[]
}

export type CommittedAppend = {
  readonly type: 'append'
  readonly seq: number
  readonly chain: Hash
  readonly entries: readonly Uint8Array[]
}

export type Committed = CommittedTransaction | CommittedAppend

export function encodeCommitted(committed: Committed, withEnvelopes: boolean): Uint8Array {
  const { seq, chain } = committed
  if (committed.type === 'append') return encodeLive([1, seq, chain, [...committed.entries]])
  const { id, envelopes } = committed
  const staleOps = new Set(committed.stale.map(([opIndex]) => opIndex))
  const isSent = (opIndex: number): boolean => withEnvelopes && !staleOps.has(opIndex)
  const sent = envelopes.filter((_, opIndex) => isSent(opIndex))
  const others = envelopes.filter((_, opIndex) => !isSent(opIndex)).map(envelopePair)
  return encodeLive([0, seq, chain, id, sent, concat(...others)])
}

export function encodeRefusal({ code, message, details }: ProtocolError): Uint8Array {
  return encodeLive([5, code, message, plainDetails(details)])
}

export const encodeLive = (frame: LiveFrame): Uint8Array => encodeMessage(LiveFrame, frame)
