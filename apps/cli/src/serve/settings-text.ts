/**
 * The settings as documents: the commented file that `--print-config` prints, and the table of
 * docs/remote-settings.md. Tests compare both with what stands in docs/.
 */
import type { Given } from './read-settings.ts'
import { GROUPS, SETTINGS, type Setting, type SettingKey, type Settings } from './settings.ts'

const COLUMNS = 90

const FILE_HEAD = `# Settings of a Blindcopy remote, for \`blindcopy serve --config FILE\`, or as
# remote.toml in its data folder. Nothing has to be set: what follows are the defaults. Take
# the # away before a name to change it. Each is also a flag (--quota-bytes) and a variable
# (BLINDCOPY_QUOTA_BYTES): a flag counts before a variable, and a variable before this file.
`

/** What was given stands as it is, everything else behind a #. Secrets are never written. */
export function exampleFile(
  settings?: Settings,
  given: ReadonlyMap<SettingKey, Given> = new Map(),
): string {
  const parts = [FILE_HEAD]
  for (const group of Object.keys(GROUPS) as (keyof typeof GROUPS)[]) {
    parts.push(`\n# ---- ${GROUPS[group]} ----\n`)
    for (const setting of SETTINGS.filter((one) => one.group === group)) {
      const isGiven = settings !== undefined && given.has(setting.key) && !setting.isSecret
      const value = isGiven ? settings[setting.key] : setting.default
      const written = value === undefined ? JSON.stringify(setting.without?.example) : undefined
      const line = `${setting.name} = ${written ?? setting.kind.write(value as never)}`
      parts.push(`\n${commentOf(setting)}\n${isGiven ? line : `#${line}`}\n`)
    }
  }
  return parts.join('')
}

function commentOf({ about, kind, without }: Setting): string {
  const fallback = without === undefined ? '' : ` Without it: ${without.text}.`
  return wrapped(`${about} It takes ${kind.allowed}.${fallback}`)
}

function wrapped(text: string): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines.length - 1
    const line = `${lines[last]} ${word}`
    if (line.length > COLUMNS) lines.push(` ${word}`)
    else lines[last] = line
  }
  return lines.map((line) => `#${line}`).join('\n')
}

/** In Markdown; one table a group. */
export function settingsTables(): string {
  const groups = Object.keys(GROUPS) as (keyof typeof GROUPS)[]
  return groups.map((group) => `### ${GROUPS[group]}\n\n${tableOf(group)}`).join('\n')
}

function tableOf(group: keyof typeof GROUPS): string {
  const rows = SETTINGS.filter((one) => one.group === group).map((setting) => {
    const { name, variable, about, kind } = setting
    const allowed = kind.allowed.replaceAll('|', '\\|')
    return `| \`${name}\` | \`${variable}\` | ${defaultOf(setting)} | ${about} Takes ${allowed}. |`
  })
  return `| setting | variable | default | what it is |\n|---|---|---|---|\n${rows.join('\n')}\n`
}

export function defaultOf(setting: Setting): string {
  if (setting.without !== undefined) return setting.without.text
  const written = setting.kind.write(setting.default as never)
  return written === '[]' ? 'none' : written.replaceAll('"', '').replaceAll('_', ',')
}
