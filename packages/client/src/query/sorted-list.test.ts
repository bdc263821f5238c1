/**
 * A sorted list against a plain array that is sorted anew after each step.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isBefore, SortedList } from './sorted-list.ts'

const all = (list: SortedList<number>): number[] => [...list.between(list.start, list.end)]

function check(list: SortedList<number>, model: Set<number>, probe: number): void {
  const sorted = [...model].sort((a, b) => a - b)
  expect(all(list)).toEqual(sorted)
  expect(list.size).toBe(sorted.length)
  expect(list.first(5)).toEqual(sorted.slice(0, 5))
  const place = list.seek((member) => member - probe)
  expect(list.after(place)).toBe(sorted.find((member) => member >= probe))
  expect(list.before(place)).toBe(sorted.findLast((member) => member < probe))
  expect([...list.between(place, list.end)]).toEqual(sorted.filter((member) => member >= probe))
  expect([...list.between(list.start, place)]).toEqual(sorted.filter((member) => member < probe))
  expect(isBefore(list.start, place)).toBe(sorted.some((member) => member < probe))
}

describe('a sorted list', () => {
  it('holds what was added and not removed, in order, whatever the sequence', () => {
    const step = fc.record({
      from: fc.integer({ min: 0, max: 2_000 }),
      count: fc.integer({ min: 1, max: 700 }),
      stride: fc.constantFrom(1, -1, 7, -13),
      remove: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.nat(2_500), (steps, probe) => {
        const list = new SortedList<number>((a, b) => a - b)
        const model = new Set<number>()
        for (const { from, count, stride, remove } of steps) {
          for (let i = 0; i < count; i++) {
            const member = from + i * stride
            if (remove) expect(list.remove(member)).toBe(model.delete(member) ? member : undefined)
            else expect(list.add(member)).toBe(model.size < model.add(member).size)
          }
          check(list, model, probe)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('is empty at first, and again when all is removed', () => {
    const list = new SortedList<number>((a, b) => a - b)
    check(list, new Set(), 1)
    for (let i = 0; i < 1_000; i++) list.add(i)
    for (let i = 999; i >= 0; i--) list.remove(i)
    check(list, new Set(), 1)
  })
})
