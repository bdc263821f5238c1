/** Room: never more at once than there is, all in turn, and what fails gives its part back. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createRoom } from './room.ts'

it('holds no more than there is, begins in order, and gives everything back', async () => {
  const job = fc.record({ size: fc.integer({ min: 0, max: 150 }), fails: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(job, { maxLength: 30 }), async (jobs) => {
      const room = createRoom(100)
      const begun: number[] = []
      let held = 0
      const results = await Promise.allSettled(
        jobs.map(({ size, fails }, i) =>
          room.hold(size, async () => {
            begun.push(i)
            held += Math.min(size, 100)
            expect(held).toBeLessThanOrEqual(100)
            // Those whose turn has come count before they begin.
            expect(room.heldBytes).toBeGreaterThanOrEqual(held)
            expect(room.heldBytes).toBeLessThanOrEqual(100)
            for (let turn = 0; turn < size % 5; turn++) await Promise.resolve()
            held -= Math.min(size, 100)
            if (fails) throw new Error('failed')
            return i
          }),
        ),
      )
      expect(begun).toEqual(jobs.map((_, i) => i))
      expect(results.map(({ status }) => status === 'rejected')).toEqual(
        jobs.map(({ fails }) => fails),
      )
      expect(room.heldBytes).toBe(0)
    }),
  )
})
