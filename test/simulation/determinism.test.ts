/**
 * One number repeats a run exactly: the same events, the same bytes on every wire, the same end.
 */
import { describe, expect, it } from 'vitest'
import { runSeed } from './run.ts'

const SEEDS = [3, 14, 15, 92, 65, 35]
const stormMs = 90_000

describe('a run of the simulator', () => {
  it.each(SEEDS)('is the same again with the same seed (%i)', async (seed) => {
    const first = await runSeed(seed, { stormMs })
    const second = await runSeed(seed, { stormMs })
    expect(second.trace.lines).toEqual(first.trace.lines)
    expect(second.hash).toBe(first.hash)
  })

  it.each(SEEDS)('waits for nothing real: more turns change nothing (%i)', async (seed) => {
    const first = await runSeed(seed, { stormMs })
    const second = await runSeed(seed, { stormMs, turnsPerEvent: 4 })
    expect(second.trace.lines).toEqual(first.trace.lines)
    expect(second.hash).toBe(first.hash)
  })

  it('is another with another seed', async () => {
    const hashes = await Promise.all(
      SEEDS.map(async (seed) => (await runSeed(seed, { stormMs })).hash),
    )
    expect(new Set(hashes).size).toBe(SEEDS.length)
  })
})
