/**
 * The emergency kit as a file: of a new vault, or of one whose phrase the person has.
 */
import { open, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { makeEmergencyKit, type Vault } from '@blindcopy/client'
import { refuseExisting } from './bundle.ts'
import { CliError } from './cli-error.ts'
import { printable } from './layout.ts'
import { readPhrase } from './read-phrase.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export async function keysKit(
  path: string,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  await refuseExisting(path)
  await withVault(options, terminal, async (vault) => {
    const recoveryPhrase = await readPhrase(terminal)
    await writeKit(path, kitOf(vault, recoveryPhrase))
    await terminal.answer({ path: resolve(path), vaultId: vault.vaultId }, describeKit(path))
  })
}

/** Throws `wrong-phrase` for another vault's phrase. */
export function kitOf(vault: Vault, recoveryPhrase: string): string {
  const { vaultId, remote } = vault
  const devices = vault.devices().filter(({ kind }) => kind === 'device')
  const deviceNames = devices.map(({ name }) => name)
  return makeEmergencyKit({ recoveryPhrase, vaultId, remote, deviceNames, madeMs: Date.now() })
}

export const describeKit = (path: string): string =>
  [
    `Wrote the emergency kit to ${printable(path)}.`,
    'Print it, keep the paper in a safe place, and delete the file: whoever has it has the vault.',
  ].join('\n')

/** Only its owner may read it; a file that is there is never written over. */
export async function writeKit(path: string, page: string): Promise<void> {
  const file = await open(path, 'wx', 0o600).catch(async (cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EEXIST') await refuseExisting(path)
    throw new CliError('unwritable', `${printable(path)} cannot be written`, { cause })
  })
  try {
    await file.writeFile(page)
    await file.sync()
  } catch (cause) {
    await rm(path, { force: true })
    throw new CliError('unwritable', `${printable(path)} cannot be written`, { cause })
  } finally {
    await file.close()
  }
}
