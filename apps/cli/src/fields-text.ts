/**
 * Fields as a person reads them: on one line, or two versions of a record side by side.
 */
import type { Fields, Value } from '@blindcopy/client'
import { formatJson } from './json-form.ts'
import { clip, formatTable, printable, wrap } from './layout.ts'
import type { Terminal } from './terminal.ts'

const SHOWN_MAX = 400

/** What names a record best, then the rest, on one line. */
export function preview(fields: Fields): string {
  const entries = Object.entries(fields).map(([name, value]) => `${name}: ${textOf(value)}`)
  return printable(entries.join(' · '))
}

const textOf = (value: Value): string =>
  typeof value === 'string'
    ? value.slice(0, SHOWN_MAX).replace(/\s+/gu, ' ')
    : formatJson(value).slice(0, SHOWN_MAX)

/** The two versions of a conflict; null: deleted. */
export type Sides = { readonly lost: Fields | null; readonly current: Fields | null }

/** The names of the fields that are not the same in both. */
export function differingFields({ lost, current }: Sides): string[] {
  return namesOf({ lost, current }).filter((name) => {
    const [mine, theirs] = [fieldOf(lost, name), fieldOf(current, name)]
    if (mine === undefined || theirs === undefined) return true
    return formatJson(mine.value) !== formatJson(theirs.value)
  })
}

const NAME_COLUMNS_MAX = 16
const GAPS = 2 + 2 + 2

/** A table of the fields that differ, and the names of those that do not. */
export function formatComparison(sides: Sides, terminal: Terminal): string {
  const differing = differingFields(sides)
  const same = namesOf(sides).filter((name) => !differing.includes(name))
  const columns = terminal.isPiped ? Number.POSITIVE_INFINITY : terminal.columns
  const nameColumns = Math.min(
    NAME_COLUMNS_MAX,
    Math.max(5, ...differing.map(({ length }) => length)),
  )
  const sideColumns = Math.max(10, Math.floor((columns - nameColumns - GAPS) / 2))
  const rows = differing.map((name) => {
    const [mine, theirs] = sidesOf(sides, name).map((text) => printable(clip(text, sideColumns)))
    return [`  ${clip(printable(name), nameColumns)}`, mine ?? '', theirs ?? '']
  })
  const [head = '', ...lines] = formatTable([['  FIELD', 'LOST', 'NOW'], ...rows], columns).split(
    '\n',
  )
  const names = printable(same.join(', '))
  return [
    terminal.dim(head),
    ...lines,
    ...(same.length === 0 ? [] : [`  ${wrap(`The same in both: ${names}`, columns, 2)}`]),
  ].join('\n')
}

const BEFORE_DIFFERENCE = 8
const SHARED_MIN = 24

/** Both from shortly before where they part: a long text may differ at its end. */
function sidesOf({ lost, current }: Sides, name: string): [string, string] {
  const [mine, theirs] = [lost, current].map((fields) => {
    if (fields === null) return '(deleted)'
    const field = fieldOf(fields, name)
    return field === undefined ? '(no such field)' : wholeText(field.value)
  }) as [string, string]
  let shared = 0
  while (shared < mine.length && mine[shared] === theirs[shared]) shared++
  if (shared < SHARED_MIN) return [mine, theirs]
  const start = shared - BEFORE_DIFFERENCE
  return [`…${mine.slice(start)}`, `…${theirs.slice(start)}`]
}

const wholeText = (value: Value): string =>
  typeof value === 'string' ? value.replace(/\s+/gu, ' ') : formatJson(value)

function namesOf({ lost, current }: Sides): string[] {
  return [...new Set([...Object.keys(lost ?? {}), ...Object.keys(current ?? {})])]
}

/** A field that holds undefined is one; a missing one is none. */
function fieldOf(fields: Fields | null, name: string): { readonly value: Value } | undefined {
  if (fields === null || !Object.hasOwn(fields, name)) return undefined
  return { value: fields[name] }
}
