/**
 * The server under structure-aware fuzzing: for half a minute here, and as long as one likes by
 * `npm run fuzz -- --seconds N --seed S`. What was found once is tried each time (corpus/).
 *
 * Threats: 8, 11, 21, 34, 36, 40.
 */
import { describe, expect, it } from 'vitest'
import { readCorpus, replay } from './corpus.ts'
import { fuzz, fuzzSlow } from './fuzz.ts'

const seconds = Number(process.env.FUZZ_SECONDS ?? (process.env.SLOW === '1' ? 300 : 12))
const seed = Number(process.env.FUZZ_SEED ?? 1)
const round = process.env.FUZZ_ROUND === undefined ? undefined : Number(process.env.FUZZ_ROUND)

/**
 * What stays in use may grow by so much: tables, and code that is compiled again. A round opens
 * about ten connections, so that what is left of a round is far less than one connection takes.
 */
const GROWN_BYTES_MAX = 12 * 1024 * 1024
const GROWN_BYTES_A_ROUND_MAX = 2 * 1024

describe('what was found before', () => {
  it.each(readCorpus().map((entry) => [entry.what, entry] as const))(
    'stays mended: %s',
    async (_, entry) => {
      await replay(entry)
    },
    60_000,
  )
})

describe('a remote that is fuzzed', () => {
  it(
    `answers everything with one code, and changes nothing (seed ${seed})`,
    async () => {
      const untilMs = Date.now() + seconds * 1000
      const only = round === undefined ? {} : { round }
      const { rounds, cases, codes, grownBytes } = await fuzz({ seed, untilMs, ...only })
      const tally = [...codes].sort((a, b) => b[1] - a[1])
      process.stdout.write(
        `fuzz: seed ${seed}, ${rounds} rounds, ${cases} cases, ${Math.round(grownBytes / 1024)} ` +
          `KiB more in use\n${tally.map(([code, count]) => `  ${count} ${code}`).join('\n')}\n`,
      )
      expect(grownBytes).toBeLessThan(GROWN_BYTES_MAX + rounds * GROWN_BYTES_A_ROUND_MAX)
      if (round !== undefined) return
      // The generators reach what lies behind the first checks.
      expect([...codes.keys()]).toEqual(
        expect.arrayContaining(['ok', 'malformed', 'session-required', 'keychain-invalid']),
      )
    },
    (seconds + 120) * 1000,
  )

  it('waits for nobody who takes his time, longer than it says', async () => {
    expect(await fuzzSlow(seed, 40)).toBe(40)
  }, 120_000)
})
