/**
 * The remote of the load benchmark, in a process of its own, on a real disk. Answers `memory` with
 * what it holds after a collection.
 */
import { LIMITS_DEFAULT } from '@blindcopy/remote'
import { serveRemote } from '@blindcopy/remote/node'
import { openLevelStore } from '@blindcopy/secondary'

const [path] = process.argv.slice(2)
// All of the load comes from one address, and one vault pushes as fast as it can.
const rates = { pushesPerSecond: 1e9, pushBytesPerSecond: 1e12, loginsPerMinute: 1e9 }
const remote = await serveRemote({
  store: await openLevelStore({
    path,
    nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
  }),
  registration: { mode: 'open' },
  limits: { ...LIMITS_DEFAULT, rates },
  onFault: (error) => process.stderr.write(`${error?.stack}\n`),
})
process.on('message', async (message) => {
  if (message === 'memory') {
    globalThis.gc()
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
    process.send({ rss, heapUsed, external, arrayBuffers })
  }
  if (message === 'close') {
    await remote.close()
    process.disconnect()
  }
})
process.send({ url: remote.url })
