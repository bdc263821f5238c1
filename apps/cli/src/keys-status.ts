/**
 * keys status: which keys the vault has, who holds them, and which ways back there are. Asks
 * nobody. And keys rotate: a new key for what is written from now on.
 */
import type { KeysStatus, Vault } from '@blindcopy/client'
import { atRemote } from './at-remote.ts'
import { type MemberNames, namesIn } from './device-list.ts'
import { count, formatAgo, formatRows, formatSpan, wrap } from './layout.ts'
import { shownName } from './member-names.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export async function keysStatus(options: VaultOptions, terminal: Terminal): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    const status = withSyncProblem(vault)
    const hints = hintsOf(status, Date.now())
    const protection = await vault.protection.state()
    const json = { ...status, protection, hints: hints.map(({ code }) => code) }
    const text = describeKeys(status, protection.passphrase, {
      columns: terminal.columns,
      nowMs: Date.now(),
    })
    await terminal.answer(json, text)
  })
}

export async function rotateKeys(options: VaultOptions, terminal: Terminal): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    await atRemote(vault, terminal, () => vault.keys.rotate())
    const { epoch } = vault.keys.status()
    const text = [
      `The vault has a new key, its number ${epoch}: every device gets it when it syncs.`,
      'Phrase, key files and shares open it as they are. What was written before keeps its key.',
    ]
    await terminal.answer({ epoch }, text.join('\n'))
  })
}

/** A device that was removed is given no newer list: that sync was refused is how it knows. */
function withSyncProblem(vault: Vault): KeysStatus {
  const status = vault.keys.status()
  const isOut = vault.sync.status.problem?.code === 'not-a-member'
  return isOut ? { ...status, trouble: 'device-revoked' } : status
}

const LABEL_COLUMNS = 10

export function describeKeys(
  status: KeysStatus,
  hasPassphrase: boolean,
  { columns, nowMs }: { readonly columns: number; readonly nowMs: number },
): string {
  const { epoch, epochBegunMs, devices, trouble } = status
  const rows: (readonly [string, string])[] = [
    ['key', `number ${epoch}, since ${formatAgo(epochBegunMs, nowMs)}`],
    ['devices', `${devices.length}: ${devices.map(({ name }) => shownName(name)).join(', ')}`],
    ['this one', hasPassphrase ? 'its keys are under a passphrase' : 'its keys have no passphrase'],
  ]
  const hints = [...troubleOf(trouble), ...hintsOf(status, nowMs).map(({ text }) => text)]
  return [
    'Keys of the vault',
    ...rows.map(
      ([label, text]) =>
        `  ${label.padEnd(LABEL_COLUMNS)}${wrap(text, columns, LABEL_COLUMNS + 2)}`,
    ),
    '',
    'Ways back into it',
    formatRows(waysBack(status, namesIn(status), nowMs), columns),
    ...(hints.length === 0 ? [] : ['']),
    ...hints.map((text) => `- ${wrap(text, columns, 2)}`),
  ].join('\n')
}

function waysBack({ recoveryKeys }: KeysStatus, names: MemberNames, nowMs: number): string[][] {
  const phrase = ['  -', 'recovery phrase', 'as old as the vault; cannot be revoked']
  return [
    phrase,
    ...recoveryKeys.map(({ deviceId, name, addedMs, addedBy }) => [
      `  ${names.shortId(deviceId)}`,
      shownName(name),
      `made ${formatAgo(addedMs, nowMs)} by ${names.of(addedBy)}`,
    ]),
  ]
}

type Hint = { readonly code: string; readonly text: string }

const OLD_MS = 365 * 86_400_000

function hintsOf({ devices, recoveryKeys, trouble }: KeysStatus, nowMs: number): Hint[] {
  const hints: Hint[] = []
  // Who is out makes no keys.
  if (trouble === 'device-revoked') return hints
  if (recoveryKeys.length === 0) {
    const text =
      'There is no way back but the phrase. `blindcopy keys backup key-file FILE` makes a file under a passphrase; `keys backup shares` makes papers for people you trust.'
    hints.push({ code: 'phrase-alone', text })
  }
  if (devices.length === 1) {
    const text =
      'This is the only device: if it is lost, everything depends on the ways back. Try yours with `blindcopy keys verify`.'
    hints.push({ code: 'one-device', text })
  }
  const old = recoveryKeys.filter(({ addedMs }) => nowMs - addedMs > OLD_MS)
  if (old.length > 0) {
    const oldest = Math.max(...old.map(({ addedMs }) => nowMs - addedMs))
    const [are, them] = old.length === 1 ? ['is', 'it'] : ['are', 'them']
    const text = [
      `${count(old.length, 'backup')} of the keys ${are} up to ${formatSpan(oldest)} old:`,
      `do you still have ${them}?`,
      '`blindcopy keys verify` tries one, `keys revoke` ends one.',
    ].join(' ')
    hints.push({ code: 'old-backups', text })
  }
  return hints
}

function troubleOf(trouble: KeysStatus['trouble']): string[] {
  if (trouble === 'device-revoked') {
    return [
      'THIS DEVICE WAS REMOVED from the vault: what it holds can be read here and exported, and nothing new is written. To use it again: `blindcopy devices join` into a new folder.',
    ]
  }
  if (trouble === 'key-mismatch') {
    return [
      'THE NEWEST KEY DOES NOT OPEN HERE: who made it has left this device out. Nothing new is written until that is settled; ask on your other devices.',
    ]
  }
  return []
}
