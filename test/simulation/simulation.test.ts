/**
 * Hundreds of seeds: any number of devices, over any network, with any crash and any clock, end
 * with what the ledger says. Each failing seed prints what happened before, and how to run it
 * again.
 *
 * Defects of others that this looks for (lessons A): 3 to 9, 13 to 15, 19, 23; and of section C: 3,
 * 6. `SLOW=1` runs 3,000 seeds; `SEED=7` begins with another.
 */

import { describe, expect, it } from 'vitest'
import { Tally } from './faults.ts'
import { report } from './report.ts'
import { runSeed } from './run.ts'

const SEEDS = process.env.SLOW === '1' ? 3_000 : 150
const FIRST_SEED = Number(process.env.SEED ?? 1)

describe('devices and a remote, in a storm of faults', () => {
  const tally = new Tally()
  const slow = { timeout: 60_000 }

  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    it(`lose nothing and come to agree (seed ${seed})`, slow, async () => {
      const result = await runSeed(seed)
      tally.add(result.tally.counts)
      if (result.failure !== undefined) throw new Error(report(seed, result))
    })
  }

  it('met every kind of fault', () => {
    expect(tally.missing()).toEqual([])
  })
})
