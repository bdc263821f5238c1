/**
 * Suite model: a store as a plain sorted array, and random sequences of calls that both must agree
 * on.
 *
 * It is written to be obviously right, not fast: keys are compared as hexadecimal text, and a range
 * is a filter. Part of the conformance suite.
 */

import { formatHex } from '@blindcopy/protocol'
import fc from 'fast-check'
import { expect } from 'vitest'
import type { Entry, KeyRange, PageBounds, Store, StoreOp } from './store.ts'

/** A store under test. `reopen` closes it and opens the same data again, where that is possible. */
export type StoreUnderTest = {
  readonly store: Store
  readonly reopen?: () => Promise<Store>
}

type Step =
  | { readonly type: 'write'; readonly batch: readonly StoreOp[]; readonly sync: boolean }
  | { readonly type: 'get'; readonly keys: readonly Uint8Array[] }
  | { readonly type: 'scan'; readonly range: KeyRange; readonly bounds: PageBounds }
  | { readonly type: 'reopen' }

/** Runs random sequences on stores that `open` makes, each on an empty one of its own. */
export async function checkAgainstModel(open: () => Promise<StoreUnderTest>): Promise<void> {
  const sequences = fc.array(arbitraryStep(), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(sequences, (steps) => followModel(open, steps)),
    { numRuns: isSlow() ? 1000 : 30 },
  )
}

/** Few and short keys, so that they collide, lie beside each other and are prefixes often. */
function arbitraryStep(): fc.Arbitrary<Step> {
  const key = fc.array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), { minLength: 1, maxLength: 3 })
  const keyBytes = key.map((numbers) => Uint8Array.from(numbers))
  const op = fc.oneof(
    fc.record({
      type: fc.constant('put' as const),
      key: keyBytes,
      value: fc.uint8Array({ maxLength: 40 }),
    }),
    fc.record({ type: fc.constant('delete' as const), key: keyBytes }),
  )
  const range = fc.record(
    {
      gte: keyBytes,
      gt: keyBytes,
      lte: keyBytes,
      lt: keyBytes,
      reverse: fc.boolean(),
      limit: fc.nat(20),
    },
    { requiredKeys: [] },
  )
  const bounds = fc.record(
    { entriesMax: fc.integer({ min: 1, max: 5 }), bytesMax: fc.integer({ min: 1, max: 100 }) },
    { requiredKeys: [] },
  )
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('write' as const),
        batch: fc.array(op),
        sync: fc.boolean(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ type: fc.constant('get' as const), keys: fc.array(keyBytes) }),
    },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('scan' as const), range, bounds }) },
    { weight: 1, arbitrary: fc.constant({ type: 'reopen' as const }) },
  )
}

async function followModel(
  open: () => Promise<StoreUnderTest>,
  steps: readonly Step[],
): Promise<void> {
  const { store: opened, reopen } = await open()
  let store = opened
  let model: Entry[] = []
  let mayReopen = reopen !== undefined
  try {
    for (const step of steps) {
      if (step.type === 'write') {
        await store.write(step.batch, { sync: step.sync })
        model = applyTo(model, step.batch)
      } else if (step.type === 'get') {
        const expected = step.keys.map((key) => model.find((entry) => isSame(entry[0], key))?.[1])
        expect(await store.getMany(step.keys)).toEqual(expected)
        for (const key of step.keys.slice(0, 1)) expect(await store.get(key)).toEqual(expected[0])
      } else if (step.type === 'scan') {
        await compareScan(store, model, step.range, step.bounds)
      } else if (mayReopen && reopen !== undefined) {
        // Once a sequence: opening is what takes the time.
        mayReopen = false
        store = await reopen()
      }
    }
    await compareScan(store, model, {}, {})
  } finally {
    await store.close()
  }
}

async function compareScan(
  store: Store,
  model: readonly Entry[],
  range: KeyRange,
  bounds: PageBounds,
): Promise<void> {
  const expected = inRange(model, range)
  const pages = await collect(store.pages(range, bounds))
  expect(pages.flat()).toEqual(expected)
  const keyPages = await collect(store.keyPages(range, bounds))
  expect(keyPages.flat()).toEqual(expected.map(([key]) => key))
  for (const page of [...pages, ...keyPages]) {
    expect(page.length).toBeGreaterThan(0)
    expect(page.length).toBeLessThanOrEqual(bounds.entriesMax ?? 1000)
  }
}

function applyTo(model: readonly Entry[], batch: readonly StoreOp[]): Entry[] {
  let next = [...model]
  for (const op of batch) {
    next = next.filter(([key]) => !isSame(key, op.key))
    if (op.type === 'put') next.push([op.key, op.value])
  }
  return next.sort(([left], [right]) => (formatHex(left) < formatHex(right) ? -1 : 1))
}

/** The entries of a range by its plain meaning: all of the bounds hold. */
export function inRange(entries: readonly Entry[], range: KeyRange): Entry[] {
  const { gte, gt, lte, lt, limit } = range
  const inside = entries.filter(
    ([key]) =>
      (gte === undefined || formatHex(key) >= formatHex(gte)) &&
      (gt === undefined || formatHex(key) > formatHex(gt)) &&
      (lte === undefined || formatHex(key) <= formatHex(lte)) &&
      (lt === undefined || formatHex(key) < formatHex(lt)),
  )
  return (range.reverse === true ? inside.reverse() : inside).slice(0, limit)
}

export async function collect<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = []
  for await (const page of pages) collected.push(page)
  return collected
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return formatHex(left) === formatHex(right)
}

// The suite also runs where there is no `process`.
function isSlow(): boolean {
  const { process } = globalThis as { process?: { env: { SLOW?: string } } }
  return process?.env.SLOW === '1'
}
