/**
 * Reads the settings of a remote: flag before variable before file before default, and says of what
 * is wrong where it stands and what is allowed.
 */
import { resolve } from 'node:path'
import { CliError } from '../cli-error.ts'
import { defaultDataPath, type Env } from '../data-folder.ts'
import {
  SETTINGS,
  type Setting,
  type SettingKey,
  type Settings,
  settingsSchema,
} from './settings.ts'
import { readSettingsFile, type SettingsFile } from './settings-file.ts'

/** As commander has them: texts, and lists of texts. */
export type Flags = { readonly [Key in SettingKey | 'config']?: unknown }

export type Given = { readonly source: string; readonly value: unknown }

export type ReadSettings = {
  readonly settings: Settings
  /** What is not a default, and where it stands. */
  readonly given: ReadonlyMap<SettingKey, Given>
  readonly file: SettingsFile | undefined
}

const CONFIG_VARIABLE = 'BLINDCOPY_CONFIG'
const VALUE_CHARACTERS_MAX = 80

/** Throws `setting-refused`, or `unreadable` when there is no such file. */
export async function readSettings(flags: Flags, env: Env): Promise<ReadSettings> {
  const first = givenBy(flags, env, undefined)
  const named = flags.config ?? notEmpty(env[CONFIG_VARIABLE])
  if (named !== undefined && (typeof named !== 'string' || named === '')) {
    throw new CliError('setting-refused', '--config takes the path of a file')
  }
  const data = first.get('data')?.value
  const dataPath = typeof data === 'string' ? resolve(data) : defaultDataPath(env)
  const file = await readSettingsFile(named === undefined ? undefined : resolve(named), dataPath)
  const given = givenBy(flags, env, file)
  const input = Object.fromEntries(SETTINGS.map(({ key }) => [key, given.get(key)?.value]))
  const parsed = settingsSchema.safeParse(input)
  if (parsed.success) return { settings: parsed.data, given, file }
  const sentences = parsed.error.issues.map(({ path: [key], message }) =>
    sentenceOf(key as SettingKey, given, message),
  )
  throw new CliError('setting-refused', sentences.join('; '))
}

function givenBy(flags: Flags, env: Env, file: SettingsFile | undefined): Map<SettingKey, Given> {
  const found = new Map<SettingKey, Given>()
  for (const { key, name, flag, variable } of SETTINGS) {
    const inFile = file?.valueByName.get(name)
    const inEnv = notEmpty(env[variable])
    const inFlag = flags[key]
    if (inFlag !== undefined) found.set(key, { source: flag, value: inFlag })
    else if (inEnv !== undefined) found.set(key, { source: variable, value: inEnv })
    else if (inFile !== undefined) {
      found.set(key, { source: `${name} in ${file?.path}`, value: inFile })
    }
  }
  return found
}

/** An empty variable is one that a compose file or a script has not filled in. */
const notEmpty = (value: string | undefined): string | undefined =>
  value === '' ? undefined : value

function sentenceOf(
  key: SettingKey,
  given: ReadonlyMap<SettingKey, Given>,
  message: string,
): string {
  const setting = SETTINGS.find((one) => one.key === key)
  const found = given.get(key)
  if (setting === undefined || found === undefined) return `${setting?.name ?? key}: ${message}`
  return `${found.source} is ${shown(setting, found.value)}: ${message}`
}

function shown({ isSecret }: Setting, value: unknown): string {
  if (isSecret) return 'wrong'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > VALUE_CHARACTERS_MAX ? `${text.slice(0, VALUE_CHARACTERS_MAX)}…` : text
}
