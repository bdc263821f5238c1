/**
 * Key commands: the group `keys` of the program.
 */
import { Command } from 'commander'
import type { Terminal } from './terminal.ts'
import type { VaultOptions } from './vault-folder.ts'

export function addKeys(program: Command, terminal: Terminal): Command {
  const keys =
    program.commands.find((command) => command.name() === 'keys') ?? program.command('keys')
  keys.description('the keys of this device, and the ways back into the vault')
  addPassphrase(keys, terminal)
  addHelper(keys, terminal)
  return keys
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
