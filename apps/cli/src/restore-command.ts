/**
 * The arguments and options of `restore`, which stands by itself and among the keys, and those by
 * which a way back into a vault is named.
 */
import type { Command } from 'commander'
import type { RestoreOptions } from './restore.ts'
import type { Terminal } from './terminal.ts'

export function addRestoreTo(parent: Command, description: string, terminal: Terminal): void {
  const command = parent.command('restore').description(description)
  addRecoveryOptions(command)
  addChoiceOptions(command)
  command
    .option('--remote <URL>', 'the address of the remote; a kit and a key file know it')
    .option('--name <NAME>', 'what this device is called (its host name)')
    .option('--passphrase', 'protect the keys on this disk by a passphrase')
    .action(async (_options: RestoreOptions, self: Command) => {
      const { restore } = await import('./restore.ts')
      await restore(self.optsWithGlobals<RestoreOptions>(), terminal)
    })
}

/** Without any of them the phrase is asked for, or taken from stdin. */
export function addRecoveryOptions(command: Command): void {
  command
    .option('--key-file <FILE>', 'by a key file; its passphrase is asked for')
    .option('--shares', 'by shares, asked for one after the other (or on stdin)')
    .option('--share <FILE>', 'by shares in files (may be repeated)', collect)
    .option('--kit <FILE>', 'by an emergency kit')
}

/** Who stays is asked at a terminal; elsewhere everybody does. */
export function addChoiceOptions(command: Command): void {
  command
    .option('--keep-all', 'ask nothing: every device stays')
    .option('--revoke <ID>', 'remove a device or key, by the beginning of its id', collect)
}

function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value]
}
