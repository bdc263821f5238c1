/**
 * sync: exchanges everything once, or stays in step until it is told to stop.
 */
import type { SyncStatus, Vault } from '@blindcopy/client'
import { CliError, SyncFailure } from './cli-error.ts'
import { count } from './layout.ts'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export type SyncOptions = VaultOptions & {
  readonly watch?: boolean
  readonly retry?: boolean
  readonly registrationToken?: string
}

export async function sync(options: SyncOptions, terminal: Terminal): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    const { registrationToken } = options
    const isRegistered = vault.sync.status.lastSyncedMs !== null
    if (registrationToken !== undefined && !isRegistered) {
      await vault.setRegistrationToken(registrationToken)
    }
    if (options.retry) await vault.sync.retry()
    if (options.watch) await watch(vault, terminal)
    else await once(vault, terminal)
  })
}

async function once(vault: Vault, terminal: Terminal): Promise<void> {
  const before = vault.sync.status.pending
  await syncPass(vault, terminal)
  const { pending, attention, lastSyncedMs } = vault.sync.status
  const quarantined = (await vault.quarantined()).length
  const sent = Math.max(0, before - pending)
  const text = [
    `In step with ${vault.remote}`,
    sent > 0 ? `sent ${count(sent, 'transaction')}` : 'nothing was waiting to be sent',
    ...(quarantined > 0 ? [`${count(quarantined, 'version')} that do not open are set aside`] : []),
  ].join('; ')
  await terminal.answer({ sent, pending, attention, quarantined, lastSyncedMs }, `${text}.`)
  if (attention > 0) {
    throw new CliError('needs-attention', `the remote refused ${count(attention, 'transaction')}`)
  }
}

/** One line a change, until SIGINT. Ends by itself only when sync has stopped for good. */
async function watch(vault: Vault, terminal: Terminal): Promise<void> {
  const end = new AbortController()
  terminal.onInterrupt(() => end.abort())
  vault.sync.start()
  let last = ''
  for await (const status of vault.sync.watch(end.signal)) {
    const line = terminal.json ? JSON.stringify(status) : describe(status)
    if (line === last) continue
    last = line
    await terminal.print(terminal.json ? line : `${new Date().toTimeString().slice(0, 8)}  ${line}`)
    if (status.phase === 'stopped' && status.problem !== null) {
      throw new SyncFailure(status.problem.code, status.problem.message)
    }
  }
  await vault.sync.stop()
}

function describe({ phase, pending, attention, progress, problem }: SyncStatus): string {
  return [
    phase,
    pending > 0 ? `${count(pending, 'transaction')} to send` : 'all sent',
    ...(progress === null ? [] : [`${progress.direction} ${progress.done} of ${progress.total}`]),
    ...(attention > 0 ? [`${attention} refused`] : []),
    ...(problem === null ? [] : [`${problem.message} [${problem.code}]`]),
  ].join(' · ')
}
