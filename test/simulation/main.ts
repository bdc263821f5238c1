/**
 * The command: runs a range of seeds and says which failed. `scripts/simulate.mjs` loads it.
 */
import { parseArgs } from 'node:util'
import { Tally } from './faults.ts'
import { report, tallyText } from './report.ts'
import { runSeed } from './run.ts'

const USAGE = `npm run simulate -- [options]

  --seeds N    how many seeds to run (100)
  --from S     the first seed (1)
  --trace      the whole trace of each seed that fails, and of a single one that does not
  --minutes M  stop after so many minutes
`

type Settings = { seeds: number; from: number; trace: boolean; minutes: number }

/** Resolves to the exit code: 0 when all held, 1 when a seed failed, 2 for wrong arguments. */
export async function simulate(
  argv: readonly string[],
  write: (text: string) => void,
): Promise<number> {
  const settings = parseSettings(argv)
  if (settings === undefined) {
    write(USAGE)
    return 2
  }
  const { seeds, from, trace, minutes } = settings
  const tally = new Tally()
  const failed: number[] = []
  const startMs = Date.now()
  let ran = 0
  for (let seed = from; seed < from + seeds; seed++) {
    if (Date.now() - startMs > minutes * 60_000) break
    const result = await runSeed(seed)
    ran++
    tally.add(result.tally.counts)
    if (result.failure !== undefined) {
      failed.push(seed)
      write(`${report(seed, result, trace ? Number.POSITIVE_INFINITY : undefined)}\n\n`)
    } else if (trace && seeds === 1) {
      write(`${result.trace.lines.join('\n')}\nhash ${result.hash}\n`)
    }
  }
  const seconds = ((Date.now() - startMs) / 1000).toFixed(1)
  write(`${tallyText(tally)}\n\n${ran} seeds from ${from} in ${seconds} s: `)
  write(failed.length === 0 ? 'all held\n' : `failed: ${failed.join(', ')}\n`)
  return failed.length === 0 ? 0 : 1
}

function parseSettings(argv: readonly string[]): Settings | undefined {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        seeds: { type: 'string', default: '100' },
        from: { type: 'string', default: '1' },
        minutes: { type: 'string', default: '1440' },
        trace: { type: 'boolean', default: false },
      },
    })
    const settings = {
      seeds: Number(values.seeds),
      from: Number(values.from),
      minutes: Number(values.minutes),
      trace: values.trace,
    }
    const isWhole = Number.isInteger(settings.seeds) && Number.isInteger(settings.from)
    return isWhole && settings.seeds > 0 && settings.minutes > 0 ? settings : undefined
  } catch {
    return undefined
  }
}
