/**
 * Writing: what a vault's writes go through, put together once: the sealer, what the app has
 * declared, and what the local secondary needs of both when it puts a write on top of another.
 */
import { type Envelope, type RecordId, TIMESTAMP_NONE } from '@blindcopy/protocol'
import type { RandomBytes } from '@blindcopy/vault'
import type { StoredVersion } from '../local/local-reading.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { Standing } from '../local/rebase.ts'
import type { RewriteKeys } from '../local/rewrite.ts'
import type { Access } from '../records/access.ts'
import { resolveCustom } from '../records/conflict-policy.ts'
import { type Declaration, NOT_DECLARED, upgradedRecord } from '../records/declaration.ts'
import { type Mutation, rerunMutation } from '../records/mutation.ts'
import type { HistorySource } from '../records/record-history.ts'
import { Sealer } from '../records/sealer.ts'
import { checkVersion, type WriteContext } from '../records/transaction.ts'
import type { Membership } from './membership.ts'

const NOTE = '$note'

export type Writing = {
  readonly keys: RewriteKeys
  /** Once, with the local secondary that was opened with the keys. */
  contextOf(local: LocalSecondary): WriteContext
}

export function createWriting(options: {
  readonly membership: Membership
  readonly random: RandomBytes
  readonly newKey: () => string
  readonly access: Pick<Access, 'ended'>
  readonly setTimer: WriteContext['setTimer']
  readonly history: HistorySource
  readonly onDamaged?: (recordId: RecordId) => void
}): Writing {
  const { membership, random, newKey, access, setTimer, history, onDamaged } = options
  const sealer = new Sealer(membership, random)
  const declarations = new Map<string, Declaration>()
  const mutations = new Map<string, Mutation<never>>()
  let context: WriteContext | undefined
  const keys: RewriteKeys = {
    decode: (envelope) => sealer.decode(envelope),
    upgrade: (record) => {
      const declaration = declarations.get(record.collection) ?? NOT_DECLARED
      checkVersion(record, declaration)
      return upgradedRecord(record, declaration)
    },
    seal: (record, timestamp) => sealer.seal(record, timestamp),
    tagOf: (envelope) => sealer.tagOfEnvelope(envelope),
    resolve: (collection, sides) => {
      const policy = declarations.get(collection)?.policy
      return typeof policy === 'object' ? resolveCustom(policy, sides) : undefined
    },
    rerun: async (intent, read) => {
      if (context === undefined) return { type: 'set-aside', code: 'mutation-unknown' }
      return rerunMutation(context, intent, async (id) => versionOf(id, await read(id)))
    },
    sealNote: (reason) => sealer.sealPrivate(NOTE, 'reason', { reason }, TIMESTAMP_NONE),
  }
  return {
    keys,
    contextOf(local) {
      const told = onDamaged === undefined ? {} : { onDamaged }
      context = {
        ...{ local, sealer, newKey, setTimer, declarations, mutations, history, ...told },
        get ended() {
          return access.ended
        },
      }
      return context
    },
  }
}

/** The reason that `sealNote` sealed. */
export function readNote(sealer: Sealer, note: Envelope | null): string | undefined {
  if (note === null) return undefined
  if (sealer.tagOfEnvelope(note) === undefined) return undefined
  const reason = sealer.decode(note).fields?.reason
  return typeof reason === 'string' ? reason : undefined
}

function versionOf(recordId: RecordId, standing: Standing): StoredVersion | undefined {
  const { timestamp, envelope } = standing
  return envelope === undefined ? undefined : { recordId, timestamp, envelope }
}
