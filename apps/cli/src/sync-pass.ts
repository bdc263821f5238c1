/**
 * Sync pass: everything exchanged once, with a bar while it lasts, and what ended it told by its
 * own code rather than as "sync has stopped".
 */
import type { Vault } from '@blindcopy/client'
import { codeOf } from '@blindcopy/client'
import { SyncFailure } from './cli-error.ts'
import { createProgress } from './progress.ts'
import type { Terminal } from './terminal.ts'

export async function syncPass(vault: Vault, terminal: Terminal): Promise<void> {
  const progress = createProgress(terminal, 'Syncing')
  const end = new AbortController()
  const watching = (async () => {
    for await (const status of vault.sync.watch(end.signal)) {
      if (status.progress !== null) progress.update(status.progress.done, status.progress.total)
    }
  })()
  try {
    await vault.sync.once()
  } catch (error) {
    throw explain(vault, error)
  } finally {
    end.abort()
    await watching
    progress.end()
  }
  const { problem } = vault.sync.status
  if (problem !== null) terminal.warn(problem.code, problem.message)
}

function explain(vault: Vault, error: unknown): unknown {
  const { problem } = vault.sync.status
  if (codeOf(error) !== 'sync-stopped' || problem === null) return error
  return new SyncFailure(problem.code, problem.message, { cause: error })
}
