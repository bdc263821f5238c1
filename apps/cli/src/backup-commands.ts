/**
 * The commands of backups and kits, their arguments and options.
 */
import type { Command, Option } from 'commander'
import type { BackupCreateOptions, BackupRestoreOptions, BackupVerifyOptions } from './backup.ts'
import { addRecoveryOptions } from './restore-command.ts'
import type { Terminal } from './terminal.ts'
import type { VaultOptions } from './vault-folder.ts'

export function addBackup(program: Command, terminal: Terminal, token: Option): void {
  const backup = program
    .command('backup')
    .description('all of the vault, sealed, as a file that outlives every device and the remote')
  backup
    .command('create <FILE>')
    .description('write everything this device holds; a killed one goes on when run again')
    .option('--force', 'replace a file that is there')
    .action(async (path: string, _options: BackupCreateOptions, command: Command) => {
      const { createBackup } = await import('./backup.ts')
      await createBackup(path, command.optsWithGlobals<BackupCreateOptions>(), terminal)
    })
  const verifying = backup
    .command('verify <FILE>')
    .description('whether it is whole; with a vault, what changed since; changes nothing')
  addRecoveryOptions(verifying)
  verifying
    .option('--phrase', 'try whether the recovery phrase opens all of it (asked for, or on stdin)')
    .action(async (path: string, _options: BackupVerifyOptions, command: Command) => {
      const { verify } = await import('./backup.ts')
      await verify(path, command.optsWithGlobals<BackupVerifyOptions>(), terminal)
    })
  const restoring = backup
    .command('restore <FILE>')
    .description('make the vault of a backup here again, by its phrase or another way back')
  addRecoveryOptions(restoring)
  restoring
    .requiredOption(
      '--remote <URL>',
      'the address of the remote; it may be empty, or not there yet',
    )
    .addOption(token)
    .option('--name <NAME>', 'what this device is called (its host name)')
    .option('--passphrase', 'protect the keys on this disk by a passphrase')
    .action(async (path: string, _options: BackupRestoreOptions, command: Command) => {
      const { restoreFromBackup } = await import('./backup.ts')
      await restoreFromBackup(path, command.optsWithGlobals<BackupRestoreOptions>(), terminal)
    })
}

/** Below the `keys` that others may have added. */
export function addKit(program: Command, terminal: Terminal): void {
  const keys =
    program.commands.find((command) => command.name() === 'keys') ??
    program.command('keys').description('the ways back into the vault')
  keys
    .command('kit <FILE>')
    .description('write a page to print, with the phrase (asked for, or on stdin) and what to do')
    .action(async (path: string, _options: VaultOptions, command: Command) => {
      const { keysKit } = await import('./kit.ts')
      await keysKit(path, command.optsWithGlobals<VaultOptions>(), terminal)
    })
}
