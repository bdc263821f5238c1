/**
 * keys passphrase: sets, changes and removes the passphrase of this device's keys; and keys helper:
 * closes them with a secret that another program keeps. Nothing secret stands on the command line.
 */
import { keyHelper, type Vault } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { askNewPassphrase } from './prompt.ts'
import type { Terminal } from './terminal.ts'
import { openVaultFolder, type VaultOptions, vaultPath } from './vault-folder.ts'

type Opened = { readonly vault: Vault; readonly passphrase: string | undefined }

/** Throws `usage` where there is one already. */
export function setPassphrase(options: VaultOptions, terminal: Terminal): Promise<void> {
  return withOpened(options, terminal, async ({ vault }) => {
    if ((await vault.protection.state()).passphrase) {
      throw new CliError('usage', 'the keys have a passphrase: `keys passphrase change` changes it')
    }
    await vault.protection.changePassphrase({ next: await nextPassphrase(terminal) })
    const text = 'The keys of this device are under a passphrase now. Nobody can reset it.'
    await terminal.answer({ passphrase: true }, text)
  })
}

export function changePassphrase(options: VaultOptions, terminal: Terminal): Promise<void> {
  return withOpened(options, terminal, async ({ vault, passphrase: current }) => {
    await mustHavePassphrase(vault)
    const next = await nextPassphrase(terminal)
    await vault.protection.changePassphrase({ current, next })
    await terminal.answer({ passphrase: true }, 'The passphrase is changed. Nobody can reset it.')
  })
}

export function removePassphrase(options: VaultOptions, terminal: Terminal): Promise<void> {
  return withOpened(options, terminal, async ({ vault, passphrase: current }) => {
    await mustHavePassphrase(vault)
    await vault.protection.changePassphrase({ current })
    const { keyStore } = await vault.protection.state()
    const left = keyStore === null ? 'Who can read its folder can use them.' : ''
    const text = `The keys of this device are under no passphrase any more. ${left}`.trim()
    await terminal.answer({ passphrase: false }, text)
  })
}

/** `--key-helper` names the helper of now, if there is one; `program` the one from now on. */
export function setKeyHelper(
  program: string | undefined,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  return withOpened(options, terminal, async ({ vault, passphrase }) => {
    const next = program === undefined ? undefined : keyHelper({ program })
    const { isOldForgotten } = await vault.protection.changeKeyStore({ passphrase, next })
    if (!isOldForgotten) {
      terminal.warn(
        'key-store-failed',
        'the helper of before may still keep its secret, which opens nothing',
      )
    }
    const text =
      program === undefined
        ? 'The keys of this device are closed with no helper any more.'
        : [
            `The keys of this device are closed with a secret that ${program} keeps:`,
            'name it with --key-helper, or BLINDCOPY_KEY_HELPER, from now on.',
          ].join(' ')
    await terminal.answer({ keyHelper: program ?? null }, terminal.fit(text, 0))
  })
}

async function withOpened(
  options: VaultOptions,
  terminal: Terminal,
  work: (opened: Opened) => Promise<void>,
): Promise<void> {
  const opened = await openVaultFolder(vaultPath(options, terminal), options, terminal)
  try {
    await work(opened)
  } finally {
    await opened.vault.close()
  }
}

async function mustHavePassphrase(vault: Vault): Promise<void> {
  if ((await vault.protection.state()).passphrase) return
  throw new CliError('usage', 'the keys have no passphrase: `keys passphrase set` gives them one')
}

/** From the environment, or asked for twice. */
async function nextPassphrase(terminal: Terminal): Promise<string> {
  const given = terminal.env.BLINDCOPY_NEW_PASSPHRASE ?? ''
  if (given !== '') return given
  if (!terminal.canAsk) {
    throw new CliError('usage', 'a new passphrase needs a terminal, or BLINDCOPY_NEW_PASSPHRASE')
  }
  return askNewPassphrase(terminal, 'New passphrase for this device: ')
}
