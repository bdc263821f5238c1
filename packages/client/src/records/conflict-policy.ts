/**
 * Conflict policy: what becomes of a record that two devices wrote without knowing of each other
 * (design 12), chosen per collection. The code of a policy stands in the outbox and beside pending
 * records: two bits, stored, so a number never changes its meaning.
 */
import { decodeValue, encodeValue, type Fields } from '@blindcopy/protocol'

/** The three versions of a conflict; each is the resolver's own to change. */
export type ConflictSides<T> = {
  /** What both writes began from. Null: nothing, or a deleted record. Undefined: not known here. */
  readonly base: T | null | undefined
  /** What this device wrote; null: it deleted the record. */
  readonly local: T | null
  /** What the remote holds; null: another device deleted the record. */
  readonly remote: T | null
  readonly key: string
}

/**
 * What the record shall be; null deletes it. It must depend on nothing but the sides, and answer at
 * once: every device must come to the same, and it may run again on a newer state. What it throws
 * stops neither the sync nor other records: the conflict stays open, with the reason.
 */
export type CustomPolicy<T> = { readonly custom: (sides: ConflictSides<T>) => T | null }

/**
 * - `lww`: the newer write stands, the whole record. The default.
 * - `merge`: field by field the newer write stands; a newer edit brings back a deleted record.
 * - `manual`: both versions are kept and listed until the app or the person decides.
 * - `custom`: a function of the app decides.
 */
export type ConflictPolicy<T> = 'lww' | 'merge' | 'manual' | CustomPolicy<T>

export type PolicyCode = 0 | 1 | 2 | 3
export type PolicyName = 'lww' | 'merge' | 'custom' | 'manual'

/** By code. */
const POLICY_NAMES: readonly PolicyName[] = ['lww', 'merge', 'custom', 'manual']

/** Undefined for what is no policy: an app in plain JavaScript can hand over anything. */
export function policyCode(policy: unknown): PolicyCode | undefined {
  if (typeof policy === 'object' && policy !== null) {
    return 'custom' in policy && typeof policy.custom === 'function' ? 2 : undefined
  }
  const code = POLICY_NAMES.indexOf(policy as PolicyName)
  // The name alone is not the function.
  return code < 0 || policy === 'custom' ? undefined : (code as PolicyCode)
}

/** Undefined for a code that no version has written. */
export function parsePolicyCode(code: number): PolicyName | undefined {
  return POLICY_NAMES[code]
}

export type Resolution =
  | { readonly type: 'resolved'; readonly fields: Fields | null }
  /** `reason` is for the person: what the function threw, or what was wrong with its answer. */
  | { readonly type: 'failed'; readonly reason: string }

/** Runs the app's function on copies of the sides. Never throws. */
export function resolveCustom(
  policy: CustomPolicy<Fields>,
  { base, local, remote, key }: ConflictSides<Fields>,
): Resolution {
  try {
    const sides = { base: base && copyOf(base), local: copy(local), remote: copy(remote), key }
    const answer: unknown = policy.custom(sides)
    if (answer === null) return { type: 'resolved', fields: null }
    const wrong = whyNoFields(answer)
    if (wrong !== undefined) return { type: 'failed', reason: `the resolver answered ${wrong}` }
    // A copy again: what the app does with its object afterwards is not the record's.
    return { type: 'resolved', fields: copyOf(answer as Fields) }
  } catch (error) {
    return { type: 'failed', reason: reasonOf(error) }
  }
}

const copy = (fields: Fields | null): Fields | null => fields && copyOf(fields)

const copyOf = (fields: Fields): Fields => decodeValue(encodeValue(fields)) as Fields

function whyNoFields(answer: unknown): string | undefined {
  if (answer === undefined) return 'nothing; null deletes the record'
  if (typeof answer !== 'object' || answer === null) return `a ${typeof answer}`
  if ('then' in answer && typeof answer.then === 'function') {
    silence(answer as PromiseLike<unknown>)
    return 'a promise; it must answer at once'
  }
  if (Array.isArray(answer)) return 'a list'
  if (answer instanceof Uint8Array) return 'bytes'
  return answer instanceof Date ? 'a date' : undefined
}

/** Nobody waits for it: a rejection must not end the process. */
function silence(promise: PromiseLike<unknown>): void {
  promise.then(undefined, () => undefined)
}

const REASON_LENGTH_MAX = 500

/** What an app's function threw, for the person. Never throws. */
export function reasonOf(error: unknown): string {
  try {
    const text = error instanceof Error ? error.message : String(error)
    return text.slice(0, REASON_LENGTH_MAX) || 'the resolver threw an error without a message'
  } catch {
    return 'the resolver threw something that has no text'
  }
}
