/**
 * History fetch: the superseded versions of one record, as the remote keeps them.
 *
 * It logs in for itself, once for as long as the remote takes the session, and takes the remote's
 * word for where its log stands: nothing that is held here is compared or moved by it. What is
 * served is checked for form alone (of this record, each older than the one before); whether a
 * version opens is for whoever has the keys.
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
import { ClientError, codeOf } from '../error.ts'
import { type LoginIdentity, logIn } from './session.ts'
import type { DataRequest, Transport } from './transport.ts'

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

export type HistoryFetch = (
  recordId: RecordId,
  versionsMax: number,
  /** Where to begin; at the newest when absent. */
  newest?: Timestamp,
) => Promise<FetchedHistory>

type Parts = { readonly transport: Transport; readonly identity: LoginIdentity }

/** What it makes throws `network`, `integrity`, and what a login may throw. */
export function createHistoryFetch({ transport, identity }: Parts): HistoryFetch {
  // An app may show the histories of hundreds of records: a login for each would use up what the
  // remote allows this address, and with it the logins of sync.
  let data: DataRequest | undefined
  return async (...asked) => {
    const known = data
    try {
      data ??= await begin({ transport, identity })
      return await fetchPages(transport, data, ...asked)
    } catch (error) {
      data = undefined
      if (known === undefined || !ENDED.has(codeOf(error) ?? '')) throw error
      data = await begin({ transport, identity })
      return fetchPages(transport, data, ...asked)
    }
  }
}

/** What a new login may put right. */
const ENDED: ReadonlySet<string> = new Set(['session-required', 'sync-id-mismatch'])

async function begin({ transport, identity }: Parts): Promise<DataRequest> {
  const { token, syncId, head } = await logIn(transport, identity)
  const [seq, chain] = head
  return { token, syncId, position: { seq, chain } }
}

async function fetchPages(
  transport: Transport,
  data: DataRequest,
  ...[recordId, versionsMax, newest]: Parameters<HistoryFetch>
): Promise<FetchedHistory> {
  const versions: Superseded[] = []
  let before: Timestamp | null = newest === undefined ? null : timestampAfter(newest)
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

/** The next as they sort; null behind the last. */
function timestampAfter(timestamp: Timestamp): Timestamp | null {
  const after = timestamp.slice()
  for (let at = after.length - 1; at >= 0; at--) {
    after[at] = ((after[at] as number) + 1) & 255
    if (after[at] !== 0) return after as Timestamp
  }
  return null
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
