/**
 * Program: the commands, their arguments and options, and nothing of what they do. Each command is
 * loaded when it is called, so that `serve` never loads what could open an envelope.
 */
import { Command, InvalidArgumentError, Option } from 'commander'
import { addBackup, addKit } from './backup-commands.ts'
import type { BundleExportOptions } from './bundle.ts'
import type { ResolveOptions } from './conflicts.ts'
import { addDevices } from './device-commands.ts'
import { addHistory } from './history-commands.ts'
import type { ImportOptions } from './import.ts'
import type { InitOptions } from './init.ts'
import { addKeys } from './key-commands.ts'
import { addRemote } from './remote-commands.ts'
import { addRestoreTo } from './restore-command.ts'
import type { Flags } from './serve/read-settings.ts'
import type { SyncOptions } from './sync.ts'
import type { Terminal } from './terminal.ts'
import type { VaultOptions } from './vault-folder.ts'
import { addVerify } from './verify-commands.ts'

export function createProgram(version: string, terminal: Terminal): Command {
  const program = new Command('blindcopy')
    .description('End-to-end encrypted sync: your records, and a remote that cannot read them')
    .version(version)
    .option('--vault <DIR>', 'the folder of the vault (or BLINDCOPY_VAULT)')
    .option('--key-helper <PROGRAM>', 'what keeps the secret of its keys (or BLINDCOPY_KEY_HELPER)')
    .option('--json', 'answer in JSON, one object a line')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => terminal.output.write(text),
      // main.ts tells errors, in one form for all.
      writeErr: () => undefined,
      outputError: () => undefined,
    })
    .exitOverride()
    .addHelpText('after', EXIT_CODES)
  addServe(program, terminal, version)
  addRemote(program, terminal)
  addInit(program, terminal)
  addRestore(program, terminal)
  addRecords(program, terminal)
  addFiles(program, terminal)
  addBundle(program, terminal)
  addBackup(program, terminal, registrationToken('what the remote wants from a new vault'))
  addDevices(program, terminal)
  addKeys(program, terminal)
  addSync(program, terminal)
  addHistory(program, terminal)
  addVerify(program, terminal)
  addConflicts(program, terminal)
  addAttention(program, terminal)
  // Below the `keys` that stand by now.
  addKit(program, terminal)
  return program
}

const EXIT_CODES = `
Exit codes: 0 done, 1 anything else, 2 usage or input, 3 refused, 4 network,
5 integrity, 130 or 143 stopped. A key that begins with - goes after --, such as
blindcopy get notes -- -key`

/** Its settings are many: their schema is loaded when it is called (`blindcopy serve --help`). */
function addServe(program: Command, terminal: Terminal, version: string): void {
  const command = program
    .command('serve')
    .description('serve a remote from this machine')
    .action(async (options: Flags & { readonly printConfig?: boolean }) => {
      const { serve } = await import('./serve.ts')
      await serve({ ...options, version }, terminal)
    })
    .addHelpText('after', ({ command }) =>
      command.options.length > 0 ? '' : '\n`blindcopy serve --help` lists its settings.',
    )
  program.hook('preSubcommand', async (_program, called) => {
    if (called !== command) return
    const { addSettings } = await import('./serve/options.ts')
    addSettings(command)
  })
}

function addInit(program: Command, terminal: Terminal): void {
  program
    .command('init')
    .description('make a new vault; prints its recovery phrase, once')
    .requiredOption('--remote <URL>', 'the address of the remote')
    .addOption(registrationToken('what the remote wants from a new vault'))
    .option('--name <NAME>', 'what this device is called (its host name)')
    .option('--passphrase', 'protect the keys on this disk by a passphrase')
    .option('--no-confirm', 'do not ask for words of the phrase')
    .option('--kit <FILE>', 'write an emergency kit to print, with the phrase in it')
    .action(async (_options: InitOptions, command: Command) => {
      const { init } = await import('./init.ts')
      await init(command.optsWithGlobals<InitOptions>(), terminal)
    })
}

