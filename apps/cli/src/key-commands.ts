/**
 * Key commands: the group `keys` of the program.
 */
import { Command, InvalidArgumentError } from 'commander'
import type { RevokeOptions } from './device-revoke.ts'
import { checkIds, takesIds } from './id-arguments.ts'
import type { KeyFileOptions, SharesOptions } from './keys-backup.ts'
import type { EndForkOptions, KeysVerifyOptions } from './keys-verify.ts'
import { addChoiceOptions, addRestoreTo } from './restore-command.ts'
import type { Terminal } from './terminal.ts'
import type { VaultOptions } from './vault-folder.ts'

export function addKeys(program: Command, terminal: Terminal): Command {
  const keys =
    program.commands.find((command) => command.name() === 'keys') ?? program.command('keys')
  keys.description('the keys of this device, and the ways back into the vault')
  addStatus(keys, terminal)
  addBackups(keys, terminal)
  addDrill(keys, terminal)
  addRestoreTo(keys, 'the same as `blindcopy restore`', terminal)
  addEndFork(keys, terminal)
  addPassphrase(keys, terminal)
  addHelper(keys, terminal)
  return keys
}

function addStatus(keys: Command, terminal: Terminal): void {
  keys
    .command('status', { isDefault: true })
    .description('who holds keys, and which ways back there are; asks nobody')
    .action(async (...rest: [unknown, Command]) => {
      const { keysStatus } = await import('./keys-status.ts')
      await keysStatus(optionsOf(rest), terminal)
    })
  keys
    .command('rotate')
    .description('a new key for what is written from now on')
    .action(async (...rest: [unknown, Command]) => {
      const { rotateKeys } = await import('./keys-status.ts')
      await rotateKeys(optionsOf(rest), terminal)
    })
}

function addBackups(keys: Command, terminal: Terminal): void {
  const backup = keys
    .command('backup')
    .description('another way back beside the phrase, which can be revoked')
  backup
    .command('key-file <FILE>')
    .description('a key under a passphrase, which is asked for')
    .option('--name <NAME>', 'what it is called in lists')
    .action(async (path: string, _options: KeyFileOptions, command: Command) => {
      const { backupKeyFile } = await import('./keys-backup.ts')
      await backupKeyFile(path, command.optsWithGlobals<KeyFileOptions>(), terminal)
    })
  backup
    .command('shares')
    .description('a key in shares of 33 words, of which some are enough')
    .requiredOption('--threshold <K>', 'how many are needed', parseCount)
    .requiredOption('--count <N>', 'how many there are', parseCount)
    .option('--out <DIR>', 'write each to a file, in place of the screen')
    .option('--name <NAME>', 'what the key is called in lists')
    .action(async (_options: SharesOptions, command: Command) => {
      const { backupShares } = await import('./keys-backup.ts')
      await backupShares(command.optsWithGlobals<SharesOptions>(), terminal)
    })
}

function addDrill(keys: Command, terminal: Terminal): void {
  keys
    .command('verify [FILE...]')
    .description('try a way back (the phrase, or files of any kind, or -); changes nothing')
    .option('--shares', 'try shares, asked for one after the other')
    .action(async (paths: string[], _options: KeysVerifyOptions, command: Command) => {
      const { verifyKey } = await import('./keys-verify.ts')
      await verifyKey(paths, command.optsWithGlobals<KeysVerifyOptions>(), terminal)
    })
  takesIds(keys.command('revoke <KEY-ID...>'))
    .description('end a key file or a set of shares, by the beginning of its id')
    .option('--since <WHEN>', 'with what came in by it since: 3d, 12h, 2026-11-20, "all"')
    .option('--yes', 'ask nothing')
    .action(async (ids: string[], _options: RevokeOptions, command: Command) => {
      checkIds(ids)
      const { revokeKeys } = await import('./device-revoke.ts')
      await revokeKeys(ids, command.optsWithGlobals<RevokeOptions>(), terminal)
    })
}

function addEndFork(keys: Command, terminal: Terminal): void {
  const command = keys
    .command('end-fork')
    .description('settle two lists of devices by the phrase (problem keychain-forked)')
  addChoiceOptions(command)
  command.action(async (_options: EndForkOptions, self: Command) => {
    const { endFork } = await import('./keys-verify.ts')
    await endFork(self.optsWithGlobals<EndForkOptions>(), terminal)
  })
}

function parseCount(text: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('give a whole number')
}

function addPassphrase(keys: Command, terminal: Terminal): void {
  const passphrase = keys
    .command('passphrase')
    .description('what protects the keys on this disk; it is asked for, never given here')
  passphrase
    .command('set')
    .description('put them under one')
    .action(async (...rest: [unknown, Command]) => {
      const { setPassphrase } = await import('./keys-passphrase.ts')
      await setPassphrase(optionsOf(rest), terminal)
    })
  passphrase
    .command('change')
    .description('put them under another')
    .action(async (...rest: [unknown, Command]) => {
      const { changePassphrase } = await import('./keys-passphrase.ts')
      await changePassphrase(optionsOf(rest), terminal)
    })
  passphrase
    .command('remove')
    .description('leave them to who can read the folder')
    .action(async (...rest: [unknown, Command]) => {
      const { removePassphrase } = await import('./keys-passphrase.ts')
      await removePassphrase(optionsOf(rest), terminal)
    })
}

function addHelper(keys: Command, terminal: Terminal): void {
  const helper = keys
    .command('helper')
    .description('a program that keeps a secret without which the keys on this disk do not open')
  helper
    .command('set <PROGRAM>')
    .description('close them with a new secret that this program keeps')
    .action(async (name: string, ...rest: [unknown, Command]) => {
      const { setKeyHelper } = await import('./keys-passphrase.ts')
      await setKeyHelper(name, optionsOf(rest), terminal)
    })
  helper
    .command('remove')
    .description('close them with none')
    .action(async (...rest: [unknown, Command]) => {
      const { setKeyHelper } = await import('./keys-passphrase.ts')
      await setKeyHelper(undefined, optionsOf(rest), terminal)
    })
}

/** Commander hands the command itself over last. */
function optionsOf(rest: readonly unknown[]): VaultOptions {
  const command = rest[rest.length - 1]
  return command instanceof Command ? command.optsWithGlobals<VaultOptions>() : {}
}
