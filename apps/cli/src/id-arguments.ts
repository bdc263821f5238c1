/**
 * Arguments that are ids: one in 64 begins with a hyphen, and is no option for that.
 */
import type { Command } from 'commander'
import { CliError } from './cli-error.ts'

export const takesIds = (command: Command): Command => command.allowUnknownOption()

/** No id has two hyphens at its beginning as often as a person mistypes an option. */
export function checkIds(ids: readonly string[]): void {
  const option = ids.find((id) => id.startsWith('--'))
  if (option !== undefined) throw new CliError('usage', `unknown option '${option}'`)
}
