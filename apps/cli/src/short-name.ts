/**
 * Short names of conflicts and of versions. Their ids begin with a time: those of one day look
 * alike. A name is a hash of the id, of which people need type no more than tells it from the
 * others.
 */
import { createHash } from 'node:crypto'
import { ClientError } from '@blindcopy/client'
import { CliError } from './cli-error.ts'

const DIGITS_MIN = 4
const DIGITS_MAX = 16

/** 16 hexadecimal digits. */
export const nameOfId = (id: string): string =>
  createHash('sha256').update(id).digest('hex').slice(0, DIGITS_MAX)

/** The names of ids, each cut as short as all of them can be and still differ. */
export function shortNames(ids: readonly string[]): string[] {
  const names = ids.map(nameOfId)
  for (let digits = DIGITS_MIN; digits < DIGITS_MAX; digits++) {
    const cut = names.map((name) => name.slice(0, digits))
    if (new Set(cut).size === names.length) return cut
  }
  return names
}

/** The one of `ids` that is meant: by itself, or by the beginning of its name. */
export function findId(given: string, ids: readonly string[], noun = 'conflict'): string {
  if (ids.includes(given)) return given
  const isName = new RegExp(`^[0-9a-f]{${DIGITS_MIN},${DIGITS_MAX}}$`).test(given)
  const found = isName ? ids.filter((id) => nameOfId(id).startsWith(given)) : []
  const [id] = found
  if (id !== undefined && found.length === 1) return id
  if (id !== undefined) {
    throw new CliError('usage', `${found.length} ${noun}s begin with ${given}: give more of it`)
  }
  throw new ClientError('not-found', `there is no ${noun} of that name`)
}
