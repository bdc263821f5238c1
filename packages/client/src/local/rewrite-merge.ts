/**
 * Rewrite of an op that merges: what it and the version under it say together, and whose words did
 * not survive it.
 */
import type { Envelope, RecordId, Timestamp } from '@blindcopy/protocol'
import type { VaultRecord } from '@blindcopy/vault'
import {
  clockGroups,
  joinStates,
  lostFields,
  type MergeState,
  mergeStateOf,
  sameState,
} from '../records/merge.ts'
import { restampClocks } from '../records/merge-restamp.ts'
import type { OutboxOp } from './outbox.ts'
import type { Standing } from './rebase.ts'
import type { Loser, Outcome, RewriteContext, RewriteKeys } from './rewrite.ts'
import { isLater, isNone } from './row.ts'
import { versionOf } from './upgrade.ts'

export async function mergeOp(
  keys: RewriteKeys,
  context: RewriteContext,
  met: {
    index: number
    timestamp: Timestamp
    mine: VaultRecord
    theirs: VaultRecord
    standing: Standing
  },
): Promise<Outcome> {
  const { entry, envelopes, isRestamped } = context
  const { index, timestamp, mine, standing } = met
  const op = entry.ops[index] as OutboxOp
  const theirs = mergeStateOf(met.theirs, standing.timestamp)
  const written = mergeStateOf(mine, entry.timestamp)
  const fieldClocks = restampedClocks(context, { record: mine, recordId: op.recordId, timestamp })
  const own = isRestamped ? mergeStateOf({ ...mine, fieldClocks }, timestamp) : written
  const joined = joinStates(own, theirs)
  const base = await baseStateOf(keys, context, op)
  const losers: Loser[] = []
  const isLost = (side: MergeState): boolean => isLostSince(op.replaced, { side, joined, base })
  if (isLost(written)) {
    losers.push({ envelope: envelopes[index] as Envelope, isMine: true })
  }
  if (isLost(theirs) && standing.envelope !== undefined) {
    losers.push({ envelope: standing.envelope, isMine: false })
  }
  if (sameState(joined, theirs)) return { type: 'adopted', losers }
  const { fields } = joined
  const schemaVersion = versionOf(fields, mine, met.theirs)
  const merged = { ...mine, fields, fieldClocks: clockGroups(joined, timestamp), schemaVersion }
  return { type: 'kept', record: merged, isMerged: true, losers }
}

/**
 * Whether `joined` lacks a field that a side wrote since `replaced`, whose state may be unknown.
 */
function isLostSince(
  replaced: Timestamp,
  { side, joined, base }: { side: MergeState; joined: MergeState; base: MergeState | undefined },
): boolean {
  return lostFields(side, joined, base).some((name) => {
    const clock = side.clocks.get(name)
    return base !== undefined || clock === undefined || isLater(clock, replaced)
  })
}

/** The clocks of a record of the transaction once it has a new time for an old moment. */
export function restampedClocks(
  { entry, newOf }: RewriteContext,
  {
    record,
    recordId,
    timestamp,
  }: { record: VaultRecord; recordId: RecordId; timestamp: Timestamp },
): VaultRecord['fieldClocks'] {
  const renewed = (clock: Timestamp): Timestamp | undefined => newOf(recordId, clock)
  return restampClocks(record, { from: entry.timestamp, to: timestamp, newOf: renewed })
}

async function baseStateOf(
  keys: RewriteKeys,
  context: RewriteContext,
  { recordId, replaced }: OutboxOp,
): Promise<MergeState | undefined> {
  const envelope = isNone(replaced) ? undefined : await context.stored(recordId, replaced)
  if (envelope === undefined || keys.tagOf(envelope) === undefined) return undefined
  return mergeStateOf(keys.decode(envelope), replaced)
}
