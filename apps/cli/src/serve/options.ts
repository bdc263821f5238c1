/**
 * The flags of `serve`, from the schema of the settings.
 */
import { type Command, Option } from 'commander'
import { GROUPS, SETTINGS, type Setting } from './settings.ts'
import { defaultOf } from './settings-text.ts'

const AFTER = `
Every setting is a variable too (BLINDCOPY_QUOTA_BYTES), and a line of
remote.toml in the data folder, or of the file that --config names: a flag
counts before a variable, a variable before the file. To make one, with all that
is allowed: blindcopy serve --print-config > remote.toml`

export function addSettings(command: Command): void {
  command
    .option('--config <FILE>', 'a file of settings (or BLINDCOPY_CONFIG)')
    .option(
      '--print-config',
      'print such a file, with what is given here and all defaults, and end',
    )
  for (const setting of SETTINGS) {
    const { flag, kind, group } = setting
    const option = new Option(`${flag} <${kind.placeholder}>`, describe(setting))
    if (kind.isList) option.argParser(collect)
    command.addOption(option.helpGroup(`${GROUPS[group]}:`))
  }
  command.addHelpText('after', AFTER)
}

/** Its first sentence, and words to choose from; the file that is printed has all of it. */
function describe(setting: Setting): string {
  const { about, kind } = setting
  const [sentence = ''] = about.split(/(?<=\.) /)
  const begun = `${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`
  const takes = kind.isChoice ? `; takes ${kind.allowed}` : ''
  return `${begun.replace(/\.$/, '')}${takes} (${defaultOf(setting)})`
}

function collect(value: string, previous: unknown): readonly string[] {
  return [...(Array.isArray(previous) ? previous : []), value]
}
