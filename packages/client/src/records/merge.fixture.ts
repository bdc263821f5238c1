/**
 * Versions as devices make them (a put, a deletion or a merge over a version), whose clocks go
 * through the real seal and back: what merges is what is stored.
 */
import { type Fields, formatHex, type Timestamp, type Value } from '@blindcopy/protocol'
import {
  CLOCKS_OWN,
  deriveRoot,
  foundKeychain,
  generateDeviceKeys,
  generateRootSecret,
  openEnvelope,
  pooledRandom,
  sealRecord,
} from '@blindcopy/vault'
import fc from 'fast-check'
import { expect } from 'vitest'
import {
  changedBy,
  clockGroups,
  joinStates,
  type MergeRecord,
  type MergeState,
  mergeStateOf,
  sameState,
} from './merge.ts'

const random = pooledRandom()
const { keyring } = foundKeychain({
  root: deriveRoot(generateRootSecret(random)),
  device: generateDeviceKeys(random),
  deviceName: 'laptop',
  nowMs: 1,
  random,
})

export const at = (milliseconds: number, tail = 7): Timestamp => {
  const bytes = new Uint8Array(16).fill(tail, 8)
  new DataView(bytes.buffer).setUint32(2, milliseconds)
  return bytes as Uint8Array as Timestamp
}

/** Sealed and opened: what a device that receives the record makes of it. */
export function received(record: MergeRecord, timestamp: Timestamp): MergeState {
  const whole = { collection: 'notes', key: 'k', base: null, transactionSize: 1, ...record }
  const opened = openEnvelope(keyring, sealRecord(keyring, whole, timestamp, random))
  if (opened.type !== 'opened') throw new Error('it was sealed under a key that is held')
  return mergeStateOf(opened.record, timestamp)
}

export const put = (
  previous: MergeState | undefined,
  fields: Fields,
  timestamp: Timestamp,
): MergeState => received({ fields, fieldClocks: changedBy(previous, fields) }, timestamp)
export const deletion = (timestamp: Timestamp): MergeState =>
  received({ fields: null, fieldClocks: CLOCKS_OWN }, timestamp)
export const plain = (fields: Fields | null, timestamp: Timestamp): MergeState =>
  received({ fields, fieldClocks: null }, timestamp)

export function expectSame(a: MergeState, b: MergeState): void {
  const text = (state: MergeState) => ({
    ...state,
    clocks: [...state.clocks].map(([name, clock]) => `${name} ${formatHex(clock)}`).sort(),
  })
  if (!sameState(a, b)) expect(text(a)).toEqual(text(b))
  expect(sameState(a, b)).toBe(true)
}

export const NAMES: readonly string[] = [
  'a',
  'b',
  '',
  '__proto__',
  'constructor',
  'n'.repeat(5_000),
]
export const LEAVES: Value[] = [0, -0, '', false, null, undefined, Number.NaN, 0n, 1, '0', true]
export const value: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom(...LEAVES),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array({ maxLength: 3 }),
  fc.array(fc.constantFrom(...LEAVES), { maxLength: 2 }),
  fc.dictionary(fc.constantFrom(...NAMES), fc.constantFrom(...LEAVES), { noNullPrototype: true }),
)
export const fields: fc.Arbitrary<Fields> = fc
  .array(fc.tuple(fc.constantFrom(...NAMES), value), { maxLength: 6 })
  .map((entries) => Object.fromEntries(entries))

export type Step =
  | { readonly type: 'put'; readonly device: number; readonly fields: Fields }
  | { readonly type: 'plain'; readonly device: number; readonly fields: Fields }
  | { readonly type: 'delete'; readonly device: number }
  | { readonly type: 'merge'; readonly device: number; readonly other: number }

export type StepOf<Type extends Step['type']> = Extract<Step, { type: Type }>

export const device: fc.Arbitrary<number> = fc.nat(2)
export const putStep: fc.Arbitrary<StepOf<'put'>> = fc.record({
  type: fc.constant('put' as const),
  device,
  fields,
})
export const mergeStep: fc.Arbitrary<StepOf<'merge'>> = fc.record({
  type: fc.constant('merge' as const),
  device,
  other: device,
})
export const deleteStep: fc.Arbitrary<StepOf<'delete'>> = fc.record({
  type: fc.constant('delete' as const),
  device,
})
export const plainStep: fc.Arbitrary<StepOf<'plain'>> = fc.record({
  type: fc.constant('plain' as const),
  device,
  fields,
})
export const history = (...steps: fc.Arbitrary<Step>[]): fc.Arbitrary<Step[]> =>
  fc.array(fc.oneof(...steps), { minLength: 1, maxLength: 14 })

/** What three devices hold after the steps, each at its own moment. */
export function run(
  steps: readonly Step[],
  each: (before?: MergeState, after?: MergeState) => void,
): MergeState[] {
  const held: (MergeState | undefined)[] = [undefined, undefined, undefined]
  for (const [i, step] of steps.entries()) {
    const before = held[step.device]
    const after = next(step, before, held, at(i + 1, step.device))
    each(before, after)
    held[step.device] = after
  }
  return held.filter((state) => state !== undefined)
}

export function next(
  step: Step,
  before: MergeState | undefined,
  held: readonly (MergeState | undefined)[],
  timestamp: Timestamp,
): MergeState | undefined {
  if (step.type === 'put') return put(before, step.fields, timestamp)
  if (step.type === 'plain') return plain(step.fields, timestamp)
  if (step.type === 'delete') return deletion(timestamp)
  const other = held[step.other]
  if (before === undefined || other === undefined) return before ?? other
  const joined = joinStates(before, other)
  const fieldClocks = clockGroups(joined, timestamp)
  const state = received({ fields: joined.fields, fieldClocks }, timestamp)
  expectSame(state, joined)
  return state
}
