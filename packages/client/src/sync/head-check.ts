/**
 * After a pull: whether both ends hold the same set, and another try of what did not open.
 */
import { equalBytes, RECORDS_BY_ID_MAX } from '@blindcopy/protocol'
import { codeOf } from '../error.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import { repairRecords } from '../local/repair.ts'
import { describeFailure, type Failure, isPassing, remedyOf } from './failure.ts'
import type { PullContext, RemoteSet } from './pull.ts'

/**
 * Compares count and fingerprint at the head. They cover every version the remote served or
 * acknowledged, opened or not, so that only a fault of a store or of a program makes them differ.
 */
export function headProblem(local: LocalSecondary, remote: RemoteSet): Failure | null {
  // While a push may be under way, or the cursor is elsewhere, the two sets are of different
  // moments. What was not sent yet is in neither.
  if (local.hasSentUnanswered || local.cursor.position.seq !== remote.seq) return null
  const { count, fingerprint } = local.confirmedSet
  if (count === remote.count && equalBytes(fingerprint, remote.fingerprint)) return null
  return {
    code: 'integrity',
    message: `this device knows of ${count} records at the remote, the remote of ${remote.count}, or of other versions`,
    remedy: remedyOf('integrity'),
  }
}

/** Longest between two attempts to heal a mismatch that stays. */
const HEAL_PAUSE_MS_MAX = 60 * 60_000
const HEAL_PAUSE_MS_MIN = 60_000

/** Whether a mismatch is worth healing: one that stays is told, and tried again ever less often. */
export class HeadWatch {
  #pauseMs = 0
  #healedMs = Number.NEGATIVE_INFINITY
  /** Whether the last attempt could bring the remote what it lacked. */
  #hasGiven = true

  mustHeal(differs: boolean, { nowMs, mayPush }: { nowMs: number; mayPush: boolean }): boolean {
    if (!differs) {
      this.#pauseMs = 0
      return false
    }
    const sinceMs = Math.abs(nowMs - this.#healedMs)
    if (sinceMs < this.#pauseMs && (this.#hasGiven || !mayPush)) return false
    this.#healedMs = nowMs
    this.#hasGiven = mayPush
    this.#pauseMs = Math.min(Math.max(2 * this.#pauseMs, HEAL_PAUSE_MS_MIN), HEAL_PAUSE_MS_MAX)
    return true
  }
}

/**
 * Tries again what did not open. That a remote does not answer here is told as a problem, and holds
 * up nothing else.
 */
export async function retryQuarantine(context: PullContext): Promise<Failure | null> {
  try {
    await tryQuarantined(context)
    return null
  } catch (error) {
    if (!isPassing(error) || codeOf(error) === 'sync-id-mismatch') throw error
    return describeFailure(error)
  }
}

/** Asks again for versions that were put aside, and tries to open what is held and what comes. */
async function tryQuarantined(context: PullContext): Promise<void> {
  const { local, transport, identity } = context
  for await (const versions of local.quarantinePages()) {
    const ids = versions.map(({ recordId }) => recordId)
    const fetched = await transport.records(context.data(), ids)
    const retried = { held: versions, fetched: fetched.filter((envelope) => envelope !== null) }
    await local.release(retried, identity.open)
  }
  await identity.retryAside?.()
  await fetchDamaged(context)
}

/** Asks for versions that this disk has spoiled. What is not answered for is asked for again. */
async function fetchDamaged({ local, transport, identity, data }: PullContext): Promise<void> {
  const { damaged, open } = identity
  const ids = damaged?.list().slice(0, RECORDS_BY_ID_MAX) ?? []
  if (damaged === undefined || ids.length === 0) return
  const fetched = await transport.records(data(), ids)
  const envelopes = fetched.filter((envelope) => envelope !== null)
  await repairRecords(local.state, damaged, { envelopes, open })
}
