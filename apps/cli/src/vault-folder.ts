/**
 * Vault folder: which folder a command works on, the passphrase of its keys, and its opening.
 */
import { codeOf, type KeyStore, keyHelper, openVault, type Vault } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { askHidden, askNewPassphrase } from './prompt.ts'
import type { Terminal } from './terminal.ts'

export type VaultOptions = { readonly vault?: string; readonly keyHelper?: string }

/** Throws `usage` when nobody said which. */
export function vaultPath({ vault }: VaultOptions, terminal: Terminal): string {
  const path = vault ?? terminal.env.BLINDCOPY_VAULT ?? ''
  if (path !== '') return path
  throw new CliError('usage', 'which vault? Name its folder with --vault DIR or BLINDCOPY_VAULT')
}

/** Opens the vault, does the work, and closes it whatever happens. */
export async function withVault<T>(
  options: VaultOptions,
  terminal: Terminal,
  work: (vault: Vault) => Promise<T>,
): Promise<T> {
  const { vault } = await openVaultFolder(vaultPath(options, terminal), options, terminal)
  try {
    return await work(vault)
  } finally {
    await vault.close()
  }
}

/** With the passphrase that opened it, if one was given or asked for. */
export async function openVaultFolder(
  path: string,
  options: VaultOptions,
  terminal: Terminal,
): Promise<{ vault: Vault; passphrase: string | undefined }> {
  const closed = { path, ...keyStoreOf(options, terminal) }
  const given = terminal.env.BLINDCOPY_PASSPHRASE
  if (given !== undefined && given !== '') {
    return { vault: await openVault({ ...closed, passphrase: given }), passphrase: given }
  }
  try {
    return { vault: await openVault(closed), passphrase: undefined }
  } catch (error) {
    if (codeOf(error) !== 'passphrase-required' || !terminal.canAsk) throw error
  }
  const passphrase = await askHidden(terminal, 'Passphrase: ')
  return { vault: await openVault({ ...closed, passphrase }), passphrase }
}

/** The key helper that was named, if one was. */
export function keyStoreOf(options: VaultOptions, terminal: Terminal): { keyStore?: KeyStore } {
  const program = options.keyHelper ?? terminal.env.BLINDCOPY_KEY_HELPER ?? ''
  return program === '' ? {} : { keyStore: keyHelper({ program }) }
}

/** The passphrase for a new vault: from the environment, or asked for twice. */
export async function newPassphrase(
  isWanted: boolean,
  terminal: Terminal,
): Promise<{ passphrase?: string }> {
  if (!isWanted) return {}
  const given = terminal.env.BLINDCOPY_PASSPHRASE ?? ''
  if (given !== '') return { passphrase: given }
  if (!terminal.canAsk) {
    throw new CliError('usage', '--passphrase needs a terminal, or BLINDCOPY_PASSPHRASE')
  }
  return { passphrase: await askNewPassphrase(terminal, 'New passphrase for this device: ') }
}
