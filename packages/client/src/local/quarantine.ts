/**
 * Quarantine: versions that were served, or brought, and that did not open. Each keeps its place,
 * is listed, and is tried again at each sync; none holds up anything.
 *
 *   reason (1) ‖ envelope
 *
 * A hostile remote can serve any number of them. So of what can only be spoiled the header is kept,
 * and of all others once they come to 64 MiB: the remote is asked for each again by its record.
 */
import { concat, type RecordId, type Timestamp } from '@blindcopy/protocol'
import { quarantineKey, quarantineRange, type Store, type StoreOp } from '@blindcopy/secondary'

/** Why an envelope was put aside. */
export type QuarantineReason =
  | 'tampered'
  | 'unknown-epoch'
  | 'unsupported-version'
  | 'malformed'
  /** It opens, and came from no remote: too far ahead of the clock here. */
  | 'clock-ahead'
  /** The same: what waits of its record must be taken by the remote first. */
  | 'writes-wait'
  /** Sealed under an epoch that is closed here: only its author may write it again. */
  | 'late-old-epoch'

/** The part of an envelope that names its version. */
export const ENVELOPE_BOUND_MIN = 62
/** What is kept whole, of all versions together. */
export const QUARANTINE_BYTES_MAX: number = 64 * 1_048_576

const REASONS: readonly QuarantineReason[] = [
  'tampered',
  'unknown-epoch',
  'unsupported-version',
  'malformed',
  'clock-ahead',
  'writes-wait',
  'late-old-epoch',
]
/** Trying again cannot help: only another envelope can. */
const SPOILED: ReadonlySet<QuarantineReason> = new Set(['tampered', 'malformed'])

export type PutAside = {
  readonly recordId: RecordId
  readonly timestamp: Timestamp
  readonly envelope: Uint8Array
}

/** `roomBytes`: what may still be kept whole. */
export function putQuarantine(
  { recordId, timestamp, envelope }: PutAside,
  reason: QuarantineReason,
  roomBytes: number = QUARANTINE_BYTES_MAX,
): StoreOp & { readonly type: 'put' } {
  const isWhole = !SPOILED.has(reason) && envelope.length <= roomBytes
  const kept = isWhole ? envelope : envelope.subarray(0, ENVELOPE_BOUND_MIN)
  const value = concat(Uint8Array.of(REASONS.indexOf(reason)), kept)
  return { type: 'put', key: quarantineKey(recordId, timestamp), value }
}

export function parseQuarantineValue(value: Uint8Array): {
  reason: QuarantineReason
  envelope: Uint8Array
} {
  return { reason: REASONS[value[0] as number] ?? 'malformed', envelope: value.subarray(1) }
}

/** What all that is put aside takes. */
export async function readQuarantineBytes(store: Store): Promise<number> {
  let sizeBytes = 0
  for await (const page of store.pages(quarantineRange(), { bytesMax: 1_048_576 })) {
    for (const [, value] of page) sizeBytes += value.length
  }
  return sizeBytes
}
