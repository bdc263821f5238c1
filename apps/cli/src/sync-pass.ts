/**
 * Sync pass: everything exchanged once, with a line of progress while it lasts, what happened by
 * itself told in a sentence, and what ended it told by its own code rather than as "sync has
 * stopped".
 */
import type { Notice, SyncStatus, Vault } from '@blindcopy/client'
import { codeOf } from '@blindcopy/client'
import { SyncFailure } from './cli-error.ts'
import { createStatusLine } from './status-line.ts'
import { describePhase, describeRemedy } from './sync-text.ts'
import { SyncTraffic } from './sync-traffic.ts'
import type { Terminal } from './terminal.ts'

export type Direction = 'both' | 'push' | 'pull'

export type Passed = {
  /** Transactions that the remote has now and did not have before. */
  readonly sent: number
  /** Changes of other devices that came in. */
  readonly received: number
  readonly notices: readonly Notice[]
}

export async function syncPass(
  vault: Vault,
  terminal: Terminal,
  direction: Direction = 'both',
): Promise<Passed> {
  const before = vault.sync.status
  const line = createStatusLine(terminal)
  const traffic = new SyncTraffic(before)
  const end = new AbortController()
  const watching = (async () => {
    for await (const status of vault.sync.watch(end.signal)) {
      traffic.take(status)
      if (status.phase !== 'resting') line.show(status.phase, describePhase(status))
    }
  })()
  try {
    await vault.sync.once({ direction })
  } catch (error) {
    throw explain(vault, error)
  } finally {
    end.abort()
    await watching
    line.clear()
    for (const { code, message } of newNotices(before, vault.sync.status)) {
      terminal.warn(code, message)
    }
  }
  const { problem } = vault.sync.status
  if (problem !== null)
    terminal.warn(problem.code, `${problem.message}; what to do: ${describeRemedy(problem)}`)
  traffic.take(vault.sync.status)
  const after = vault.sync.status
  const received = after.received - before.received
  return { sent: traffic.sent, received, notices: newNotices(before, after) }
}

export function newNotices(before: SyncStatus, after: SyncStatus): readonly Notice[] {
  const known = new Set(before.notices.map(({ code, atMs }) => `${code} ${atMs}`))
  return after.notices.filter(({ code, atMs }) => !known.has(`${code} ${atMs}`))
}

/** Lets sync go on after it has stopped for what another device has signed. */
export async function reconciled(vault: Vault): Promise<void> {
  await vault.sync.reconcile().catch((error: unknown) => {
    throw explain(vault, error)
  })
}

function explain(vault: Vault, error: unknown): unknown {
  const { problem } = vault.sync.status
  if (codeOf(error) !== 'sync-stopped' || problem === null) return error
  return new SyncFailure(problem.code, problem.message, { cause: error })
}
