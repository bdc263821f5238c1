/**
 * The commands of tamper evidence.
 */
import { type Command, Option } from 'commander'
import type { Terminal } from './terminal.ts'
import type { VerifyOptions } from './verify.ts'

export function addVerify(program: Command, terminal: Terminal): void {
  program
    .command('verify')
    .description('who has seen what of this vault, and when; whether anything contradicts it')
    .addOption(new Option('--offline', 'ask nobody: show what is known here'))
    .action(async (_options: VerifyOptions, command: Command) => {
      const { verify } = await import('./verify.ts')
      await verify(command.optsWithGlobals<VerifyOptions>(), terminal)
    })
}
