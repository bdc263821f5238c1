/**
 * The remote of the benchmark, in a process of its own. Prints where it serves; ends, and prints its
 * peak memory, when its input ends.
 */
import { serveRemote } from '@blindcopy/remote/node'
import { openLevelStore } from '@blindcopy/secondary'
import { peakMemory, watchMemory } from './memory.mjs'

watchMemory()

const [path] = process.argv.slice(2)
const remote = await serveRemote({
  store: await openLevelStore({ path }),
  registration: { mode: 'open' },
})
process.stdout.write(`${JSON.stringify({ url: remote.url })}\n`)
process.stdin.resume()
process.stdin.on('end', async () => {
  await remote.close()
  process.stdout.write(`${JSON.stringify({ peak: peakMemory() })}\n`)
})
