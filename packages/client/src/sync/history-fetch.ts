/**
 * History fetch: the superseded versions of one record, as the remote keeps them.
 *
 * It logs in for itself and takes the remote's word for where its log stands: nothing that is held
 * here is compared or moved by it. What is served is checked for form alone (of this record, each
 * older than the one before); whether a version opens is for whoever has the keys.
 */
import {
  compareTimestamps,
  type Envelope,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  ProtocolError,
  parseEnvelope,
  type RecordId,
  type Timestamp,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import { type LoginIdentity, logIn } from './session.ts'
import type { Transport } from './transport.ts'

export type Superseded = {
  readonly timestamp: Timestamp
  readonly envelope: Envelope
  /** By the clock of the remote. */
  readonly supersededMs: number
}

export type FetchedHistory = {
  /** The newest first. */
  readonly versions: readonly Superseded[]
  /** False when the remote has older ones than were asked for. */
  readonly isWhole: boolean
  /** How long the remote says that it keeps them. */
  readonly retentionMs: number
}

/** Throws `network`, `integrity`, and what a login may throw. */
export async function fetchHistory(
  { transport, identity }: { readonly transport: Transport; readonly identity: LoginIdentity },
  recordId: RecordId,
  versionsMax: number,
): Promise<FetchedHistory> {
  const { token, syncId, head } = await logIn(transport, identity)
  const [seq, chain] = head
  const data = { token, syncId, position: { seq, chain } }
  const versions: Superseded[] = []
  let before: Timestamp | null = null
  for (;;) {
    const answer = await transport.history(data, { id: recordId, before })
    for (const [supersededMs, bytes] of answer.versions) {
      const version = parseVersion(recordId, bytes, before)
      versions.push({ ...version, supersededMs })
      before = version.timestamp
    }
    const { next, retentionMs } = answer
    const isWhole = next === null
    if (isWhole || versions.length >= versionsMax) {
      const isAll = isWhole && versions.length <= versionsMax
      return { versions: versions.slice(0, versionsMax), isWhole: isAll, retentionMs }
    }
    // Or it would be asked the same for ever.
    if (answer.versions.length === 0 || before === null || !equalBytes(next, before)) misled()
  }
}

function parseVersion(
  recordId: RecordId,
  bytes: Uint8Array,
  before: Timestamp | null,
): Omit<Superseded, 'supersededMs'> {
  const envelope = parsed(bytes)
  const timestamp = envelopeTimestamp(envelope)
  if (!equalBytes(envelopeRecordId(envelope), recordId)) misled()
  if (before !== null && compareTimestamps(timestamp, before) >= 0) misled()
  return { timestamp, envelope }
}

function parsed(bytes: Uint8Array): Envelope {
  try {
    return parseEnvelope(bytes)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return misled()
  }
}

function misled(): never {
  throw new ClientError('integrity', 'the remote served another history than was asked for')
}
