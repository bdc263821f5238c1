/** The laws of merging, on versions as devices make and receive them. */
import { isDeepStrictEqual } from 'node:util'
import type { Value } from '@blindcopy/protocol'
import { CLOCKS_OWN } from '@blindcopy/vault'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  at,
  deleteStep,
  deletion,
  device,
  expectSame,
  fields,
  history,
  LEAVES,
  mergeStep,
  NAMES,
  next,
  plainStep,
  put,
  putStep,
  received,
  run,
  type Step,
  value,
} from './merge.fixture.ts'
import {
  clockGroups,
  joinStates,
  lostFields,
  type MergeState,
  REMOVALS_LENGTH_MAX,
  REMOVALS_MAX,
} from './merge.ts'

const numRuns = process.env.SLOW === '1' ? 10_000 : 300

/** Three things in every order. */
const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const
const OWN = { enumerable: true, configurable: true, writable: true } as const

const check = (steps: fc.Arbitrary<Step>[], law: (held: MergeState[]) => void) =>
  fc.assert(
    fc.property(history(...steps), (all) => law(run(all, () => {}))),
    { numRuns },
  )

describe('joinStates', () => {
  const all = [putStep, mergeStep, deleteStep, plainStep]

  it('is commutative and idempotent', () => {
    check(all, (held) => {
      for (const a of held) {
        expectSame(joinStates(a, a), a)
        for (const b of held) {
          expectSame(joinStates(a, b), joinStates(b, a))
          expectSame(joinStates(a, joinStates(a, b)), joinStates(a, b))
        }
      }
    })
  })

  it('is associative, without deletions', () => {
    check([putStep, mergeStep], (held) => {
      for (const a of held) {
        for (const b of held) {
          for (const c of held) {
            expectSame(joinStates(joinStates(a, b), c), joinStates(a, joinStates(b, c)))
          }
        }
      }
    })
  })

  it('adds nothing of an ancestor, whatever was written over it', () => {
    const steps = history(putStep, mergeStep, deleteStep, plainStep)
    fc.assert(
      fc.property(steps, (made) => {
        const line: MergeState[] = []
        // One device: each version is written over the one before.
        run(
          made.map((step) => ({ ...step, device: 0 })),
          (_, after) => after && line.push(after),
        )
        const last = line.at(-1)
        for (const ancestor of line) if (last) expectSame(joinStates(ancestor, last), last)
      }),
      { numRuns },
    )
  })

  it('gives the same when a version between is dropped (lessons A.10)', () => {
    fc.assert(
      fc.property(fields, fields, fields, fields, (one, two, three, other) => {
        const first = put(undefined, one, at(1))
        const between = put(first, two, at(2))
        const last = put(between, three, at(5))
        const side = put(first, other, at(4, 9))
        const compacted = joinStates(last, side)
        expectSame(joinStates(joinStates(between, side), last), compacted)
        expectSame(joinStates(joinStates(first, side), last), compacted)
      }),
      { numRuns },
    )
  })

  it('keeps all edits of three devices offline, in every order', () => {
    const start = put(undefined, { title: 't', body: 'b', done: false, note: 'n' }, at(1))
    const sides = [
      put(start, { ...start.fields, title: '' }, at(5, 1)),
      put(start, { ...start.fields, done: null }, at(3, 2)),
      put(start, { title: 't', done: false, note: 'n', tags: [0] }, at(4, 3)),
    ] as const
    const result = { title: '', done: null, note: 'n', tags: [0] }
    for (const [i, j, k] of ORDERS) {
      const [x, y, z] = [sides[i], sides[j], sides[k]]
      expect(joinStates(joinStates(x, y), z).fields).toEqual(result)
      expect(joinStates(x, joinStates(y, z)).fields).toEqual(result)
    }
  })

  it('loses no edit of three devices on fields of their own, however edits and merges mix', () => {
    const edit = fc.record({ type: fc.constant('edit' as const), device, value })
    fc.assert(
      fc.property(fc.array(fc.oneof(edit, mergeStep), { maxLength: 20 }), (steps) => {
        const start = put(undefined, { common: 1 }, at(1))
        const held = [start, start, start]
        const expected: Record<string, Value> = { common: 1 }
        for (const [i, step] of steps.entries()) {
          const before = held[step.device] as MergeState
          const time = at(i + 2, step.device)
          if (step.type === 'merge') {
            held[step.device] = next(step, before, held, time) as MergeState
            continue
          }
          const name = NAMES[step.device + 2] as string
          const edited = Object.entries({ ...before.fields }).filter(([other]) => other !== name)
          held[step.device] = put(before, Object.fromEntries([...edited, [name, step.value]]), time)
          Object.defineProperty(expected, name, { ...OWN, value: step.value })
        }
        for (const [x, y, z] of ORDERS) {
          const [a, b, c] = [held[x], held[y], held[z]] as [MergeState, MergeState, MergeState]
          expect(isDeepStrictEqual(joinStates(joinStates(a, b), c).fields, expected)).toBe(true)
        }
      }),
      { numRuns },
    )
  })

  it('takes of two edits of a field the newer, a removal included', () => {
    const start = put(undefined, { a: 1, b: { c: 1, d: 1 } }, at(1))
    const older = put(start, { a: 2, b: { c: 2, d: 1 } }, at(2))
    const newer = put(start, { b: { c: 1, d: 2 } }, at(3))
    expectSame(joinStates(older, newer), newer)
    const earlier = put(start, { b: { c: 1, d: 1 } }, at(2, 1))
    expect(joinStates(earlier, put(start, { a: 3 }, at(3))).fields).toEqual({ a: 3 })
    expect(put(older, older.fields ?? {}, at(9)).clocks.get('a')).toEqual(at(2))
  })

  it('remembers when a field was removed, whatever was written since', () => {
    const start = put(undefined, { a: 1, b: 1 }, at(1))
    const later = put(put(start, { b: 1 }, at(2)), { b: 2 }, at(5))
    expect(later.clocks.get('a')).toEqual(at(2))
    expect(joinStates(later, put(start, { a: 3, b: 1 }, at(3))).fields).toEqual({ a: 3, b: 2 })
    const removed = put(start, { b: 1 }, at(3))
    for (const value of [0, undefined, 'x']) {
      const changed = put(start, { a: value, b: 1 }, at(3))
      // Two writes of one timestamp, by a broken member: the value stands, from either end.
      expectSame(joinStates(removed, changed), changed)
      expectSame(joinStates(changed, removed), changed)
    }
  })

  it('counts every field as an edit, when a record names an older one', () => {
    const fieldClocks = { ...CLOCKS_OWN, editedAt: at(2) }
    expect(received({ fields: { a: 1 }, fieldClocks }, at(9)).editedAt).toEqual(at(9))
    expect(received({ fields: {}, fieldClocks }, at(9)).editedAt).toEqual(at(2))
  })

  it('recognises every change of a value, -0 and kinds included, and each that is none', () => {
    for (const [i, before] of LEAVES.entries()) {
      for (const [j, after] of LEAVES.entries()) {
        for (const wrap of [(leaf: Value) => leaf, (leaf: Value): Value => ({ x: [leaf] })]) {
          const start = put(undefined, { f: wrap(before) }, at(1))
          const changed = put(start, { f: wrap(after) }, at(2))
          expect(changed.clocks.get('f')).toEqual(i === j ? at(1) : at(2))
          expect(joinStates(changed, start).fields).toStrictEqual({ f: wrap(after) })
        }
      }
    }
  })

  it('chooses the same of two values with one clock, which only a broken member writes', () => {
    fc.assert(
      fc.property(fields, fields, (one, two) => {
        const [a, b] = [put(undefined, one, at(1)), put(undefined, two, at(1))]
        expectSame(joinStates(a, b), joinStates(b, a))
      }),
      { numRuns },
    )
  })
})

