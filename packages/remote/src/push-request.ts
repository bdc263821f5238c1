/**
 * Push request: the body of a push, taken apart and checked for form.
 *
 * Checked by hand and not by the schema, because here every record counts (the two are held
 * together by push-request.test.ts). A form that is wrong anywhere refuses the whole request, since
 * its sender is broken; what is only too large or of a later version refuses its own transaction,
 * and the rest flows.
 */
import {
  decodeCbor,
  type Envelope,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  ProtocolError,
  parseEnvelope,
  TIMESTAMP_BYTES,
  type Timestamp,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_RECORDS_MAX,
} from '@blindcopy/protocol'

export type PushedOp = {
  readonly envelope: Envelope
  /** The record id as text, for maps. */
  readonly record: string
  /** The version it must replace; undefined for plain last-write-wins. */
  readonly base: Timestamp | undefined
}

export type PushedTransaction = {
  readonly id: Timestamp | null
  readonly ops: readonly PushedOp[]
  /** Why nothing of it can be taken, whatever is stored. */
  readonly refusal: ProtocolError | undefined
}

/** Throws `malformed`. */
export function parsePush(body: Uint8Array): PushedTransaction[] {
  const request = decodeCbor(body) as Record<string, unknown> | null
  // Asked for its fields, a byte string would name each of its bytes.
  if (typeof request !== 'object' || request === null || request instanceof Uint8Array) {
    return malformed('a push is not a map')
  }
  const keys = Object.keys(request)
  const transactions = request.transactions
  if (keys.length !== 1 || !Array.isArray(transactions) || transactions.length === 0) {
    return malformed('a push does not hold just transactions')
  }
  return transactions.map(parseTransaction)
}

function parseTransaction(value: unknown): PushedTransaction {
  if (!Array.isArray(value) || value.length !== 2) return malformed('a transaction is not a pair')
  const [id, items] = value as [unknown, unknown]
  if (id !== null && !isTimestamp(id)) return malformed('a transaction id is not a timestamp')
  if (!Array.isArray(items) || items.length === 0) return malformed('a transaction has no ops')
  try {
    return { id, ops: parseOps(id, items), refusal: undefined }
  } catch (error) {
    if (!(error instanceof ProtocolError) || error.code === 'malformed') throw error
    return { id, ops: [], refusal: error }
  }
}

function parseOps(id: Timestamp | null, items: readonly unknown[]): PushedOp[] {
  if (items.length > TRANSACTION_RECORDS_MAX) {
    tooLarge('records', items.length, TRANSACTION_RECORDS_MAX)
  }
  const ops: PushedOp[] = []
  const records = new Set<string>()
  let sizeBytes = 0
  for (const item of items) {
    const op = parseOp(id, item)
    if (records.has(op.record)) malformed('a transaction writes a record twice')
    records.add(op.record)
    sizeBytes += op.envelope.length
    ops.push(op)
  }
  if (sizeBytes > TRANSACTION_BYTES_MAX) tooLarge('bytes', sizeBytes, TRANSACTION_BYTES_MAX)
  return ops
}

function parseOp(id: Timestamp | null, item: unknown): PushedOp {
  if (!Array.isArray(item) || item.length < 1 || item.length > 2) return malformed('no op')
  const [bytes, base] = item as [unknown, unknown]
  if (!(bytes instanceof Uint8Array)) return malformed('an envelope is not bytes')
  const envelope = parseEnvelope(bytes)
  if (item.length === 2) {
    if (!isTimestamp(base)) return malformed('a base is not a timestamp')
    if (id === null) return malformed('an op has a base, but its transaction no id')
  }
  if (id !== null && !equalBytes(envelopeTimestamp(envelope), id)) {
    return malformed('an op has another timestamp than its transaction')
  }
  const record = recordText(envelopeRecordId(envelope))
  return { envelope, record, base: base as Timestamp | undefined }
}

const isTimestamp = (value: unknown): value is Timestamp =>
  value instanceof Uint8Array && value.length === TIMESTAMP_BYTES

/** Sixteen bytes as eight UTF-16 units: the cheapest key of a Map there is, and never shown. */
export function recordText(id: Uint8Array): string {
  const view = new DataView(id.buffer, id.byteOffset, 16)
  return String.fromCharCode(
    view.getUint16(0),
    view.getUint16(2),
    view.getUint16(4),
    view.getUint16(6),
    view.getUint16(8),
    view.getUint16(10),
    view.getUint16(12),
    view.getUint16(14),
  )
}

function tooLarge(what: 'bytes' | 'records', size: number, sizeMax: number): never {
  throw new ProtocolError('too-large', `a transaction has more than ${sizeMax} ${what}`, {
    details: { [what]: size, [`${what}Max`]: sizeMax },
  })
}

function malformed(what: string): never {
  throw new ProtocolError('malformed', what)
}
