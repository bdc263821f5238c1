/**
 * Rewrite of named versions: a confirmed version that another device could not open is written
 * again, from a device that holds exactly that version opened (design 7). It gets a new timestamp
 * and has the spoiled one as its base, so that a newer write of anybody wins over it. Once per
 * record and SyncId: a remote that spoils it again must not have it written for ever.
 *
 * A version that any device lists as of a closed epoch is written again by the device that wrote
 * it, and by nobody else: on all others it is put aside (late-named.ts).
 */
import {
  type Checkpoint,
  type Envelope,
  equalBytes,
  findMember,
  formatHex,
  isAuthoredBy,
  isTombstone,
  type Keychain,
  RECORD_ID_BYTES,
  type RecordId,
  type SyncId,
  type Timestamp,
} from '@blindcopy/protocol'
import { metaKey, type StoreOp, versionKey } from '@blindcopy/secondary'
import { clockGroups, mergeStateOf } from '../records/merge.ts'
import { readHeard } from './checkpoint-store.ts'
import { commitDrafts } from './commit.ts'
import type { Draft } from './draft.ts'
import type { LocalState } from './local-state.ts'
import type { RewriteKeys } from './rewrite.ts'

const REWRITTEN =
  'a record that another device could not open was written again from this one, its content unchanged'
/** In one transaction. */
export const REWRITTEN_AT_ONCE = 100

const rewrittenKey = (recordId: RecordId): Uint8Array => metaKey(`rewritten.${formatHex(recordId)}`)

/** Returns how many records were written again. */
export async function rewriteNamed(
  state: LocalState,
  keys: RewriteKeys | undefined,
  keychain: Keychain,
): Promise<number> {
  const { syncId } = state.cursor
  if (keys === undefined || syncId === null) return 0
  const pairs = await namedPairs(state, keychain, syncId)
  if (pairs.length === 0) return 0
  return state.run(() => rewrite(state, keys, { pairs, syncId }))
}

async function namedPairs(
  state: LocalState,
  keychain: Keychain,
  syncId: SyncId,
): Promise<Uint8Array[]> {
  const { unopened, late } = await readNamed(state, keychain, syncId)
  const named = new Map(unopened)
  for (const [text, pair] of late) {
    if (isOwnPair(state, pair)) named.set(text, pair)
    else named.delete(text)
  }
  return [...named.values()]
}

/** Pairs by their hex. */
export type NamedLists = {
  readonly unopened: ReadonlyMap<string, Uint8Array>
  readonly late: ReadonlyMap<string, Uint8Array>
}

/** What linked checkpoints of other active devices name under this SyncId. */
export async function readNamed(
  state: LocalState,
  keychain: Keychain,
  syncId: SyncId,
): Promise<NamedLists> {
  const { deviceId } = state.clock.identity
  const unopened = new Map<string, Uint8Array>()
  const late = new Map<string, Uint8Array>()
  for (const { linked } of (await readHeard(state.store)).values()) {
    if (linked === null || !countsHere(linked, { keychain, syncId, deviceId })) continue
    for (const pair of linked.unopened) unopened.set(formatHex(pair), pair)
    for (const pair of linked.late) late.set(formatHex(pair), pair)
  }
  return { unopened, late }
}

/** Whether this device wrote the version that a pair names. */
export const isOwnPair = ({ clock }: LocalState, pair: Uint8Array): boolean =>
  isAuthoredBy(timestampOf(pair), clock.identity.deviceId)

const countsHere = (
  { memberId, syncId }: Checkpoint,
  here: { keychain: Keychain; syncId: SyncId; deviceId: Uint8Array },
): boolean =>
  !equalBytes(memberId, here.deviceId) &&
  equalBytes(syncId, here.syncId) &&
  findMember(here.keychain, memberId) !== undefined

export const recordIdOf = (pair: Uint8Array): RecordId => pair.slice(0, RECORD_ID_BYTES) as RecordId
export const timestampOf = (pair: Uint8Array): Timestamp => pair.slice(RECORD_ID_BYTES) as Timestamp

/** Inside `run`. */
async function rewrite(
  state: LocalState,
  keys: RewriteKeys,
  { pairs, syncId }: { pairs: readonly Uint8Array[]; syncId: SyncId },
): Promise<number> {
  const open = await notRewritten(state, pairs, syncId)
  const batch = await state.readRows(open.map(recordIdOf))
  const drafts: Draft[] = []
  for (const pair of open) {
    const { row } = batch.slotOf(recordIdOf(pair))
    const timestamp = timestampOf(pair)
    const isHeld = equalBytes(row.confirmed, timestamp) && equalBytes(row.current, timestamp)
    if (!isHeld || row.pending > 0) continue
    const envelope = await state.store.get(versionKey(recordIdOf(pair), timestamp))
    const draft = draftOf(keys, pair, envelope as Envelope | undefined)
    if (draft !== undefined) drafts.push(draft)
    if (drafts.length === REWRITTEN_AT_ONCE) break
  }
  if (drafts.length === 0) return 0
  // Marked first: a version that is lost in between is better than one that is written for ever.
  const marks = drafts.map(({ recordId }) => markRewritten(recordId, syncId))
  const notices = state.withNotice({ code: 'record-rewritten', message: REWRITTEN })
  await state.writeOps(marks, { notices })
  // One transaction each: none may wait for another that conflicts.
  for (const draft of drafts) await commitDrafts(state, [draft])
  return drafts.length
}

export const markRewritten = (recordId: RecordId, syncId: SyncId): StoreOp => ({
  type: 'put',
  key: rewrittenKey(recordId),
  value: syncId,
})

/** Those whose records were not written again under this SyncId. Inside `run`. */
export async function notRewritten(
  state: LocalState,
  pairs: readonly Uint8Array[],
  syncId: SyncId,
): Promise<Uint8Array[]> {
  const done = await state.store.getMany(pairs.map((pair) => rewrittenKey(recordIdOf(pair))))
  return pairs.filter((_, i) => {
    const under = done[i]
    return under === undefined || !equalBytes(under, syncId)
  })
}

/** The same content as another version. Undefined when it does not open here either. */
export function draftOf(
  keys: RewriteKeys,
  pair: Uint8Array,
  envelope: Envelope | undefined,
): Draft | undefined {
  const tag = envelope === undefined ? undefined : keys.tagOf(envelope)
  if (envelope === undefined || tag === undefined) return undefined
  const record = keys.decode(envelope)
  const { fieldClocks, schemaVersion } = record
  return {
    recordId: recordIdOf(pair),
    tag,
    tombstone: isTombstone(envelope),
    policy: fieldClocks === null ? 0 : 1,
    compareAndSet: true,
    schemaVersion,
    seal: ({ timestamp, base, transactionSize }) => {
      const clocks =
        fieldClocks === null
          ? null
          : clockGroups(mergeStateOf(record, timestampOf(pair)), timestamp)
      return keys.seal({ ...record, base, transactionSize, fieldClocks: clocks }, timestamp)
    },
  }
}
