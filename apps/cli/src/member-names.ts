/**
 * Member names: how devices and recovery keys are called on the command line. Ids are long: people
 * see and type no more of one than tells it from the others, and never need type a name, which any
 * device can choose for itself.
 */
import { ClientError } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { clip, printable } from './layout.ts'

const CHARACTERS_MIN = 6
const NAME_COLUMNS_MAX = 32

/** Whatever has an id and a name. */
export type Named = { readonly id: string; readonly name: string }

/** How many characters of the ids are enough to tell them apart. */
export function shortLength(ids: readonly string[]): number {
  const longest = Math.max(CHARACTERS_MIN, ...ids.map((id) => id.length))
  for (let length = CHARACTERS_MIN; length < longest; length++) {
    if (new Set(ids.map((id) => id.slice(0, length))).size === new Set(ids).size) return length
  }
  return longest
}

/** The one that begins so. Throws `not-found`, or `usage` where several do. */
export function findMemberId(given: string, members: readonly Named[]): string {
  const found = members.filter(({ id }) => given !== '' && id.startsWith(given))
  const [first] = found
  if (first !== undefined && found.length === 1) return first.id
  if (first !== undefined) {
    const named = found.map(({ id, name }) => `${id} (${shownName(name)})`).join(', ')
    throw new CliError('usage', `several begin with ${printable(given)}: ${named}; give more of it`)
  }
  throw new ClientError(
    'not-found',
    `the vault has nobody whose id begins with "${printable(given)}": see \`devices list\` and \`keys status\`, and sync first for who is new`,
  )
}

/** A name as it may stand in a line: another device has chosen it. */
export function shownName(name: string): string {
  return clip(printable(name), NAME_COLUMNS_MAX) || '(no name)'
}
