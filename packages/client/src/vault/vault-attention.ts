/**
 * Attention as an app sees it, `vault.attention`: writes that the remote refused. Each is kept
 * whole until the person sends it again, discards it, or has taken its content elsewhere.
 */
import {
  type Envelope,
  type Fields,
  TIMESTAMP_NONE,
  timestampMilliseconds,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import { type AttentionEntry, readAttention } from '../local/attention.ts'
import { tryParseEntry } from '../local/outbox.ts'
import type { WriteContext } from '../records/transaction.ts'
import { RESERVED_PREFIX } from './registration.ts'

export type RefusedRecord = {
  readonly collection: string
  readonly key: string
  /** Null: the write deleted the record. */
  readonly fields: Fields | null
}

export type RefusedWrite = {
  readonly id: number
  /** Why: a code of docs/protocol.md. */
  readonly code: string
  readonly writtenMs: number
  readonly refusedMs: number
  readonly sizeBytes: number
  /** Those that the disk still holds whole. */
  readonly records: readonly RefusedRecord[]
}

export type VaultAttention = {
  list(): Promise<RefusedWrite[]>
  /** Sends one again, or all of them. Resolves to how many go. */
  retry(id?: number): Promise<number>
  /** Gives one up: its records show again what the remote holds. Throws `not-found`. */
  discard(id: number): Promise<void>
  /** The records of one, or of all, as they were written. */
  export(id?: number): AsyncGenerator<RefusedRecord>
}

export function attentionOf(
  context: WriteContext,
  hooks: { checkOpen(): void; changed(): void },
): VaultAttention {
  const { local, sealer } = context
  return {
    async list() {
      hooks.checkOpen()
      const refused: RefusedWrite[] = []
      for await (const page of local.attentionPages()) {
        for (const entry of page) refused.push(describe(context, entry))
      }
      return refused
    },
    async retry(id) {
      hooks.checkOpen()
      const count = await local.retryAttention(id)
      hooks.changed()
      return count
    },
    async discard(id) {
      hooks.checkOpen()
      const isThere = await local.discardAttention(id, sealer.openArrival)
      hooks.changed()
      if (!isThere) throw missing()
    },
    async *export(id) {
      hooks.checkOpen()
      if (id !== undefined && (await readAttention(local.state.store, id)) === undefined) {
        throw missing()
      }
      for await (const page of local.attentionPages()) {
        for (const entry of page) {
          if (id === undefined || entry.number === id) yield* recordsOf(context, entry.envelopes)
        }
      }
    },
  }
}

function describe(context: WriteContext, attention: AttentionEntry): RefusedWrite {
  const { number, code, refusedMs, entry, envelopes } = attention
  const timestamp = tryParseEntry(entry)?.timestamp ?? TIMESTAMP_NONE
  return {
    id: number,
    code,
    writtenMs: timestampMilliseconds(timestamp),
    refusedMs,
    sizeBytes: envelopes.reduce((sum, { length }) => sum + length, 0),
    records: recordsOf(context, envelopes),
  }
}

function recordsOf({ sealer }: WriteContext, envelopes: readonly Envelope[]): RefusedRecord[] {
  return envelopes.flatMap((envelope) => {
    if (sealer.tagOfEnvelope(envelope) === undefined) return []
    const { collection, key, fields } = sealer.decode(envelope)
    // What the system keeps for itself is not the app's to see.
    return collection.startsWith(RESERVED_PREFIX) ? [] : [{ collection, key, fields }]
  })
}

function missing(): ClientError {
  return new ClientError('not-found', 'there is no refused write of that number: list them again')
}
