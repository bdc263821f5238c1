/**
 * keys verify, the drill: whether a way back into the vault opens its keys of now. Changes nothing,
 * here or at the remote. And keys end-fork, which takes the phrase to settle two lists of devices.
 */
import type { KeyCheck, RecoveryForm } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { describeMembers } from './device-list.ts'
import { count, formatAgo, formatTime } from './layout.ts'
import { type ChoiceOptions, choiceOf } from './member-choice.ts'
import { readPhrase } from './read-phrase.ts'
import { type RecoveryOptions, readRecovery, readRecoveryFiles } from './recovery-input.ts'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export type KeysVerifyOptions = VaultOptions & Pick<RecoveryOptions, 'shares'>

export async function verifyKey(
  paths: readonly string[],
  options: KeysVerifyOptions,
  terminal: Terminal,
): Promise<void> {
  if (options.shares === true && paths.length > 0) {
    throw new CliError('usage', 'files are taken for what they are: leave --shares out')
  }
  await withVault(options, terminal, async (vault) => {
    const { shares } = options
    const source =
      paths.length > 0
        ? await readRecoveryFiles(paths, terminal)
        : await readRecovery(shares === undefined ? {} : { shares }, terminal)
    const check = await vault.keys.verify(source)
    await terminal.answer(check, describeKeyCheck(check, Date.now()))
  })
}

const FORMS: Readonly<Record<RecoveryForm, string>> = {
  phrase: 'The recovery phrase opens',
  'key-file': 'The key file opens',
  shares: 'The shares open',
}

export function describeKeyCheck(check: KeyCheck, nowMs: number): string {
  const { form, madeMs, epoch, isRemoteAsked, since } = check
  const made =
    madeMs === null
      ? 'with the vault; it does not grow old'
      : `${formatTime(madeMs)} (${formatAgo(madeMs, nowMs)})`
  const asked = isRemoteAsked
    ? 'with the list of devices that the remote has now'
    : 'with the list of devices as it is here: the remote is out of reach'
  return [
    `${FORMS[form]} the vault, with its newest key (number ${epoch}).`,
    `  made   ${made}`,
    ...(madeMs === null ? [] : [`  since  ${describeSince(since)}`]),
    `  tried  ${asked}`,
    'Nothing was changed.',
  ].join('\n')
}

function describeSince({ devicesAdded, membersRevoked, epochs }: KeyCheck['since']): string {
  const parts = [
    ...(devicesAdded > 0 ? [`${count(devicesAdded, 'device')} added`] : []),
    ...(membersRevoked > 0 ? [`${count(membersRevoked, 'member')} removed`] : []),
    ...(epochs > 0 ? [`${count(epochs, 'new key')}`] : []),
  ]
  return parts.length === 0 ? 'nobody came or went' : `${parts.join(', ')}: it goes with all that`
}

export type EndForkOptions = VaultOptions & ChoiceOptions

export async function endFork(options: EndForkOptions, terminal: Terminal): Promise<void> {
  const review = choiceOf(options, terminal, { mayBringBack: true })
  await withVault(options, terminal, async (vault) => {
    const recoveryPhrase = await readPhrase(terminal)
    await vault.keys.endFork({ recoveryPhrase, ...(review === undefined ? {} : { review }) })
    await syncPass(vault, terminal)
    const { nowMs, columns } = { nowMs: Date.now(), columns: terminal.columns }
    const status = vault.keys.status()
    const text = [
      'There is one list of devices again; each goes over to it by itself.',
      '',
      describeMembers(status, new Map(), { withRevoked: true, columns, nowMs }),
    ].join('\n')
    const { devices, recoveryKeys, revoked } = status
    await terminal.answer({ devices, recoveryKeys, revoked }, text)
  })
}
