/**
 * The commands of `remote`: what whoever runs a remote does with it. Each is loaded when it is
 * called.
 */
import type { Command } from 'commander'
import type { RemoteOptions } from './remote-access.ts'
import type { RemoteBackupOptions } from './remote-backup.ts'
import type { RemovalOptions, ResetOptions } from './remote-removal.ts'
import type { RemoteRestoreOptions } from './remote-restore.ts'
import { digitsOfId } from './remote-text.ts'
import type { QuotaOptions } from './remote-vaults.ts'
import type { Terminal } from './terminal.ts'

export function addRemote(program: Command, terminal: Terminal): void {
  const remote = program
    .command('remote')
    .description('run a remote: its vaults, backups, checks; beside a server or without one')
    .option('--data <DIR>', 'its data folder (or BLINDCOPY_DATA; ~/.local/share/blindcopy/remote)')
    .option('--config <FILE>', 'its settings (or BLINDCOPY_CONFIG; remote.toml of the data folder)')
  addLooking(remote, terminal)
  addFiles(remote, terminal)
  addMending(remote, terminal)
  addTokens(remote, terminal)
  for (const argument of remote.commands.flatMap((command) => command.registeredArguments)) {
    if (argument.name() === 'ID') argument.argParser(digitsOfId)
  }
}

function addLooking(remote: Command, terminal: Terminal): void {
  remote
    .command('vaults', { isDefault: true })
    .description('every vault: records, sizes, devices, the last push, its quota')
    .action(async (...rest: [unknown, Command]) => {
      const { listVaults } = await import('./remote-vaults.ts')
      await listVaults(optionsOf(rest), terminal)
    })
  remote
    .command('inspect <ID>')
    .description('all that this remote knows of a vault; ID is its id, or the beginning')
    .action(async (id: string, ...rest: [unknown, Command]) => {
      const { inspectVault } = await import('./remote-vaults.ts')
      await inspectVault(id, optionsOf(rest), terminal)
    })
  remote
    .command('quota <ID>')
    .description('what a vault may hold here, or another quota for it')
    .option('--bytes <SIZE>', 'of records and log, such as 10GiB')
    .option('--records <N>', 'how many records')
    .option('--devices <N>', 'how many devices at once')
    .option('--default', 'as configured for all vaults')
    .action(async (id: string, ...rest: [unknown, Command]) => {
      const { quotaOfVault } = await import('./remote-vaults.ts')
      await quotaOfVault(id, optionsOf<QuotaOptions>(rest), terminal)
    })
}

function addFiles(remote: Command, terminal: Terminal): void {
  remote
    .command('backup <FILE|FOLDER>')
    .description('all vaults into a file, or into a folder, where what has not changed is left')
    .option('--only <ID>', 'only this vault (may be repeated, into a folder)', collect)
    .option('--force', 'write over a file that is there')
    .action(async (target: string, ...rest: [unknown, Command]) => {
      const { backupRemote } = await import('./remote-backup.ts')
      await backupRemote(target, optionsOf<RemoteBackupOptions>(rest), terminal)
    })
  remote
    .command('verify-restore <FILE|FOLDER>')
    .description('check that a backup would come back whole; needs no key and changes nothing')
    .action(async (target: string) => {
      const { verifyRestore } = await import('./remote-backup.ts')
      await verifyRestore(target, terminal)
    })
  const restore = remote
    .command('restore <FILE|FOLDER>')
    .description('take the vaults of a backup; every device then compares and brings what is newer')
    .option('--only <ID>', 'only this vault (may be repeated)', collect)
  addReplacing(restore).action(async (target: string, ...rest: [unknown, Command]) => {
    const { restoreRemote } = await import('./remote-restore.ts')
    await restoreRemote(target, optionsOf<RemoteRestoreOptions>(rest), terminal)
  })
  remote
    .command('export <ID> <FILE>')
    .description('one vault into a file, for another host')
    .option('--force', 'write over a file that is there')
    .action(async (id: string, target: string, ...rest: [unknown, Command]) => {
      const { exportVault } = await import('./remote-backup.ts')
      await exportVault(id, target, optionsOf<RemoteBackupOptions>(rest), terminal)
    })
  addReplacing(
    remote.command('import <FILE>').description('take a vault that another host has exported'),
  ).action(async (target: string, ...rest: [unknown, Command]) => {
    const { importVault } = await import('./remote-restore.ts')
    await importVault(target, optionsOf<RemoteRestoreOptions>(rest), terminal)
  })
}

const addReplacing = (command: Command): Command =>
  command
    .option('--replace', 'take away what is here of a vault, where it went another way')
    .option('--yes', 'ask nothing')

function addMending(remote: Command, terminal: Terminal): void {
  remote
    .command('check [ID]')
    .description('compare all that stands in the database with itself; changes nothing')
    .action(async (id: string | undefined, ...rest: [unknown, Command]) => {
      const { checkRemote } = await import('./remote-check.ts')
      await checkRemote(id, optionsOf(rest), terminal)
    })
  remote
    .command('repair [ID]')
    .description('put right what can be; devices bring back what was lost')
    .action(async (id: string | undefined, ...rest: [unknown, Command]) => {
      const { repairRemote } = await import('./remote-check.ts')
      await repairRemote(id, optionsOf(rest), terminal)
    })
  remote
    .command('reset <ID>')
    .description('empty a vault; its devices and keys stay, and its devices send all again')
    .option('--keep-records', 'only a new SyncId: the devices compare what they hold')
    .option('--yes', 'ask nothing')
    .action(async (id: string, ...rest: [unknown, Command]) => {
      const { resetVault } = await import('./remote-removal.ts')
      await resetVault(id, optionsOf<ResetOptions>(rest), terminal)
    })
  remote
    .command('delete <ID>')
    .description('take a vault from this remote')
    .option('--yes', 'ask nothing')
    .action(async (id: string, ...rest: [unknown, Command]) => {
      const { deleteVault } = await import('./remote-removal.ts')
      await deleteVault(id, optionsOf<RemovalOptions>(rest), terminal)
    })
}

function addTokens(remote: Command, terminal: Terminal): void {
  const tokens = remote.command('tokens').description('what new vaults and the admin page ask for')
  tokens
    .command('show', { isDefault: true })
    .description('both of them')
    .action(async (...rest: [unknown, Command]) => {
      const { showTokens } = await import('./remote-tokens.ts')
      await showTokens(optionsOf(rest), terminal)
    })
  tokens
    .command('rotate <registration|admin>')
    .description('make another one; the old one is refused at once')
    .action(async (name: string, ...rest: [unknown, Command]) => {
      const { rotateToken } = await import('./remote-tokens.ts')
      await rotateToken(name, optionsOf(rest), terminal)
    })
}

function optionsOf<T extends RemoteOptions = RemoteOptions>([, command]: [unknown, Command]): T {
  return command.optsWithGlobals<T>()
}

function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), digitsOfId(value)]
}
