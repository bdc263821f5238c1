/**
 * A remote in a process of its own: `node remote-worker.mjs FOLDER PORT [ORIGIN…]`. Its first line on
 * stdout is `{"url"}`; each request it answers is a line of JSON on stderr, as an operator would log
 * it.
 */
import { serveRemote } from '@blindcopy/remote/node'
import { openLevelStore } from '@blindcopy/secondary'

const [folder, port, ...origins] = process.argv.slice(2)
const line = (value) => `${JSON.stringify(value)}\n`
const served = await serveRemote({
  store: await openLevelStore({ path: folder }),
  registration: { mode: 'token', token: 'let-me-in' },
  port: Number(port),
  origins,
  log: (request) => process.stderr.write(line(request)),
  onFault: (error) => process.stderr.write(line({ fault: String(error) })),
})
process.stdout.write(line({ url: served.url }))
process.on('SIGTERM', () => {
  void served.close().then(() => process.exit(0))
})
