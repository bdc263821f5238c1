/**
 * Conflicts as an app sees them, `vault.conflicts`: the versions that lost, and the ways to bring
 * one back. Nobody's words vanish silently; whoever looks here finds them.
 */
import {
  concat,
  type Fields,
  formatBase64Url,
  parseBase64Url,
  RECORD_ID_BYTES,
  type RecordId,
  TIMESTAMP_BYTES,
  type Timestamp,
  timestampMilliseconds,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import type { ConflictEvent, ConflictKind, LoggedConflict } from '../local/conflict-log.ts'
import { fieldsAsKnown, overwrite, writeAgain } from '../records/overwrite.ts'
import type { WriteContext } from '../records/transaction.ts'
import { RESERVED_PREFIX } from './registration.ts'
import { readNote } from './writing.ts'

export type Conflict = {
  /** Names it; stays the same as long as it is listed. */
  readonly id: string
  readonly kind: ConflictKind
  readonly collection: string
  readonly key: string
  /** What the version that lost held; null: it deleted the record. */
  readonly lost: Fields | null
  /** When that was written, in milliseconds since 1970. */
  readonly lostMs: number
  /** What the record holds now; null when there is none. */
  readonly current: Fields | null
  readonly notedMs: number
  /** Why a custom mutation or policy gave up, in its own words. */
  readonly reason?: string
}

export type ConflictChange = {
  readonly kind: ConflictEvent['kind']
  readonly collection: string
  readonly key: string
}

/** `mine`: what lost; `theirs`: what is there; or the fields that shall be, null for none. */
export type ConflictChoice = 'mine' | 'theirs' | { readonly fields: Fields | null }

export type VaultConflicts = {
  /** Oldest write first. At most 1,000 beside those that are open. */
  list(): Promise<Conflict[]>
  /** Throws `not-found`. */
  get(id: string): Promise<Conflict>
  /** Writes the version that lost again, as a new one, and takes it off the list. */
  restore(id: string): Promise<void>
  /** Settles one: it leaves the list. Throws `not-found`. */
  resolve(id: string, choice: ConflictChoice): Promise<void>
  /** Calls back after each conflict, merged ones included. Returns how to end that. */
  onChange(listener: (change: ConflictChange) => void): () => void
}

export function conflictsOf(context: WriteContext, checkOpen: () => void): VaultConflicts {
  const { local, sealer } = context
  const get = async (id: string): Promise<LoggedConflict> => {
    checkOpen()
    const { recordId, timestamp } = parseId(id)
    const conflict = await local.conflict(recordId, timestamp)
    if (conflict !== undefined) return conflict
    throw new ClientError('not-found', 'there is no conflict of that id: list them again')
  }
  const settle = async (conflict: LoggedConflict, choice: ConflictChoice): Promise<void> => {
    const record = sealer.decode(conflict.envelope)
    if (choice === 'mine') await writeAgain(context, record)
    else if (choice !== 'theirs') {
      const place = sealer.placeOf(record.collection, record.key)
      await overwrite(context, place, { fields: choice.fields })
    }
    await local.dropConflict(conflict.recordId, conflict.timestamp)
  }
  return {
    async list() {
      checkOpen()
      const conflicts: Conflict[] = []
      for await (const page of local.conflictPages()) {
        for (const conflict of page) {
          const described = await describe(context, conflict)
          if (described !== undefined) conflicts.push(described)
        }
      }
      return conflicts
    },
    async get(id) {
      const described = await describe(context, await get(id))
      if (described !== undefined) return described
      throw new ClientError('vault-damaged', 'the version that lost is damaged on this disk')
    },
    async restore(id) {
      await settle(await get(id), 'mine')
    },
    async resolve(id, choice) {
      await settle(await get(id), checkChoice(choice))
    },
    onChange: (listener) =>
      local.onConflict((event) => {
        // What cannot be read is not told: the vault was closed, or its disk fails elsewhere too.
        const described = describeEvent(context, event).catch(() => undefined)
        void described.then((change) => change !== undefined && listener(change))
      }),
  }
}

/** Undefined where the disk no longer holds what it did. */
async function describe(
  context: WriteContext,
  conflict: LoggedConflict,
): Promise<Conflict | undefined> {
  const { local, sealer } = context
  const { recordId, timestamp, kind, notedMs, note, envelope } = conflict
  if (sealer.tagOfEnvelope(envelope) === undefined) return undefined
  const lost = sealer.decode(envelope)
  const { collection, key } = lost
  if (collection.startsWith(RESERVED_PREFIX)) return undefined
  const version = await local.read(recordId)
  const isWhole = version !== undefined && sealer.tagOfEnvelope(version.envelope) !== undefined
  const reason = readNote(sealer, note)
  return {
    id: formatBase64Url(concat(timestamp, recordId)),
    kind,
    collection,
    key,
    lost: fieldsAsKnown(context, lost),
    lostMs: timestampMilliseconds(timestamp),
    current: isWhole ? fieldsAsKnown(context, sealer.open(version)) : null,
    notedMs,
    ...(reason === undefined ? {} : { reason }),
  }
}

async function describeEvent(
  { local, sealer, ended }: WriteContext,
  { kind, recordId, timestamp }: ConflictEvent,
): Promise<ConflictChange | undefined> {
  const logged = await local.conflict(recordId, timestamp)
  const envelope = logged?.envelope ?? (await local.read(recordId))?.envelope
  const isReadable = !ended.aborted && envelope !== undefined
  if (!isReadable || sealer.tagOfEnvelope(envelope) === undefined) return undefined
  const { collection, key } = sealer.decode(envelope)
  return { kind, collection, key }
}

function checkChoice(choice: unknown): ConflictChoice {
  if (choice === 'mine' || choice === 'theirs') return choice
  if (typeof choice === 'object' && choice !== null && 'fields' in choice) {
    return choice as ConflictChoice
  }
  throw new ClientError('invalid-argument', "a choice is 'mine', 'theirs' or { fields }")
}

function parseId(id: string): { recordId: RecordId; timestamp: Timestamp } {
  let bytes: Uint8Array
  try {
    bytes = parseBase64Url(id)
  } catch {
    bytes = new Uint8Array(0)
  }
  if (bytes.length !== TIMESTAMP_BYTES + RECORD_ID_BYTES) {
    throw new ClientError('invalid-argument', 'that is not the id of a conflict: list them')
  }
  return {
    timestamp: bytes.subarray(0, TIMESTAMP_BYTES) as Timestamp,
    recordId: bytes.subarray(TIMESTAMP_BYTES) as RecordId,
  }
}