function addRestore(program: Command, terminal: Terminal): void {
  addRestoreTo(
    program,
    'become a device of a vault again: by its phrase, or another way back',
    terminal,
  )
}

function addRecords(program: Command, terminal: Terminal): void {
  type Own = Record<string, unknown>
  program
    .command('put <COLLECTION> <KEY> [JSON]')
    .description('store a record; - or nothing reads its JSON from stdin')
    .action(async (collection: string, key: string, text: string | undefined, ...rest) => {
      const { put } = await import('./records.ts')
      await put({ collection, key, text }, vaultOptions(rest), terminal)
    })
  program
    .command('get <COLLECTION> <KEY>')
    .description('print a record')
    .action(async (collection: string, key: string, ...rest: [Own, Command]) => {
      const { get } = await import('./records.ts')
      await get({ collection, key }, vaultOptions(rest), terminal)
    })
  program
    .command('delete <COLLECTION> <KEY>')
    .description('delete a record')
    .action(async (collection: string, key: string, ...rest: [Own, Command]) => {
      const { remove } = await import('./records.ts')
      await remove({ collection, key }, vaultOptions(rest), terminal)
    })
  program
    .command('list [COLLECTION]')
    .description('list the records of a collection, or the collections there are')
    .action(async (collection: string | undefined, ...rest: [Own, Command]) => {
      const { list } = await import('./records.ts')
      await list(collection, vaultOptions(rest), terminal)
    })
}

function addFiles(program: Command, terminal: Terminal): void {
  program
    .command('import <COLLECTION> <PATH>')
    .description('store the records of a file of JSON lines, or the documents of a folder')
    .option('--key <FIELD>', 'the field of a line that becomes its key')
    .action(async (collection: string, path: string, ...rest: [unknown, Command]) => {
      const { importPath } = await import('./import.ts')
      const options = rest[1].optsWithGlobals<ImportOptions>()
      await importPath({ collection, path }, options, terminal)
    })
  program
    .command('export [COLLECTION]')
    .description('print every record (of a collection) as sorted lines of JSON')
    .action(async (collection: string | undefined, ...rest: [unknown, Command]) => {
      const { exportRecords } = await import('./export.ts')
      await exportRecords(collection, vaultOptions(rest), terminal)
    })
}

function addBundle(program: Command, terminal: Terminal): void {
  const bundle = program
    .command('bundle')
    .description('all of the vault, sealed, as a file for another of its devices')
  bundle
    .command('export <FILE>')
    .description('write everything this device holds; - writes to stdout')
    .option('--force', 'write over a file that is there')
    .action(async (path: string, _options: BundleExportOptions, command: Command) => {
      const { exportBundle } = await import('./bundle.ts')
      await exportBundle(path, command.optsWithGlobals<BundleExportOptions>(), terminal)
    })
  bundle
    .command('import <FILE>')
    .description('take what is new in a bundle; - reads from stdin')
    .action(async (path: string, ...rest: [unknown, Command]) => {
      const { importBundle } = await import('./bundle.ts')
      await importBundle(path, vaultOptions(rest), terminal)
    })
}

function addSync(program: Command, terminal: Terminal): void {
  program
    .command('sync')
    .description('exchange everything with the remote once')
    .option('--watch', 'stay in step, live, until Ctrl-C')
    .option('--interval <SECONDS>', 'stay, and exchange everything so often', parseInterval)
    .option('--pull-only', 'receive, and send nothing')
    .option('--push-only', 'send, and receive nothing')
    .option('--retry', 'send again what the remote has refused')
    .option('--accept-clock', 'take the clock of the remote for right, however far off')
    .option('--reconcile', 'go on after another device has signed something else (see verify)')
    .addOption(registrationToken('for a vault that is not registered with its remote yet'))
    .action(async (_options: SyncOptions, command: Command) => {
      const { sync } = await import('./sync.ts')
      await sync(command.optsWithGlobals<SyncOptions>(), terminal)
    })
  program
    .command('status')
    .description('what waits, what was lost, what happened, when it was last synced; offline')
    .action(async (...rest: [unknown, Command]) => {
      const { status } = await import('./status.ts')
      await status(vaultOptions(rest), terminal)
    })
  program
    .command('inspect')
    .description('what the host of the remote can see of this vault')
    .requiredOption('--as-remote', 'look with the eyes of the remote')
    .action(async (...rest: [unknown, Command]) => {
      const { inspect } = await import('./inspect.ts')
      await inspect(vaultOptions(rest), terminal)
    })
}

