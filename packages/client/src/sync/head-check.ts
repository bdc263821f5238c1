/**
 * After a pull: whether both ends hold the same set, and another try of what did not open.
 */
import { equalBytes } from '@blindcopy/protocol'
import type { LocalSecondary } from '../local-secondary.ts'
import { describeFailure, isPassing } from './failure.ts'
import type { PullContext, RemoteSet } from './pull.ts'

/**
 * Compares count and fingerprint at the head. They cover every version the remote served or
 * acknowledged, opened or not, so that only a fault of a store or of a program makes them differ.
 */
export function headProblem(
  local: LocalSecondary,
  remote: RemoteSet,
): { code: string; message: string } | null {
  // While a push may be under way, or the cursor is elsewhere, the two sets are of different
  // moments.
  if (local.pendingCount > 0 || local.cursor.position.seq !== remote.seq) return null
  const { count, fingerprint } = local.confirmedSet
  if (count === remote.count && equalBytes(fingerprint, remote.fingerprint)) return null
  return {
    code: 'integrity',
    message: `this device knows of ${count} records at the remote, the remote of ${remote.count}, or of other versions: nothing was changed`,
  }
}

/**
 * Tries again what did not open. That a remote does not answer here is told as a problem, and holds
 * up nothing else.
 */
export async function retryQuarantine(
  context: PullContext,
): Promise<{ code: string; message: string } | null> {
  try {
    await tryQuarantined(context)
    return null
  } catch (error) {
    if (!isPassing(error)) throw error
    return describeFailure(error)
  }
}

/** Asks again for versions that were put aside, and tries to open what is held and what comes. */
async function tryQuarantined(context: PullContext): Promise<void> {
  const { local, transport, identity } = context
  for await (const versions of local.quarantinePages()) {
    const ids = versions.map(({ recordId }) => recordId)
    const fetched = await transport.records(context.data(), ids)
    const candidates = [
      ...versions.map(({ envelope }) => envelope),
      ...fetched.filter((envelope) => envelope !== null),
    ]
    await local.release(candidates, identity.open)
  }
}
