/**
 * The process that level-store.test.ts kills and limits. It loads the TypeScript sources through
 * the server that the test runner brings, because this Node cannot run them itself, does one job on
 * a folder and prints what was acknowledged, one JSON object a line.
 */

import { execFileSync } from 'node:child_process'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { createViteServer } from 'vitest/node'

const ENTRIES_PER_ROUND = 5
const ENTRY_BYTES = 500

const [job = '', path = ''] = process.argv.slice(2)

const server = await createViteServer({
  configFile: false,
  root: import.meta.dirname,
  logLevel: 'error',
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] }, noExternal: [/^@blindcopy\//] },
  server: { middlewareMode: true, watch: null, ws: false },
  optimizeDeps: { noDiscovery: true },
})
const { openLevelStore } = await server.ssrLoadModule(join(import.meta.dirname, 'level-store.ts'))
await server.close()

const store = await openLevelStore({ path })
const jobs = { hold, fill, 'read-full': readFull, loop }
await jobs[job]()

async function hold() {
  print({ type: 'open' })
  await new Promise((resolve) => setTimeout(resolve, 60_000))
}

/** Writes until the disk is full, lifts the limit, and writes a hundred rounds more. */
async function fill() {
  const before = await writeUntilFull()
  execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=unlimited:'])
  let after = 0
  for (; after < 100; after++) await store.write(batchOf(before + 1 + after), { sync: true })
  print({ type: 'done', before, after })
  await store.close()
}

async function readFull() {
  const rounds = await writeUntilFull()
  const keys = Array.from({ length: rounds }, (_, round) => batchOf(round)[0].key)
  const values = await store.getMany(keys)
  const refused = await store.write(batchOf(rounds), { sync: false }).catch((error) => error.code)
  print({ type: 'done', read: values.every((value) => value?.length === ENTRY_BYTES), refused })
  await store.close().catch(() => {})
}

async function loop() {
  for (let round = 0; ; round++) {
    await store.write(batchOf(round), { sync: round % 50 === 0 })
    print({ type: 'wrote', round })
  }
}

async function writeUntilFull() {
  for (let round = 0; ; round++) {
    try {
      await store.write(batchOf(round), { sync: false })
    } catch (error) {
      print({ type: 'full', code: error.code })
      return round
    }
  }
}

function batchOf(round) {
  return Array.from({ length: ENTRIES_PER_ROUND }, (_, index) => {
    const key = new Uint8Array(8)
    new DataView(key.buffer).setUint32(0, round)
    new DataView(key.buffer).setUint32(4, index)
    return { type: 'put', key, value: new Uint8Array(ENTRY_BYTES).fill(round) }
  })
}

// Synchronous, so that a line that was printed is out before the process can be killed.
function print(line) {
  writeSync(1, `${JSON.stringify(line)}\n`)
}
