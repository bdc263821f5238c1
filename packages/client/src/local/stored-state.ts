/**
 * Stored state: what a local secondary keeps in memory, read from its store at one moment.
 */
import type { VaultId } from '@blindcopy/protocol'
import type { Store } from '@blindcopy/secondary'
import { type Acknowledged, readAcknowledged } from './acknowledged-seq.ts'
import { countConflicts } from './conflict-log.ts'
import { type KeyedSet, readKeyedSet } from './keyed-set.ts'
import {
  type KeptProblem,
  type LocalMeta,
  readGeneration,
  readMeta,
  readProblem,
} from './local-meta.ts'
import { countNumbered, countOutbox } from './local-reading.ts'
import { type Parking, readParking } from './parking.ts'
import { readQuarantineBytes } from './quarantine.ts'
import { readVersionedTags, type VersionedTags } from './versioned-tags.ts'

export type Stored = {
  readonly meta: LocalMeta
  readonly generation: number
  readonly pending: Awaited<ReturnType<typeof countOutbox>>
  readonly attention: Awaited<ReturnType<typeof countNumbered>>
  readonly parking: Parking
  readonly versionedTags: VersionedTags
  readonly conflicts: Awaited<ReturnType<typeof countConflicts>>
  readonly problem: KeptProblem | null
  /** Bytes of what is put aside. */
  readonly put: number
  readonly keyedSet: KeyedSet | null
  readonly acknowledged: Acknowledged | null
}

export async function readStored(store: Store, vaultId: VaultId): Promise<Stored> {
  // Together: in a browser each is a transaction, and a tab reads them under the lock of all.
  const [meta, generation, pending, attention, parking, conflicts, versionedTags, problem, put] =
    await Promise.all([
      readMeta(store, vaultId),
      readGeneration(store),
      countOutbox(store),
      countNumbered(store, 'attention'),
      readParking(store),
      countConflicts(store),
      readVersionedTags(store),
      readProblem(store),
      readQuarantineBytes(store),
    ])
  const [keyedSet, acknowledged] = await Promise.all([readKeyedSet(store), readAcknowledged(store)])
  const counted = { pending, attention, conflicts, put }
  return { meta, generation, ...counted, parking, versionedTags, problem, keyedSet, acknowledged }
}
