/**
 * devices revoke and keys revoke: members go, and with them what they have added. Shown before it
 * is done, and said afterwards what it means: a new key closes what is written from then on, and
 * nothing takes back what a device has read.
 */
import { codeOf, type KeysStatus, type Vault, type VaultDevice } from '@blindcopy/client'
import { atRemote } from './at-remote.ts'
import { CliError } from './cli-error.ts'
import { activeIn, type MemberNames, namesIn } from './device-list.ts'
import { count, formatAgo, formatRows, wrap } from './layout.ts'
import { findMemberId, shownName } from './member-names.ts'
import { parseMoment } from './moment.ts'
import { askYesOrNo } from './pairing-prompt.ts'
import { ask } from './prompt.ts'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export type RevokeOptions = VaultOptions & { readonly since?: string; readonly yes?: boolean }

export function revokeDevices(
  given: readonly string[],
  options: RevokeOptions,
  terminal: Terminal,
): Promise<void> {
  return revokeFrom(given, options, { terminal, among: activeIn, describe: describeGone })
}

/**
 * A recovery key: whoever finds the file or the shares later opens nothing with them. A device that
 * came in by it stays unless the person says otherwise: it may be this one.
 */
export function revokeKeys(
  given: readonly string[],
  options: RevokeOptions,
  terminal: Terminal,
): Promise<void> {
  const among = ({ recoveryKeys }: KeysStatus): readonly VaultDevice[] => recoveryKeys
  return revokeFrom(given, options, { terminal, among, describe: describeEnded })
}

type Revocation = {
  readonly terminal: Terminal
  /** Who of the vault may be meant. */
  readonly among: (status: KeysStatus) => readonly VaultDevice[]
  readonly describe: (gone: readonly VaultDevice[], told: Told) => string
}

async function revokeFrom(
  given: readonly string[],
  options: RevokeOptions,
  { terminal, among, describe }: Revocation,
): Promise<void> {
  mayAct(options, terminal)
  const nowMs = Date.now()
  const sinceMs = options.since === undefined ? undefined : parseMoment(options.since, nowMs)
  await withVault(options, terminal, async (vault) => {
    await learnMembers(vault, terminal)
    const before = vault.keys.status()
    const going = findAll(given, among(before))
    const names = namesIn(before)
    const asking = { vault, terminal, names, options, going }
    const withAddedSinceMs = sinceMs ?? (await askSince(asking, nowMs))
    if (!(await confirmGoing(asking, withAddedSinceMs))) return await answerNothing(terminal)
    const ids = going.map(({ deviceId }) => deviceId)
    const gone = await atRemote(vault, terminal, () => vault.keys.revoke(ids, { withAddedSinceMs }))
    const status = vault.keys.status()
    const told = { names, status, columns: terminal.columns }
    await terminal.answer({ revoked: gone, epoch: status.epoch }, describe(gone, told))
  })
}

function describeEnded(gone: readonly VaultDevice[], { columns }: Told): string {
  const ended = gone.map(({ name }) => `"${shownName(name)}" opens the vault no more.`)
  const means =
    'Destroy the file or the papers: with an old copy of the remote they still open what was written until now.'
  return [...ended, wrap(means, columns)].join('\n')
}

/**
 * The newest list, so that all who go are shown before they do. Only received: what waits here is
 * not sent under a key that a stolen device has. A sync that has stopped for something else does
 * not keep a thief in.
 */
async function learnMembers(vault: Vault, terminal: Terminal): Promise<void> {
  try {
    await syncPass(vault, terminal, 'pull')
  } catch (error) {
    const code = codeOf(error) ?? ''
    if (ENDS_IT.has(code)) throw error
  }
}

const ENDS_IT: ReadonlySet<string> = new Set([
  'network',
  'not-a-remote',
  'not-a-member',
  'device-revoked',
])

/** Before anything is opened: nobody is there to be asked. */
function mayAct({ yes }: RevokeOptions, terminal: Terminal): void {
  if (yes === true || terminal.canAsk) return
  throw new CliError('usage', 'nobody can be asked here: give --yes to go on without a question')
}

function findAll(given: readonly string[], members: readonly VaultDevice[]): VaultDevice[] {
  const named = members.map((member) => ({ ...member, id: member.deviceId }))
  const ids = new Set(given.map((text) => findMemberId(text, named)))
  return members.filter(({ deviceId }) => ids.has(deviceId))
}

