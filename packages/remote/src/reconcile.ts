/**
 * Reconcile: one round, answered from the vault's summary and small ranges of its record index.
 *
 * Nothing is kept between rounds. The head of the answer is that of the vault before anything else
 * is read: what is pushed meanwhile may show in the summaries, and comes later in the log anyway.
 */
import {
  answerReconcile,
  createPairSource,
  type ReconcileAnswer,
  type ReconcileRequest,
  type SetState,
  type VaultId,
} from '@blindcopy/protocol'
import type { Parts } from './parts.ts'
import { pairOfEntry } from './summaries.ts'
import { mustVault } from './vaults.ts'

/** A node below the buckets has a few dozen pairs; a longer list is read in these steps. */
const PAGE = { entriesMax: 256 } as const

export async function reconcile(
  { store, vaults, summaries }: Pick<Parts, 'store' | 'vaults' | 'summaries'>,
  vaultId: VaultId,
  request: ReconcileRequest,
): Promise<ReconcileAnswer> {
  const { keys, state } = mustVault(await vaults.read(vaultId))
  // After the state: it must hold all that the log has up to the head that is told.
  const summary = await summaries.read(vaultId)
  const setState: SetState = state
  const source = createPairSource({
    summary,
    state: () => setState,
    async *readPairs(range) {
      for await (const page of store.pages(keys.records(range), PAGE)) yield page.map(pairOfEntry)
    },
  })
  return answerReconcile(source, request)
}
