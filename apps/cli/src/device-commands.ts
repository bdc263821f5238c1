/**
 * The commands of `blindcopy devices`, their arguments and options.
 */
import type { Command } from 'commander'
import type { ListOptions } from './device-list.ts'
import type { RevokeOptions } from './device-revoke.ts'
import { checkIds, takesIds } from './id-arguments.ts'
import type { InviteOptions } from './pairing.ts'
import type { JoinOptions } from './pairing-join.ts'
import type { Terminal } from './terminal.ts'
import type { VaultOptions } from './vault-folder.ts'

export function addDevices(program: Command, terminal: Terminal): void {
  const devices = program.command('devices').description('the devices of the vault')
  devices
    .command('list', { isDefault: true })
    .description('all of them, as this one knows them')
    .option('--all', 'those that were removed too')
    .action(async (_options: unknown, command: Command) => {
      const { listDevices } = await import('./device-list.ts')
      await listDevices(command.optsWithGlobals<ListOptions>(), terminal)
    })
  addChanges(devices, terminal)
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

function addChanges(devices: Command, terminal: Terminal): void {
  takesIds(devices.command('rename <ID> <NAME>'))
    .description('call one something else, on every device; the beginning of its id is enough')
    .action(async (id: string, name: string, _options: unknown, command: Command) => {
      checkIds([id, name])
      const { renameDevice } = await import('./device-list.ts')
      await renameDevice(id, name, command.optsWithGlobals<VaultOptions>(), terminal)
    })
  takesIds(devices.command('revoke <ID...>'))
    .description('remove them from the vault: what is written from then on is closed to them')
    .option('--since <WHEN>', 'with what they have added since: 3d, 12h, 2026-11-20, "all"')
    .option('--yes', 'ask nothing')
    .action(async (ids: string[], _options: unknown, command: Command) => {
      checkIds(ids)
      const { revokeDevices } = await import('./device-revoke.ts')
      await revokeDevices(ids, command.optsWithGlobals<RevokeOptions>(), terminal)
    })
}
