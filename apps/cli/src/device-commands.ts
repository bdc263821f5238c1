/**
 * The commands of `blindcopy devices`, their arguments and options.
 */
import type { Command } from 'commander'
import type { InviteOptions } from './pairing.ts'
import type { JoinOptions } from './pairing-join.ts'
import type { Terminal } from './terminal.ts'
import type { VaultOptions } from './vault-folder.ts'

export function addDevices(program: Command, terminal: Terminal): void {
  const devices = program.command('devices').description('the devices of the vault')
  devices
    .command('list', { isDefault: true })
    .description('all of them, as this one knows them')
    .action(async (_options: unknown, command: Command) => {
      const { listDevices } = await import('./device-list.ts')
      await listDevices(command.optsWithGlobals<VaultOptions>(), terminal)
    })
  devices
    .command('invite')
    .description('let a new device into the vault, by a code or by words')
    .option('--words', 'six words to be typed, in the place of a code')
    .option('--svg <FILE>', 'write the code as a picture too')
    .action(async (_options: InviteOptions, command: Command) => {
      const { invite } = await import('./pairing.ts')
      await invite(command.optsWithGlobals<InviteOptions>(), terminal)
    })
  devices
    .command('join [CODE]')
    .description('become a device of a vault, by the code of another (asked for, or on stdin)')
    .option('--remote <URL>', 'the address of the remote, where six words are given')
    .option('--name <NAME>', 'what this device is called (its host name)')
    .option('--passphrase', 'protect the keys on this disk by a passphrase')
    .action(async (code: string | undefined, _options: JoinOptions, command: Command) => {
      const { join } = await import('./pairing-join.ts')
      await join(code, command.optsWithGlobals<JoinOptions>(), terminal)
    })
}