function addConflicts(program: Command, terminal: Terminal): void {
  const conflicts = program
    .command('conflicts')
    .description('versions that lost, and records that wait for a choice')
  conflicts
    .command('list', { isDefault: true })
    .description('all of them, oldest first')
    .action(async (...rest: [unknown, Command]) => {
      const { listConflicts } = await import('./conflicts.ts')
      await listConflicts(vaultOptions(rest), terminal)
    })
  conflicts
    .command('show <ID>')
    .description('what was lost beside what is there')
    .action(async (id: string, ...rest: [unknown, Command]) => {
      const { showConflict } = await import('./conflicts.ts')
      await showConflict(id, vaultOptions(rest), terminal)
    })
  conflicts
    .command('restore <ID>')
    .description('write what was lost again, as a new version')
    .action(async (id: string, ...rest: [unknown, Command]) => {
      const { restoreConflict } = await import('./conflicts.ts')
      await restoreConflict(id, vaultOptions(rest), terminal)
    })
  conflicts
    .command('resolve <ID>')
    .description('settle one, and take it off the list')
    .option('--mine', 'by what was lost')
    .option('--theirs', 'by what is there')
    .option('--fields <JSON>', 'by these fields; null deletes the record')
    .action(async (id: string, _options: ResolveOptions, command: Command) => {
      const { resolveConflict } = await import('./conflicts.ts')
      await resolveConflict(id, command.optsWithGlobals<ResolveOptions>(), terminal)
    })
}

function addAttention(program: Command, terminal: Terminal): void {
  const attention = program.command('attention').description('writes that the remote refused')
  attention
    .command('list', { isDefault: true })
    .description('all of them, and why')
    .action(async (...rest: [unknown, Command]) => {
      const { listRefused } = await import('./attention.ts')
      await listRefused(vaultOptions(rest), terminal)
    })
  attention
    .command('retry [ID]')
    .description('send one again, or all, with the next sync')
    .action(async (id: string | undefined, ...rest: [unknown, Command]) => {
      const { retryRefused } = await import('./attention.ts')
      await retryRefused(id, vaultOptions(rest), terminal)
    })
  attention
    .command('discard <ID>')
    .description('give one up: its records show again what the remote holds')
    .action(async (id: string, ...rest: [unknown, Command]) => {
      const { discardRefused } = await import('./attention.ts')
      await discardRefused(id, vaultOptions(rest), terminal)
    })
  attention
    .command('export [ID]')
    .description('print the records of one, or of all, as lines of JSON')
    .action(async (id: string | undefined, ...rest: [unknown, Command]) => {
      const { exportRefused } = await import('./attention.ts')
      await exportRefused(id, vaultOptions(rest), terminal)
    })
}

function registrationToken(description: string): Option {
  return new Option('--registration-token <TOKEN>', description).env('BLINDCOPY_REGISTRATION_TOKEN')
}

/** Commander hands the command itself over last. */
function vaultOptions(rest: readonly unknown[]): VaultOptions {
  const command = rest[rest.length - 1]
  return command instanceof Command ? command.optsWithGlobals<VaultOptions>() : {}
}

const DAY_SECONDS = 86_400

function parseInterval(text: string): number {
  const seconds = Number(text)
  if (/^\d+$/.test(text) && seconds >= 1 && seconds <= DAY_SECONDS) return seconds
  throw new InvalidArgumentError(`an interval is a number of seconds from 1 to ${DAY_SECONDS}`)
}
