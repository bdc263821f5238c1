/**
 * Report: what a person reads of a seed that failed, and of a whole range.
 */
import type { Tally } from './faults.ts'
import type { RunResult } from './run.ts'

const LINES = 90

export function report(seed: number, result: RunResult, linesMax = LINES): string {
  return [
    `seed ${seed}: ${result.failure}`,
    '',
    result.trace.tail(linesMax),
    '',
    `again: npm run simulate -- --from ${seed} --seeds 1 --trace`,
  ].join('\n')
}

export function tallyText(tally: Tally): string {
  const lines = [...tally.counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([what, count]) => `  ${String(count).padStart(7)}  ${what}`)
  const missing = tally.missing().map((fault) => `     none  ${fault}`)
  return [...lines, ...missing].join('\n')
}
