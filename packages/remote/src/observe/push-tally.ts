/**
 * Push tally: counts what became of the transactions of one push.
 */
import type { ProtocolErrorCode, Verdict } from '@blindcopy/protocol'
import type { PushTally } from './metrics.ts'

export type Judged = {
  /** In the order of the verdicts. */
  readonly transactions: readonly { readonly ops: readonly unknown[] }[]
  /** The verdict that a transaction got in an earlier push; undefined of a new one. */
  readonly repeats: readonly (Verdict | undefined)[]
  readonly verdicts: readonly Verdict[]
}

export function tallyPush({ transactions, repeats, verdicts }: Judged): PushTally {
  const refused: ProtocolErrorCode[] = []
  const appliedSeqs = new Set<number>()
  const tally = { applied: 0, repeated: 0, conflicts: 0, opsApplied: 0, opsStale: 0 }
  for (const [i, verdict] of verdicts.entries()) {
    if (verdict.type === 'refused') refused.push(verdict.code as ProtocolErrorCode)
    else if (verdict.type === 'conflict') tally.conflicts++
    // One that stands twice in the push was applied once.
    else if (repeats[i] !== undefined || appliedSeqs.has(verdict.seq)) tally.repeated++
    else {
      appliedSeqs.add(verdict.seq)
      tally.applied++
      tally.opsStale += verdict.stale.length
      tally.opsApplied += (transactions[i]?.ops.length ?? 0) - verdict.stale.length
    }
  }
  return { ...tally, refused }
}
