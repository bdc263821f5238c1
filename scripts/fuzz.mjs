/**
 * `npm run fuzz -- --seconds N --seed S`: fuzzes the server (test/fuzz) for as long as one likes.
 *
 * Without a seed it takes one by the clock and prints it; with --round only that round is run, as a
 * finding names it.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const USAGE = `npm run fuzz -- [options]

  --seconds N  how long (60)
  --seed S     what the cases are made of (by the clock)
  --round R    this round of the seed alone
`

function parse() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: String(Math.floor(Date.now() / 1000) % 1_000_000) },
      round: { type: 'string' },
    },
  })
  const isWhole = Object.values(values).every((value) => /^[0-9]+$/.test(value))
  if (!isWhole) throw new Error('a number is none')
  return values
}

let values
try {
  values = parse()
} catch {
  process.stdout.write(USAGE)
  process.exit(2)
}
const { seconds, seed, round } = values
process.stdout.write(`seed ${seed}, ${seconds} seconds\n`)
const env = {
  ...process.env,
  FUZZ_SECONDS: seconds,
  FUZZ_SEED: seed,
  ...(round === undefined ? {} : { FUZZ_ROUND: round }),
}
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))
const args = [vitest, 'run', 'test/fuzz']
process.exitCode =
  spawnSync(process.execPath, args, { cwd: ROOT, env, stdio: 'inherit' }).status ?? 1
