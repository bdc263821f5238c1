/**
 * Case: one thing that is done to a remote, and what is known beforehand of its answer. A family
 * makes cases from a target and a chance alone, so that a seed makes the same ones again.
 */
import type { Chance } from '../simulation/chance.ts'
import { type Judged, judgeHeard } from './judge.ts'
import type { Target } from './target.ts'
import { type Conversation, converse } from './wire.ts'

export type Outcome = {
  /** Of the answers, or of the refusal on a socket; undefined for a success. */
  readonly codes: readonly (string | undefined)[]
  /**
   * What of the store it may have changed: nothing, the state of the attacker's vault (a new
   * SyncId, a clock), all of that vault, or a vault that the case made itself.
   */
  readonly mayChange: 'nothing' | 'state' | 'vault' | readonly string[]
}

export type Case = {
  readonly what: string
  /** Throws a finding. */
  run(): Promise<Outcome>
}

export type Family = (target: Target, chance: Chance) => Promise<Case>

/** Another one for each case: who fails often is slowed down, by address. */
export const addressOf = (chance: Chance): string =>
  `127.${1 + chance.below(250)}.${chance.below(250)}.${1 + chance.below(250)}`

/** A conversation that is judged, from an address of its own. */
export async function say(
  target: Target,
  chance: Chance,
  conversation: Conversation,
  expected: { readonly min: number; readonly max: number; readonly isHead?: boolean },
): Promise<Judged> {
  const heard = await converse(target.port, { from: addressOf(chance), ...conversation })
  return judgeHeard(heard, expected)
}

/** What a request may change that was answered so. A new SyncId is the one refusal that writes. */
export function effectOf(
  codes: readonly (string | undefined)[],
  success: Outcome['mayChange'],
): Outcome['mayChange'] {
  if (codes.includes(undefined)) return success
  return codes.includes('sync-id-mismatch') ? 'state' : 'nothing'
}