describe('a deletion', () => {
  const start = put(undefined, { a: 1, b: 2 }, at(1))

  it('wins over every older edit, and a newer edit brings back what its editor held', () => {
    const older = put(start, { a: 9, b: 2 }, at(3))
    expectSame(joinStates(older, deletion(at(4))), deletion(at(4)))
    expect(lostFields(older, deletion(at(4)), start)).toEqual(['a'])
    const newer = put(start, { a: 9, b: 2 }, at(5))
    expect(joinStates(newer, deletion(at(4))).fields).toEqual({ a: 9, b: 2 })
    expect(lostFields(newer, joinStates(newer, deletion(at(4))), start)).toEqual([])
  })

  it('stays overcome: older versions add nothing to what was written over it', () => {
    const again = put(deletion(at(4)), { c: 3 }, at(6))
    const older = put(start, { a: 9, b: 2, d: 1 }, at(3))
    for (const side of [start, older, deletion(at(4)), deletion(at(2))]) {
      expectSame(joinStates(again, side), again)
    }
    expect(joinStates(again, put(start, { a: 9, b: 2 }, at(5))).fields).toEqual({
      a: 9,
      b: 2,
      c: 3,
    })
    expectSame(joinStates(again, deletion(at(7))), deletion(at(7)))
  })

  it('is remembered by the version that overcame it in a merge', () => {
    const revived = joinStates(put(undefined, { a: 9 }, at(5)), deletion(at(4)))
    expect(revived.deletedAt).toEqual(at(4))
    expectSame(joinStates(revived, put(start, { a: 1, b: 3 }, at(3))), revived)
  })

  it('is judged by edits, not by the moment of a merge', () => {
    const joined = joinStates(put(start, { a: 5, b: 2 }, at(3)), put(start, { a: 1, b: 6 }, at(2)))
    const merged = received(
      { fields: joined.fields, fieldClocks: clockGroups(joined, at(9)) },
      at(9),
    )
    expectSame(joinStates(merged, deletion(at(4))), deletion(at(4)))
    const late = received({ fields: null, fieldClocks: clockGroups(deletion(at(4)), at(9)) }, at(9))
    expectSame(
      joinStates(late, put(start, { a: 7 }, at(5))),
      joinStates(put(start, { a: 7 }, at(5)), deletion(at(4))),
    )
  })

  it('has nothing to do with how many fields there are: {} is alive', () => {
    const empty = put(undefined, {}, at(5))
    expect(empty.fields).toEqual({})
    expect(joinStates(empty, deletion(at(4))).fields).toEqual({})
    expect(joinStates(empty, deletion(at(6))).fields).toBeNull()
    expect(joinStates(put(start, {}, at(5)), deletion(at(4))).fields).toEqual({})
    // An edit that changes nothing is one.
    expect(joinStates(put(start, { a: 1, b: 2 }, at(5)), deletion(at(4))).fields).toEqual({
      a: 1,
      b: 2,
    })
    const joined = joinStates(empty, put(undefined, { x: 1 }, at(2)))
    const merged = received(
      { fields: joined.fields, fieldClocks: clockGroups(joined, at(9)) },
      at(9),
    )
    expect(joinStates(merged, deletion(at(3))).fields).toEqual({ x: 1 })
  })
})

describe('changedBy', () => {
  it('forgets the oldest removals beyond the limits, and never a field', () => {
    let state: MergeState | undefined
    const names = (count: number, length: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`${i}`.padEnd(length, '.'), i]))
    for (let i = 0; i < 5; i++) state = put(state, names(300, 5 + i), at(i + 1))
    expect(state?.clocks.size).toBe(300 + REMOVALS_MAX)
    expect(state?.clocks.has('0'.padEnd(5, '.'))).toBe(true)
    expect(state?.clocks.has('99'.padEnd(5, '.'))).toBe(false)
    const long = put(put(undefined, names(20, 2_000), at(1)), {}, at(2))
    expect(long.clocks.size).toBe(Math.floor(REMOVALS_LENGTH_MAX / 2_000))
  })
})