type Asking = {
  readonly vault: Vault
  readonly terminal: Terminal
  readonly names: MemberNames
  readonly options: RevokeOptions
  readonly going: readonly VaultDevice[]
}

/** Since when what they have added is not to be trusted; only asked where they have added some. */
async function askSince(asking: Asking, nowMs: number): Promise<number> {
  const { vault, terminal, options, going } = asking
  const ids = going.map(({ deviceId }) => deviceId)
  const added = vault.keys.addedBy(ids, 0).filter(({ isThis }) => !isThis)
  if (added.length === 0) return nowMs
  if (options.yes === true || !terminal.canAsk) {
    terminal.warn(
      'added-stays',
      `${count(added.length, 'member')} that they have added before stay: --since says from when on they go too`,
    )
    return nowMs
  }
  const subject = going.length === 1 ? 'It has' : 'They have'
  terminal.note(`${subject} let these into the vault:\n`)
  terminal.note(tableOf(added, asking, nowMs))
  terminal.note(
    `\n${wrap('A thief may have added devices or keys of their own. Since when was it out of your hands? Whatever was added since then goes with it.', terminal.messageColumns)}`,
  )
  for (;;) {
    const answer = await ask(terminal, '(3h, 2d, 2026-11-20, "all", or Enter for none of them) ')
    try {
      return answer.trim() === '' ? nowMs : parseMoment(answer, nowMs)
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      terminal.note(wrap(error.message, terminal.messageColumns))
    }
  }
}

const answerNothing = (terminal: Terminal): Promise<void> =>
  terminal.answer({ revoked: [] }, 'Nothing was changed.')

async function confirmGoing(asking: Asking, sinceMs: number): Promise<boolean> {
  const { vault, terminal, options, going } = asking
  if (options.yes === true) return true
  const ids = going.map(({ deviceId }) => deviceId)
  const all = [...going, ...vault.keys.addedBy(ids, sinceMs)]
  terminal.note('\nThese go:\n')
  terminal.note(`${tableOf(all, asking, Date.now())}\n`)
  const asker = { ask: (question: string) => ask(terminal, question), close: () => undefined }
  return askYesOrNo(asker, `Remove ${all.length === 1 ? 'it' : 'them'}?`)
}

function tableOf(members: readonly VaultDevice[], { names, terminal }: Asking, nowMs: number) {
  const rows = members.map((member) => [
    `  ${names.shortId(member.deviceId)}`,
    `${shownName(member.name)}${member.kind === 'recovery' ? ' (recovery key)' : ''}`,
    `added ${formatAgo(member.addedMs, nowMs)} by ${names.of(member.addedBy)}`,
  ])
  return formatRows(rows, terminal.messageColumns)
}

/** A key file or set of shares that let one in opens the vault still. */
function keysBehind(gone: readonly VaultDevice[], { recoveryKeys }: KeysStatus): VaultDevice[] {
  return recoveryKeys.filter(({ deviceId }) => gone.some(({ addedBy }) => addedBy === deviceId))
}

type Told = { readonly names: MemberNames; readonly status: KeysStatus; readonly columns: number }

function describeGone(gone: readonly VaultDevice[], { names, status, columns }: Told): string {
  if (gone.length === 0) return 'Nobody was left to remove.'
  const removed = gone.map(
    ({ deviceId, name }) => `Removed "${shownName(name)}" (${names.shortId(deviceId)}).`,
  )
  const one = gone.length === 1
  const means = [
    `The vault has a new key: what is written from now on is closed to ${one ? 'it' : 'them'}, and the remote takes nothing from ${one ? 'it' : 'them'} any more.`,
    `What ${one ? 'it' : 'they'} held until now can still be read there. If somebody else has ${one ? 'the device' : 'a device'}, change the passwords and tokens that stood in your records, beginning with your mail.`,
    ...keysBehind(gone, status).map(
      ({ deviceId, name }) =>
        `"${shownName(name)}" let ${one ? 'it' : 'one of them'} in, and still opens the vault: if it may be in other hands, \`blindcopy keys revoke ${names.shortId(deviceId)}\`.`,
    ),
    `To use ${one ? 'it' : 'one of them'} again, let it in anew: \`blindcopy devices invite\`.`,
  ]
  return [...removed, '', ...means.map((text) => `- ${wrap(text, columns, 2)}`)].join('\n')
}
