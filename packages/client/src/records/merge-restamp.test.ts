/** Clocks after a re-stamp: of the transaction itself, of others, and of some that are no more. */
import { isDeepStrictEqual } from 'node:util'
import { compareTimestamps, formatHex, type Timestamp } from '@blindcopy/protocol'
import { CLOCKS_OWN } from '@blindcopy/vault'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  at,
  deleteStep,
  deletion,
  expectSame,
  fields,
  history,
  plainStep,
  put,
  putStep,
  received,
  run,
} from './merge.fixture.ts'
import { changedBy, joinStates, type MergeRecord } from './merge.ts'
import { type Restamp, restampClocks } from './merge-restamp.ts'

const numRuns = process.env.SLOW === '1' ? 10_000 : 300

describe('restampClocks', () => {
  const restamped = (
    record: MergeRecord,
    from: Timestamp,
    to: Timestamp,
    newOf: Restamp['newOf'] = () => undefined,
  ) => received({ ...record, fieldClocks: restampClocks(record, { from, to, newOf }) }, to)

  it('moves the clocks of the transaction, and of others that were moved before', () => {
    const start = put(undefined, { a: 1, b: 1, c: 1 }, at(1))
    const first = put(start, { a: 2, b: 1, c: 1 }, at(90))
    const fieldsOf = { a: 2, b: 2 }
    const record = { fields: fieldsOf, fieldClocks: changedBy(first, fieldsOf) }
    const moved = restamped(record, at(91), at(11), (clock) =>
      formatHex(clock) === formatHex(at(90)) ? at(10) : undefined,
    )
    const clocks = Object.fromEntries(moved.clocks)
    expect(clocks).toEqual({ a: at(10), b: at(11), c: at(11) })
    expect(moved.editedAt).toEqual(at(11))
  })

  it('leaves no clock newer than the record: of a transaction that was coalesced away', () => {
    const first = put(undefined, { a: 2, b: 1 }, at(90))
    const record = { fields: { a: 2 }, fieldClocks: changedBy(first, { a: 2 }) }
    expect(Object.fromEntries(restamped(record, at(91), at(11)).clocks)).toEqual({
      a: at(11),
      b: at(11),
    })
    const again = { fields: { a: 3 }, fieldClocks: changedBy(deletion(at(90)), { a: 3 }) }
    const moved = restamped(again, at(91), at(11))
    expect(moved.fields).toEqual({ a: 3 })
    // The deletion is kept: what was older than it adds nothing.
    expectSame(joinStates(moved, put(undefined, { old: 1 }, at(5))), moved)
  })

  it('keeps what it says of a plain record and of a deletion', () => {
    expect(restampClocks({ fields: {}, fieldClocks: null }, { from: at(9), to: at(2) })).toBeNull()
    expectSame(restamped({ fields: null, fieldClocks: CLOCKS_OWN }, at(9), at(2)), deletion(at(2)))
  })

  it('always gives clocks that can be sealed', () => {
    fc.assert(
      fc.property(
        history(putStep, deleteStep, plainStep),
        fields,
        fc.nat(15),
        (steps, last, to) => {
          const before = run(
            steps.map((step) => ({ ...step, device: 0 })),
            () => {},
          ).at(-1)
          const record = { fields: last, fieldClocks: changedBy(before, last) }
          const moved = restamped(record, at(20), at(to))
          expect(isDeepStrictEqual(moved.fields, last)).toBe(true)
          expect(moved.editedAt).toEqual(at(to))
          for (const clock of moved.clocks.values()) {
            expect(compareTimestamps(clock, at(to))).toBeLessThanOrEqual(0)
          }
        },
      ),
      { numRuns },
    )
  })
})
