/**
 * sync: exchanges everything once, or stays in step until it is told to stop.
 */
import { codeOf, type Vault } from '@blindcopy/client'
import { CliError, SyncFailure, TOKEN_REFUSED } from './cli-error.ts'
import { count } from './layout.ts'
import { type Direction, reconciled, syncPass } from './sync-pass.ts'
import { watchSync } from './sync-watch.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export type SyncOptions = VaultOptions & {
  readonly watch?: boolean
  /** Seconds; stays until it is told to stop, as `watch` does. */
  readonly interval?: number
  readonly pullOnly?: boolean
  readonly pushOnly?: boolean
  readonly retry?: boolean
  readonly acceptClock?: boolean
  /** Go on after sync has stopped for what another device has signed. */
  readonly reconcile?: boolean
  readonly registrationToken?: string
}

export async function sync(options: SyncOptions, terminal: Terminal): Promise<void> {
  const direction = directionOf(options)
  await withVault(options, terminal, async (vault) => {
    const { registrationToken: token, interval } = options
    if (options.retry) await vault.sync.retry()
    if (options.acceptClock) await vault.sync.acceptClock()
    if (options.reconcile) await reconciled(vault)
    if (options.watch !== true && interval === undefined) {
      await once(vault, { direction, token }, terminal)
    } else {
      await watchSync(vault, { direction, token, interval }, terminal)
    }
  })
}

function directionOf({ pullOnly, pushOnly }: SyncOptions): Direction {
  if (pullOnly && pushOnly) throw new CliError('usage', 'choose one: --pull-only or --push-only')
  if (pullOnly) return 'pull'
  return pushOnly ? 'push' : 'both'
}

type Once = { readonly direction: Direction; readonly token: string | undefined }

async function once(vault: Vault, { direction, token }: Once, terminal: Terminal): Promise<void> {
  const { sent, received, notices } = await syncPass(vault, terminal, direction).catch(
    async (error) => {
      // Kept only where it is asked for: one in the environment is not written at each sync.
      if (token === undefined || codeOf(error) !== 'registration-required') throw error
      await vault.setRegistrationToken(token)
      return syncPass(vault, terminal, direction).catch((again) => {
        if (codeOf(again) !== 'registration-required') throw again
        throw new SyncFailure('registration-required', TOKEN_REFUSED, { cause: again })
      })
    },
  )
  const { pending, attention, conflicts, lastSyncedMs } = vault.sync.status
  const quarantined = (await vault.quarantined()).length
  const done = [
    `${DONE[direction]} ${vault.remote}`,
    ...describeTraffic(direction, { sent, received }),
  ].join('; ')
  const text = [
    `${done}.`,
    ...(pending > 0 ? [`${count(pending, 'transaction')} to send.`] : []),
    ...(conflicts > 0 ? [`${count(conflicts, 'conflict')}: \`blindcopy conflicts\`.`] : []),
    ...(quarantined > 0
      ? [`${count(quarantined, 'version')} set aside, not opening here: tried again at each sync.`]
      : []),
  ].join('\n')
  await terminal.answer(
    { sent, received, pending, attention, conflicts, quarantined, lastSyncedMs, notices },
    text,
  )
  if (attention > 0) {
    throw new CliError('needs-attention', `${count(attention, 'transaction')} could not be sent`)
  }
}

const DONE: Readonly<Record<Direction, string>> = {
  both: 'In step with',
  pull: 'Received all there is at',
  push: 'Sent to',
}

function describeTraffic(
  direction: Direction,
  { sent, received }: { sent: number; received: number },
): string[] {
  const isIdle = sent === 0 && received === 0
  if (isIdle) return direction === 'pull' ? ['nothing was new'] : ['nothing was waiting to be sent']
  return [
    ...(sent > 0 ? [`sent ${count(sent, 'transaction')}`] : []),
    ...(received > 0 ? [`received ${count(received, 'change')}`] : []),
  ]
}
